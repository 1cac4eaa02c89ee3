"""Tables in CSV files as data sets, parsed by PyArrow: ``pip install 'jitnet[csv]'``.

PyArrow, not pandas, parses: it does so outside Python's lock, so that threads read ahead; it never guesses a type anew
in the middle of a column; and its errors name the row and the column.
"""

import csv
import math
import os
import re

import numpy as np

from jitnet.core import checks
from jitnet.core.errors import invalid, unknown_name

from .disk_batches import POOLS, BlockBatches

__all__ = ["csv_dataset"]

BLOCK = 1 << 20  # bytes of text that are parsed together (a guess)


def csv_dataset(
    file_paths, label_name=None, batch_size=32, select_columns=None, column_names=None, field_delim=",", header=True,
    by_column=False, *, memory=1 << 28, workers=1,
):  # fmt: skip
    """A ``PyDataset`` of the rows of CSV files that need not fit in memory, with an attribute ``column_names``.

    Batches are (x, y): x float32 (batch, columns), y of the column ``label_name``: int64 (batch,) where it has
    integers, else float32; without a label batches are x.  In ``fit`` the rows are shuffled and read ahead as those of
    ``DiskBatches``.  The files, in UTF-8, are gone through once when the dataset is made, to count their rows.

    file_paths: a path, or a list of paths of files with the same columns.
    label_name: the column of the targets; None: there is none.
    select_columns: names of the columns that are used, in their order, beside that of the label; None: all.
    column_names: of files without names; by default those of the first line, or of their places: "0", "1", ...
    field_delim: the character between the values.
    header: whether the first line of each file has the names.
    by_column: whether x is a dict of arrays (batch,) by the columns' names, for a model with an input for each.
    memory, workers: as of ``DiskBatches``.

    Raises ImportError without PyArrow; ValueError for other values, for columns that are not there or have no numbers,
    and while reading for missing values and what is no number, with the row.

    Example:
        >>> import tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "table.csv")
        >>> _ = open(path, "w").write("width,height,kind\\n1,2,0\\n3,4.5,1\\n")
        >>> [(x.tolist(), y.tolist()) for x, y in csv_dataset(path, "kind")]
        [([[1.0, 2.0], [3.0, 4.5]], [0, 1])]
    """
    paths = [file_paths] if isinstance(file_paths, str | os.PathLike) else list(file_paths)
    paths = [os.fspath(path) for path in paths]
    if not paths:
        raise invalid("csv_dataset needs a file.", file_paths=file_paths)
    if not isinstance(field_delim, str) or len(field_delim) != 1 or field_delim in '"\n\r':
        raise invalid("csv_dataset expects field_delim to be one character.", field_delim=field_delim)
    header = checks.boolean("csv_dataset", "header", header)
    return _Table(
        paths, label_name, batch_size, select_columns, column_names, field_delim, header,
        checks.boolean("csv_dataset", "by_column", by_column), memory, workers,
    )  # fmt: skip


def _arrow():
    """The modules pyarrow and pyarrow.csv.  Raises ImportError without PyArrow."""
    try:
        import pyarrow
        import pyarrow.csv
    except ImportError:
        raise ImportError("CSV files are parsed by PyArrow: pip install 'jitnet[csv]'.") from None
    return pyarrow, pyarrow.csv


class _Table(BlockBatches):
    """Batches of rows of CSV files."""

    def __init__(self, paths, label, batch_size, selected, names, delimiter, header, by_column, memory, workers):
        self._paths, self._delimiter = paths, delimiter
        memory = checks.integer("csv_dataset", "memory", memory, least=1)
        # numbers take about as many bytes as their text
        size = max(1, min(BLOCK, memory // (16 * POOLS)))
        self._places, bounds = [], [0]  # of blocks: (path, first byte, last byte, its first row in the file)
        for path in paths:
            begin, found = _first_line(path, delimiter) if header else (0, _places_of_columns(path, delimiter))
            if names is not None and len(found) != len(names):
                raise invalid(f"{path} has {len(found)} columns.", column_names=names)
            found = list(names or found)
            if path == paths[0]:
                self.column_names = found
                if len(set(found)) != len(found):
                    raise invalid(f"The columns of {path} need different names.", column_names=found)
            elif found != self.column_names:
                raise invalid(f"{path} needs the columns of the first file, {self.column_names}.", columns=found)
            row = 0
            for first, last, rows in _blocks(path, begin, size):
                self._places.append((path, first, last, row))
                bounds.append(bounds[-1] + rows)
                row += rows
        if bounds[-1] == 0:
            raise ValueError(f"There are no rows of numbers in {', '.join(map(repr, paths))}.")
        wanted = [name for name in self.column_names if name != label] if selected is None else list(selected)
        for name in [*wanted, *([] if label is None else [label])]:
            if name not in self.column_names:
                raise unknown_name("column", name, self.column_names)
        if not wanted or label in wanted:
            raise invalid("select_columns names the columns of x, without that of the label.", select_columns=selected)
        self._wanted, self._label, self._by_column = wanted, label, by_column
        self._set_types()
        x = dict.fromkeys(wanted, 0) if by_column else 0
        count = len(wanted) if by_column else 1
        shapes = [((), "float32")] * count if by_column else [((len(wanted),), "float32")]
        if label is not None:
            shapes.append(((), "int64" if self._types[label] == "int64" else "float32"))
        structure = x if label is None else (x, 0)
        self._set_blocks(bounds, shapes, structure, batch_size, memory, workers)

    def _set_types(self) -> None:
        """What the columns are parsed as, from the first rows."""
        arrow, _ = _arrow()
        types = arrow.types
        first = self._parsed(0, {})
        self._types = {}
        for name in [*self._wanted, *([] if self._label is None else [self._label])]:
            kind = first.column(name).type
            if types.is_boolean(kind):
                self._types[name] = "bool"
            elif types.is_integer(kind) and name == self._label:
                self._types[name] = "int64"
            elif types.is_integer(kind) or types.is_floating(kind):
                self._types[name] = "float64"
            elif types.is_null(kind):
                raise ValueError(f"The column {name!r} of {self._paths[0]} lacks values in all of its first rows.")
            else:
                value = next(value for value in first.column(name).to_pylist() if not _is_number(value))
                raise ValueError(
                    f"The column {name!r} of {self._paths[0]} must hold numbers: leave it out with select_columns, or "
                    f"write layers.StringLookup()(column) instead. Received: {value!r}"
                )

    def _parsed(self, number: int, types: dict):
        """The table of a block; types: of columns, {} for PyArrow's choice."""
        arrow, parser = _arrow()
        path, begin, end, row = self._places[number]
        with open(path, "rb") as file:
            file.seek(begin)
            text = file.read(end - begin)
        use = [*self._wanted, *([] if self._label is None else [self._label])]
        try:
            return parser.read_csv(
                arrow.py_buffer(text),
                parser.ReadOptions(column_names=self.column_names, use_threads=False, block_size=len(text) + 1),
                parser.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                parser.ConvertOptions(
                    column_types={name: arrow.type_for_alias(kind) for name, kind in types.items()},
                    include_columns=use, strings_can_be_null=True,
                ),
            )  # fmt: skip
        except arrow.ArrowInvalid as error:
            message = re.sub(r"Row #(\d+)", lambda found: f"Row #{int(found[1]) + row}", str(error))
            message = f"{path} is no table of numbers, counted from its first row after the names: {message}"
            raise ValueError(message) from None

    def read_block(self, number):
        table = self._parsed(number, self._types)
        path, _, _, first = self._places[number]
        expected = int(self._bounds[number + 1] - self._bounds[number])
        if table.num_rows != expected:
            message = f"{path} has changed since its {expected} rows from row #{first + 1} on were counted."
            raise ValueError(f"{message} Received: {table.num_rows} rows")
        columns = {}
        for name in table.column_names:
            column = table.column(name)
            values = column.to_numpy()
            missing = np.flatnonzero(column.is_null(nan_is_null=True).to_numpy()) if column.null_count else ()
            missing = np.flatnonzero(~np.isfinite(values)) if not len(missing) and values.dtype.kind == "f" else missing
            if len(missing):
                place = int(missing[0])
                found = column[place].as_py()
                raise ValueError(
                    f"{path} lacks a finite number in the column {name!r}, row #{first + place + 1} after the names. "
                    f"Received: {'nothing' if found is None else found}"
                )
            columns[name] = values
        wanted = [columns[name].astype("float32") for name in self._wanted]
        x = wanted if self._by_column else [np.stack(wanted, axis=1)]
        if self._label is None:
            return x
        return [*x, columns[self._label].astype(self._shapes[-1][1])]


def _is_number(value) -> bool:
    try:
        return value is None or math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _first_line(path: str, delimiter: str) -> tuple[int, list]:
    """(the byte after it, the names in it)"""
    with open(path, "rb") as file:
        line = file.readline(BLOCK)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}. A compressed one must be unpacked.") from None
    if not text.strip():
        raise ValueError(f"{path} has no line with the names of its columns. Received: {text!r}")
    return len(line), next(csv.reader([text], delimiter=delimiter))


def _places_of_columns(path: str, delimiter: str) -> list[str]:
    return [str(place) for place in range(len(_first_line(path, delimiter)[1]))]


def _blocks(path: str, begin: int, size: int):
    """(first byte, last byte, rows) of parts of about so many bytes that end with a row."""
    rows, quoted, at, first = 0, 0, begin, begin
    last_start = begin  # of the row that has not ended
    before = b"\n"  # the byte before what is read
    with open(path, "rb") as file:
        file.seek(begin)
        while data := file.read(size):
            found = np.frombuffer(data, np.uint8)
            ends = np.flatnonzero(found == 10)
            if 34 in data:  # line breaks within quotation marks end no row
                marks = np.flatnonzero(found == 34)
                ends, quoted = ends[(np.searchsorted(marks, ends) + quoted) % 2 == 0], quoted + len(marks)
            if len(ends):
                ends = ends + at
                lengths = np.diff(ends, prepend=last_start - 1) - 1
                last = np.frombuffer(before + data, np.uint8)[ends - at]
                rows += int(((lengths > 1) | ((lengths == 1) & (last != 13))).sum())  # an empty line is no row
                last_start = int(ends[-1]) + 1
                if rows:
                    yield first, last_start, rows
                    first, rows = last_start, 0
            at, before = at + len(data), data[-1:]
    if quoted % 2:
        raise ValueError(f"{path} has a quotation mark that is not closed.")
    if at > last_start:  # the last row, without the end of a line
        yield first, at, 1
