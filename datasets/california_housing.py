"""California housing: prices of houses in 20,640 districts of the census of 1990, with 8 properties of each.

Source: R. Pace and R. Barry (1997), "Sparse spatial autoregressions", Statistics and Probability Letters 33; in the
form that Keras publishes.
"""

from jitnet.core.errors import invalid
from jitnet.datasets._tables import load_table

MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)
"""Folders the file is fetched from, tried in order; assign another tuple to use a mirror of your own.

Neither the address nor the hash could be tried where this was written: they are those that Keras 3.15 has."""

SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
"""Of the published ``california_housing.npz``; a download that differs is thrown away."""

_SMALL = 600


def load_data(version="large", path="california_housing.npz", test_split=0.2, seed=113):
    """The districts as ``(x_train, y_train), (x_test, y_test)``.

    x_train: (16512, 8); y_train: (16512,), in dollars; x_test: (4128, 8); y_test: (4128,).

    version: "large", or "small": the first 600 districts.
    path: of a file of your own, if it is absolute; test_split: the last part, the test set; seed: of the order.

    Looks for ``california_housing.npz`` in ``JITNET_DATA_DIR/california_housing/`` (your own file: no checksum), then
    in the user's cache, then on ``MIRRORS``.  Raises ValueError for another version and for a file that is not what it
    should be, OSError if no mirror delivers.
    """
    if version not in ("large", "small"):
        raise invalid('version is "large" or "small".', version=version)
    rows = _SMALL if version == "small" else None
    name = "california_housing.npz"
    return load_table("california_housing", path, name, SHA256, MIRRORS, 8, test_split, seed, rows)
