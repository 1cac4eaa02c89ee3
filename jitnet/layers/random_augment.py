"""RandAugment."""

import itertools

import numpy as np

from .. import ops
from ..core import checks
from ..core.operations.augmentation import INTERPOLATIONS
from ..core.operations.random import RandomValues
from ._augmentation import Augmentation, factor_range, value_range_of
from .augmentation import RandomRotation, RandomShear, RandomTranslation
from .colour_augmentation import RandomBrightness, RandomContrast, RandomSaturation

_FIRST_STREAM = 2**30  # of the changes, so many for each layer
_STREAMS = 64


class RandAugment(Augmentation):
    """Each picture changed ``num_ops`` times, by one of six ways drawn for it (Cubuk et al. 2020); in training only.

    The ways are shear, translation, rotation, brightness, contrast and less saturation.  (Keras has these and
    sharpness, solarisation, posterisation and equalisation, and draws one for the whole batch.)

    Input and output (N, H, W, 3).

    Arguments:
        value_range: (lowest, highest) value of the pictures.
        num_ops: how many times a picture is changed, 8 at most.
        factor: (lowest, highest) of the changes' factors, from 0 to 1; or f for (0, f).
        interpolation: "bilinear" or "nearest".
        seed: an int, or None for the global seed.
        data_format: None or "channels_last".
    """

    example = {"arguments": {"value_range": (0, 1), "factor": 0.3, "seed": 3}, "input_shape": (4, 5, 3)}
    passes_gradient = False
    count = 8
    options = ("value_range", "num_ops", "factor", "interpolation")

    def __init__(
        self, value_range=(0, 255), num_ops=2, factor=0.5, interpolation="bilinear", seed=None, data_format=None,
        **kwargs,
    ):  # fmt: skip
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        kind = "RandAugment"
        self.value_range = value_range_of(kind, value_range)
        self.num_ops = checks.integer(kind, "num_ops", num_ops, least=1, most=self.count)
        self.factor = factor_range(kind, "factor", factor, 0, 1, False)
        self.interpolation = checks.one_of(kind, "interpolation", interpolation, INTERPOLATIONS)
        self._changes = [self._ways(turn) for turn in range(self.num_ops)]

    def _ways(self, turn: int) -> tuple:
        low, high = self.factor
        common = {"seed": self.seed}
        resampled = {"interpolation": self.interpolation, **common}
        coloured = {"value_range": self.value_range, **common}
        ways = (
            RandomShear((low, high), (low, high), **resampled),
            RandomTranslation((low, high), (low, high), **resampled),
            RandomRotation((low, high), **resampled),
            RandomBrightness((low, high), **coloured),
            RandomContrast((low, high), **coloured),
            RandomSaturation((0.5 * (1 - high), 0.5 * (1 - low)), **coloured),
        )
        for number, way in enumerate(ways):
            way._stream = _FIRST_STREAM + _STREAMS * self._stream + len(ways) * turn + number
        return ways

    def sublayers(self):
        return []  # what it is made of has no weights, and no names that a user sees

    def changed(self, inputs, draws):
        for turn, ways in enumerate(self._changes):
            drawn = ops.reshape(ops.slice_axis(draws, 1, turn, turn + 1), (-1, 1, 1, 1))
            above = [ops.sign(ops.relu(drawn - number / len(ways))) for number in range(1, len(ways))]
            chosen = [1.0 - above[0], *(a - b for a, b in itertools.pairwise(above)), above[-1]]
            total = None
            for way, mask in zip(ways, chosen, strict=True):
                seed = way.seed, way._stream, inputs.batches
                own = RandomValues("uniform", (way.count,), 0.0, 1.0, draws.dtype, True, *seed)()
                part = way.changed(inputs, own) * mask
                total = part if total is None else total + part
            inputs = total
        return inputs

    def shape_after(self, shape):
        return self._changes[0][-1].shape_after(shape)

    def change(self, x, draws, y, step, first):
        y[...] = x
        for turn, ways in enumerate(self._changes):
            bounds = np.array([number / len(ways) for number in range(1, len(ways))], draws.dtype)
            chosen = (draws[:, turn, None] > bounds).sum(axis=1)
            for number, way in enumerate(ways):
                rows = np.flatnonzero(chosen == number)
                if len(rows):
                    part, changed = y[rows], np.empty_like(y[rows])
                    way.change(part, way._draws(len(x), draws.dtype, step, first)[rows], changed, step, first)
                    y[rows] = changed
