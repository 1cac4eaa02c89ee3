"""Resizing kernels against their oracle."""

import naive.resize as naive
import numpy as np
import pytest
from naive import check, draw

from jitnet.kernels.cpu import resize

SIZES = [  # x shape, output size
    ((1, 1, 1, 1), (1, 1)),
    ((2, 3, 4, 5), (6, 8)),
    ((1, 5, 7, 3), (3, 2)),
    ((2, 2, 5, 17), (7, 5)),
    ((1, 7, 1, 2), (1, 4)),
    ((3, 4, 3, 1), (9, 11)),
    ((0, 2, 3, 4), (3, 2)),
]
sizes = pytest.mark.parametrize("shape,size", SIZES, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
kinds = pytest.mark.parametrize("kind", ["nearest", "bilinear"])


@kinds
@sizes
@dtypes
def test_resize(kind, shape, size, dtype):
    x, dy = draw(*shape, dtype=dtype), draw(shape[0], *size, shape[3], dtype=dtype, seed=1)
    forward, backward = f"resize_{kind}_forward", f"resize_{kind}_backward"
    check(getattr(resize, forward), [x], (), [getattr(naive, forward)(x, size)])
    check(getattr(resize, backward), [dy], (), [getattr(naive, backward)(dy, shape)], accumulates=True)


def test_nearest_where_rounding_would_choose_another():
    """Positions on the edge between two pixels belong to the one behind it, in any number of pixels."""
    for outputs, inputs in ((3, 9), (7, 49), (5, 1001), (1001, 5), (46341, 46343)):
        x = np.arange(inputs, dtype=np.float64).reshape(1, inputs, 1, 1)
        y = np.zeros((1, outputs, 1, 1))
        resize.resize_nearest_forward(x, y)
        expected = [(2 * i + 1) * inputs // (2 * outputs) for i in range(outputs)]
        np.testing.assert_array_equal(y.ravel(), expected)
