"""Test what `.safetensors` files hold, how they come back, and the messages of files that cannot be used."""

import json
import re
import sys

import numpy as np
import pytest

from helpers.torch_nets import import_torch, noise, use_few_channels, use_few_modules
from resattnet.data.facts import DataFacts
from resattnet.data.geometry import Geometry
from resattnet.models.spec import NetworkSpec
from resattnet.prediction.classifier import Classifier
from resattnet.system.errors import InputError
from resattnet.torch import weights_file

torch = import_torch()

from safetensors.numpy import load_file, save_file  # noqa: E402

from resattnet.torch import build, load, save  # noqa: E402

SPEC = NetworkSpec(3, widths="tiny", unit="basic", attention="spatial", mask="local")
FACTS = DataFacts(
    title="three things",
    classes=("a", "b", "ç"),
    samples={"train": 30, "test": 6},
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
    flip=True,
    image_size=(8, 9),
    fingerprint="123",
    geometry=Geometry("crop", "bilinear", 0.875),
    class_images=(10, 10, 10),
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    use_few_channels(monkeypatch)
    use_few_modules(monkeypatch)


@pytest.fixture
def saved(tmp_path, small):
    """Return a network and the path of its file."""
    torch.manual_seed(0)
    net, path = build(SPEC), str(tmp_path / "net.safetensors")
    save(net, path, FACTS, {"dataset": "42", "data_format": "folder", "splits": {"seed": 3}}, validation_top1=0.5)
    return net, path


def rewrite(path, change=None, **metadata):
    """Write a file again with changed arrays and metadata; a value None is left out."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as handle:
        texts = dict(handle.metadata(), **metadata)
    arrays = load_file(path)
    if change:
        change(arrays)
    save_file(arrays, path, {name: value for name, value in texts.items() if value is not None})


def test_a_network_comes_back_with_all_that_is_known_of_it(saved):
    net, path = saved
    loaded = load(path)
    assert (loaded.spec, loaded.facts) == (SPEC, FACTS) == (loaded.net.spec, loaded.facts)
    assert not loaded.net.training
    assert loaded.metadata["dataset"] == "42" and loaded.metadata["splits"] == {"seed": 3}
    assert loaded.metadata["validation_top1"] == 0.5
    state = net.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.net.state_dict().items())
    images = noise(2, 3, 8, 9)
    assert np.array_equal(loaded.compute(images), net.eval()(torch.from_numpy(images)).detach().numpy())


def test_the_file_is_read_without_this_package(saved):
    net, path = saved
    other = build(SPEC)
    other.load_state_dict({name: torch.from_numpy(array) for name, array in load_file(path).items()})
    assert torch.equal(other.output.weight, net.output.weight)


def test_figures_of_other_weights_are_left_out(saved, tmp_path):
    net, path = saved
    rewrite(path, description=json.dumps({"epoch": 9}), top1="0.7", params_sha256="abc")
    loaded, again = load(path), str(tmp_path / "again.safetensors")
    assert loaded.metadata["description"] == {"epoch": 9}
    save(loaded.net, again, loaded.facts, loaded.metadata)
    kept = load(again).metadata
    assert not {"description", "top1", "params_sha256", "validation_top1"} & set(kept)
    assert kept["splits"] == {"seed": 3} and kept["data_format"] == "folder"


@pytest.mark.parametrize(
    "wrap",
    [torch.optim.swa_utils.AveragedModel, torch.nn.DataParallel, pytest.param(torch.compile, marks=pytest.mark.slow)],
)
def test_a_wrapped_network_is_saved(saved, wrap, tmp_path):
    net, path = saved
    again = str(tmp_path / "again.safetensors")
    save(wrap(net.to(memory_format=torch.channels_last)), again, FACTS, {"dataset": "x"})
    first, second = load_file(path), load_file(again)
    assert set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)


def test_a_net_of_half_precision_is_saved_in_float32(saved, tmp_path):
    net, _ = saved
    again = str(tmp_path / "again.safetensors")
    save(net.bfloat16(), again, FACTS, {"dataset": "x"})
    assert {array.dtype for array in load_file(again).values()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(metadata={}), "metadata: give dataset, the name of the data set"),
        (
            dict(facts=DataFacts("", ("a",), {}, (0, 0, 0), (1, 1, 1), False, (8, 8))),
            "there are 1 class names, the network has 3",
        ),
        (dict(facts=DataFacts("", ("a", "b", "c"), {}, (0, 0, 0), (1, 1, 1), False)), "the image size is not known"),
        (dict(net=torch.nn.Linear(1, 1)), "net: a Linear is not a network of resattnet.torch"),
        (dict(top1=0.5), "top1: the names of figures begin with validation_"),
        (dict(path="net.pt"), "path=net.pt: give a name that ends in .safetensors"),
        (dict(path="nowhere/net.safetensors"), "nowhere/net.safetensors cannot be written"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_saved(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = dict(net=build(SPEC), path="net.safetensors", facts=FACTS, metadata={"dataset": "x"})
    with pytest.raises(InputError) as raised:
        save(**dict(given, **changes))
    assert message in str(raised.value) and list(tmp_path.iterdir()) == []


def resize(arrays):
    arrays["output.bias"] = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    "change, metadata, message",
    [
        (
            None,
            dict(network=None, mean=None),
            "not a .safetensors file of this project \\(its metadata has no network, mean\\)",
        ),
        (None, dict(network="[1]"), "the network in the metadata is not a JSON object"),
        (None, dict(network='{"classes": 3, "unit": "wide"}'), "unit=wide: choose from"),
        (None, dict(classes='["a"]', class_images=None), "there are 1 class names, the network has 3 classes"),
        (None, dict(std="[1, 2]"), "a data fact is invalid"),
        (None, dict(mean="[NaN, 0, 0]"), "a data fact is invalid"),
        (None, dict(image_size="null"), "the image size is not known"),
        (lambda arrays: arrays.pop("output.bias"), {}, "it has no output.bias, which its network has$"),
        (lambda arrays: arrays.update(x=np.zeros(1, np.float32)), {}, "it has x, which its network does not have$"),
        (resize, {}, "it has output.bias of shape 4, in its network 3$"),
        (
            lambda arrays: arrays.update({"output.bias": np.zeros(3, np.int32)}),
            {},
            "output.bias is of type I32: write it in float32",
        ),
        (
            None,
            dict(network=json.dumps(dict(SPEC.to_dict(), mask="none", attention="mixed"))),
            "which its network does not have, and \\d+ more$",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_cannot_be_used(saved, change, metadata, message):
    rewrite(saved[1], change, **metadata)
    with pytest.raises(InputError) as raised:
        load(saved[1])
    assert re.search(message, str(raised.value)) and str(raised.value).startswith(saved[1])
    assert "\n" not in str(raised.value)


def test_a_file_that_is_damaged_is_named(saved, tmp_path):
    path = saved[1]
    with open(path, "rb") as handle:
        whole = handle.read()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        with open(path, "wb") as handle:
            handle.write(whole[:length])
        with pytest.raises(InputError, match="is not a complete .safetensors file"):
            load(path)
    with open(path, "wb") as handle:
        handle.write(whole[:8] + bytes(reversed(whole[8:])))
    with pytest.raises(InputError, match="is not a complete .safetensors file"):
        load(path)
    with pytest.raises(InputError, match="no.safetensors: no such file"):
        load(str(tmp_path / "no.safetensors"))
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(InputError, match="folder.safetensors: that is a folder; give the name of a .safetensors file"):
        load(str(folder))


def test_a_device_that_is_not_there_is_one_line(saved):
    device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(InputError, match=f"^device={device}: the network cannot be put there \\(.+\\)$") as raised:
        load(saved[1], device)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["output.bias", "features.1.running_var"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_not_saved(saved, name, value, tmp_path):
    net, _ = saved
    net.state_dict()[name][0] = value
    again = tmp_path / "again.safetensors"
    with pytest.raises(InputError, match=f"again.safetensors was not written: {name} has numbers that are not finite$"):
        save(net, str(again), FACTS, {"dataset": "x"})
    assert not again.exists()


def test_a_loaded_network_computes_in_evaluation_mode_while_it_is_trained(saved):
    net, path = saved
    loaded = load(path)
    images = noise(3, 3, 8, 9)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3)).astype(np.uint8)

    def answers():
        (maps,) = loaded.attention_maps(images)
        (found, *_) = Classifier(loaded).predict(pixels)
        return [loaded.compute(images), maps.mask, loaded.grad_cam(images), np.array(found.probabilities)]

    expected = answers()
    loaded.net.train()
    loaded.net.features[0].eval()  # as for layers that stay as they are
    modes = [module.training for module in loaded.net.modules()]
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(answers(), expected))
    assert [module.training for module in loaded.net.modules()] == modes and True in modes and False in modes
    state = net.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.net.state_dict().items())
    with pytest.raises(RuntimeError):
        loaded.compute(images[:, :2])
    assert [module.training for module in loaded.net.modules()] == modes


def test_only_a_specification_is_built():
    with pytest.raises(InputError, match="^spec: a dict is not a NetworkSpec; NetworkSpec.from_dict makes one of a"):
        build({"classes": 10})


def test_the_counters_of_pytorch_are_ignored(saved):
    rewrite(saved[1], lambda arrays: arrays.update({"features.1.num_batches_tracked": np.zeros((), np.int64)}))
    assert load(saved[1]).spec == SPEC


@pytest.mark.parametrize("package", ["torch", "safetensors"])
def test_without_the_packages_one_line_says_how_to_get_them(saved, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"^{package} cannot be imported .*python -m pip install -e '.\\[torch\\]'$"):
        if package == "torch":
            import resattnet.torch

            monkeypatch.delitem(vars(resattnet.torch), "build", raising=False)
            resattnet.torch.build  # noqa: B018
        else:
            weights_file.read_file(saved[1])
