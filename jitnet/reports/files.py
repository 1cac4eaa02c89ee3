"""A run's folder as a report reads it: configuration, history and environment, checked."""

import csv
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path

from jitnet import configuration
from jitnet.callbacks.monitors import Monitor
from jitnet.commands import runs
from jitnet.core.errors import invalid

SECONDS = ("seconds", "time", "epoch_time")  # columns of a history that say how long an epoch took
NO_QUANTITIES = (*SECONDS, "learning_rate")  # columns that are no result of the training
_LARGEST = 1 << 26  # bytes of a history, some million epochs
_LARGEST_ENVIRONMENT = 1 << 20


@dataclass
class Run:
    """What the files of a run say, but for the weights.

    config: {dotted key: value}; config_text: the file as it is.
    history: {column: a number per epoch, NaN where there is none}, without the epochs; None: there is no such file.
    epochs: the epochs of the history, counted from 1.
    environment: {dotted key: value}; None: there is no such file.
    """

    name: str
    folder: Path
    config: dict
    config_text: str
    history: dict | None
    epochs: list
    environment: dict | None


def read(folder) -> Run:
    """The run in a folder.

    Raises FileNotFoundError if there is none, ValueError for a configuration that is none, DataError for another
    damaged file.
    """
    folder = Path(folder)
    path = folder / runs.CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no folder of a run: it has no {runs.CONFIG}.")
    config = configuration.read_config(path)
    # the folder's own name, also where it is given as "." or "runs/.."
    name = folder.resolve().name or str(folder)
    text = path.read_text(encoding="utf-8")
    with configuration.bad_data():
        epochs, history = _read_history(folder / runs.HISTORY)
        environment = _read_environment(folder / runs.ENVIRONMENT)
    return Run(name, folder, _flat(config), text, history, epochs, environment)


def _read_history(path: Path) -> tuple[list, dict | None]:
    if not path.is_file():
        return [], None
    _check_size(path, _LARGEST)
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: it is no CSV file ({error}).") from None
    if not rows:
        return [], {}  # the run was stopped in its first epoch
    header = rows[0]
    if "epoch" not in header or len(set(header)) != len(header):
        raise invalid(f"{path} is damaged: its first line must name the columns, epoch among them.", line=rows[0][:8])
    columns = {name: [] for name in header}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise ValueError(f"{path} is damaged: line {number} must have {len(header)} values. Received: {len(row)}")
        for name, value in zip(header, row, strict=True):
            columns[name].append(_number(value, path, number))
    epochs = columns.pop("epoch")
    wrong = [epoch for epoch in epochs if not (0 <= epoch < 1e9 and epoch.is_integer())]
    if wrong:
        raise invalid(f"{path} is damaged: an epoch is a whole number from 0 up.", epoch=wrong[0])
    return [int(epoch) + 1 for epoch in epochs], columns


def _number(value: str, path: Path, line: int) -> float:
    if value in ("NA", ""):
        return math.nan
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{path} is damaged: line {line} must have numbers. Received: {value[:40]!r}") from None


def _read_environment(path: Path) -> dict | None:
    if not path.is_file():
        return None
    _check_size(path, _LARGEST_ENVIRONMENT)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it is not JSON ({type(error).__name__}: {error}).") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: it must hold a table of values. Received: {type(found).__name__}")
    return _flat(found)


def _check_size(path: Path, most: int) -> None:
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{path} is too large: it has more than {most:,} bytes. Received: {size:,}")


def _flat(table: dict) -> dict:
    """{"optimizer": {"name": "adam"}} as {"optimizer.name": "adam"}, in order; lists of tables by their numbers."""
    found, pending = {}, [("", table)]
    while pending:  # no recursion: tables may be nested as deep as they like
        key, value = pending.pop()
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            value = {str(i): item for i, item in enumerate(value)}
        if isinstance(value, dict):
            pending += [(f"{key}.{inner}" if key else inner, part) for inner, part in reversed(value.items())]
        else:
            found[key] = value
    return found


def written_by(run: Run) -> str | None:
    """What the first line of the configuration says of the versions that wrote it."""
    first = run.config_text.partition("\n")[0]
    start = "# Written by "
    return first.removeprefix(start).rstrip(". ") if first.startswith(start) else None


def changes(values: list) -> list[int]:
    """The places of the values that differ from the one before; what is not finite is passed over."""
    places = [i for i, value in enumerate(values) if math.isfinite(value)]
    return [i for before, i in itertools.pairwise(places) if values[i] != values[before]]


def is_loss(name: str) -> bool:
    """Whether a quantity of this name is a loss, which is drawn on a scale of its logarithms."""
    return name.endswith("loss")


def curves(run: Run) -> list[str]:
    """The quantities of the history that curves show, without their validation's."""
    names = [name.removeprefix("val_") for name in run.history or {}]
    return [name for name in dict.fromkeys(names) if name not in NO_QUANTITIES]


def best_of(name: str, values: list) -> int | None:
    """The place of a quantity's best value; None where none is finite, or its name does not say what is better."""
    try:
        sign = 1 if Monitor(name, "auto").best == math.inf else -1
    except ValueError:
        return None
    places = [i for i, value in enumerate(values) if math.isfinite(value)]
    return min(places, key=lambda i: sign * values[i], default=None)
