"""Layers of random changes of pictures, on arrays and in steps."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, utils
from jitnet.builder import Computation
from jitnet.core.values import placeholder
from jitnet.step import Step

PICTURES = np.random.default_rng(5).uniform(size=(7, 6, 5, 3)).astype("float32")
EACH = [
    layers.RandomFlip(seed=1),
    layers.RandomFlip("vertical", seed=1),
    layers.RandomCrop(6, 5, seed=1, padding=2),
    layers.RandomCrop(3, 4, seed=1),
    layers.RandomTranslation(0.4, (0.1, 0.3), "wrap", seed=1),
    layers.RandomRotation((0.05, 0.2), "nearest", seed=1),
    layers.RandomZoom((-0.4, -0.1), seed=1),
    layers.RandomZoom(0.3, 0.2, "constant", "nearest", seed=1, fill_value=0.5),
    layers.RandomShear((0.1, 0.3), 0.2, seed=1),
    layers.RandomPerspective((0.7, 1.0), 0.5, seed=1),
    layers.RandomBrightness(0.3, (0, 1), seed=1),
    layers.RandomContrast((0.5, 0.9), (0, 1), seed=1),
    layers.RandomSaturation((0.2, 0.8), (0, 1), seed=1),
    layers.RandomHue((0.2, 1.0), (0, 1), seed=1),
    layers.RandomGrayscale(0.5, seed=1),
    layers.RandomColorJitter((0, 1), 0.2, 0.4, (0.3, 0.7), 0.3, seed=1),
    layers.RandomGaussianBlur((0.5, 1.0), (3, 5), (0.5, 1.0), (0, 1), seed=1),
    layers.RandomErasing((0.5, 1.0), (0.1, 0.5), None, (0, 1), seed=1),
    layers.RandomErasing((0.5, 1.0), 0.4, (0.1, 0.2, 0.3), (0, 1), seed=1),
    layers.RandAugment((0, 1), 3, 0.4, seed=1),
]
every = pytest.mark.parametrize("layer", EACH, ids=lambda layer: layer.name)


@pytest.fixture(scope="module")
def in_step():
    """The changes of all layers at a step, and in inference: computed by one step of a model."""
    x = placeholder("x", PICTURES.shape[1:])
    outputs = [layer(x, training=True) for layer in EACH] + [layer(x, training=False) for layer in EACH]
    step = Step("Augmentation.", Computation({"x": x}, outputs))

    def run(pictures, t):
        shapes = [(len(pictures), *output.shape[1:]) for output in outputs]
        found = [np.empty(shape, np.float32) for shape in shapes]
        arrays = dict(zip(step.output_arguments, found, strict=True))
        step.run(
            len(pictures), 1, {"x": pictures, **arrays, "seed": 4, "t": t, "results": np.zeros(step.results)}, False
        )
        return found[: len(EACH)], found[len(EACH) :]

    return run


@every
def test_arrays_are_changed_as_in_a_step(layer, in_step):
    number = EACH.index(layer)
    changed = layer.augment(PICTURES, step=3)
    inside = in_step(PICTURES, 3)
    np.testing.assert_allclose(inside[0][number], changed, rtol=1e-5, atol=1e-5)
    # another step, other changes; part of the batch, the same; in inference none
    assert np.abs(layer.augment(PICTURES, step=4) - changed).max() > 1e-3
    np.testing.assert_array_equal(layer.augment(PICTURES[:4], step=3), changed[:4])
    np.testing.assert_array_equal(in_step(PICTURES[:4], 3)[0][number], inside[0][number][:4])
    if not isinstance(layer, layers.RandomCrop):
        np.testing.assert_array_equal(inside[1][number], PICTURES)
        assert (np.abs(changed - PICTURES).reshape(7, -1).max(axis=1) > 1e-6).sum() >= 2
    assert len(np.unique(changed.reshape(7, -1), axis=0)) == 7


@every
def test_threads_do_not_matter(layer, monkeypatch):
    from jitnet.layers import _augmentation

    utils.set_random_seed(3)
    monkeypatch.setattr(_augmentation, "_THREAD", 1)
    many = np.tile(PICTURES, (5, 1, 1, 1))
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(_augmentation, "get_num_threads", lambda threads=threads: threads)
        found.append(layer.augment(many, step=2))
    np.testing.assert_array_equal(*found)


@every
def test_bytes_are_rounded(layer):
    if getattr(layer, "value_range", (0, 255)) != (0, 255):
        layer = type(layer).from_config({**layer.get_config(), "value_range": (0, 255), "name": None})
    pictures = np.rint(PICTURES * 255).astype(np.uint8)
    found = layer.augment(pictures, step=2)
    floats = layer.augment(pictures.astype(np.float32), step=2)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.clip(np.rint(floats), 0, 255))
    np.testing.assert_array_equal(layer.augment(pictures[0], step=2), found[0])


# ---- layers


def test_probabilities_and_ranges():
    many = np.tile(PICTURES[:1], (2000, 1, 1, 1))
    flipped = layers.RandomFlip("horizontal", seed=2).augment(many, 0)
    share = (flipped == many[:, :, ::-1]).all(axis=(1, 2, 3)).mean()
    assert abs(share - 0.5) < 0.06
    grey = layers.RandomGrayscale(0.2, seed=2).augment(many, 0)
    assert abs((np.ptp(grey, axis=3) < 1e-6).all(axis=(1, 2)).mean() - 0.2) < 0.04
    added = (layers.RandomBrightness((-0.1, 0.3), (-9, 9), seed=2).augment(many, 0) - many)[:, 0, 0, 0] / 18
    assert -0.1 <= added.min() < -0.095 and 0.295 < added.max() <= 0.3001
    places = layers.RandomCrop(5, 5, seed=2).augment(np.arange(30.0).reshape(1, 6, 5, 1).repeat(200, 0), 0)[:, 0, 0, 0]
    assert set(places) == {0.0, 5.0}


def test_inference_and_calls_on_arrays():
    layer = layers.RandomFlip(seed=3)
    np.testing.assert_array_equal(layer(PICTURES, training=False), PICTURES)
    assert (layer(PICTURES) != PICTURES).any()  # as in Keras, it changes unless it is told not to
    assert (layer(PICTURES) != layer(PICTURES)).any()
    middle = layers.RandomCrop(4, 3)(PICTURES, training=False)
    np.testing.assert_array_equal(middle, PICTURES[:, 1:5, 1:4])
    bordered = layers.RandomCrop(8, 5, padding=1)(PICTURES, training=False)
    np.testing.assert_array_equal(bordered, np.pad(PICTURES, ((0, 0), (1, 1), (0, 0), (0, 0))))
    found = layer({"images": PICTURES, "labels": np.arange(7)})
    assert found["labels"].tolist() == list(range(7)) and (found["images"] != PICTURES).any()
    with pytest.raises(ValueError, match="boxes and masks are not moved along"):
        layer({"images": PICTURES, "bounding_boxes": 0})
    with pytest.raises(ValueError, match=r"Received: shape=\(3, 4\)"):
        layer.augment(np.ones((3, 4)))


def test_a_model_with_changes_trains_and_predicts_without_them():
    utils.set_random_seed(1)
    model = jitnet.Sequential(
        [
            jitnet.Input((6, 5, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomContrast(0.3, (0, 1)),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    digests = []
    for jit_compile in (False, True):
        model.compile(jitnet.optimizers.SGD(0.01), "mse", jit_compile=jit_compile)
        model.set_weights([np.ones(w.shape) for w in model.get_weights()])
        model.fit(PICTURES, np.zeros((7, 1)), 3, epochs=2, verbose=0)
        digests.append(b"".join(w.tobytes() for w in model.get_weights()))
    assert digests[0] == digests[1]
    kernel, bias = model.get_weights()
    expected = PICTURES.reshape(7, -1) @ kernel + bias
    np.testing.assert_allclose(model.predict(PICTURES, verbose=0), expected, rtol=1e-4)


@every
def test_gradients_of_colours_are_refused(layer):
    """Those of moves are checked with all layers'."""
    if not layer.passes_gradient:
        with pytest.raises(ValueError, match="passes no gradient on: put it before everything that is trained"):
            _trained(layer)


def _trained(layer):
    model = jitnet.Sequential([jitnet.Input((6, 5, 3)), layers.Dense(3), layer, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(PICTURES, np.zeros((7, 1)), verbose=0)


def test_mixtures():
    labels = np.eye(7)
    for layer in (layers.MixUp(0.4, seed=3), layers.CutMix(1.0, seed=3)):
        found = layer({"images": PICTURES, "labels": labels}, training=True)
        np.testing.assert_allclose(found["labels"].sum(axis=1), 1)
        for n, row in enumerate(found["labels"]):
            share = row[n]
            other = int(np.argmax(np.where(np.arange(7) == n, -1, row))) if share < 1 else n
            if isinstance(layer, layers.MixUp):
                expected = share * PICTURES[n] + (1 - share) * PICTURES[other]
                np.testing.assert_allclose(found["images"][n], expected, atol=1e-6)
            else:
                own = (found["images"][n] == PICTURES[n]).all(axis=-1)
                assert (own | (found["images"][n] == PICTURES[other]).all(axis=-1)).all()
                assert own.mean() == pytest.approx(share)
        np.testing.assert_array_equal(layer.augment(PICTURES, step=5), layer.augment(PICTURES, step=5))
        assert (layer.augment(PICTURES, step=5) != layer.augment(PICTURES, step=6)).any()
        assert layer.augment((PICTURES * 255).astype(np.uint8)).dtype == np.uint8
        np.testing.assert_array_equal(layer(PICTURES, training=False), PICTURES)
        with pytest.raises(ValueError, match="before they come to a model"):
            layer(placeholder("x", (6, 5, 3)), training=True)
        with pytest.raises(ValueError, match=r"labels \(N, classes\) of floating-point"):
            layer({"images": PICTURES, "labels": np.arange(7)}, training=True)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.RandomFlip("diagonal"), "diagonal"),
        (lambda: layers.RandomRotation(1.5), "Received: factor=1.5"),
        (lambda: layers.RandomTranslation((0, 1, 2), 0), "pair of numbers"),
        (lambda: layers.RandomZoom(-1.0), "Received: height_factor=-1.0"),
        (lambda: layers.RandomShear(-0.5), "Received: x_factor=-0.5"),
        (lambda: layers.RandomContrast(2), "Received: factor=2"),
        (lambda: layers.RandomBrightness(0.1, 3), "Received: value_range=3"),
        (lambda: layers.RandomGaussianBlur(kernel_size=2), "to be odd"),
        (lambda: layers.RandomRotation(0.1, "mirror"), "Received: .*'mirror'"),
        (lambda: layers.RandomFlip(data_format="channels_first"), "channels_first"),
        (lambda: layers.RandomCrop(9, 3)(PICTURES), "at least"),
        (lambda: layers.RandomHue(0.1)(PICTURES[..., :2]), "three channels"),
        (lambda: layers.RandomHue(0.1)(placeholder("x", (4, 4, 2)), training=True), "three channels"),
        (lambda: layers.RandomErasing(fill_value=(1, 2)).augment(PICTURES), "one for each of 3 channels"),
        (lambda: layers.MixUp(0), "Received: alpha=0"),
        (lambda: layers.RandAugment(num_ops=9), "Received: num_ops=9"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
