"""What tables of numbers share."""

import numpy as np

from jitnet.datasets._arrays import read_arrays
from jitnet.datasets._files import find_or_fetch
from jitnet.datasets._texts import shuffled


def load_table(dataset, path, name, file_hash, mirrors, columns, test_split, seed, rows=None):
    """((x_train, y_train), (x_test, y_test)) of a .npz file of x (n, columns) and y (n,), its first ``rows`` alone."""
    found = find_or_fetch(dataset, path, name, file_hash, mirrors)
    x, y = read_arrays(found, ("x", "y"))
    numbers = all(array.dtype.kind in "fiu" and np.isfinite(array).all() for array in (x, y))
    if not numbers or x.ndim != 2 or x.shape[1] != columns or y.shape != (len(x),):
        raise ValueError(
            f"{found}: expected finite numbers x (n, {columns}) and y (n,). Received: {x.shape} and {y.shape}, "
            f"{x.dtype} and {y.dtype}"
        )
    if not 0 <= test_split < 1:
        raise ValueError(f"test_split is from 0 to below 1. Received: test_split={test_split}")
    x, y = shuffled(seed, x[:rows], y[:rows])
    train = int(len(x) * (1 - test_split))
    return (x[:train], y[:train]), (x[train:], y[train:])
