"""Keras's ``ops.image``: what is done with images."""

import numpy as np

from ..core import checks
from ..core.errors import invalid, module_getattr
from ..core.operations.base import display
from ..core.operations.resize import ResizeBilinear, ResizeNearest
from ..core.operations.shape import Pad2D, Slice
from ..core.values import Value
from ._calls import apply, publisher

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


__getattr__ = module_getattr(__name__, "function")
