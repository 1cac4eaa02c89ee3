"""Random changes of pictures: kernels against NumPy, layers on arrays and in steps."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, utils
from jitnet.builder import Computation
from jitnet.core.values import placeholder
from jitnet.kernels.cpu import augmentation
from jitnet.step import Step

RANDOM = np.random.default_rng(5)
PICTURES = RANDOM.uniform(size=(7, 6, 5, 3)).astype("float32")
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
    monkeypatch.setattr(_augmentation, "_SMALL", 0)
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


# ---- against definitions in NumPy


def naive_resample(x, transforms, size, mode, nearest, fill):
    """A picture extended far beyond its edges, and read there; in float64."""
    n, height, width, channels = x.shape
    pad = 3 * max(height, width)
    modes = {0: {"mode": "constant", "constant_values": fill}, 1: {"mode": "edge"}, 2: {"mode": "wrap"}}
    wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), **modes.get(mode, {"mode": "symmetric"}))
    y = np.empty((n, *size, channels))
    for k in range(n):
        a0, a1, a2, b0, b1, b2, c0, c1 = transforms[k].astype(float)
        for i in range(size[0]):
            for j in range(size[1]):
                scale = c0 * j + c1 * i + 1
                at = np.array([(b0 * j + b1 * i + b2) / scale, (a0 * j + a1 * i + a2) / scale]) + pad
                if nearest:
                    r, s = np.floor(at + 0.5).astype(int)
                    y[k, i, j] = wide[k, r, s]
                    continue
                r, s = np.floor(at).astype(int)
                v, u = at - np.floor(at)
                y[k, i, j] = (1 - v) * ((1 - u) * wide[k, r, s] + u * wide[k, r, s + 1]) + v * (
                    (1 - u) * wide[k, r + 1, s] + u * wide[k, r + 1, s + 1]
                )
    return y


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-12)])
def test_resampling(mode, nearest, dtype, tolerance):
    x = PICTURES.astype(dtype)
    transforms = RANDOM.normal(size=(7, 8)) * [0.8, 0.8, 4, 0.8, 0.8, 4, 0.02, 0.02]
    transforms = (transforms + [1, 0, 0, 0, 1, 0, 0, 0]).astype(dtype)
    y = np.empty((7, 4, 6, 3), dtype)
    augmentation.resample(x, transforms, y, mode, nearest, 0.25)
    np.testing.assert_allclose(y, naive_resample(x, transforms, (4, 6), mode, nearest, 0.25), atol=tolerance)
    # the gradient is the transpose
    dy, dx = RANDOM.normal(size=y.shape).astype(dtype), np.ones_like(x)
    augmentation.resample_backward(dy, transforms, dx, mode, nearest, True)
    augmentation.resample(x, transforms, y, mode, nearest, 0.0)
    np.testing.assert_allclose((dy * y).sum(), ((dx - 1) * x).sum(), rtol=100 * tolerance)


def test_affine_transforms_are_keras():
    """Rotation by the matrix of Keras's affine layers, zoom about the centre, shifts against the reading point."""
    draws = RANDOM.uniform(size=(3, 8))
    found = np.empty((3, 8))

    def transforms(same=False, **ranges):
        names = ("turn", "zoom_y", "zoom_x", "y", "x", "shear_x", "shear_y")
        default = {"zoom_y": (1, 1), "zoom_x": (1, 1)}
        values = np.array([ranges.get(name, default.get(name, (0, 0))) for name in names], float).reshape(-1)
        augmentation.affine_transforms(draws, values, found, 9, 6, 9, 6, same)
        return found

    angle = 2 * np.pi * (-0.1 + 0.4 * draws[:, 0])
    cosine, sine, zero = np.cos(angle), np.sin(angle), np.zeros(3)
    x, y = 2.5, 4.0
    expected = [cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y, zero, zero]
    np.testing.assert_allclose(transforms(turn=(-0.1, 0.3)), np.stack(expected, 1), atol=1e-12)
    zoom_y, zoom_x = 0.5 + draws[:, 1], 0.8 + 0.4 * draws[:, 2]
    expected = [zoom_x, zero, x * (1 - zoom_x), zero, zoom_y, y * (1 - zoom_y), zero, zero]
    np.testing.assert_allclose(transforms(zoom_y=(0.5, 1.5), zoom_x=(0.8, 1.2)), np.stack(expected, 1), atol=1e-12)
    assert (transforms(True, zoom_y=(0.5, 1.5))[:, 0] == zoom_y).all()
    one = np.ones(3)
    expected = [one, zero, -6 * draws[:, 4], zero, one, 9 * (0.2 - draws[:, 3] * 0.4), zero, zero]
    np.testing.assert_allclose(transforms(y=(-0.2, 0.2), x=(0, 1)), np.stack(expected, 1), atol=1e-12)
    sign = np.where(draws[:, 7] < 0.5, 1, -1)
    expected = [one, sign * draws[:, 5], zero, sign * 0.3, one, zero, zero, zero]
    np.testing.assert_allclose(transforms(shear_x=(0, 1), shear_y=(0.3, 0.3)), np.stack(expected, 1), atol=1e-12)


def test_perspective_takes_corners_to_corners():
    draws = RANDOM.uniform(size=(4, 12))
    draws[0, 1] = 0.99
    found = np.empty((4, 8))
    augmentation.perspective_transforms(draws, np.array([0.9, 0.9, -0.4, 0.4]), found, 9, 6)
    np.testing.assert_array_equal(found[0], [1, 0, 0, 0, 1, 0, 0, 0])
    for row, moves in zip(found[1:], -0.4 + 0.8 * draws[1:, 4:], strict=True):
        if row[6] == 0 and row[7] == 0:
            continue
        corners = [(5, 0, 0), (0, 8, 1), (5, 8, 2)]
        for x, y, number in corners:
            # the moved corner of the picture is read at the corner
            u = x * (1 + moves[{0: 0, 1: 0, 2: 4}[number]])
            v = y * (1 + moves[{0: 0, 1: 3, 2: 5}[number]])
            scale = row[6] * u + row[7] * v + 1
            at = ((row[0] * u + row[1] * v + row[2]) / scale, (row[3] * u + row[4] * v + row[5]) / scale)
            np.testing.assert_allclose(at, (x, y), atol=1e-9)


def test_flips_and_crops():
    draws = np.array([[0.2, 0.7, 0, 0], [0.7, 0.2, 0, 0], [0.2, 0.2, 0, 0], [0.9, 0.9, 0, 0]], "float32")
    for dtype in ("uint8", "float32", "float64"):
        for channels, width in ((1, 5), (2, 5), (3, 5), (3, 8)):
            wide = np.concatenate([PICTURES, PICTURES[:, ::-1]], axis=2)[:4, :, :width, :channels]
            x = np.ascontiguousarray((wide * 255).astype(dtype))
            y = np.empty_like(x)
            augmentation.flip(x, draws, y, True, True)
            expected = [x[0][:, ::-1], x[1][::-1], x[2][::-1, ::-1], x[3]]
            np.testing.assert_array_equal(y, expected)
            augmentation.flip(x, draws, y, True, False)
            np.testing.assert_array_equal(y, [x[0][:, ::-1], x[1], x[2][:, ::-1], x[3]])
            padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
            part = np.empty((4, 5, 6, channels), dtype)
            augmentation.crop(x, draws, part, 2)
            for n, (top, left) in enumerate(np.floor(draws[:, :2] * np.float32([6, width - 1])).astype(int)):
                np.testing.assert_array_equal(part[n], padded[n, top : top + 5, left : left + 6])


def test_colours():
    colorsys = pytest.importorskip("colorsys")
    x = PICTURES.astype(float)
    draws = RANDOM.uniform(size=(7, 8))
    ranges = np.array([0, 1, -0.3, 0.3, 0.4, 1.6, 0.3, 0.8, 0.1, 0.4, 0.5, 0.5])

    def changed(*kinds, limited=True):
        y = np.empty_like(x)
        names = ("brightness", "contrast", "saturation", "hue", "grey")
        augmentation.adjust_colour(x, draws, ranges, y, *(name in kinds for name in names), limited)
        return y

    column = (slice(None), None, None, None)
    added, factor = (-0.3 + 0.6 * draws[:, 0])[column], (0.4 + 1.2 * draws[:, 1])[column]
    np.testing.assert_allclose(changed("brightness"), np.clip(x + added, 0, 1))
    mean = x.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(changed("contrast"), np.clip((x - mean) * factor + mean, 0, 1), atol=1e-12)
    np.testing.assert_allclose(changed("contrast", limited=False), (x - mean) * factor + mean, atol=1e-12)
    share = 0.3 + 0.5 * draws[:, 2]
    turn = (0.1 + 0.3 * draws[:, 3]) * np.where(draws[:, 4] < 0.5, 1, -1)
    grey = np.where((draws[:, 5] < 0.5)[column], (x @ [0.2989, 0.587, 0.114])[..., None], x)
    np.testing.assert_allclose(changed("grey"), grey, atol=1e-6)
    saturated, turned = np.empty_like(x), np.empty_like(x)
    for place in np.ndindex(x.shape[:3]):
        h, s, v = colorsys.rgb_to_hsv(*x[place])
        n = place[0]
        saturated[place] = colorsys.hsv_to_rgb(h, min(s * share[n] / (1 - share[n]), 1), v)
        turned[place] = colorsys.hsv_to_rgb((h + turn[n]) % 1, s, v)
    np.testing.assert_allclose(changed("saturation"), saturated, atol=1e-6)
    np.testing.assert_allclose(changed("hue"), turned, atol=1e-12)


def test_blur_and_erasing():
    x, draws = PICTURES.astype(float), RANDOM.uniform(size=(7, 8))
    y, scratch = np.empty_like(x), np.empty_like(x)
    chosen = np.ascontiguousarray(draws[:, :4])
    augmentation.gaussian_blur(x, chosen, np.array([0.1, 0.8, 0.5, 0.5, 0.4, 1.2]), scratch, y, 3, 5)
    for n in range(7):
        if chosen[n, 1] >= 0.5:
            np.testing.assert_array_equal(y[n], x[n])
            continue
        lines = []
        for size, draw in ((3, chosen[n, 2]), (5, chosen[n, 3])):
            density = np.exp(-0.5 * ((np.arange(size) - size // 2) / (0.4 + 0.8 * draw + 1e-6)) ** 2)
            lines.append(density / density.sum())
        wide = np.pad(x[n], ((1, 1), (2, 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 5), (0, 1))
        expected = np.einsum("ijcrs,r,s->ijc", windows, *lines)
        np.testing.assert_allclose(y[n], np.clip(expected, 0.1, 0.8), atol=1e-12)
    noise = RANDOM.normal(size=x.shape)
    augmentation.erase(x, draws, np.array([0.6, 0.6, 0.1, 0.5]), noise, y)
    rows, columns = np.arange(6)[:, None], np.arange(5)[None]
    for n in range(7):
        width, height = np.sqrt(0.1 + 0.4 * draws[n, 2]) * 5, np.sqrt(0.1 + 0.4 * draws[n, 3]) * 6
        left, top = draws[n, 4] * (5 - width), draws[n, 5] * (6 - height)
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
        inside &= draws[n, 1] < 0.6
        np.testing.assert_array_equal(y[n], np.where(inside[..., None], noise[n], x[n]))


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
