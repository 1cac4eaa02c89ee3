"""What there is to know of the datasets without loading them: files, size, licence, source; where they are.

Sizes are those that the sources state; none of the files could be downloaded where this was written.
"""

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path

from jitnet.datasets._files import find_user_files
from jitnet.files.cache import cache_directory


@dataclass(frozen=True)
class Entry:
    """A dataset.

    size: bytes of the published files; shapes: of x_train, y_train, x_test, y_test as published.
    own: names of the user's own files, one list for each way to have them, with the folder that they are in.
    """

    size: int
    licence: str
    source: str
    shapes: tuple
    own: tuple = ()


def _images(train: int, test: int, *shape: int, column: bool = False) -> tuple:
    labels = [(count, 1) if column else (count,) for count in (train, test)]
    return (train, *shape), labels[0], (test, *shape), labels[1]


def _sequences(train: int, test: int) -> tuple:
    return (train,), (train,), (test,), (test,)


_IDX = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
_CIFAR = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
_KERAS = "as Keras publishes it; its licence is not stated there"

ENTRIES = {
    "boston_housing": Entry(
        57_026, _KERAS, "Harrison and Rubinfeld 1978", _images(404, 102, 13), ((["boston_housing.npz"], ""),)
    ),
    "california_housing": Entry(
        743_530, _KERAS, "Pace and Barry 1997", _images(16_512, 4_128, 8), ((["california_housing.npz"], ""),)
    ),
    "cifar10": Entry(
        170_052_171, "none stated, to be cited", "https://www.cs.toronto.edu/~kriz/cifar.html",
        _images(50_000, 10_000, 32, 32, 3, column=True),
        ((_CIFAR, ""), (_CIFAR, "cifar-10-batches-bin"), (["cifar-10-binary.tar"], "")),
    ),
    "cifar100": Entry(
        169_001_437, "none stated, to be cited", "https://www.cs.toronto.edu/~kriz/cifar.html",
        _images(50_000, 10_000, 32, 32, 3, column=True), ((["cifar-100-python.tar"], ""),),
    ),
    "digits": Entry(0, "CC BY 4.0", "https://doi.org/10.24432/C50P49", _images(1_438, 359, 8, 8)),
    "fashion_mnist": Entry(
        30_878_645, "MIT", "https://github.com/zalandoresearch/fashion-mnist", _images(60_000, 10_000, 28, 28),
        ((_IDX, ""),),
    ),
    "imdb": Entry(17_464_789, _KERAS, "Maas et al. 2011", _sequences(25_000, 25_000), ((["imdb.npz"], ""),)),
    "mnist": Entry(
        11_594_722, "CC BY-SA 3.0", "LeCun, Cortes and Burges", _images(60_000, 10_000, 28, 28), ((_IDX, ""),)
    ),
    "reuters": Entry(
        2_110_848, _KERAS, "Lewis, Reuters-21578", _sequences(8_982, 2_246), ((["reuters.npz"], ""),)
    ),
}  # fmt: skip


def module(name: str):
    """The module of a dataset."""
    return importlib.import_module(f"jitnet.datasets.{name}")


def _published(name: str) -> dict[str, str]:
    """{file: its hash} of a dataset's published files."""
    hashes = module(name).SHA256
    if isinstance(hashes, dict):
        return hashes
    own, _ = ENTRIES[name].own[-1]
    return {own[0] + (".gz" if own[0].endswith(".tar") else ""): hashes}


def find(name: str) -> tuple[str, Path] | None:
    """Where a dataset is: ("bundled" | "own" | "cache", folder); None where not all of its files are.

    Raises FileNotFoundError if the user's folder has only some of them.
    """
    entry = ENTRIES[name]
    if not entry.own:
        return "bundled", module(name)._FILE.parent
    for names, folder in entry.own:
        found = find_user_files(name, names, folder)
        if found:
            return "own", found[names[0]].parent
    cache = cache_directory() / "datasets" / name
    return ("cache", cache) if all((cache / file).is_file() for file in _published(name)) else None


def fetch(name: str) -> tuple[str, Path]:
    """Where a dataset is, downloaded by its loader if it isn't there whole; OSError if no mirror delivers."""
    found = find(name)
    loader = module(name)
    if found is None or found[0] == "cache":  # where the loader replaces what is damaged
        loader.load_data()
        found = find(name)
    if found[0] == "cache" and hasattr(loader, "get_word_index"):
        loader.get_word_index()
    return found


def verify(name: str) -> str:
    """Check a dataset that is there: hashes of published files, shapes; returns what was checked.

    Raises ValueError for what is damaged or of another shape, FileNotFoundError if it isn't there; nothing is
    downloaded.
    """
    found = find(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not there: jitnet data fetch {name}")
    kind, folder = found
    if kind == "cache":
        loader = module(name)
        hashes = dict(_published(name))
        index = folder / f"{name}_word_index.json"
        if hasattr(loader, "INDEX_MD5") and index.is_file():
            hashes[index.name] = loader.INDEX_MD5
        for file, expected in hashes.items():
            _check_hash(folder / file, expected)
    parts = [array for pair in module(name).load_data() for array in pair]
    for what, array, shape in zip(("x_train", "y_train", "x_test", "y_test"), parts, ENTRIES[name].shapes, strict=True):
        # files of one's own may hold any number of samples
        if (array.shape[1:] if kind == "own" else array.shape) != (shape[1:] if kind == "own" else shape):
            raise ValueError(f"{folder}: {what} of {name} must have the shape {shape}. Received: {array.shape}")
    shapes = ", ".join(str(array.shape) for array in parts)
    return f"shapes {shapes}" if kind == "own" else f"hashes and shapes {shapes}"


def _check_hash(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5" if len(expected) == 32 else "sha256").hexdigest()
    if found != expected:
        raise ValueError(f"{path} is damaged: expected the hash {expected}. Received: {found}")
