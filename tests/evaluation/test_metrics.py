"""Test metrics against manual counts, and that each sample counts once for any batch size and device count."""

import math

import numpy as np
import pytest

from helpers.scripts import script
from resattnet.data.image_set import ImageSet
from resattnet.data.transforms import Transform
from resattnet.datasets import record_writer
from resattnet.evaluation.evaluate import evaluate_files
from resattnet.evaluation.metrics import Evaluation, compare_paired, compute_reliability
from resattnet.evaluation.network import evaluate
from resattnet.evaluation.options import TestOptions
from resattnet.loaders.array_loader import ArrayLoader
from resattnet.machine.devices import split_batch
from resattnet.machine.mxnet import mx
from resattnet.prediction.inference import compute_logits
from resattnet.prediction.logits import mean_probabilities
from resattnet.zoo import parameters
from resattnet.zoo.builders import get_attention_cifar


def test_measure_against_a_loop():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 7)).astype(np.float32), rng.integers(0, 7, 200)
    result = Evaluation(logits, labels)
    loss = top1 = top5 = 0
    for row, label in zip(logits.astype(float), labels):
        loss -= np.log(np.exp(row[label]) / np.exp(row).sum()) / 200
        order = sorted(range(7), key=lambda k: -row[k])
        top1 += (order[0] == label) / 200
        top5 += (label in order[:5]) / 200
    assert (result.loss, result.top1, result.top5) == pytest.approx((loss, top1, top5))
    assert result.samples == 200 and result.confusion.trace() / 200 == pytest.approx(top1)
    for k in range(7):
        assert result.class_accuracy[k] == pytest.approx((logits.argmax(1) == k)[labels == k].mean())


def test_each_sample_against_a_loop():
    rng = np.random.default_rng(1)
    logits, labels = 5 * rng.normal(size=(60, 7)).astype(np.float32), rng.integers(0, 7, 60)
    logits[:2], labels[:2] = [0, 3, 3, 0, 0, 0, 0], 2  # ties
    samples = Evaluation(logits, labels)
    losses = []
    for index, (row, label) in enumerate(zip(logits.astype(float), labels)):
        shares = [np.exp(value) / sum(np.exp(other) for other in row) for value in row]
        losses.append(-np.log(shares[label]))
        assert samples.predicted[index] == shares.index(max(shares))
        assert samples.probability[index] == pytest.approx(max(shares))
    assert samples.losses == pytest.approx(losses) and samples.losses.mean() == samples.loss
    assert samples.hardest(9).tolist() == sorted(range(60), key=lambda index: -samples.losses[index])[:9]
    assert len(samples.hardest(100)) == 60
    wrong = [index for index in samples.hardest(60).tolist() if not samples.right[index]]
    assert 9 < len(wrong) < 60
    assert samples.hardest(9, "mistakes").tolist() == wrong[:9] and samples.hardest(60, "mistakes").tolist() == wrong


def test_loss_of_huge_logits_is_finite():
    samples = Evaluation(np.array([[1e4, 0.0], [0.0, -1e4]], np.float32), np.array([1, 0]))
    assert samples.losses.tolist() == [1e4, 0] and samples.probability.tolist() == [1, 1]


def test_equal_logits_are_not_all_right():
    result = Evaluation(np.zeros((10, 10), np.float32), np.arange(10))
    assert result.top1 == 0.1 and result.top5 == 0.5 and result.loss == pytest.approx(np.log(10))


def test_fewer_than_five_classes_and_a_class_without_samples():
    result = Evaluation(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 2]))
    assert result.top5 == 1 and result.class_accuracy[0] == 1 and np.isnan(result.class_accuracy[1])


class Fingerprint(mx.gluon.HybridBlock):
    """Block that outputs the image's number, which reveals a lost, duplicated or swapped sample."""

    def hybrid_forward(self, F, x):
        return F.one_hot(F.round(x.max(axis=(1, 2, 3)) * 255), 23)


@pytest.mark.parametrize("devices", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 5, 11, 23, 50])
def test_every_sample_exactly_once(batch_size, devices):
    images = np.arange(23, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 2, 3), np.uint8)
    image_set = ImageSet(images, np.arange(23, dtype=np.int32), tuple(map(str, range(23))))
    loader = ArrayLoader(image_set, Transform((0.0,) * 3, (1.0,) * 3, 23), batch_size)
    result = evaluate(Fingerprint(), loader, [mx.cpu(index) for index in range(devices)])
    assert (result.confusion == np.eye(23)).all()


def test_split_batch_keeps_order_and_types():
    parts = split_batch(
        np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1), np.arange(5, dtype=np.int32), [mx.cpu(0), mx.cpu(1)]
    )
    assert [y.context for _, y in parts] == [mx.cpu(0), mx.cpu(1)] and parts[0][1].dtype == np.int32
    assert np.concatenate([y.asnumpy() for _, y in parts]).tolist() == list(range(5))
    assert len(split_batch(np.zeros((1, 1, 1, 1)), np.zeros(1), [mx.cpu(0), mx.cpu(1)])) == 1


def test_mean_of_probabilities():
    rng = np.random.default_rng(0)
    logits = [(rng.normal(size=(20, 4)) * 5).astype(np.float32) for _ in range(2)]
    for i, row in enumerate(mean_probabilities(*logits)):
        parts = [np.exp(part[i].astype(float)) / np.exp(part[i].astype(float)).sum() for part in logits]
        assert np.allclose(np.exp(row), (parts[0] + parts[1]) / 2, rtol=1e-6)
    far = mean_probabilities(np.array([[0.0, 5000.0]]), np.array([[0.0, 5000.0]]))
    assert np.isfinite(far).all() and np.isfinite(Evaluation(far, np.array([0])).loss)


class Corner(mx.gluon.HybridBlock):
    """Block that outputs the first column of the image."""

    def hybrid_forward(self, F, x):
        return F.slice_axis(x, axis=3, begin=0, end=1).reshape((0, -1))


def test_predict_mirrors_left_and_right():
    images = np.random.default_rng(0).integers(0, 256, (7, 2, 5, 3), dtype=np.uint8)
    loader = ArrayLoader(
        ImageSet(images, np.arange(7, dtype=np.int32), tuple("abcdefg")), Transform((0.0,) * 3, (1.0,) * 3, 7), 3
    )
    for mirror, column in ((False, 0), (True, 4)):
        logits, labels = compute_logits(Corner(), loader, [mx.cpu()], mirror=mirror)
        expected = images[:, :, column].transpose(0, 2, 1).reshape(7, -1) / 255
        assert np.allclose(logits, expected, atol=1e-6) and labels.tolist() == list(range(7))


def figures_of(result):
    return result.evaluation.loss, result.evaluation.top1, result.evaluation.top5


def test_mirrored_images_are_measured_beside_the_plain_ones(tmp_path):
    rng = np.random.default_rng(1)
    sets = {
        split: ImageSet(
            rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8), rng.integers(0, 3, 30).astype(np.int32), tuple("abc")
        )
        for split in ("train", "test")
    }
    record_writer.write_records(str(tmp_path), "noise", sets, "noise", (0.5,) * 3, (0.25,) * 3, True)
    net, path = get_attention_cifar(3, 56, "thin"), str(tmp_path / "net.params")
    net.initialize()
    images = (sets["test"].images.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25
    net.output.weight.set_data(net.output.weight.data() / abs(net(mx.nd.array(images))).max())  # logits up to 1
    parameters.save_parameters(
        net,
        path,
        dict(
            network=dict(num_layers=56, widths="thin", classes=3, attention_learning="arl"),
            dataset="noise",
            data_format="rec",
            data_dir=str(tmp_path),
        ),
    )
    (plain,) = evaluate_files([path], TestOptions(num_gpus=0))
    (both,) = evaluate_files([path], TestOptions(num_gpus=0, flip=True))
    assert plain.mirrored is None and figures_of(both) == figures_of(plain)
    total = 0
    for part in (images, images[..., ::-1]):
        exponents = np.exp(net(mx.nd.array(part)).asnumpy().astype(float))
        total += exponents / exponents.sum(axis=1, keepdims=True) / 2
    labels = sets["test"].labels
    assert both.mirrored.top1 == (total.argmax(axis=1) == labels).mean()
    assert both.mirrored.loss == pytest.approx(-np.log(total[np.arange(30), labels]).mean(), rel=1e-4)
    out = script("cifar10_test.py", "--params", path, "--flip", 1, "--num-gpus", 0).stdout.splitlines()
    assert out[1].startswith(f"top-1 {plain.evaluation.top1:.4f}")
    assert out[2].startswith(f"top-1 with mirrored images {both.mirrored.top1:.4f}")


def with_confusion(confusion):
    """Return an evaluation whose samples have the confusion matrix `confusion`."""
    true, predicted = (np.repeat(axis.ravel(), confusion.ravel()) for axis in np.indices(confusion.shape))
    return Evaluation(np.eye(len(confusion))[predicted], true)


def test_mistakes_by_falling_number():
    confusion = np.array([[9, 2, 0], [0, 7, 5], [2, 0, 8]])
    evaluation = with_confusion(confusion)
    assert (evaluation.confusion == confusion).all()
    assert evaluation.mistakes() == [(1, 2, 5), (0, 1, 2), (2, 0, 2)]
    assert evaluation.mistakes(1) == [(1, 2, 5)] and with_confusion(np.eye(3, dtype=int)).mistakes() == []


def test_figures_are_computed_once():
    """Each metric is computed once, including the metrics that other metrics use."""
    calls = []

    class Counted(np.ndarray):
        def astype(self, *args, **kwargs):
            calls.append(args)
            return super().astype(*args, **kwargs)

    evaluation = Evaluation(np.eye(3, dtype=np.float32).view(Counted), np.arange(3))
    assert evaluation.losses is evaluation.losses and evaluation.confusion is evaluation.confusion
    assert evaluation.loss > 0 and evaluation.probability.mean() < 1 and evaluation.reliability.error > 0
    assert len(calls) == 1


def test_calibration_error_against_a_loop():
    rng = np.random.default_rng(3)
    shares = rng.dirichlet(np.ones(4), 500).max(axis=1)
    shares[:15], right = np.arange(1, 16) / 15, rng.random(500) < 0.6  # a bin includes its upper edge
    result, error = compute_reliability(shares, right), 0
    for place in range(15):
        rows = [row for row in range(500) if place / 15 < shares[row] <= (place + 1) / 15]
        assert result.counts[place] == len(rows)
        if rows:
            confidence = sum(shares[row] for row in rows) / len(rows)
            accuracy = sum(bool(right[row]) for row in rows) / len(rows)
            assert (result.confidence[place], result.accuracy[place]) == pytest.approx((confidence, accuracy))
            error += len(rows) / 500 * abs(confidence - accuracy)
    assert result.counts.sum() == 500 and result.error == pytest.approx(error, rel=1e-12)


def test_calibration_error_in_closed_form():
    by_hand = compute_reliability(np.array([0.5, 0.5, 0.9, 0.9]), np.array([True, False, True, True]))
    assert by_hand.error == pytest.approx(0.05)  # half are underconfident by 0.1, the others calibrated
    shares = np.repeat([0.1, 0.3, 0.55, 0.8, 1.0], 20)
    calibrated = np.concatenate([np.arange(20) < round(20 * share) for share in (0.1, 0.3, 0.55, 0.8, 1.0)])
    assert compute_reliability(shares, calibrated).error == pytest.approx(0, abs=1e-12)
    assert compute_reliability(shares, np.zeros(100, bool)).error == pytest.approx(shares.mean())
    empty = compute_reliability(shares, calibrated, bins=10)
    assert len(empty.counts) == 10 and np.isnan(empty.accuracy[empty.counts == 0]).all() and empty.counts[0] == 20


@pytest.mark.parametrize("one, other", [(0, 0), (3, 0), (4, 9), (7, 7), (40, 61)])
def test_paired_comparison_against_the_binomial_formula(one, other):
    first = np.array([True] * one + [False] * other + [True] * 5 + [False] * 3)
    second = np.array([False] * one + [True] * other + [True] * 5 + [False] * 3)
    total = one + other
    tail = sum(math.comb(total, k) for k in range(min(one, other) + 1)) / 2**total
    found = compare_paired(first, second)
    assert found[:2] == (one, other) and found.p == pytest.approx(min(1, 2 * tail), rel=1e-9)
