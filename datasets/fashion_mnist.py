"""Fashion-MNIST: 70,000 pictures of clothes, 28x28 pixels, in MNIST's format and split.

Source: H. Xiao, K. Rasul and R. Vollgraf (2017), "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv:1708.07747; https://github.com/zalandoresearch/fashion-mnist. Licence MIT.
"""

from jitnet.datasets._idx import load_idx_dataset

MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
"""Folders the files are fetched from, tried in order; assign another tuple to use a mirror of your own."""

SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
"""Of each published file; a download that differs is thrown away."""


def load_data():
    """Fashion-MNIST as ``(x_train, y_train), (x_test, y_test)``.

    x_train: (60000, 28, 28) uint8; y_train: (60000,) uint8, 0 to 9; x_test: (10000, 28, 28); y_test: (10000,).
    Classes: T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.
    Looks for the four IDX files, gzipped or not, in ``JITNET_DATA_DIR/fashion_mnist/`` (your own files: parsed and
    validated, any number of images, no checksum), then in the user's cache, then on ``MIRRORS``. Raises ValueError for
    a file that is not what it should be, FileNotFoundError if your folder lacks some of them, OSError if no mirror
    delivers.
    """
    return load_idx_dataset("fashion_mnist", SHA256, MIRRORS)


def __dir__():
    return ["load_data"]
