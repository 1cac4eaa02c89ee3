"""The 1,797 handwritten digits of 8x8 pixels that come with jitnet.

Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49, licence CC BY 4.0; its test file, the one scikit-learn's ``load_digits`` has.
``optdigits/README.md`` beside this module says more.
"""

import gzip
import hashlib
from pathlib import Path

import numpy as np

from jitnet.datasets._records import parse_records

SHA256 = "d4f1f8f31fb09cea54ac1f670924d5d69729fb58e7f81e7508abd4c1a9110539"
"""Of the bundled file, as shipped."""

_FILE = Path(__file__).parent / "optdigits" / "optdigits.bin.gz"
_COUNT = 1797


def load_data():
    """The digits as ``(x_train, y_train), (x_test, y_test)``, in the file's order.

    x_train: (1438, 8, 8) uint8, values 0 to 16; y_train: (1438,) uint8, 0 to 9; x_test: (359, 8, 8); y_test: (359,).
    The test set is a fixed, stratified fifth: the third of every five images of a class, counted in the file's order.
    Raises ValueError if the bundled file is missing or damaged.
    """
    try:
        data = _FILE.read_bytes()
    except OSError as error:
        raise ValueError(f"{_FILE}: jitnet's bundled digits cannot be read, reinstall jitnet. {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ValueError(f"{_FILE}: damaged, reinstall jitnet. Expected SHA-256 {SHA256}. Received: {found}")
    pixels, labels = parse_records(gzip.decompress(data), _COUNT, 64, _FILE)
    images = pixels.reshape(_COUNT, 8, 8)
    held_out = _every_fifth(labels)
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def _every_fifth(labels: np.ndarray) -> np.ndarray:
    """A mask (n,) of the test images: each class's numbers 2, 7, 12, ..., so that its share is n / 5 rounded."""
    held_out = np.zeros(len(labels), bool)
    for label in range(10):
        held_out[np.flatnonzero(labels == label)[2::5]] = True
    return held_out


def __dir__():
    return ["load_data"]
