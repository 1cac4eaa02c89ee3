"""Boston housing: prices of houses in 506 districts of Boston in the 1970s, with 13 properties of each.

Source: D. Harrison and D. Rubinfeld (1978), "Hedonic prices and the demand for clean air", Journal of Environmental
Economics and Management 5; in the form that Keras publishes.  One of the columns is a formula of the share of black
residents that takes segregation for a value: don't use these data for anything but a comparison with old results.
"""

from jitnet.datasets._tables import load_table

MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)
"""Folders the file is fetched from, tried in order; assign another tuple to use a mirror of your own.

Neither the address nor the hash could be tried where this was written: they are those that Keras 3.15 has."""

SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"
"""Of the published ``boston_housing.npz``; a download that differs is thrown away."""


def load_data(path="boston_housing.npz", test_split=0.2, seed=113):
    """The districts as ``(x_train, y_train), (x_test, y_test)``.

    x_train: (404, 13) float64; y_train: (404,), in thousands of dollars; x_test: (102, 13); y_test: (102,).

    path: of a file of your own, if it is absolute; test_split: the last part, the test set; seed: of the order.

    Looks for ``boston_housing.npz`` in ``JITNET_DATA_DIR/boston_housing/`` (your own file: no checksum), then in the
    user's cache, then on ``MIRRORS``.  Raises ValueError for a file that is not what it should be, OSError if no mirror
    delivers.
    """
    name = "boston_housing.npz"
    return load_table("boston_housing", path, name, SHA256, MIRRORS, 13, test_split, seed)
