"""Sizes of images and of sequences: upsampling, cropping, resizing."""

from .. import ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import require_rank
from ..core.operations.resize import ResizeNearest
from ..core.operations.shape import Reshape, Slice
from .base import Layer
from .convolution import AXES


class UpSampling1D(Layer):
    """Each step of (batch, length, channels) ``size`` times: (batch, length * size, channels).

    Arguments:
        size: a positive int.
    """

    example = {"arguments": {"size": 3}, "input_shape": (4, 2)}

    def __init__(self, size=2, **kwargs):
        super().__init__(**kwargs)
        self.size = checks.integer("UpSampling1D", "size", size, least=1)

    def call(self, inputs):
        require_rank("UpSampling1D", inputs, 3, AXES[1])
        _, length, channels = inputs.shape
        y = ResizeNearest(length * self.size, 1)(Reshape((length, 1, channels))(inputs))
        return Reshape((length * self.size, channels))(y)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


class UpSampling2D(Layer):
    """(batch, height, width, channels) as (batch, height * size, width * size, channels).

    Arguments:
        size: an int, or a pair for height and width.
        data_format: None or "channels_last".
        interpolation: "nearest": each pixel is repeated; "bilinear": see ``ops.image.resize``.
    """

    example = {"arguments": {"size": (2, 3), "interpolation": "bilinear"}, "input_shape": (3, 4, 2)}

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        super().__init__(**kwargs)
        checks.channels_last("UpSampling2D", data_format)
        self.size = checks.pair("UpSampling2D", "size", size)
        self.interpolation = _interpolation("UpSampling2D", interpolation)

    def call(self, inputs):
        require_rank("UpSampling2D", inputs, 4, AXES[2])
        size = inputs.shape[1] * self.size[0], inputs.shape[2] * self.size[1]
        return ops.image.resize(inputs, size, self.interpolation)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "interpolation": self.interpolation}


def _interpolation(layer: str, value) -> str:
    return checks.one_of(layer, "interpolation", value, ops.image.INTERPOLATIONS)


def _cut(layer: str, x, axis: int, start: int, end: int):
    """x without ``start`` elements at the beginning of an axis and ``end`` at its end."""
    if start + end >= x.shape[axis]:
        raise invalid(
            f"{layer} expects cropping to leave something of axis {axis} of the input's shape {tuple(x.shape)}.",
            cropping=(start, end),
        )
    return Slice(axis, start, x.shape[axis] - end)(x) if start or end else x


class Cropping1D(Layer):
    """(batch, length, channels) without its first and last steps.

    Arguments:
        cropping: an int for both ends, or a pair (first, last).
    """

    example = {"arguments": {"cropping": (1, 2)}, "input_shape": (6, 2)}

    def __init__(self, cropping=(1, 1), **kwargs):
        super().__init__(**kwargs)
        self.cropping = checks.pair("Cropping1D", "cropping", cropping, least=0)

    def call(self, inputs):
        require_rank("Cropping1D", inputs, 3, AXES[1])
        return _cut("Cropping1D", inputs, 1, *self.cropping)

    def get_config(self):
        return {**super().get_config(), "cropping": self.cropping}


class Cropping2D(Layer):
    """(batch, height, width, channels) without rows and columns at its edges.

    Arguments:
        cropping: an int; a pair (height, width) for the same on both sides; or ((top, bottom), (left, right)).
        data_format: None or "channels_last".
    """

    example = {"arguments": {"cropping": ((1, 0), (1, 2))}, "input_shape": (4, 6, 2)}

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        super().__init__(**kwargs)
        checks.channels_last("Cropping2D", data_format)
        self.cropping = checks.margins("Cropping2D", "cropping", cropping)

    def call(self, inputs):
        require_rank("Cropping2D", inputs, 4, AXES[2])
        return _cut("Cropping2D", _cut("Cropping2D", inputs, 1, *self.cropping[0]), 2, *self.cropping[1])

    def get_config(self):
        return {**super().get_config(), "cropping": self.cropping}


class Resizing(Layer):
    """Images (batch, height, width, channels) in another size, see ``ops.image.resize``.

    Arguments:
        height, width: of the output.
        interpolation: "bilinear" or "nearest".
        crop_to_aspect_ratio: the largest part in the centre of each image that has the output's shape is resized.
        pad_to_aspect_ratio: the image with borders of ``fill_value`` is resized; fill_mode: "constant".
        antialias: False.
        data_format: None or "channels_last".
    """

    example = {
        "arguments": {"height": 3, "width": 5, "pad_to_aspect_ratio": True, "fill_value": 0.5},
        "input_shape": (4, 3, 2),
    }

    def __init__(
        self, height, width, interpolation="bilinear", crop_to_aspect_ratio=False, pad_to_aspect_ratio=False,
        fill_mode="constant", fill_value=0.0, antialias=False, data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        checks.channels_last("Resizing", data_format)
        self.height = checks.integer("Resizing", "height", height, least=1)
        self.width = checks.integer("Resizing", "width", width, least=1)
        self.interpolation = _interpolation("Resizing", interpolation)
        self.crop_to_aspect_ratio = checks.boolean("Resizing", "crop_to_aspect_ratio", crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = checks.boolean("Resizing", "pad_to_aspect_ratio", pad_to_aspect_ratio)
        self.fill_mode = checks.one_of("Resizing", "fill_mode", fill_mode, ("constant",))
        self.fill_value = checks.number("Resizing", "fill_value", fill_value)
        self.antialias = checks.boolean("Resizing", "antialias", antialias)
        if self.antialias:
            raise invalid("Resizing has no filter against aliasing: antialias=False.", antialias=antialias)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise invalid(
                "Resizing keeps the aspect ratio by one of crop_to_aspect_ratio and pad_to_aspect_ratio.",
                crop_to_aspect_ratio=crop_to_aspect_ratio, pad_to_aspect_ratio=pad_to_aspect_ratio,
            )  # fmt: skip

    def call(self, inputs):
        require_rank("Resizing", inputs, 4, AXES[2])
        keep = self.crop_to_aspect_ratio, self.pad_to_aspect_ratio, self.fill_mode, self.fill_value
        return ops.image.resize(inputs, (self.height, self.width), self.interpolation, self.antialias, *keep)

    def get_config(self):
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


class CenterCrop(Layer):
    """The part of (batch, height, width, channels) in the centre; a smaller image is cropped to the same aspect ratio
    and resized.

    Arguments:
        height, width: of the output.
        data_format: None or "channels_last".
    """

    example = {"arguments": {"height": 3, "width": 2}, "input_shape": (4, 5, 2)}

    def __init__(self, height, width, data_format=None, **kwargs):
        super().__init__(**kwargs)
        checks.channels_last("CenterCrop", data_format)
        self.height = checks.integer("CenterCrop", "height", height, least=1)
        self.width = checks.integer("CenterCrop", "width", width, least=1)

    def call(self, inputs):
        require_rank("CenterCrop", inputs, 4, AXES[2])
        rows, columns = inputs.shape[1] - self.height, inputs.shape[2] - self.width
        if rows < 0 or columns < 0:
            return ops.image.resize(inputs, (self.height, self.width), crop_to_aspect_ratio=True)
        top, left = rows // 2, columns // 2
        y = _cut("CenterCrop", inputs, 1, top, rows - top)
        return _cut("CenterCrop", y, 2, left, columns - left)

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}
