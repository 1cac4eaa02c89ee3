"""Kernels of random changes of pictures, against definitions in NumPy."""

import colorsys

import numpy as np
import pytest

from jitnet.kernels.cpu import augmentation, random
from jitnet.kernels.cpu.fast.augmentation import erase_with_normal

RANDOM = np.random.default_rng(5)
PICTURES = RANDOM.uniform(size=(7, 6, 5, 3)).astype("float32")


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


@pytest.mark.parametrize("accumulate", [False, True])
def test_gradients_of_moves_are_their_transposes(accumulate):
    x, draws = PICTURES.astype(float), RANDOM.uniform(size=(7, 4))
    dx = np.ones_like(x) if accumulate else np.full_like(x, np.nan)
    y, dy = np.empty_like(x), RANDOM.normal(size=x.shape)
    augmentation.flip(x, draws, y, True, True)
    augmentation.flip_backward(dy, draws, dx, True, True, accumulate)
    np.testing.assert_allclose((dy * y).sum(), ((dx - accumulate) * x).sum())
    for size, padding in (((4, 6), 2), ((3, 5), 0)):
        y, dy = np.empty((7, *size, 3)), RANDOM.normal(size=(7, *size, 3))
        dx = np.ones_like(x) if accumulate else np.full_like(x, np.nan)
        augmentation.crop(x, draws, y, padding)
        augmentation.crop_backward(dy, draws, dx, padding, accumulate)
        np.testing.assert_allclose((dy * y).sum(), ((dx - accumulate) * x).sum())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7, 6, 1), (4, 9, 11, 3)])
def test_erased_parts_have_the_noise_of_whole_pictures(shape, dtype):
    x = np.random.default_rng(1).uniform(size=shape).astype(dtype)
    draws = np.empty((shape[0], 8), dtype)
    random.uniform(draws, 0.0, 1.0, 5, 6, 7, 2)
    draws[-1] = [0, 0.3, 1, 1, 0, 0, 0, 0]  # all of the picture
    ranges, expected, found = np.array([0.5, 1, 0.1, 1], dtype), np.empty_like(x), np.full_like(x, np.nan)
    noise = np.empty_like(x)
    random.normal(noise, 0.0, 1.0, 8, 9, 10, 2)
    augmentation.erase(x, draws, ranges, np.clip(noise * x.dtype.type(0.5), -0.25, 0.5).astype(dtype), expected)
    erase_with_normal(x, draws, ranges, found, -0.25, 0.5, 8, 9, 10, 2)
    np.testing.assert_array_equal(found, expected)
    assert 0.2 < (found != x).mean() < 0.9 and (found[-1] != x[-1]).mean() > 0.99
