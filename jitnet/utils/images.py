"""Pictures as arrays and files, by Pillow: ``pip install 'jitnet[images]'``."""

import io
import os
import warnings

import numpy as np

from jitnet.core.errors import invalid, unknown_name
from jitnet.core.policy import floatx

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img"]

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_KEPT_GREY = ("L", "I;16", "I")  # modes of grey pictures that stay as they are
_INTERPOLATIONS = ("bilinear", "bicubic", "box", "hamming", "lanczos", "nearest")


def pillow():
    """The module PIL.Image.  Raises ImportError without Pillow."""
    try:
        import PIL.Image
    except ImportError:
        raise ImportError("Pictures are read and written by Pillow: pip install 'jitnet[images]'.") from None
    return PIL.Image


def _is_channels_first(data_format) -> bool:
    if data_format not in (None, "channels_last", "channels_first"):
        raise invalid('`data_format` is "channels_last" or "channels_first".', data_format=data_format)
    return data_format == "channels_first"


def load_img(path, color_mode="rgb", target_size=None, interpolation="nearest", keep_aspect_ratio=False):
    """The picture in a file, as a ``PIL.Image.Image``.

    path: of the file, or an ``io.BytesIO`` of its bytes.
    color_mode: "rgb", "rgba" or "grayscale" (pictures of 16 and 32 bits stay such).
    target_size: (height, width), to which it is resized by Pillow; interpolation: "nearest", "bilinear", "bicubic",
        "box", "hamming" or "lanczos".
    keep_aspect_ratio: whether the largest part in the middle that has the ratio of ``target_size`` is used.

    Raises ImportError without Pillow, ValueError for other names, OSError for what is no picture.
    """
    image = pillow()
    if color_mode not in _MODES:
        raise unknown_name("color mode", color_mode, _MODES)
    if interpolation not in _INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, _INTERPOLATIONS)
    if not isinstance(path, str | bytes | os.PathLike | io.BytesIO):
        raise TypeError(f"load_img takes a path or an io.BytesIO. Received: path={path!r}")
    with image.open(path) as opened:
        kept = opened.mode in _KEPT_GREY if color_mode == "grayscale" else opened.mode == _MODES[color_mode]
        picture = opened.copy() if kept else opened.convert(_MODES[color_mode])
    if target_size is None or picture.size == (target_size[1], target_size[0]):
        return picture
    height, width = target_size
    box = None
    if keep_aspect_ratio:
        w, h = picture.size
        used_h, used_w = min(h, w * height // width), min(w, h * width // height)
        top, left = (h - used_h) // 2, (w - used_w) // 2
        box = left, top, left + used_w, top + used_h
    return picture.resize((width, height), getattr(image.Resampling, interpolation.upper()), box)


def img_to_array(img, data_format=None, dtype=None) -> np.ndarray:
    """A picture as an array (height, width, channels), or with the channels first; of ``floatx`` without a dtype."""
    array = np.asarray(img, dtype or floatx())
    if array.ndim not in (2, 3):
        raise ValueError(f"A picture has two or three axes. Received: shape={array.shape}")
    array = array[..., None] if array.ndim == 2 else array
    return np.ascontiguousarray(array.transpose(2, 0, 1)) if _is_channels_first(data_format) else array


def array_to_img(x, data_format=None, scale=True, dtype=None):
    """An array (height, width, channels) of 1, 3 or 4 channels as a ``PIL.Image.Image``.

    scale: whether its smallest value becomes 0 and its largest 255; else values are cut to whole numbers.

    Raises ImportError without Pillow, ValueError for other shapes.
    """
    image = pillow()
    array = np.asarray(x, dtype or floatx())
    if array.ndim != 3:
        raise ValueError(f"array_to_img takes one picture (height, width, channels). Received: shape={array.shape}")
    if _is_channels_first(data_format):
        array = array.transpose(1, 2, 0)
    if array.shape[2] not in (1, 3, 4):
        raise ValueError(f"A picture has 1, 3 or 4 channels. Received: shape={array.shape}")
    if scale:
        array = array - array.min()
        largest = array.max()
        array = array / largest * 255 if largest else array
    if array.shape[2] > 1:
        return image.fromarray(array.astype("uint8"))
    return image.fromarray(array[..., 0].astype("int32" if array.max() > 255 else "uint8"))


def save_img(path, x, data_format=None, file_format=None, scale=True, **kwargs) -> None:
    """Write an array as ``array_to_img`` takes it into a file; ``file_format`` is by default that of its suffix.

    kwargs: for Pillow's ``Image.save``.
    """
    picture = array_to_img(x, data_format, scale)
    if file_format is None and isinstance(path, str | os.PathLike):
        file_format = os.path.splitext(os.fspath(path))[1][1:]
    if file_format is not None and file_format.lower() in ("jpg", "jpeg"):
        file_format = "jpeg"
        if picture.mode == "RGBA":
            warnings.warn("JPEG has no transparency: the fourth channel is left out.", stacklevel=2)
            picture = picture.convert("RGB")
    picture.save(path, format=file_format, **kwargs)
