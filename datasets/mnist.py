"""MNIST: 70,000 handwritten digits of 28x28 pixels.

Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits"; described in Y. LeCun,
L. Bottou, Y. Bengio and P. Haffner (1998), "Gradient-based learning applied to document recognition", Proceedings of
the IEEE 86(11). Copyright Yann LeCun and Corinna Cortes, licence CC BY-SA 3.0.
"""

from jitnet.datasets._idx import load_idx_dataset

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
"""Folders the files are fetched from, tried in order; assign another tuple to use a mirror of your own."""

SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
"""Of each published file; a download that differs is thrown away."""


def load_data():
    """MNIST as ``(x_train, y_train), (x_test, y_test)``.

    x_train: (60000, 28, 28) uint8; y_train: (60000,) uint8, 0 to 9; x_test: (10000, 28, 28); y_test: (10000,).
    Looks for the four IDX files, gzipped or not, in ``JITNET_DATA_DIR/mnist/`` (your own files: parsed and validated,
    any number of images, no checksum), then in the user's cache, then on ``MIRRORS``. Raises ValueError for a file
    that is not what it should be, FileNotFoundError if your folder lacks some of them, OSError if no mirror delivers.
    """
    return load_idx_dataset("mnist", SHA256, MIRRORS)


def __dir__():
    return ["load_data"]
