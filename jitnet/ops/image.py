"""Keras's ``ops.image``: what is done with images."""

import functools
import itertools

import numpy as np

from ..core import checks
from ..core.errors import invalid, module_getattr
from ..core.operations.augmentation import Resample
from ..core.operations.base import display
from ..core.operations.resize import ResizeBilinear, ResizeNearest
from ..core.operations.shape import Pad2D, Slice
from ..core.operations.strided import BroadcastTo
from ..core.policy import floatx
from ..core.values import Constant, Value
from ._calls import apply, publisher
from .comparisons import equal, greater, less, where
from .elementwise import absolute, clip, maximum, minimum
from .nn import conv, depthwise_conv
from .reductions import mean
from .shapes import concatenate, pad, stack

__all__ = []
public = publisher(__all__)

INTERPOLATIONS = {"nearest": ResizeNearest, "bilinear": ResizeBilinear}


@public
def resize(
    images, size, interpolation="bilinear", antialias=False, crop_to_aspect_ratio=False, pad_to_aspect_ratio=False,
    fill_mode="constant", fill_value=0.0, data_format=None,
):  # fmt: skip
    """Images (N, H, W, C) in another size, or, as an array, one image (H, W, C).

    Pixel i of n lies at (i + 1/2) / n of an edge, in the old image and in the new one.  The result is (N, *size, C), of
    floating-point numbers unless the pixels are copies.

    size: (height, width).
    interpolation: "bilinear" or "nearest".
    antialias: False: pixels of the old image between those that a new one lies between count for nothing.
    crop_to_aspect_ratio: what is resized is the largest part of each image, in its centre, of the new shape.
    pad_to_aspect_ratio: what is resized is the image with borders of ``fill_value`` (fill_mode "constant") around it.
    data_format: None or "channels_last".
    """
    name = "resize"
    checks.channels_last(f"ops.image.{name}", data_format)
    operation = INTERPOLATIONS[checks.one_of(name, "interpolation", interpolation, INTERPOLATIONS)]
    if antialias:
        raise invalid("resize has no filter against aliasing: antialias=False.", antialias=antialias)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise invalid(
            "resize keeps the aspect ratio by one of crop_to_aspect_ratio and pad_to_aspect_ratio.",
            crop_to_aspect_ratio=crop_to_aspect_ratio, pad_to_aspect_ratio=pad_to_aspect_ratio,
        )  # fmt: skip
    checks.one_of(name, "fill_mode", fill_mode, ("constant",))
    height, width = checks.sizes(name, "size", size) if len(tuple(size)) == 2 else checks.pair(name, "size", size)
    images = images if isinstance(images, Value) else np.asarray(images)
    if not isinstance(images, Value) and images.ndim == 3:
        keep = crop_to_aspect_ratio, pad_to_aspect_ratio, fill_mode, fill_value
        return resize(images[None], size, interpolation, False, *keep)[0]
    if images.ndim != 4:
        raise ValueError(
            f"resize expects images (batch, height, width, channels). Received: shape={display(images.shape)}"
        )
    if crop_to_aspect_ratio:
        images = _cropped(images, height, width)
    if pad_to_aspect_ratio:
        images = _padded(images, height, width, fill_value)
    return apply(operation(height, width), images)


def _of_ratio(images, height: int, width: int) -> tuple[int, int]:
    """(the height that fits the images' width, the width that fits their height), for the ratio height / width."""
    return images.shape[2] * height // width, images.shape[1] * width // height


def _cropped(images, height: int, width: int):
    """The largest part in the centre with the ratio height / width."""
    sizes = zip((1, 2), _of_ratio(images, height, width), strict=True)
    for axis, wanted in sizes:
        size = images.shape[axis]
        kept = max(min(size, wanted), 1)
        if kept < size:
            start = (size - kept) // 2
            images = apply(Slice(axis, start, start + kept), images)
    return images


def _padded(images, height: int, width: int, fill_value: float):
    """The images with borders, the same on both sides, with the ratio height / width."""
    wanted = _of_ratio(images, height, width)
    top, left = ((max(size, w) - size) // 2 for size, w in zip(images.shape[1:3], wanted, strict=True))
    return apply(Pad2D(((top, top), (left, left)), fill_value), images) if top or left else images


def _of_pictures(function):
    """A decorator of a function of pictures (N, H, W, ...): as an array it may be one picture (H, W, ...), too."""

    @functools.wraps(function)
    def either(images, *arguments, **keywords):
        images = images if isinstance(images, Value) else _floats(images)
        if not isinstance(images, Value) and images.ndim == 3:
            return function(images[None], *arguments, **keywords)[0]
        if images.ndim != 4:
            raise ValueError(
                f"{function.__name__} expects images (batch, height, width, channels). "
                f"Received: shape={display(images.shape)}"
            )
        return function(images, *arguments, **keywords)

    return public(either)


def _floats(images) -> np.ndarray:
    images = np.asarray(images)
    return images if images.dtype.kind == "f" else images.astype(floatx())


def _rgb(owner: str, images, data_format) -> list:
    """The three planes (N, H, W, 1)."""
    checks.channels_last(f"ops.image.{owner}", data_format)
    if images.shape[3] != 3:
        raise invalid(f"ops.image.{owner} takes pictures of three channels.", shape=tuple(images.shape))
    return [images[..., i : i + 1] for i in range(3)]


@_of_pictures
def rgb_to_grayscale(images, data_format=None):
    """0.2989 red + 0.5870 green + 0.1140 blue: (N, H, W, 1)."""
    red, green, blue = _rgb("rgb_to_grayscale", images, data_format)
    return red * 0.2989 + green * 0.587 + blue * 0.114


@_of_pictures
def rgb_to_hsv(images, data_format=None):
    """Hue, saturation and value, each from 0 to 1, of red, green and blue from 0 to 1 (Smith 1978)."""
    red, green, blue = _rgb("rgb_to_hsv", images, data_format)
    value = maximum(maximum(red, green), blue)
    spread = value - minimum(minimum(red, green), blue)
    grey = equal(spread, 0)
    saturation = where(greater(value, 0), spread / where(greater(value, 0), value, 1.0), 0.0)
    sixth = 1 / (6 * where(grey, 1.0, spread))
    hue = where(equal(green, value), sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = where(equal(red, value), sixth * (green - blue), hue)
    hue = where(grey, 0.0, where(less(hue, 0), hue + 1.0, hue))
    return concatenate([hue, saturation, value], -1)


@_of_pictures
def hsv_to_rgb(images, data_format=None):
    """The inverse of ``rgb_to_hsv``."""
    hue, saturation, value = _rgb("hsv_to_rgb", images, data_format)
    angle = hue * 6.0
    red = clip(absolute(angle - 3.0) - 1.0, 0.0, 1.0)
    green = clip(2.0 - absolute(angle - 2.0), 0.0, 1.0)
    blue = clip(2.0 - absolute(angle - 4.0), 0.0, 1.0)
    return concatenate([((1.0 - saturation) + saturation * x) * value for x in (red, green, blue)], -1)


def _edges(owner: str, size: int, before, after, wanted, axis: str) -> tuple[int, int]:
    """(before, after) of which two, with the size that is wanted, say the third."""
    if sum(number is None for number in (before, after, wanted)) != 1:
        raise invalid(
            f"ops.image.{owner} needs two of three numbers for the {axis}.", before=before, after=after, target=wanted
        )
    change = None if wanted is None else (size - wanted if owner == "crop_images" else wanted - size)
    before = change - after if before is None else before
    after = change - before if after is None else after
    if before < 0 or after < 0 or (owner == "crop_images" and before + after >= size):
        raise invalid(f"ops.image.{owner} of {size} pixels leaves no picture.", before=before, after=after)
    return before, after


@_of_pictures
def crop_images(
    images, top_cropping=None, left_cropping=None, bottom_cropping=None, right_cropping=None, target_height=None,
    target_width=None, data_format=None,
):  # fmt: skip
    """Pictures without so many rows and columns at the edges; of each three numbers of a direction two are given."""
    checks.channels_last("ops.image.crop_images", data_format)
    height, width = images.shape[1:3]
    top, bottom = _edges("crop_images", height, top_cropping, bottom_cropping, target_height, "height")
    left, right = _edges("crop_images", width, left_cropping, right_cropping, target_width, "width")
    return images[:, top : height - bottom, left : width - right]


@_of_pictures
def pad_images(
    images, top_padding=None, left_padding=None, bottom_padding=None, right_padding=None, target_height=None,
    target_width=None, data_format=None,
):  # fmt: skip
    """Pictures with so many rows and columns of zeros around; of each three numbers of a direction two are given."""
    checks.channels_last("ops.image.pad_images", data_format)
    height, width = images.shape[1:3]
    rows = _edges("pad_images", height, top_padding, bottom_padding, target_height, "height")
    columns = _edges("pad_images", width, left_padding, right_padding, target_width, "width")
    return pad(images, ((0, 0), rows, columns, (0, 0)))


@_of_pictures
def extract_patches(images, size, strides=None, dilation_rate=1, padding="valid", data_format=None):
    """The pixels of each window as one row: (N, P, Q, height * width * C) with windows of ``size`` (height, width).

    strides: between windows, by default their size; padding: "valid" or "same".
    """
    name = "extract_patches"
    checks.channels_last(f"ops.image.{name}", data_format)
    rows, columns = checks.pair(name, "size", size)
    channels = images.shape[3]
    # each element of a row is one pixel of the window, which a product with 1 picks
    kernel = np.eye(rows * columns * channels, dtype=str(images.dtype))
    kernel = kernel.reshape(rows, columns, channels, rows * columns * channels)
    return conv(images, kernel, size if strides is None else strides, padding, dilation_rate=dilation_rate)


def _bell(size: int, sigma: float) -> np.ndarray:
    places = np.arange(size) - (size - 1) / 2
    found = np.exp(-0.5 * (places / sigma) ** 2)
    return found / found.sum()


def _each_channel(images, window: np.ndarray, padding):
    kernel = np.repeat(window[:, :, None, None], images.shape[3], axis=2).astype(str(images.dtype))
    return depthwise_conv(images, kernel, padding=padding)


@_of_pictures
def gaussian_blur(images, kernel_size=(3, 3), sigma=(1.0, 1.0), data_format=None):
    """Each pixel with its neighbours, by a normal distribution; beyond the edges lie zeros.

    kernel_size: height and width of the window, odd; sigma: standard deviations in pixels, of height and width.
    """
    name = "ops.image.gaussian_blur"
    checks.channels_last(name, data_format)
    size = checks.pair(name, "kernel_size", kernel_size)
    deviations = (sigma, sigma) if isinstance(sigma, int | float) else tuple(sigma)
    down, along = (_bell(n, checks.positive(name, "sigma", s)) for n, s in zip(size, deviations, strict=True))
    if not size[0] % 2 or not size[1] % 2:
        raise invalid(f"{name} expects an odd kernel_size.", kernel_size=size)
    return _each_channel(images, np.outer(down, along), "same")


@_of_pictures
def sobel_edges(images, data_format=None):
    """How pixels change downwards and to the right, by Sobel's windows; beyond the edges lie zeros: (N, H, W, C, 2)."""
    checks.channels_last("ops.image.sobel_edges", data_format)
    window = np.outer([-1, 0, 1], [1, 2, 1])
    return stack([_each_channel(images, w.astype(np.float64), "same") for w in (window, window.T)], -1)


@public
def ssim(image1, image2, max_val=1.0, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03, data_format=None):
    """The structural similarity of pictures (N, H, W, C), 1 for equal ones: (N,) (Wang et al. 2004).

    max_val: the largest that a pixel may be; filter_size, filter_sigma: of the window; k1, k2: against division by 0.
    """
    checks.channels_last("ops.image.ssim", data_format)
    one, two = (x if isinstance(x, Value) else _floats(x) for x in (image1, image2))
    if not isinstance(one, Value) and not isinstance(two, Value) and one.ndim == 3:
        return ssim(one[None], two[None], max_val, filter_size, filter_sigma, k1, k2)[0]
    if one.ndim != 4 or tuple(one.shape) != tuple(two.shape):
        raise invalid("ops.image.ssim compares images of one shape (batch, height, width, channels).",
                      shapes=(tuple(one.shape), tuple(two.shape)))  # fmt: skip
    size = checks.integer("ops.image.ssim", "filter_size", filter_size, least=1)
    bell = _bell(size, checks.positive("ops.image.ssim", "filter_sigma", filter_sigma))

    def smooth(x):
        return _each_channel(x, np.outer(bell, bell), "valid")

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean1, mean2 = smooth(one), smooth(two)
    squares = mean1 * mean1 + mean2 * mean2
    spread = smooth(one * one + two * two) - squares
    both = smooth(one * two) - mean1 * mean2
    found = (2.0 * mean1 * mean2 + c1) * (2.0 * both + c2) / ((squares + c1) * (spread + c2))
    return mean(found, (1, 2, 3))


@_of_pictures
def affine_transform(
    images, transform, interpolation="bilinear", fill_mode="constant", fill_value=0, data_format=None
):
    """Pictures that are read elsewhere: pixel (x, y) of the result at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k),
    k = c0 x + c1 y + 1.

    transform: (a0, a1, a2, b0, b1, b2, c0, c1), an array (8,) or (N, 8); of symbolic pictures (8,).
    interpolation: "bilinear" or "nearest"; fill_mode: "constant", with ``fill_value``, "nearest", "wrap" or "reflect".
    """
    checks.channels_last("ops.image.affine_transform", data_format)
    if isinstance(transform, Value):
        raise invalid("ops.image.affine_transform takes numbers; layers of Random* names vary.", transform=transform)
    rows = np.asarray(transform, str(images.dtype))
    if rows.shape[-1:] != (8,) or rows.ndim > 2 or (rows.ndim == 2 and isinstance(images, Value)):
        raise invalid("ops.image.affine_transform expects a transform of eight numbers.", shape=rows.shape)
    operation = Resample(tuple(images.shape[1:3]), fill_mode, interpolation, fill_value)
    if isinstance(images, Value):
        return operation(images, BroadcastTo((8,), True, images.batches)(Constant(rows)))
    return apply(operation, images, np.broadcast_to(rows, (len(images), 8)).copy())


@_of_pictures
def perspective_transform(
    images, start_points, end_points, interpolation="bilinear", fill_value=0, data_format=None
):
    """Pictures in perspective: what was at ``start_points`` comes to ``end_points``, four corners (x, y) each.

    start_points, end_points: arrays (4, 2), or of arrays of pictures (N, 4, 2).
    """
    start, end = (np.asarray(points, np.float64) for points in (start_points, end_points))
    if start.shape != end.shape or start.shape[-2:] != (4, 2) or start.ndim > 3:
        raise invalid("ops.image.perspective_transform expects four points (x, y).", start=start.shape, end=end.shape)
    pairs = zip(start.reshape(-1, 4, 2), end.reshape(-1, 4, 2), strict=True)
    transforms = np.array([_homography(a, b) for a, b in pairs])
    transform = transforms[0] if start.ndim == 2 else transforms
    return affine_transform(images, transform, interpolation, "constant", fill_value, data_format)


def _homography(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The transform that reads the point of ``start`` for each of ``end`` (Heckbert 1989)."""
    rows, values = [], []
    for (u, v), (x, y) in zip(start, end, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(rows, values)


_FILLS = ("constant", "nearest", "wrap", "mirror", "reflect")


@public
def map_coordinates(inputs, coordinates, order, fill_mode="constant", fill_value=0):
    """An array read at ``coordinates`` (axes, ...): of arrays only, since a step has no kernel for it.

    order: 0 for the nearest element, 1 for linear between neighbours.
    fill_mode: "constant", with ``fill_value`` beyond the edges, "nearest", "wrap", "mirror" or "reflect".
    """
    if isinstance(inputs, Value) or isinstance(coordinates, Value):
        raise invalid("ops.image.map_coordinates takes arrays; of tensors there is affine_transform.", inputs=inputs)
    checks.one_of("ops.image.map_coordinates", "fill_mode", fill_mode, _FILLS)
    checks.integer("ops.image.map_coordinates", "order", order, least=0, most=1)
    array, places = np.asarray(inputs), np.asarray(coordinates, np.float64)
    if len(places) != array.ndim:
        raise invalid(f"ops.image.map_coordinates expects coordinates ({array.ndim}, ...).", shape=places.shape)
    corners = [np.floor(places + 0.5 * (order == 0)).astype(np.int64)]
    found = np.zeros(places.shape[1:])
    for corner in itertools.product((0, 1), repeat=array.ndim if order else 0):
        at = corners[0] + np.reshape(corner or [0] * array.ndim, (-1, *[1] * (places.ndim - 1)))
        weight = np.prod(1 - np.abs(places - at), axis=0) if order else 1.0
        found += weight * _read(array, at, fill_mode, fill_value)
    return (np.round(found) if array.dtype.kind in "iu" else found).astype(array.dtype)


def _read(array, at, fill_mode: str, fill_value):
    inside = np.ones(at.shape[1:], bool)
    indices = []
    for axis, size in enumerate(array.shape):
        i = at[axis]
        if fill_mode == "constant":
            inside &= (i >= 0) & (i < size)
            i = np.clip(i, 0, size - 1)
        elif fill_mode == "nearest":
            i = np.clip(i, 0, size - 1)
        elif fill_mode == "wrap":
            i = i % size
        elif fill_mode == "mirror":
            period = max(2 * size - 2, 1)
            i = np.minimum(i % period, -i % period)
        else:
            i = i % (2 * size)
            i = np.minimum(i, 2 * size - 1 - i)
        indices.append(i)
    return np.where(inside, array[tuple(indices)].astype(np.float64), fill_value)


__getattr__ = module_getattr(__name__, "function")
