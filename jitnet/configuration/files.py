"""Data of the user's own files: pairs of .npy files, tables (CSV), folders of pictures."""

import csv
import importlib.util
import math
import os
import re
from pathlib import Path

from jitnet.configuration import values

SOURCES = ("x", "csv", "images")  # the key that says which kind of files there are
_PARTS = ("", "validation_", "test_")
# of each kind: the keys that name files of a part, and the options with their defaults
_FILES = {"x": ("x", "y"), "csv": ("csv",), "images": ("images",)}
_OPTIONS = {
    "x": {"shuffle": False},
    "csv": {"target": None, "columns": None, "separator": ",", "classes": None, "shuffle": False},
    "images": {"image_size": [64, 64], "color_mode": "rgb", "classes": None, "shuffle": True},
}
_COLOURS = ("rgb", "rgba", "grayscale")


def completed(given: dict) -> dict:
    """[data] of files, complete.  What TOML cannot say, no classes or columns, is left out."""
    source = next((name for name in SOURCES if name in given), None)
    if source is None:
        raise ValueError(
            "The configuration has no dataset, and [data] no files: give x and y (.npy), csv, or images (a folder)."
        )
    options = _OPTIONS[source]
    paths = [f"{part}{name}" for part in _PARTS for name in _FILES[source]]
    if source == "images" and importlib.util.find_spec("PIL") is None:
        raise values.wrong("data.images needs Pillow: pip install 'jitnet[images]'.", "data.images", given[source])
    found = {}
    for inner, value in given.items():
        key = f"data.{inner}"
        if inner in paths:
            found[inner] = _path(key, value)
        elif inner in options:
            found[inner] = _option(key, inner, value)
        else:
            raise values.unknown_key(key, [f"data.{name}" for name in (*paths, *options)])
    for part in _PARTS:
        keys = [f"{part}{name}" for name in _FILES[source]]
        missing = [key for key in keys if key not in found]
        if missing and (not part or len(missing) < len(keys)):
            raise ValueError(f"data.{missing[0]} is missing: the file of targets that belongs to data.{keys[0]}.")
    if source == "csv" and "target" not in found:
        raise ValueError("data.target is missing: the name of the column that is to be predicted.")
    missing = {name: value for name, value in options.items() if name not in found and value is not None}
    return {**found, **missing}


def _path(key: str, value) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise values.wrong(f"{key} must be a path.", key, value)
    return value


def _option(key: str, name: str, value):
    if name == "shuffle":
        return values.boolean(key, value)
    if name in ("columns", "classes"):
        return values.texts(key, value)
    if name == "color_mode":
        return values.name(key, value, _COLOURS)
    if name == "image_size":
        if not isinstance(value, list) or len(value) != 2:
            raise values.wrong(f"{key} must be [height, width].", key, value)
        return values.positive_integers(key, value)
    value = values.text(key, value)
    if name == "separator" and (len(value) != 1 or value in '"\r\n'):
        raise values.wrong(f"{key} must be one character, and no quote.", key, value)
    return value


def label(data: dict) -> str:
    """What the data are called in a run's name."""
    name = Path(next(data[source] for source in SOURCES if source in data)).stem
    return re.sub(r"[^\w-]", "-", name)[:40] or "data"


def has_validation(data: dict) -> bool:
    """Whether there are files for validation."""
    return any(f"validation_{source}" in data for source in SOURCES)


def load(data: dict, seed: int):
    """(training, validation, test), each (samples, targets) or None; names of classes are added to ``data``."""
    import numpy as np

    source = next(name for name in SOURCES if name in data)
    read = {"x": _arrays, "csv": _table, "images": _pictures}[source]
    training, validation, test = (
        _checked(data[f"{part}{source}"], *read(data, part)) if f"{part}{source}" in data else None for part in _PARTS
    )
    for part, pair in (("validation_", validation), ("test_", test)):
        if pair is not None and pair[0].shape[1:] != training[0].shape[1:]:
            raise ValueError(
                f"{data[part + source]} must hold samples of shape {training[0].shape[1:]}, as {data[source]} does. "
                f"Received: {pair[0].shape[1:]}"
            )
    if data["shuffle"]:
        order = np.random.default_rng(seed).permutation(len(training[0]))
        training = tuple(part[order] for part in training)
    return training, validation, test


def _checked(path: str, x, y):
    """A pair whose samples and targets are as many, at least one, and finite."""
    if x.ndim < 2 or len(x) != len(y) or not len(x):
        raise ValueError(
            f"{path} must hold samples (N, ...), at least one, and as many targets. Received: shape={x.shape} with "
            f"targets of shape={y.shape}"
        )
    for what, array in (("samples", x), ("targets", y)):
        check_finite(path, what, array)
    return x, y


def check_finite(path, what: str, array) -> None:
    """Raise ValueError, which says where, for NaN or infinity."""
    import numpy as np

    if array.dtype.kind != "f":
        return
    for start in range(0, len(array), 4096):  # no copy of all
        finite = np.isfinite(array[start : start + 4096])
        if not finite.all():
            place = np.argwhere(~finite)[0]
            place[0] += start
            found = array[tuple(place)]
            raise ValueError(f"{path}: the {what} contain {found} at {place.tolist()}. Only finite numbers are taken.")


def check_regular(path: Path) -> None:
    """Raise OSError for what is no file: a pipe or a device could be read without end."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")


# ---- .npy


def _arrays(data: dict, part: str):
    return read_npy(Path(data[f"{part}x"])), read_npy(Path(data[f"{part}y"]))


def read_npy(path: Path):
    """The array of numbers in a .npy file.

    Raises OSError if the file cannot be read, ValueError if it is anything else than one whole array of numbers.  Its
    header is compared with the file's size before any memory is asked for.
    """
    import warnings

    import numpy as np

    check_regular(path)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the parser, about headers of Python 2 and odd escapes
                shape, fortran_order, dtype = readers[version](file)
        except OSError:
            raise
        except Exception as error:
            # the header is a Python literal, and its parser raises whatever a Python parser can
            raise ValueError(f"{path} is not a .npy file of numbers: {error or type(error).__name__}") from None
        if dtype.kind not in "buif":
            raise ValueError(f"{path} is not a .npy file of numbers: expected one array of numbers. Received: {dtype}")
        found = os.fstat(file.fileno()).st_size - file.tell()
        if any(isinstance(size, bool) or size < 0 for size in shape) or len(shape) > 32:
            raise ValueError(f"{path} is not a .npy file of numbers. Received: shape={shape}")
        needed = math.prod(shape) * dtype.itemsize
        if needed != found:
            problem = "truncated" if found < needed else "bytes after the array"
            raise ValueError(
                f"{path} is damaged: {problem}, {dtype} of shape {shape} takes {needed} bytes. Received: {found}"
            )
        values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape, order="F" if fortran_order else "C")


# ---- tables


def _table(data: dict, part: str):
    """(x (N, columns) float32, y (N,)): whole numbers int64, others float32, texts the numbers of their classes."""
    import numpy as np

    path = Path(data[f"{part}csv"])
    header, rows = _rows(path, data["separator"])
    columns = data.get("columns") or [name for name in header if name != data["target"]]
    if missing := [name for name in (data["target"], *columns) if name not in header]:
        raise ValueError(f"{path} has no column {missing[0]!r}. There are: {', '.join(header)}")
    places = [header.index(name) for name in columns]
    x = np.empty((len(rows), len(columns)), np.float32)
    for number, row in enumerate(rows):
        for column, place in enumerate(places):
            try:
                x[number, column] = float(row[place])
            except ValueError:
                raise ValueError(
                    f"{path}: the column {columns[column]!r} must hold numbers; data.columns chooses columns. "
                    f"Received: {row[place]!r} in row {number + 1}"
                ) from None
    return x, _targets(data, path, [row[header.index(data["target"])] for row in rows])


def _rows(path: Path, separator: str):
    """(header, rows), each a list of texts as long as the header."""
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = []
            for row in reader:
                if not row:  # an empty line
                    continue
                if len(row) != len(header):
                    raise ValueError(
                        f"{path}, line {reader.line_num}: expected {len(header)} values, as the header has. "
                        f"Received: {len(row)}"
                    )
                rows.append(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a table in UTF-8 with a header: {error}") from None
    if len(set(header)) != len(header) or not rows:
        raise ValueError(
            f"{path} must have a header of different names, and rows. Received: {header[:20]}, {len(rows)} rows"
        )
    return header, rows


def _targets(data: dict, path: Path, texts: list[str]):
    """Whole numbers as int64, others as float32; texts as the numbers of their classes."""
    import numpy as np

    texts = [text.strip() for text in texts]
    if "classes" not in data:
        numbers = [_number(text) for text in texts]
        if None not in numbers:
            return np.array(numbers, np.int64 if all(isinstance(n, int) for n in numbers) else np.float32)
        if any(number is not None for number in numbers):
            at = numbers.index(None)
            raise ValueError(
                f"{path}: the column {data['target']!r} must hold numbers, or names of classes, unless data.classes "
                f"lists them. Received: {texts[at]!r} in row {at + 1}"
            )
        data["classes"] = sorted(set(texts))
    known = {name: number for number, name in enumerate(data["classes"])}
    for row, text in enumerate(texts):
        if text not in known:
            raise ValueError(
                f"{path}: expected one of the classes {', '.join(known)}. Received: {text!r} in row {row + 1}"
            )
    return np.array([known[text] for text in texts], np.int64)


def _number(text: str) -> int | float | None:
    """The number that a text writes; None if it is no number."""
    if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return None


# ---- folders of pictures


def _pictures(data: dict, part: str):
    """(x (N, height, width, channels) float32 from 0 to 1, y (N,) int32)."""
    import numpy as np

    from jitnet.utils import image_dataset_from_directory

    folder = data[f"{part}images"]
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder}.")
    found = image_dataset_from_directory(
        folder, class_names=data.get("classes"), color_mode=data["color_mode"], batch_size=64,
        image_size=tuple(data["image_size"]), shuffle=False, verbose=False,
    )  # fmt: skip
    data["classes"] = list(found.class_names)
    x, y = zip(*(found[index] for index in range(len(found))), strict=True)
    return np.concatenate(x) / np.float32(255), np.concatenate(y)
