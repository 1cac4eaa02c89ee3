"""Kernels that choose elements along an axis by integers.

Arguments are those of ``kernels/cpu/indexed.py``, where they are explained.
"""

from ._api import cuda, function, kernel, launch, over, over_rows


@function
def _place(index, axis_size):
    """The index from 0 on; -1 if it is outside."""
    place = index + axis_size if index < 0 else index
    return place if 0 <= place < axis_size else -1


@kernel
def _take_forward(x, indices, y, missing, rows, axis_size, inner):
    nothing = y.dtype.type(missing[0])
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        place = _place(indices[row % indices.size], axis_size)
        first = (row // indices.size * axis_size + place) * inner
        for i in range(first_column, inner, column_step):
            y[row * inner + i] = nothing if place < 0 else x[first + i]


def take_forward(x, indices, y, axis_size, inner, missing):
    """y[o, j] = x[o, indices[j]].  x: (outer, axis_size, inner), indices: (k,), y: (outer, k, inner)"""
    rows = y.size // max(1, inner)
    flat = x.reshape(-1), indices.reshape(-1), y.reshape(-1)
    launch(_take_forward, *over_rows(rows, inner), *flat, missing, rows, axis_size, inner)


@kernel
def _take_backward(indices, dy, dx, rows, axis_size, inner, accumulate):
    """Each row of dx looks for its number among all indices, and sums in their order."""
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        first = row // axis_size * indices.size
        for i in range(first_column, inner, column_step):
            total = dx.dtype.type(0)
            for j in range(indices.size):
                if _place(indices[j], axis_size) == row % axis_size:
                    total += dy[(first + j) * inner + i]
            at = row * inner + i
            dx[at] = dx[at] + total if accumulate else total


def take_backward(indices, dy, dx, axis_size, inner, accumulate):
    """dx[o, indices[j]] += dy[o, j], in the order of j.  dx: (outer, axis_size, inner), dy: (outer, k, inner)"""
    rows = dx.size // max(1, inner)
    flat = indices.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    launch(_take_backward, *over_rows(rows, inner), *flat, rows, axis_size, inner, accumulate)


@kernel
def _take_along_axis_forward(x, indices, y, missing, axis_size, size, inner):
    nothing = y.dtype.type(missing[0])
    for at in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        place = _place(indices[at % indices.size], axis_size)
        first = at // size * axis_size * inner % x.size + at % inner
        y[at] = nothing if place < 0 else x[first + place * inner]


def take_along_axis_forward(x, indices, y, axis_size, taken, inner, missing):
    """y[o, j, i] = x[o, indices[o, j, i], i].  x: (outer, axis_size, inner), indices, y: (outer, taken, inner)

    x or indices may have fewer outer parts, which repeat.
    """
    flat = x.reshape(-1), indices.reshape(-1), y.reshape(-1)
    launch(_take_along_axis_forward, *over(y.size), *flat, missing, axis_size, taken * inner, inner)


@kernel
def _take_along_axis_backward(indices, dy, dx, axis_size, taken, inner, accumulate):
    """Each element of dx looks for its number among the indices of its line, in all parts that share it."""
    size = taken * inner
    for at in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        total = dx.dtype.type(0)
        wanted = at // inner % axis_size
        for outer in range(at // (axis_size * inner), dy.size // size, dx.size // (axis_size * inner)):
            for j in range(taken):
                source = outer * size + j * inner + at % inner
                if _place(indices[source % indices.size], axis_size) == wanted:
                    total += dy[source]
        dx[at] = dx[at] + total if accumulate else total


def take_along_axis_backward(indices, dy, dx, axis_size, taken, inner, accumulate):
    """dx[o, indices[o, j, i], i] += dy[o, j, i], in the order of o and j; others as of ``take_along_axis_forward``"""
    flat = indices.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    launch(_take_along_axis_backward, *over(dx.size), *flat, axis_size, taken, inner, accumulate)


@kernel
def _argmax(x, y, axis_size, inner):
    for at in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        first = at // inner * axis_size * inner + at % inner
        best = 0
        largest = x[first]
        for j in range(1, axis_size):
            value = x[first + j * inner]
            if value > largest or (value != value and largest == largest):
                best = j
                largest = value
        y[at] = best


def argmax(x, y, axis_size, inner):
    """y = where the first largest lies, or the first NaN.  x: (outer, axis_size, inner), y: (outer, inner)"""
    launch(_argmax, *over(y.size), x.reshape(-1), y.reshape(-1), axis_size, inner)


@function
def _before(x, one, other, first, inner):
    """Whether element ``one`` comes before ``other``: by value, NaN last, equal ones in their order."""
    a = x[first + one * inner]
    b = x[first + other * inner]
    if a < b:
        return True
    if b < a:
        return False
    if (a == a) != (b == b):
        return a == a
    return one < other


@kernel
def _argsort(x, y, lines, axis_size, inner):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * axis_size * inner + line % inner
        for j in range(axis_size):
            y[first + j * inner] = j
        start = axis_size // 2
        end = axis_size
        while end > 1:
            if start > 0:  # the heap is being made
                start -= 1
                item = y[first + start * inner]
            else:  # its largest goes to the end
                end -= 1
                item = y[first + end * inner]
                y[first + end * inner] = y[first]
            hole = start
            child = 2 * hole + 1
            searching = True
            while searching and child < end:
                if child + 1 < end and _before(
                    x, y[first + child * inner], y[first + (child + 1) * inner], first, inner
                ):
                    child += 1
                searching = _before(x, item, y[first + child * inner], first, inner)
                if searching:
                    y[first + hole * inner] = y[first + child * inner]
                    hole = child
                    child = 2 * hole + 1
            y[first + hole * inner] = item


def argsort(x, y, axis_size, inner):
    """y = the order that sorts x along the axis, equal ones in their order, NaNs last.  x, y: (outer, axis_size, inner)

    A heap in place (Williams 1964), by one thread for each line: no memory of its own.
    """
    lines = y.size // max(1, axis_size)
    launch(_argsort, *over(lines), x.reshape(-1), y.reshape(-1), lines, axis_size, inner)
