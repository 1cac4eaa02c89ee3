"""Datasets with Keras's names and return shapes: ``jitnet.datasets.digits.load_data()`` and its siblings.

``digits`` comes with jitnet. The others are looked for in
``JITNET_DATA_DIR/<name>/``, then in the user's cache, and are downloaded into the cache otherwise.
"""

if __name__ != "jitnet.datasets":
    raise ImportError("jitnet's datasets are imported as jitnet.datasets, not under the bare name 'datasets'")

from jitnet.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]


def __dir__():
    return sorted(__all__)
