"""Logs in a CSV file."""

import csv
import os

from jitnet.callbacks.base import Callback


class CSVLogger(Callback):
    """Writes the logs of every epoch to a CSV file, one line each, under the names of the first epoch's logs.

    Args:
        filename: the file.
        separator: what stands between the values.
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
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch, logs=None):
        """Write the epoch's line; "NA" stands for a value that is not in the logs."""
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._names is None:
            self._names = list(logs)
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *(logs.get(name, "NA") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs=None):
        """Close the file."""
        self._file.close()
