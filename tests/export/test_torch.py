"""Test the export to PyTorch and the way back, with the commands that use what came back."""

import dataclasses
import json
import os
import sys

import numpy as np
import pytest

from helpers.networks import save_net
from helpers.scripts import refused, script
from helpers.torch_nets import import_torch, use_few_modules
from resattnet.commands import test as test_command
from resattnet.commands.training_run import train
from resattnet.data.transforms import Transform
from resattnet.datasets import catalog
from resattnet.export import targets
from resattnet.export.export_file import export_file
from resattnet.export.from_torch import import_file
from resattnet.export.options import ExportOptions
from resattnet.machine.mxnet import mx
from resattnet.prediction.classifier import Classifier
from resattnet.prediction.model_file import load_model
from resattnet.prediction.options import ModelFileOptions
from resattnet.system.errors import InputError
from resattnet.torch.weights_file import read_file, write_file
from resattnet.training.initial_weights import InitialWeights
from resattnet.zoo import parameters
from resattnet.zoo.parameter_files import read_arrays

torch = import_torch()

from resattnet.torch import load, save  # noqa: E402

DIGESTS = ("sha256", "description_sha256")


@pytest.fixture
def small(few_digits, monkeypatch):
    """Use few digits, and networks with few layers."""
    use_few_modules(monkeypatch)
    monkeypatch.setattr("resattnet.torch.network.TAIL_UNITS", 1)  # as `few_digits` has it in MXNet


def description(path):
    with open(os.path.splitext(path)[0] + ".json") as handle:
        return json.load(handle)


def to_torch(path, output):
    (written,), comparison, _ = export_file(path, ExportOptions(to="torch", output=str(output)))
    assert comparison.error < 1e-4 * max(1, comparison.largest) and comparison.agreeing == comparison.images
    return written


@pytest.mark.parametrize("name", ["best", "ema"])
def test_parameters_of_a_run_come_back_bit_for_bit_with_their_description(small, options, name, tmp_path):
    run = train(dataclasses.replace(options, epochs=1, ema=0.9))
    path = os.path.join(run.folder, name + ".params")
    exported = to_torch(path, tmp_path / "net.safetensors")
    (back, beside), file = import_file(exported)
    assert (back, beside) == (str(tmp_path / "net-torch.params"), str(tmp_path / "net-torch.json"))
    before, after = read_arrays(path), read_arrays(back)
    assert len(before) == len(after) == len(file.arrays) and before.keys() == after.keys()
    for key, array in before.items():
        assert array.dtype == after[key].dtype and array.asnumpy().tobytes() == after[key].asnumpy().tobytes(), key
    old, new = description(path), description(back)
    assert old["sha256"] == new["sha256"] and "validation_top1" in old or name == "ema"
    # A data set that the package knows is found wherever its files are: its folder does not travel.
    expected = {key: value for key, value in old.items() if key not in (*DIGESTS, "data_dir")}
    assert {key: value for key, value in new.items() if key not in DIGESTS} == expected
    assert parameters.read_description(back) == new


def test_the_packaged_network_gives_the_same_logits_and_predictions(tmp_path, cifar10_images):
    name = "cifar10_attention56_thin"
    ours, theirs = Classifier.load(name), Classifier(load(to_torch(name, tmp_path / "net.safetensors")))
    logits = ours.logits(cifar10_images)
    assert np.abs(logits - theirs.logits(cifar10_images)).max() < 1e-4
    assert ours.predict(cifar10_images)[0].classes == theirs.predict(cifar10_images)[0].classes
    assert len({int(row.argmax()) for row in logits}) > 1 and ours.classes == theirs.classes


@pytest.fixture
def cifar10_images():
    """Return images for the packaged network: the first of CIFAR-10's tests, or digits where it is absent."""
    folder = os.environ.get("RESATTNET_CIFAR10")
    source = ("cifar10", folder) if folder else ("digits", None)
    return catalog.load_images(*source, "test").images[:16]


def test_weights_trained_in_pytorch_are_used_by_the_commands(small, tmp_path, capsys):
    path = save_net(tmp_path)
    loaded = load(to_torch(path, tmp_path / "net.safetensors"))
    images = catalog.load_images("digits", None, "train")
    transform = Transform(loaded.facts.mean, loaded.facts.std, 10)
    x, y = transform(images.images[:32], images.labels[:32])
    net = loaded.net.train()
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y).long()).backward()
        optimizer.step()
    tuned = str(tmp_path / "tuned.safetensors")
    save(net, tuned, loaded.facts, loaded.metadata, validation_top1=0.25)
    (back, _), _ = import_file(tuned, str(tmp_path / "tuned.params"))
    described = description(back)
    assert described["validation_top1"] == 0.25 and described["dataset"] == "digits"
    assert described["data"] == read_file(tuned).facts.to_dict() and described["network"] == loaded.spec.to_dict()
    model = load_model(back, ModelFileOptions(), [mx.cpu()])
    expected = net.eval()(torch.from_numpy(x)).detach().numpy()
    assert np.abs(model.compute(x) - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    InitialWeights(back, model.network.to_dict())  # fine-tuning accepts it
    test_command.main(dict(params=[back], num_gpus=0))
    assert "top-1" in capsys.readouterr().out
    exported = export_file(back, ExportOptions(to="float16", output=str(tmp_path / "half")))
    assert exported[1].images == 50


def test_the_scripts(tiny_saved, tmp_path):
    done = script("export.py", "--params", tiny_saved, "--to", "torch")
    assert (done.returncode, done.stderr) == (0, "") and "compared with the float32 network on" in done.stdout
    file = tiny_saved.replace(".params", ".safetensors")
    done = script("export.py", "--from-torch", file, "--output", tmp_path / "back.params")
    assert (done.returncode, done.stderr) == (0, "") and "read back bit for bit; dataset digits" in done.stdout


@pytest.fixture
def tiny_saved(tmp_path):
    from helpers.networks import initialised
    from resattnet.zoo.builders import get_attention_cifar

    net = initialised(get_attention_cifar(10, 56, "tiny", unit="basic"))
    path = str(tmp_path / "net.params")
    parameters.save_parameters(net, path, dict(network=net.spec.to_dict(), dataset="digits", data_format="bin"))
    return path


@pytest.mark.parametrize(
    "args, message",
    [
        (
            "--from-torch {params}",
            "--from-torch: {params} is a parameter file of this package: give a .safetensors file",
        ),
        ("--from-torch no.safetensors", "--from-torch: no.safetensors: no such file"),
        ("--from-torch {params} --params {params}", "give either --params, to export, or --from-torch, the way back"),
        ("", "give either --params, to export, or --from-torch, the way back"),
        ("--from-torch a.safetensors --to symbol", "--from-torch a.safetensors --to symbol: the file describes itself"),
        ("--from-torch a.safetensors --to onnx", "--from-torch a.safetensors --to onnx: the file describes itself"),
        (
            "--from-torch a.safetensors --normalise-inside 0",
            "--from-torch a.safetensors --normalise-inside 0: the file describes itself",
        ),
        ("--from-torch .", "--from-torch: .: that is a folder; give the name of a .safetensors file"),
        ("--from-torch a.safetensors --output a.onnx", "--output a.onnx: give a name that ends in .params"),
        ("--params {params} --to torch --output a", "--output a: give a name that ends in .safetensors"),
    ],
)
def test_bad_input_is_one_line(args, message, tmp_path):
    names = dict(params=str(tmp_path / "net.params"))
    (tmp_path / "net.params").write_bytes(b"x")
    assert message.format(**names) in refused(script("export.py", *args.format(**names).split(), cwd=tmp_path))


def test_weights_of_another_network_or_not_finite(small, tmp_path):
    path = save_net(tmp_path)
    loaded = load(to_torch(path, tmp_path / "net.safetensors"))
    save(loaded.net, str(tmp_path / "other.safetensors"), loaded.facts, loaded.metadata)
    file = read_file(str(tmp_path / "net.safetensors"))
    file.arrays["output.bias"][0] = np.nan
    write_file(str(tmp_path / "nan.safetensors"), file.arrays, file.metadata)
    with pytest.raises(InputError, match="^from_torch: .*nan.safetensors: not all of its numbers are finite"):
        import_file(str(tmp_path / "nan.safetensors"))
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    other = str(tmp_path / "other.safetensors")
    arrays = load_file(other)
    with safe_open(other, framework="np") as handle:
        metadata = handle.metadata()
    arrays["features.0.weight"] = np.zeros((8, 3, 5, 5), np.float32)
    save_file(arrays, other, metadata)
    with pytest.raises(InputError, match="it has features.0.weight of shape 8x3x5x5, in its network 8x3x3x3"):
        import_file(other)
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith("-torch.params") or "tmp" in name]


@pytest.mark.parametrize("writer", ["torch", "params"])
def test_an_output_that_cannot_be_written_is_named_as_it_was_given(small, writer, tmp_path):
    path = save_net(tmp_path)
    (tmp_path / "taken.safetensors.tmp").mkdir()
    (tmp_path / "taken.tmp.params.tmp").mkdir()
    if writer == "torch":
        output = str(tmp_path / "taken.safetensors")
        with pytest.raises(InputError) as raised:
            export_file(path, ExportOptions(to="torch", output=output))
    else:
        exported, output = to_torch(path, tmp_path / "net.safetensors"), str(tmp_path / "taken.params")
        with pytest.raises(InputError) as raised:
            import_file(exported, output)
    assert str(raised.value) == f"{output} cannot be written (Is a directory)"


@pytest.mark.parametrize("package", ["torch", "safetensors.numpy"])
def test_without_the_packages_one_line_says_how_to_get_them(small, package, tmp_path, monkeypatch):
    path = save_net(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match="cannot be imported .*: python -m pip install -e '.\\[torch\\]'$"):
        export_file(path, ExportOptions(to="torch", output=str(tmp_path / "net.safetensors")))
    assert sorted(os.listdir(str(tmp_path))) == ["net.json", "net.params"]


def test_a_file_of_other_logits_is_not_left(small, tmp_path, monkeypatch):
    path = save_net(tmp_path)
    monkeypatch.setitem(targets.TARGETS, "torch", targets.TARGETS["torch"]._replace(tolerance=-1))
    with pytest.raises(RuntimeError, match="net.safetensors was not written: its logits differ"):
        export_file(path, ExportOptions(to="torch", output=str(tmp_path / "net.safetensors")))
    assert sorted(os.listdir(str(tmp_path))) == ["net.json", "net.params"]
