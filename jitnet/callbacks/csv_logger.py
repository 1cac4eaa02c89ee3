"""Logs in a CSV file."""

import csv
import io
import os

import numpy as np

from jitnet import _atomic
from jitnet.callbacks.base import Callback


class CSVLogger(Callback):
    """Writes the logs of every epoch to a CSV file, one line each.

    The columns are the epoch and what the first epoch's logs have, in their order; a name that comes later, a
    validation's say, is a new column at the end, with "NA" in the lines before.  Several values are ``[0.1, 0.2]``.

    Args:
        filename: the file.
        separator: what stands between the values, one character.
        append: whether to add to a file that exists, under its header, instead of replacing it.
    """

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file = None
        self._names = None

    def on_train_begin(self, logs=None):
        """Open the file.

        Raises:
            ValueError: the file to append to is no CSV file.
        """
        self._names = None
        if self.append and os.path.exists(self.filename):
            try:
                with open(self.filename, newline="", encoding="utf-8") as file:
                    header = next(csv.reader(file, delimiter=self.separator), None)
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{self.filename} is not a CSV file that could be added to: {error}") from None
            self._names = header[1:] if header else None
        self._open("a" if self.append else "w")

    def on_epoch_end(self, epoch, logs=None):
        """Write the epoch's line; "NA" stands for a value that is not in the logs."""
        logs = logs or {}
        if self._names is None:
            self._names = list(logs)
            self._write(["epoch", *self._names])
        new = [name for name in logs if name not in self._names]
        if new:
            self._widen(new)
        self._write([epoch, *(_shown(logs.get(name, "NA")) for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs=None):
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self, mode: str) -> None:
        self._file = open(self.filename, mode, newline="", encoding="utf-8")  # noqa: SIM115

    def _write(self, row: list) -> None:
        csv.writer(self._file, delimiter=self.separator).writerow(row)

    def _widen(self, new: list) -> None:
        """Add columns to the lines that are there."""
        self._file.close()
        with open(self.filename, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, delimiter=self.separator)
        self._names += new
        text = io.StringIO(newline="")
        wider = [[*header, *new], *([*row, *["NA"] * len(new)] for row in rows)]
        csv.writer(text, delimiter=self.separator).writerows(wider)
        _atomic.write(self.filename, text.getvalue().encode())
        self._open("a")


def _shown(value):
    return f"[{', '.join(str(part) for part in value.tolist())}]" if np.ndim(value) else value
