"""Logs in a CSV file."""

import csv
import io
import os
import warnings

import numpy as np

from jitnet.callbacks.base import Callback


class CSVLogger(Callback):
    """Writes the logs of every epoch to a CSV file, one line each.

    The columns are the epoch and what the first epoch's logs have, in their order; a name that comes later, a
    validation's say, is a new column at the end, with "NA" in the lines before.  Several values are ``[0.1, 0.2]``.

    Where the training goes on from a checkpoint, the file has the lines of the training until there.  What cannot be
    written, say on a full disk, is said once in a warning, and tried again with the next epoch.

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
        self._start = self._written = 0  # bytes: before the training's lines; with those that are written
        self._lines = ""  # of the training
        self._waiting = b""  # not written yet
        self._failed = False

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
        # unbuffered: a line is in the file, or an error says that it is not
        self._file = open(self.filename, "r+b" if self._names else "w+b", 0)  # noqa: SIM115
        self._start = self._written = self._file.seek(0, os.SEEK_END)
        self._lines, self._waiting, self._failed = "", b"", False

    def get_state(self) -> dict:
        """The lines so far."""
        return {"names": self._names, "lines": self._lines, "start": self._start}

    def set_state(self, state: dict) -> None:
        """Begin with these lines, instead of those that the file has."""
        self._names, self._lines = state["names"], state["lines"]
        self._start = self._written = min(state["start"], self._file.seek(0, os.SEEK_END))
        self._waiting = self._lines.encode()
        self._write()

    def on_epoch_end(self, epoch, logs=None):
        """Write the epoch's line; "NA" stands for a value that is not in the logs."""
        logs = logs or {}
        rows = []
        if self._names is None:
            self._names = list(logs)
            rows.append(["epoch", *self._names])
        new = [name for name in logs if name not in self._names]
        if new:
            self._widen(new)
        rows.append([epoch, *(_shown(logs.get(name, "NA")) for name in self._names)])
        text = self._text(rows)
        self._lines += text
        self._waiting += text.encode()
        self._write()

    def on_train_end(self, logs=None):
        """Close the file."""
        if self._file is not None:
            if self._waiting:
                self._write()
            self._file.close()

    def _text(self, rows) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.separator).writerows(rows)
        return text.getvalue()

    def _widen(self, new: list) -> None:
        """Add columns to all lines, those before the training too."""
        self._file.seek(0)
        before = self._file.read(self._start).decode()
        header, *rows = csv.reader(io.StringIO(before + self._lines, newline=""), delimiter=self.separator)
        self._names += new
        self._lines = self._text([[*header, *new], *([*row, *["NA"] * len(new)] for row in rows)])
        self._start = self._written = 0
        self._waiting = self._lines.encode()

    def _write(self) -> None:
        try:
            self._file.truncate(self._written)  # without what a failure has left of a line
            while self._waiting:
                self._file.seek(self._written)
                count = self._file.write(self._waiting)
                self._written, self._waiting = self._written + count, self._waiting[count:]
        except OSError as error:
            if not self._failed:
                self._failed = True
                warnings.warn(
                    f"{self.filename} cannot be written: {error.strerror}. The training goes on, and the lines that "
                    "are missing are written as soon as possible; this is said once.",
                    stacklevel=5,
                )


def _shown(value):
    return f"[{', '.join(str(part) for part in value.tolist())}]" if np.ndim(value) else value
