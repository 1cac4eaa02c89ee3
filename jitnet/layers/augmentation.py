"""Random moves of pictures: flips, parts, rotations and what else reads them at other places."""

import numpy as np

from .. import ops
from ..core import checks
from ..core.operations import augmentation as operations
from ._augmentation import Augmentation, factor_range

_MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(Augmentation):
    """Each picture mirrored left-right, up-down or both, each with probability 1/2; in training only.

    Input and output (N, H, W, C).  On arrays, also of uint8, computed at once: see ``augment``.

    Arguments:
        mode: "horizontal", "vertical" or "horizontal_and_vertical".
        seed: an int, or None for the global seed.
        data_format: None or "channels_last".
    """

    example = {"arguments": {"mode": "horizontal", "seed": 3}, "input_shape": (4, 5, 3)}
    count = 4
    moves_only = True
    cost = 0.2
    options = ("mode",)

    def __init__(self, mode="horizontal_and_vertical", seed=None, data_format=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.mode = checks.one_of("RandomFlip", "mode", mode, _MODES)

    def _directions(self) -> tuple[bool, bool]:
        return self.mode != "vertical", self.mode != "horizontal"

    def changed(self, inputs, draws):
        return operations.FlipPictures(*self._directions())(inputs, draws)

    def change(self, x, draws, y, step, first):
        from ..kernels.cpu.augmentation import flip

        flip(x, draws, y, *self._directions())


class RandomCrop(Augmentation):
    """A part of each picture at a random place; in inference the part in the middle.

    Input (N, H, W, C), output (N, height, width, C).

    Arguments:
        height, width: of the part, at most the picture's with its padding.
        seed: an int, or None for the global seed.
        data_format: None or "channels_last".
        padding: so many zeros are put around the picture before (jitnet's own; Keras has none).
    """

    example = {"arguments": {"height": 4, "width": 3, "seed": 3, "padding": 1}, "input_shape": (4, 5, 2)}
    moves_only = True
    cost = 0.2
    options = ("height", "width", "padding")

    def __init__(self, height, width, seed=None, data_format=None, name=None, *, padding=0, **kwargs):
        super().__init__(seed=seed, data_format=data_format, name=name, **kwargs)
        self.height = checks.integer("RandomCrop", "height", height, least=1)
        self.width = checks.integer("RandomCrop", "width", width, least=1)
        self.padding = checks.integer("RandomCrop", "padding", padding, least=0)

    def _operation(self):
        return operations.Crop((self.height, self.width), self.padding)

    def changed(self, inputs, draws):
        return self._operation()(inputs, draws)

    def change(self, x, draws, y, step, first):
        from ..kernels.cpu.augmentation import crop

        crop(x, draws, y, self.padding)

    def shape_after(self, shape):
        self._check(shape)
        return (shape[0], self.height, self.width, shape[3])

    def _check(self, shape) -> None:
        if self.height > shape[1] + 2 * self.padding or self.width > shape[2] + 2 * self.padding:
            raise ValueError(
                f"RandomCrop expects pictures of at least {(self.height, self.width)} with their padding of "
                f"{self.padding}. Received: shape={tuple(shape)}"
            )

    def unchanged(self, inputs):
        self._check(inputs.shape)
        found = ops.pad(inputs, ((0, 0), (self.padding,) * 2, (self.padding,) * 2, (0, 0))) if self.padding else inputs
        for axis, length in ((1, self.height), (2, self.width)):
            begin = (found.shape[axis] - length) // 2
            if length != found.shape[axis]:
                found = ops.slice_axis(found, axis, begin, begin + length)
        return found


class _Resampled(Augmentation):
    """A picture read at other places.  ``ranges`` and ``transforms`` say which."""

    count = 8
    cost = 8.0
    same_zoom = False
    options = ("fill_mode", "interpolation", "fill_value")

    def __init__(self, fill_mode, interpolation, fill_value, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.fill_mode = checks.one_of(kind, "fill_mode", fill_mode, operations.FILL_MODES)
        self.interpolation = checks.one_of(kind, "interpolation", interpolation, operations.INTERPOLATIONS)
        self.fill_value = checks.number(kind, "fill_value", fill_value)

    def _ranges(self) -> np.ndarray:
        """What ``affine_transforms`` stretches its numbers to."""
        found = {"turn": (0, 0), "zoom_y": (1, 1), "zoom_x": (1, 1), "y": (0, 0), "x": (0, 0), "shear_x": (0, 0)}
        found |= {"shear_y": (0, 0), **self.affine_ranges()}
        return np.array(list(found.values()), np.float64).reshape(-1)

    def affine_ranges(self) -> dict:
        """{what is random: (lowest, highest)}"""
        return {}

    def _transforms(self, size, draws):
        return operations.AffineTransforms(size, size, self.same_zoom)(draws, self._ranges())

    def changed(self, inputs, draws):
        size = tuple(inputs.shape[1:3])
        resample = operations.Resample(size, self.fill_mode, self.interpolation, self.fill_value)
        return resample(inputs, self._transforms(size, draws))

    def _write_transforms(self, draws, transforms, height, width) -> None:
        from ..kernels.cpu.augmentation import affine_transforms

        ranges = self._ranges().astype(draws.dtype)
        affine_transforms(draws, ranges, transforms, height, width, height, width, self.same_zoom)

    def change(self, x, draws, y, step, first):
        from ..kernels.cpu.augmentation import resample

        transforms = np.empty((len(x), 8), draws.dtype)
        self._write_transforms(draws, transforms, *x.shape[1:3])
        mode, nearest = operations.FILL_MODES.index(self.fill_mode), self.interpolation == "nearest"
        resample(x, transforms, y, mode, nearest, self.fill_value)


class RandomTranslation(_Resampled):
    """Each picture moved by random parts of its height and width; in training only.

    Input and output (N, H, W, C).

    Arguments:
        height_factor, width_factor: (lowest, highest) part, from -1 to 1, positive down and right; or f for (-f, f).
        fill_mode: what is beyond the edges: "reflect" (d c b a | a b c d | d c b a), "wrap" (a b c d | a b c d),
            "nearest" (a a a a | a b c d | d d d d) or "constant": ``fill_value``.
        interpolation: "bilinear" or "nearest".
        seed: an int, or None for the global seed.
        data_format: None or "channels_last".
    """

    example = {"arguments": {"height_factor": 0.3, "width_factor": (0.1, 0.2), "seed": 3}, "input_shape": (4, 5, 2)}
    options = ("height_factor", "width_factor", *_Resampled.options)

    def __init__(
        self, height_factor, width_factor, fill_mode="reflect", interpolation="bilinear", seed=None, fill_value=0.0,
        data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(fill_mode, interpolation, fill_value, seed=seed, data_format=data_format, **kwargs)
        self.height_factor = factor_range("RandomTranslation", "height_factor", height_factor, -1, 1, True)
        self.width_factor = factor_range("RandomTranslation", "width_factor", width_factor, -1, 1, True)

    def affine_ranges(self):
        return {"y": self.height_factor, "x": self.width_factor}


class RandomRotation(_Resampled):
    """Each picture rotated about its centre by a random angle; in training only.

    Input and output (N, H, W, C).

    Arguments:
        factor: (lowest, highest) angle as a part of a full turn, from -1 to 1, positive against the clock; or f for
            (-f, f).
        fill_mode, interpolation, seed, fill_value, data_format: as of ``RandomTranslation``.
    """

    example = {"arguments": {"factor": 0.1, "seed": 3}, "input_shape": (4, 5, 2)}
    options = ("factor", *_Resampled.options)

    def __init__(
        self, factor, fill_mode="reflect", interpolation="bilinear", seed=None, fill_value=0.0, data_format=None,
        **kwargs,
    ):  # fmt: skip
        super().__init__(fill_mode, interpolation, fill_value, seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomRotation", "factor", factor, -1, 1, True)

    def affine_ranges(self):
        return {"turn": self.factor}


class RandomZoom(_Resampled):
    """Each picture zoomed about its centre by random factors; in training only.

    Input and output (N, H, W, C).

    Arguments:
        height_factor: (lowest, highest), above -1 and up to 1: what is seen is 1 + the factor of the height, so that
            negative factors zoom in; or f for (-f, f).
        width_factor: likewise; None: that of the height, which keeps the proportions.
        fill_mode, interpolation, seed, fill_value, data_format: as of ``RandomTranslation``.
    """

    example = {"arguments": {"height_factor": 0.3, "width_factor": (-0.2, 0.1), "seed": 3}, "input_shape": (4, 5, 2)}
    options = ("height_factor", "width_factor", *_Resampled.options)

    def __init__(
        self, height_factor, width_factor=None, fill_mode="reflect", interpolation="bilinear", seed=None,
        fill_value=0.0, data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(fill_mode, interpolation, fill_value, seed=seed, data_format=data_format, **kwargs)
        least = np.nextafter(-1, 0)
        self.height_factor = factor_range("RandomZoom", "height_factor", height_factor, least, 1, True)
        self.width_factor = None
        if width_factor is not None:
            self.width_factor = factor_range("RandomZoom", "width_factor", width_factor, least, 1, True)

    @property
    def same_zoom(self):
        return self.width_factor is None

    def affine_ranges(self):
        found = {"zoom_y": self.height_factor, "zoom_x": self.width_factor or (0, 0)}
        return {name: (1 + low, 1 + high) for name, (low, high) in found.items()}


class RandomShear(_Resampled):
    """Each picture slanted by random factors, both of one random sign; in training only.

    Input and output (N, H, W, C).  A pixel at (y, x) is read at (y + factor_y x, x + factor_x y).

    Arguments:
        x_factor, y_factor: (lowest, highest), from 0 to 1; or f for (-f, f).
        fill_mode, interpolation, seed, fill_value, data_format: as of ``RandomTranslation``.
    """

    example = {"arguments": {"x_factor": 0.3, "y_factor": (0.1, 0.2), "seed": 3}, "input_shape": (4, 5, 2)}
    options = ("x_factor", "y_factor", *_Resampled.options)

    def __init__(
        self, x_factor=0.0, y_factor=0.0, interpolation="bilinear", fill_mode="reflect", fill_value=0.0,
        data_format=None, seed=None, **kwargs,
    ):  # fmt: skip
        super().__init__(fill_mode, interpolation, fill_value, seed=seed, data_format=data_format, **kwargs)
        self.x_factor = _shear("x_factor", x_factor)
        self.y_factor = _shear("y_factor", y_factor)

    def affine_ranges(self):
        return {"shear_x": self.x_factor, "shear_y": self.y_factor}


def _shear(name, value):
    # a number's range is symmetric, also when it was saved as such
    least = 0 if not isinstance(value, list | tuple) or len(value) != 2 or value[0] != -value[1] else -1
    return factor_range("RandomShear", name, value, least, 1, True)


class RandomPerspective(_Resampled):
    """Some pictures seen in a random perspective: their corners, but for the first pixel, move; in training only.

    Input and output (N, H, W, C).

    Arguments:
        factor: (lowest, highest) of the probability, from 0 to 1; or f for (0, f).
        scale: from 0 to 1: a corner moves by up to half of it times its distance from the first pixel.
        interpolation, fill_value, seed, data_format: as of ``RandomTranslation``; beyond the edges is ``fill_value``.
    """

    example = {"arguments": {"factor": (0.9, 1.0), "scale": 0.4, "seed": 3}, "input_shape": (4, 5, 2)}
    count = 12
    options = ("factor", "scale", "interpolation", "fill_value")

    def __init__(
        self, factor=1.0, scale=1.0, interpolation="bilinear", fill_value=0.0, seed=None, data_format=None, **kwargs
    ):
        super().__init__("constant", interpolation, fill_value, seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomPerspective", "factor", factor, 0, 1, False)
        self.scale = checks.number("RandomPerspective", "scale", scale, least=0, most=1)

    def _ranges(self):
        return np.array([*self.factor, -0.5 * self.scale, 0.5 * self.scale])

    def _transforms(self, size, draws):
        return operations.PerspectiveTransforms(size)(draws, self._ranges())

    def _write_transforms(self, draws, transforms, height, width):
        from ..kernels.cpu.augmentation import perspective_transforms

        perspective_transforms(draws, self._ranges().astype(draws.dtype), transforms, height, width)
