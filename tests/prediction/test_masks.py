"""Test the masks against the network's logits, Grad-CAM against finite differences, and the sheet."""

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from helpers.boards import read_board
from helpers.in_process import script_here
from helpers.networks import change_description, initialised, save_net
from helpers.scripts import refused, script
from resattnet.data.transforms import Transform
from resattnet.datasets import catalog
from resattnet.machine.mxnet import mx
from resattnet.models import spec
from resattnet.models.network import build
from resattnet.models.spec import NetworkSpec
from resattnet.prediction import masks
from resattnet.prediction.logits import Prediction
from resattnet.reports import mask_figures, mask_overlays, mask_sheet
from resattnet.reports.options import MaskOptions
from resattnet.system.errors import InputError
from resattnet.zoo.builders import get_attention_cifar, get_attention_net

LEARNING = [  # (formula that weights the trunk of a module, network arguments)
    (lambda mask, trunk: (1 + mask) * trunk, dict(attention_learning="arl")),
    (lambda mask, trunk: mask * trunk, dict(attention_learning="nal")),
    (lambda mask, trunk: (1 + mask) * trunk, dict(attention="channel")),
    (lambda mask, trunk: (1 + mask) * trunk, dict(attention="spatial")),
    (lambda mask, trunk: (1 + mask) * trunk, dict(mask="local")),
    (lambda mask, trunk: (1 + mask) * trunk, dict(unit="resnext")),
    (lambda mask, trunk: (1 + mask) * trunk, dict(unit="inception")),
    (lambda mask, trunk: (1 + mask) * trunk, dict(unit="basic")),
]

FEW = spec.Widths(8, (8, 16, 24), 16)


@pytest.fixture
def small(monkeypatch):
    """Use networks with few channels."""
    for table in (spec.CIFAR_WIDTHS, spec.IMAGENET_WIDTHS):
        monkeypatch.setitem(table, "thin", FEW)


@pytest.fixture(scope="module")
def arrays():
    """Return soft masks and Grad-CAM of two digits in a network with few channels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.CIFAR_WIDTHS, "thin", FEW)
        net, x = initialised(get_attention_cifar(10, 56, widths="thin")), digits(2)
    return masks.soft_masks(net, x), masks.grad_cam(net, x)


def digits(count):
    facts, test_set = catalog.describe_data("digits"), catalog.load_images("digits", None, "test")
    return Transform(facts.mean, facts.std, 10)(test_set.images[:count], test_set.labels[:count])[0]


@pytest.mark.parametrize("formula, variant", LEARNING, ids=[str(*variant.values()) for _, variant in LEARNING])
@pytest.mark.parametrize("hybrid", [False, True])
def test_the_masks_are_what_the_network_multiplied_by(formula, variant, hybrid, small):
    """NumPy's product of mask and trunk, passed through the remaining layers, gives the network's logits."""
    # One module in each stage, and a second one in stage 2.
    net = initialised(build(NetworkSpec(10, widths="thin", **variant), depth=spec.Spec(1, 1, 1, (1, 2, 1))))
    if hybrid:
        net.hybridize(static_alloc=True, static_shape=True)
    x = digits(3)[:, :, ::2, ::2]
    expected = net(mx.nd.array(x)).asnumpy()
    found = masks.soft_masks(net, x)
    assert len(found) == 4
    layers, rest = list(net.features), net.output
    for attention in found:
        index = int(attention.name.split(".")[1])
        after = formula(attention.mask, attention.before)
        np.testing.assert_allclose(attention.after, after, rtol=1e-5, atol=1e-5 * np.abs(after).max())
        y = layers[index].last(mx.nd.array(after))
        for layer in layers[index + 1 :]:
            y = layer(y)
        np.testing.assert_allclose(rest(y).asnumpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        assert attention.mask.max() <= 1 and attention.mask.std() > 1e-3
        if variant.get("attention") == "channel":
            np.testing.assert_allclose((attention.mask**2).sum(axis=1), 1, rtol=1e-3)
        else:
            assert attention.mask.min() >= 0
    np.testing.assert_array_equal(net(mx.nd.array(x)).asnumpy(), expected)  # soft_masks leaves the network unchanged


def test_another_mask_is_refused(small):
    """The masks of another image give different logits, so the test above can fail."""
    net, x = initialised(get_attention_cifar(10, 56, widths="thin")), digits(2)
    attention = masks.soft_masks(net, x)[-1]
    layers, index = list(net.features), int(masks.soft_masks(net, x)[-1].name.split(".")[1])
    y = layers[index].last(mx.nd.array((1 + attention.mask[::-1]) * attention.before))
    for layer in layers[index + 1 :]:
        y = layer(y)
    expected = net(mx.nd.array(x)).asnumpy()
    assert np.abs(net.output(y).asnumpy() - expected).max() > 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("hybrid", [False, True])
def test_hybridised_equals_imperative_in_any_batch(hybrid, small, monkeypatch):
    net, x = initialised(get_attention_cifar(10, 56, widths="thin")), digits(5)
    plain = masks.soft_masks(net, x)
    if hybrid:
        net.hybridize(static_alloc=True, static_shape=True)
        net(mx.nd.array(x))
    monkeypatch.setattr(masks, "BATCH_SIZE", 2)
    with mx.autograd.record():  # soft_masks still runs inference
        again = masks.soft_masks(net, x)
    for one, other in zip(plain, again):
        assert one[:3] == other[:3]
        for a, b in zip(one[3:], other[3:]):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize(
    "build, size, sizes",
    [
        (get_attention_cifar, (32, 32), [(32, 32), (16, 16), (8, 8)]),
        (get_attention_cifar, (21, 37), [(21, 37), (11, 19), (6, 10)]),
        (get_attention_net, (64, 64), [(16, 16), (8, 8), (4, 4)]),
    ],
)
def test_names_and_shapes(build, size, sizes, small):
    net = initialised(build(10, 92, widths="thin"))
    found = masks.soft_masks(net, np.random.default_rng(0).normal(size=(2, 3) + size).astype(np.float32))
    assert [(one.stage, one.module) for one in found] == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]
    names = set(net._collect_params_with_prefix())
    for one in found:
        assert one.name + ".mask.conv1.weight" in names
        shape = (2, (8, 16, 24)[one.stage - 1]) + sizes[one.stage - 1]
        assert one.mask.shape == one.before.shape == one.after.shape == shape


def test_a_network_without_masks_is_refused(small):
    net = initialised(build(NetworkSpec(10, widths="thin"), depth=spec.Spec(1, 2, 1, (0, 0, 0))))
    with pytest.raises(InputError, match="the network has no soft masks"):
        masks.soft_masks(net, digits(1))


# Grad-CAM


def rest_of(net, features):
    """Return the logits computed from the features of the last stage."""
    y = mx.nd.array(features)
    for layer in list(net.features)[masks.attention_modules(net)[-1].index + 1 :]:
        y = layer(y)
    return net.output(y).asnumpy().astype(float)


@pytest.mark.parametrize("labels", [None, np.array([3, 0])])
def test_grad_cam_against_finite_differences(labels, small):
    """A channel's weight is the gain of the logit per point when all points of the channel increase together."""
    net, x = initialised(get_attention_cifar(10, 56, widths="thin")), digits(2)
    features, gradients = masks.cam_gradients(net, x, labels)
    logits = rest_of(net, features)
    np.testing.assert_allclose(logits, net(mx.nd.array(x)).asnumpy(), rtol=1e-4, atol=1e-4 * np.abs(logits).max())
    chosen = logits.argmax(axis=1) if labels is None else labels
    count, channels, height, width = features.shape
    weights, step = np.empty((count, channels)), 1e-2 * features.std()
    for channel in range(channels):
        gains = []
        for sign in (1, -1):
            moved = features.copy()
            moved[:, channel] += sign * step
            gains.append(rest_of(net, moved)[np.arange(count), chosen])
        weights[:, channel] = (gains[0] - gains[1]) / (2 * step * height * width)
    np.testing.assert_allclose(gradients.mean(axis=(2, 3)), weights, atol=0.03 * np.abs(weights).max())
    cam = np.zeros((count, height, width))
    for image in range(count):
        for channel in range(channels):
            cam[image] += gradients[image, channel].sum() / (height * width) * features[image, channel]
    found = masks.grad_cam(net, x, labels)
    np.testing.assert_allclose(found, np.where(cam > 0, cam, 0), atol=1e-4 * np.abs(cam).max())
    assert found.max() > 0


def test_grad_cam_leaves_the_gradients_of_the_parameters(small):
    net, x = initialised(get_attention_cifar(10, 56, widths="thin")), digits(2)
    net.output.weight.grad()[:] = 7
    masks.grad_cam(net, x)
    assert (net.output.weight.grad().asnumpy() == 7).all()


# The sheet


def shown(axis):
    return np.asarray(axis.get_images()[0].get_array())


@pytest.mark.parametrize("channels", [None, (5, 0)])
def test_the_sheet_of_arrays_shows_the_masks(channels, arrays):
    """Each panel shows the expected map. The maps before and after a module share one scale."""
    found, cams = arrays
    pixels = catalog.load_images("digits", None, "test").images
    rows = [mask_figures.Row(f"picture {n}", Image.fromarray(pixels[n]).resize((64, 48)), pixels[n]) for n in range(2)]
    guesses = [Prediction(("cat",), (0,), (0.5,)), Prediction(("owl",), (1,), (0.75,))]
    network = NetworkSpec(10, 56, attention_learning="nal")
    figure = mask_figures.draw_arrays(mask_figures.Sheet(rows, guesses, found, network, channels, cams))
    panels = [axis for axis in figure.axes if axis.get_images()]
    lines = 2 * len(channels or [0])
    assert len(panels) == lines * (1 + 1 + 3 * 3)
    assert panels[lines - 1].get_title() == "picture 1\n-> owl (75.0 %)"
    titles = [axis.get_title() for axis in panels[lines::lines]]
    assert titles == ["Grad-CAM\nof the prediction"] + [
        f"stage {stage}, module 1\n{what}"
        for stage, size in ((1, 32), (2, 16), (3, 8))
        for what in (f"mask M ({size} x {size})", "trunk T", "M T")
    ]
    for number, one in enumerate(found):
        for offset, maps in enumerate(one[3:]):
            column = panels[lines * (2 + 3 * number + offset) :][:lines]
            maps = maps.mean(axis=1, keepdims=True) if channels is None else maps[:, list(channels)]
            for axis, expected in zip(column, maps.reshape((-1,) + maps.shape[2:])):
                assert shown(axis).shape == (120, 160)  # the picture's aspect ratio
                np.testing.assert_allclose(shown(axis), mask_figures.upsample(expected, 120, 160))
        scales = [panels[lines * (2 + 3 * number + offset)].get_images()[0].get_clim() for offset in (1, 2)]
        assert scales[0] == scales[1]
    np.testing.assert_allclose(shown(panels[lines]), mask_figures.upsample(cams[0], 120, 160))


def test_a_sheet_has_no_more_lines_than_can_be_drawn(tmp_path, small):
    options = MaskOptions(from_test=100, channels=(0, 1, 2, 3), output=str(tmp_path / "sheet.png"))
    save_net(tmp_path)
    with pytest.raises(InputError, match="^400 lines, one for each image and channel: a sheet has at most 300$"):
        mask_sheet.make_sheet(str(tmp_path / "net.params"), [], options)


def overlay_sheet(arrays, channels=None, cams=True, size=(64, 48)):
    """Return a sheet of two images and the arrays that it should show: the means, and single channels by number."""
    found, grad_cams = arrays
    pixels = catalog.load_images("digits", None, "test").images
    rows = [mask_figures.Row(f"picture {n}", Image.fromarray(pixels[n]).resize(size), pixels[n]) for n in range(2)]
    guesses = [Prediction(("cat",), (0,), (0.5,)), Prediction(("owl",), (1,), (0.75,))]
    return mask_figures.Sheet(rows, guesses, found, NetworkSpec(10, 56), channels, grad_cams if cams else None)


def blended(sheet, row, values):
    """Return a map over a grey copy of an image, with colours from the lowest to the highest value of the map."""
    picture = mask_figures.shown_picture(sheet.rows[row].picture)
    shares = (mask_figures.upsample(values, *picture.shape[:2]) - values.min()) / np.ptp(values)
    grey = picture @ np.array([0.299, 0.587, 0.114]) / 255
    return 0.4 * grey[..., None] + 0.6 * matplotlib.colormaps["viridis"](shares)[..., :3]


@pytest.mark.parametrize("channels", [None, (5, 0)])
def test_the_sheet_of_overlays_shows_the_mean_and_the_channels_that_vary_most(channels, arrays):
    """Each map is drawn over its image with its own scale: its lowest and its highest value, as printed below it."""
    sheet = overlay_sheet(arrays, channels)
    (axes,) = mask_overlays.draw_overlays(sheet).axes
    pictures = [np.asarray(image.get_array()) for image in axes.get_images()]
    texts = [text.get_text() for text in axes.texts]
    for row in range(2):
        np.testing.assert_array_equal(pictures.pop(0), mask_figures.shown_picture(sheet.rows[row].picture))
        expected = [("Grad-CAM\nof the prediction", sheet.cams[row])]
        for maps in sheet.maps:
            mask = maps.mask[row]
            mean = mask.mean(axis=0)
            expected.append((f"stage {maps.stage}, module 1\nmean, range {np.ptp(mean):.2g}", mean))
            shown = channels or sorted(range(len(mask)), key=lambda channel: -mask[channel].std())[:3]
            expected += [(f"channel {channel}", mask[channel]) for channel in shown]
        for title, values in expected:
            np.testing.assert_allclose(pictures.pop(0), blended(sheet, row, values), atol=1e-6)
            assert pictures.pop(0).shape == (1, 64, 4)  # the scale
            ends = texts[texts.index(title) + 1 : texts.index(title) + 3]
            assert [float(end) for end in ends] == pytest.approx([values.min(), values.max()], rel=0.05, abs=1e-9)
            del texts[texts.index(title)]
    ranges = [np.ptp(maps.mask.mean(axis=1)[row]) for maps in sheet.maps for row in range(2)]
    assert f"varies\nwithin an image by {min(ranges):.2g} to {max(ranges):.2g} here" in texts[0]
    assert not pictures


@pytest.mark.parametrize("size", [(64, 48), (30, 90)])
@pytest.mark.parametrize("cams", [False, True])
@pytest.mark.parametrize("modules", [1, 3])
def test_no_panels_of_overlays_overlap_and_images_keep_their_shape(modules, cams, size, arrays):
    sheet = overlay_sheet(arrays, cams=cams, size=size)
    figure = mask_overlays.draw_overlays(sheet._replace(maps=sheet.maps[:modules]))
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    boxes = [image.get_window_extent() for image in axes.get_images()]
    texts = [text.get_window_extent() for text in axes.texts]
    for number, box in enumerate(boxes + texts):
        assert not any(box.overlaps(other) for other in (boxes + texts)[number + 1 :])
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and figure.bbox.y0 <= box.y0 <= figure.bbox.y1
    for box, image in zip(boxes, axes.get_images()):
        if len(image.get_array()) > 1:
            assert box.width / box.height == pytest.approx(size[0] / size[1], rel=0.01)


def test_each_sheet_of_the_options_has_a_function():
    assert tuple(mask_sheet.SHEETS) == MaskOptions.__dataclass_fields__["sheet"].metadata["choices"]


def test_an_even_map_has_one_colour(arrays):
    sheet = overlay_sheet(arrays)
    figure = mask_overlays.draw_overlays(sheet._replace(cams=np.zeros_like(sheet.cams)))
    shown = np.asarray(figure.axes[0].get_images()[1].get_array())
    assert np.isfinite(shown).all() and np.ptp(shown) < 1


def test_upsampling_keeps_positions():
    """A single bright point keeps its position in the image, and a constant map stays constant."""
    point = np.zeros((8, 4), np.float32)
    point[6, 1] = 1
    row, column = np.unravel_index(mask_figures.upsample(point, 80, 100).argmax(), (80, 100))
    assert 60 <= row < 70 and 25 <= column < 50
    np.testing.assert_allclose(mask_figures.upsample(np.full((3, 3), 0.25), 9, 7), 0.25)


def test_the_script_writes_a_sheet(tmp_path):
    path = save_net(tmp_path)
    Image.new("LA", (50, 20)).save(str(tmp_path / "wide.png"))
    done = script(
        "show_masks.py",
        "--params",
        path,
        "wide.png",
        "--from-test",
        1,
        "--channels",
        "3,60",
        "--grad-cam",
        1,
        cwd=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("wide.png -> ") and said[1].startswith("test image 0: 2 -> ")
    assert all("; the mean over the channels varies within an image by up to 0." in line for line in said[2:5])
    assert [line.split(", from")[0] for line in said[2:5]] == [
        "features.4, stage 1, module 1: masks of 64 channels, 32 x 32",
        "features.6, stage 2, module 1: masks of 128 channels, 16 x 16",
        "features.8, stage 3, module 1: masks of 256 channels, 8 x 8",
    ]
    assert said[5:] == ["sheet: sheet.png"]
    with Image.open(str(tmp_path / "sheet.png")) as sheet:
        assert sheet.format == "PNG" and min(sheet.size) > 500
    overlay = (tmp_path / "sheet.png").read_bytes()
    args = ("--params", path, "wide.png", "--channels", "3,60", "--grad-cam", 1, "--sheet", "arrays")
    assert script_here("show_masks.py", *args, cwd=str(tmp_path)).returncode == 0
    with Image.open(str(tmp_path / "sheet.png")) as sheet:
        assert sheet.format == "PNG" and (tmp_path / "sheet.png").read_bytes() != overlay
    for args, message in (
        ("wide.png --channels 3,64", "--channels 3,64: the narrowest masks have channels 0 to 63"),
        ("absent.png", "absent.png: cannot be read (No such file or directory)"),
    ):
        assert message in refused(script_here("show_masks.py", "--params", path, *args.split(), cwd=str(tmp_path)))


def test_the_script_puts_the_sheets_on_a_board(tmp_path):
    """The board shows the run and the epoch of the file. Each module has one picture, and no two pictures are equal."""
    path = save_net(tmp_path)
    change_description(path, epoch=7, run="some")
    args = ("--params", path, "--from-test", 2, "--channels", "3,60", "--board")
    done = script_here("show_masks.py", *args, "new/board", cwd=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["sheet: sheet.png", "board: tensorboard --logdir new/board"]
    images = read_board(tmp_path / "new" / "board" / "some_masks")["images"]
    assert sorted(images) == [f"masks/stage{stage}/module1" for stage in (1, 2, 3)]
    for ((step, picture),) in images.values():
        assert step == 7 and picture.std() > 10
    assert len({picture.tobytes() for ((_, picture),) in images.values()}) == 3
    (tmp_path / "file").write_text("")
    (tmp_path / "sheet.png").unlink()
    line = refused(script_here("show_masks.py", *args, "file", cwd=str(tmp_path)))
    assert "--board file cannot be written (" in line
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    "args, message",
    [
        ("", "give images, or --from-test 6"),
        ("x.png --channels 1,x", "--channels 1,x: give whole numbers separated by commas"),
        ("x.png --channels=-1", "--channels -1: channels are counted from 0"),
        ("x.png --sheet both", "--sheet both: choose from overlay, arrays"),
        ("x.png --output sheet.bmp", "--output sheet.bmp: give a name that ends in .png, .svg or .pdf"),
        ("x.png --output a/sheet.png", "--output a/sheet.png: there is no folder"),
        ("x.png", "absent.params: no such parameter file"),
    ],
)
def test_bad_input_is_one_line(args, message, tmp_path):
    given = ("--params", "absent.params", *args.split())
    assert message in refused(script_here("show_masks.py", *given, cwd=str(tmp_path)))
