"""Random changes of the values of pictures: colours, blur, erased parts, pictures mixed with others."""

from importlib.util import find_spec

import numpy as np

from .. import _seed, ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations import augmentation as operations
from ..core.operations.random import RandomValues
from ._augmentation import NOISE_STREAM, Augmentation, factor_range, value_range_of

_DRAWS_WHAT_IT_NEEDS = find_spec("jitnet.kernels.cpu.fast") is not None  # else the reference draws for all pixels
_COSTS = {"brightness": 0.2, "contrast": 0.3, "saturation": 1.0, "hue": 1.2, "grey": 0.3}  # nanoseconds for an element


class _Coloured(Augmentation):
    """Colours changed within ranges.  ``colour_ranges`` says which."""

    passes_gradient = False
    count = 8
    limited = True  # whether values are kept in their range
    value_range = (0.0, 255.0)

    def colour_ranges(self) -> dict:
        """{what is random: (lowest, highest)}"""
        return {}

    @property
    def cost(self):
        return 0.2 + sum(_COSTS[kind] for kind in self.colour_ranges())

    def _ranges(self) -> np.ndarray:
        found = {kind: (0, 0) for kind in operations.COLOURS} | self.colour_ranges()
        low, high = self.value_range
        found["brightness"] = tuple(factor * (high - low) for factor in found["brightness"])
        return np.array([self.value_range, *found.values()], np.float64).reshape(-1)

    def changed(self, inputs, draws):
        return operations.AdjustColour(tuple(self.colour_ranges()), self.limited)(inputs, draws, self._ranges())

    def shape_after(self, shape):
        if shape[3] != 3 and set(self.colour_ranges()) & set(operations.OF_THREE):
            raise ValueError(
                f"{type(self).__name__} expects pictures of three channels, red, green and blue. "
                f"Received: shape={tuple(shape)}"
            )
        return shape

    def change(self, x, draws, y, step, first):
        from ..kernels.cpu.augmentation import adjust_colour

        kinds = self.colour_ranges()
        flags = [kind in kinds for kind in operations.COLOURS]
        adjust_colour(x, draws, self._ranges().astype(draws.dtype), y, *flags, self.limited)


class RandomBrightness(_Coloured):
    """A random number added to each picture; in training only.

    Input and output (N, H, W, C).

    Arguments:
        factor: (lowest, highest) as parts of the values' range, from -1 to 1; or f for (-f, f).
        value_range: (lowest, highest) value of the pictures, which results are kept in.
        seed: an int, or None for the global seed.
    """

    example = {"arguments": {"factor": 0.2, "value_range": (0, 1), "seed": 3}, "input_shape": (4, 5, 2)}
    options = ("factor", "value_range")

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.factor = factor_range("RandomBrightness", "factor", factor, -1, 1, True)
        self.value_range = value_range_of("RandomBrightness", value_range)

    def colour_ranges(self):
        return {"brightness": self.factor}


class RandomContrast(_Coloured):
    """(x - mean) factor + mean, with the mean of each channel and a random factor for each picture; in training only.

    Input and output (N, H, W, C).

    Arguments:
        factor: (lower, upper), from 0 to 1: the factor is between 1 - lower and 1 + upper; or f for (f, f).
        value_range: (lowest, highest) value of the pictures, which results are kept in.
        seed: an int, or None for the global seed.
    """

    example = {"arguments": {"factor": (0.2, 0.4), "value_range": (0, 1), "seed": 3}, "input_shape": (4, 5, 2)}
    options = ("factor", "value_range")

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.factor = _contrast("RandomContrast", "factor", factor)
        self.value_range = value_range_of("RandomContrast", value_range)

    def colour_ranges(self):
        return {"contrast": (1 - self.factor[0], 1 + self.factor[1])}


def _contrast(owner, name, value):
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        raise invalid(f"{owner} expects {name} to be a number or a pair of numbers.", **{name: value})
    return tuple(checks.number(owner, name, part, least=0, most=1) for part in pair)


class RandomSaturation(_Coloured):
    """The distance of each colour from grey multiplied by s / (1 - s), with a random s for each picture.

    In training only.  Input and output (N, H, W, 3), red, green and blue; no channel falls below the lowest value.

    Arguments:
        factor: (lowest, highest) s, from 0 (grey) by 0.5 (unchanged) to 1; or f for (0, f).
        value_range: (lowest, highest) value of the pictures.
        data_format: None or "channels_last".
        seed: an int, or None for the global seed.
    """

    example = {"arguments": {"factor": (0.3, 0.6), "value_range": (0, 1), "seed": 3}, "input_shape": (4, 5, 3)}
    options = ("factor", "value_range")
    limited = False

    def __init__(self, factor, value_range=(0, 255), data_format=None, seed=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomSaturation", "factor", factor, 0, 1, False)
        self.value_range = value_range_of("RandomSaturation", value_range)

    def colour_ranges(self):
        return {"saturation": self.factor}


class RandomHue(_Coloured):
    """The hue of each picture turned by a random part of half the colour circle, either way; in training only.

    Input and output (N, H, W, 3), red, green and blue.

    Arguments:
        factor: (lowest, highest) part, from 0 to 1; or f for (0, f).
        value_range: (lowest, highest) value of the pictures.
        data_format: None or "channels_last".
        seed: an int, or None for the global seed.
    """

    example = {"arguments": {"factor": 0.3, "value_range": (0, 1), "seed": 3}, "input_shape": (4, 5, 3)}
    options = ("factor", "value_range")
    limited = False

    def __init__(self, factor, value_range=(0, 255), data_format=None, seed=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomHue", "factor", factor, 0, 1, False)
        self.value_range = value_range_of("RandomHue", value_range)

    def colour_ranges(self):
        return {"hue": tuple(part / 2 for part in self.factor)}


class RandomGrayscale(_Coloured):
    """Some pictures made grey, 0.2989 red + 0.587 green + 0.114 blue in each channel; in training only.

    Input and output (N, H, W, 3).

    Arguments:
        factor: the probability, from 0 to 1.
        data_format: None or "channels_last".
        seed: an int, or None for the global seed.
    """

    example = {"arguments": {"factor": 0.5, "seed": 3}, "input_shape": (4, 5, 3)}
    options = ("factor",)
    limited = False

    def __init__(self, factor=0.5, data_format=None, seed=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = checks.number("RandomGrayscale", "factor", factor, least=0, most=1)

    def colour_ranges(self):
        return {"grey": (self.factor, self.factor)}


class RandomColorJitter(_Coloured):
    """Brightness, contrast, saturation and hue of each picture changed at random, in this order; in training only.

    Input and output (N, H, W, C), of three channels for saturation and hue.

    Arguments:
        value_range: (lowest, highest) value of the pictures.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: as ``factor`` of ``RandomBrightness``,
            ``RandomContrast``, ``RandomSaturation`` and ``RandomHue``; None: unchanged.
        seed: an int, or None for the global seed.
        data_format: None or "channels_last".
    """

    example = {
        "arguments": {
            "value_range": (0, 1), "brightness_factor": 0.2, "contrast_factor": 0.3, "hue_factor": 0.1, "seed": 3,
        },
        "input_shape": (4, 5, 3),
    }  # fmt: skip
    options = ("value_range", "brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")

    def __init__(
        self, value_range=(0, 255), brightness_factor=None, contrast_factor=None, saturation_factor=None,
        hue_factor=None, seed=None, data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        kind = "RandomColorJitter"
        self.value_range = value_range_of(kind, value_range)
        self.brightness_factor = self.contrast_factor = self.saturation_factor = self.hue_factor = None
        if brightness_factor is not None:
            self.brightness_factor = factor_range(kind, "brightness_factor", brightness_factor, -1, 1, True)
        if contrast_factor is not None:
            self.contrast_factor = _contrast(kind, "contrast_factor", contrast_factor)
        if saturation_factor is not None:
            self.saturation_factor = factor_range(kind, "saturation_factor", saturation_factor, 0, 1, False)
        if hue_factor is not None:
            self.hue_factor = factor_range(kind, "hue_factor", hue_factor, 0, 1, False)

    def colour_ranges(self):
        found = {"brightness": self.brightness_factor, "saturation": self.saturation_factor}
        if self.contrast_factor is not None:
            found["contrast"] = 1 - self.contrast_factor[0], 1 + self.contrast_factor[1]
        if self.hue_factor is not None:
            found["hue"] = tuple(part / 2 for part in self.hue_factor)
        return {kind: pair for kind, pair in found.items() if pair is not None}


class RandomGaussianBlur(Augmentation):
    """Some pictures convolved with a normal density, of random deviations for each; in training only.

    Input and output (N, H, W, C); zeros are around the pictures.

    Arguments:
        factor: (lowest, highest) of the probability, from 0 to 1; or f for (0, f).
        kernel_size: the density's rows and columns, odd; or one number for both.
        sigma: (lowest, highest) of the deviations in pixels, from 0 to 1; or s for (0, s).
        value_range: (lowest, highest) value of the pictures, which results are kept in.
        data_format: None or "channels_last".
        seed: an int, or None for the global seed.
    """

    example = {
        "arguments": {"factor": (0.5, 1.0), "kernel_size": (3, 5), "value_range": (-9, 9), "seed": 3},
        "input_shape": (4, 5, 2),
    }
    passes_gradient = False
    cost = 1.0
    options = ("factor", "kernel_size", "sigma", "value_range")

    def __init__(
        self, factor=1.0, kernel_size=3, sigma=1.0, value_range=(0, 255), data_format=None, seed=None, **kwargs
    ):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        kind = "RandomGaussianBlur"
        self.factor = factor_range(kind, "factor", factor, 0, 1, False)
        self.kernel_size = checks.pair(kind, "kernel_size", kernel_size)
        if not all(length % 2 for length in self.kernel_size):
            raise invalid(f"{kind} expects kernel_size to be odd.", kernel_size=kernel_size)
        self.sigma = factor_range(kind, "sigma", sigma, 0, 1, False)
        self.value_range = value_range_of(kind, value_range)

    def _ranges(self):
        return np.array([*self.value_range, *self.factor, *self.sigma])

    def changed(self, inputs, draws):
        return operations.GaussianBlur(self.kernel_size)(inputs, draws, self._ranges())

    def change(self, x, draws, y, step, first):
        from ..kernels.cpu.augmentation import gaussian_blur

        gaussian_blur(x, draws, self._ranges().astype(draws.dtype), np.empty_like(x), y, *self.kernel_size)


class RandomErasing(Augmentation):
    """A rectangle of some pictures filled with random or given values (Zhong et al. 2017); in training only.

    Input and output (N, H, W, C).

    Arguments:
        factor: (lowest, highest) of the probability, from 0 to 1; or f for (0, f).
        scale: (lowest, highest) of the squares of the rectangle's parts of height and width; or s for (0, s).
        fill_value: what is filled in, a number or one for each channel; None: normal numbers times the highest value.
        value_range: (lowest, highest) value of the pictures, which what is filled in is kept in.
        seed: an int, or None for the global seed.
        data_format: None or "channels_last".
    """

    example = {
        "arguments": {"factor": (0.5, 1.0), "scale": (0.1, 0.5), "value_range": (0, 1), "seed": 3},
        "input_shape": (4, 5, 2),
    }
    passes_gradient = False
    count = 8
    cost = 2.0
    options = ("factor", "scale", "fill_value", "value_range")

    def __init__(
        self, factor=1.0, scale=(0.02, 0.33), fill_value=None, value_range=(0, 255), seed=None, data_format=None,
        **kwargs,
    ):  # fmt: skip
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        kind = "RandomErasing"
        self.factor = factor_range(kind, "factor", factor, 0, 1, False)
        self.scale = factor_range(kind, "scale", scale, 0, 1, False)
        self.value_range = value_range_of(kind, value_range)
        self.fill_value = fill_value
        if isinstance(fill_value, list | tuple):
            self.fill_value = tuple(checks.number(kind, "fill_value", part) for part in fill_value)
        elif fill_value is not None:
            self.fill_value = checks.number(kind, "fill_value", fill_value)

    def _fill(self, channels: int) -> np.ndarray:
        values = np.atleast_1d(self.fill_value)
        if len(values) not in (1, channels):
            raise invalid(
                f"RandomErasing expects one fill_value or one for each of {channels} channels.",
                fill_value=self.fill_value,
            )
        return np.clip(np.broadcast_to(values, channels), *self.value_range)

    def _ranges(self):
        return np.array([*self.factor, *self.scale])

    def changed(self, inputs, draws):
        if self.fill_value is None:
            normal = RandomValues(
                "normal", tuple(inputs.shape[1:]), 0.0, 1.0, inputs.dtype, True, self.seed, self._stream + NOISE_STREAM,
                inputs.batches,
            )()  # fmt: skip
            noise = ops.minimum(ops.maximum(normal * self.value_range[1], self.value_range[0]), self.value_range[1])
        else:
            noise = inputs * 0.0 + self._fill(inputs.shape[3])
        return operations.Erase()(inputs, draws, self._ranges(), noise)

    def change(self, x, draws, y, step, first):
        from ..kernels.cpu.augmentation import erase
        from ..kernels.cpu.random import normal

        if self.fill_value is None and _DRAWS_WHAT_IT_NEEDS:
            from ..kernels.cpu.fast.augmentation import erase_with_normal

            drawn = self._run_seed(), self._stream + NOISE_STREAM, step, first
            erase_with_normal(x, draws, self._ranges().astype(draws.dtype), y, *self.value_range, *drawn)
            return
        noise = np.empty_like(x)
        if self.fill_value is None:
            normal(noise, 0.0, 1.0, self._run_seed(), self._stream + NOISE_STREAM, step, first)
            noise *= noise.dtype.type(self.value_range[1])
            np.clip(noise, *self.value_range, out=noise)
        else:
            noise[...] = self._fill(x.shape[3])
        erase(x, draws, self._ranges().astype(draws.dtype), noise, y)


class _Mixed(Augmentation):
    """Pictures of a batch mixed with others of it, and their labels: on arrays alone.

    In a model's step a batch is cut into chunks, and labels are not there.
    """

    passes_gradient = False

    def call(self, inputs, training=False):
        if not training:
            return inputs
        raise invalid(
            f"{type(self).__name__} mixes pictures and their labels before they come to a model: call it on arrays, "
            '{"images": ..., "labels": ...}.',
            training=True,
        )

    def _call_on_arrays(self, bound, training):
        return super()._call_on_arrays(bound, True if training is None else training)

    def augment(self, x, step=None):
        return self._mixed({"images": x}, step)["images"]

    def _change_dict(self, data, training):
        if not {"images"} <= data.keys() <= {"images", "labels"}:
            raise invalid(f"{type(self).__name__} takes pictures, or a dict of images and labels.", keys=list(data))
        return self._mixed(data) if training else data

    def _mixed(self, data: dict, step=None) -> dict:
        images = np.asarray(data["images"])
        if images.ndim != 4:
            raise ValueError(f"{type(self).__name__} mixes a batch (N, H, W, C). Received: shape={images.shape}")
        step = _seed.next_draws() if step is None else step
        # counter-based: the generator is made for this step alone
        generator = np.random.Generator(np.random.Philox(key=self._run_seed(), counter=[0, 0, self._stream, step]))
        others = generator.permutation(len(images))
        mixed, share = self._mix(images, others, generator)
        if images.dtype == np.uint8:
            mixed = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
        found = {**data, "images": mixed}
        if "labels" in data:
            labels = np.asarray(data["labels"])
            if labels.dtype.kind != "f" or labels.ndim < 2 or len(labels) != len(images):
                raise ValueError(
                    f"{type(self).__name__} mixes labels (N, classes) of floating-point numbers, as to_categorical "
                    f"makes them. Received: shape={labels.shape}, dtype={labels.dtype}"
                )
            weight = share.reshape(-1, *(1,) * (labels.ndim - 1)).astype(labels.dtype)
            found["labels"] = weight * labels + (1 - weight) * labels[others]
        return found


class MixUp(_Mixed):
    """share x + (1 - share) x', of each picture and another of its batch, and so of their labels (Zhang et al. 2018).

    Called on arrays {"images": (N, H, W, C), "labels": (N, classes)} or on images alone; refused within a model.

    Arguments:
        alpha: above 0; shares are drawn from Beta(alpha, alpha), one for each picture.
        data_format: None or "channels_last".
        seed: an int, or None for the global seed.
    """

    options = ("alpha",)

    def __init__(self, alpha=0.2, data_format=None, seed=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.alpha = checks.positive("MixUp", "alpha", alpha)

    def _mix(self, images, others, generator):
        share = generator.beta(self.alpha, self.alpha, len(images))
        dtype = images.dtype if images.dtype.kind == "f" else np.float32
        weight = share.astype(dtype)[:, None, None, None]
        return images * weight + images[others] * (1 - weight), share


class CutMix(_Mixed):
    """A rectangle of each picture taken from another of its batch; labels by the areas (Yun et al. 2019).

    Called on arrays {"images": (N, H, W, C), "labels": (N, classes)} or on images alone; refused within a model.

    Arguments:
        factor: (lowest, highest) of alpha, from 0 to 1; or f for (0, f): areas are drawn from Beta(alpha, alpha).
        seed: an int, or None for the global seed.
        data_format: None or "channels_last".
    """

    options = ("factor",)

    def __init__(self, factor=1.0, seed=None, data_format=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("CutMix", "factor", factor, 0, 1, False)

    def _mix(self, images, others, generator):
        count, height, width = images.shape[:3]
        alpha = generator.uniform(*self.factor) + 1e-6
        ratio = np.sqrt(1 - generator.beta(alpha, alpha, count))
        sides = []
        for length in (height, width):
            size = np.rint(ratio * length).astype(int)
            first = np.floor(generator.uniform(size=count) * (length - size + 1)).astype(int)
            sides.append((first, first + size))
        mixed = images.copy()
        for i, (top, bottom, left, right) in enumerate(zip(*sides[0], *sides[1], strict=True)):
            mixed[i, top:bottom, left:right] = images[others[i], top:bottom, left:right]
        (top, bottom), (left, right) = sides
        return mixed, 1 - (bottom - top) * (right - left) / (height * width)
