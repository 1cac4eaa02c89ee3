"""The data of a run: those of a dataset by its name, or of files."""

from jitnet.configuration import files, values
from jitnet.configuration.errors import bad_data
from jitnet.core.errors import invalid

IMAGE_SHAPES = {
    "digits": (8, 8, 1),
    "mnist": (28, 28, 1),
    "fashion_mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "cifar100": (32, 32, 3),
}
_LARGEST_PIXEL = {"digits": 16}  # others': 255
_TEXTS = ("imdb", "reuters")
NAMES = (*IMAGE_SHAPES, *_TEXTS, "boston_housing", "california_housing")

# what [data] may say of a dataset
_OPTIONS = {
    "cifar100": {"label_mode": "fine"},
    **{name: {"num_words": 10000, "length": 200} for name in _TEXTS},
}


def completed(given: dict, dataset: str | None) -> dict:
    """[data], complete: of files, or options of a dataset; empty where there are none."""
    if dataset is None:
        return files.completed(given)
    known = dict(_OPTIONS.get(dataset, {}))
    for inner, value in given.items():
        key = f"data.{inner}"
        if inner not in known:
            if inner in files.SOURCES:
                raise values.wrong(f"dataset = {dataset!r} leaves no room for files.", key, value)
            raise values.unknown_key(key, [f"data.{name}" for name in known] or ["dataset"])
        known[inner] = _checked(key, value, known[inner])
    return known


def _checked(key, value, default):
    return values.integer(key, value, 1) if isinstance(default, int) else values.name(key, value, ("coarse", "fine"))


def label(config: dict) -> str:
    """What the data are called in a run's name."""
    return config.get("dataset") or files.label(config["data"])


def are_images(config: dict) -> bool:
    """Whether the data are pictures (N, H, W, C) with values from 0 to 1."""
    return config["dataset"] in IMAGE_SHAPES if "dataset" in config else "images" in config["data"]


def has_validation(config: dict) -> bool:
    """Whether there are data for validation."""
    return bool(config["validation_split"]) or files.has_validation(config.get("data", {}))


def load_data(config: dict):
    """(training, validation, test), each a pair of samples and targets, or None where there is none.

    Pictures are ``scaled`` images, labels (N,).  The validation part is the last of the training data, taken before
    any augmentation, unless it has files of its own.  Names of classes that files say are added to ``config["data"]``.

    Raises DataError for data that are missing, damaged, of a wrong shape or not finite.
    """
    with bad_data():
        if "dataset" in config:
            training, test = _known(config["dataset"], config.get("data", {}))
            validation = None
        else:
            training, validation, test = files.load(config["data"], config["seed"])
    if config["validation_split"]:
        kept = round(len(training[0]) * (1 - config["validation_split"]))
        if not 0 < kept < len(training[0]):
            raise invalid(
                f"validation_split leaves one part of the {len(training[0])} training samples empty.",
                validation_split=config["validation_split"],
            )
        validation = tuple(part[kept:] for part in training)
        training = tuple(part[:kept] for part in training)
    if config["shift"]:
        training = with_shifts(*training)
    return training, validation, test


def _known(dataset: str, options: dict):
    """(training, test) of a dataset."""
    import importlib

    module = importlib.import_module(f"jitnet.datasets.{dataset}")
    if dataset in IMAGE_SHAPES:
        return tuple((scaled(x, dataset), y.reshape(-1)) for x, y in module.load_data(**options))
    if dataset in _TEXTS:
        from jitnet.utils import pad_sequences

        parts = module.load_data(num_words=options["num_words"])
        return tuple((pad_sequences(x, options["length"]), y) for x, y in parts)
    return module.load_data()


def scaled(images, dataset: str | None):
    """Images (N, H, W) or (N, H, W, C) of the dataset's pixel values as float32 (N, H, W, C) from 0 to 1."""
    import numpy as np

    images = np.asarray(images)
    images = images[..., None] if images.ndim == 3 else images
    return images.astype(np.float32) / np.float32(largest_pixel(dataset))


def largest_pixel(dataset: str | None) -> int:
    """The largest pixel value of the dataset's images, or of a folder's (None); the smallest is 0."""
    return _LARGEST_PIXEL.get(dataset, 255)


def with_shifts(x, y):
    """The images (N, H, W, C), and the same moved by one pixel down, up, right and left: (5N, H, W, C), (5N,).

    What leaves the image is lost, what enters it is 0.
    """
    import numpy as np

    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    return np.concatenate([padded[:, i : i + height, j : j + width] for i, j in places]), np.tile(y, len(places))
