"""Kernels that choose elements along an axis by integers.

The axis is given as ``axis_size`` and ``inner``, the product of the dimensions after it.  Indices below 0 count
from the end, as NumPy's; for one that is outside, nothing is read or written: the result is the number ``missing``.
"""

from .runtime.jit import kernel, kernel_attributes, scalar


@scalar
def _place(index, axis_size):
    """The index from 0 on; -1 if it is outside."""
    place = index + axis_size if index < 0 else index
    return place if 0 <= place < axis_size else -1


@kernel
def take_forward(x, indices, y, axis_size, inner, missing):
    """y[o, j] = x[o, indices[j]].  x: (outer, axis_size, inner), indices: (k,), y: (outer, k, inner)"""
    kernel_attributes()
    x = x.reshape(-1)
    indices = indices.reshape(-1)
    y = y.reshape(-1)
    nothing = y.dtype.type(missing)
    row = 0
    for outer in range(x.size // (axis_size * inner)):
        for j in range(indices.size):
            place = _place(indices[j], axis_size)
            y_row = y[row : row + inner]
            if place < 0:
                y_row[:] = nothing
            else:
                first = (outer * axis_size + place) * inner
                x_row = x[first : first + inner]
                for i in range(inner):
                    y_row[i] = x_row[i]
            row += inner


@kernel
def take_backward(indices, dy, dx, axis_size, inner, accumulate):
    """dx[o, indices[j]] += dy[o, j], in the order of j.  dx: (outer, axis_size, inner), dy: (outer, k, inner)"""
    kernel_attributes()
    indices = indices.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    if not accumulate:
        dx[:] = 0
    row = 0
    for outer in range(dx.size // (axis_size * inner)):
        for j in range(indices.size):
            place = _place(indices[j], axis_size)
            if place >= 0:
                first = (outer * axis_size + place) * inner
                dx_row = dx[first : first + inner]
                dy_row = dy[row : row + inner]
                for i in range(inner):
                    dx_row[i] += dy_row[i]
            row += inner


@kernel
def take_along_axis_forward(x, indices, y, axis_size, taken, inner, missing):
    """y[o, j, i] = x[o, indices[o, j, i], i].  x: (outer, axis_size, inner), indices, y: (outer, taken, inner)

    x or indices may have fewer outer parts, which repeat.
    """
    kernel_attributes()
    x = x.reshape(-1)
    indices = indices.reshape(-1)
    y = y.reshape(-1)
    nothing = y.dtype.type(missing)
    size = taken * inner
    for outer in range(y.size // size):
        x_first = outer * axis_size * inner % x.size
        indices_first = outer * size % indices.size
        for j in range(taken):
            for i in range(inner):
                place = _place(indices[indices_first + j * inner + i], axis_size)
                at = outer * size + j * inner + i
                if place < 0:
                    y[at] = nothing
                else:
                    y[at] = x[x_first + place * inner + i]


@kernel
def take_along_axis_backward(indices, dy, dx, axis_size, taken, inner, accumulate):
    """dx[o, indices[o, j, i], i] += dy[o, j, i], in the order of o and j; others as of ``take_along_axis_forward``"""
    kernel_attributes()
    indices = indices.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    if not accumulate:
        dx[:] = 0
    size = taken * inner
    for outer in range(dy.size // size):
        dx_first = outer * axis_size * inner % dx.size
        indices_first = outer * size % indices.size
        for j in range(taken):
            for i in range(inner):
                place = _place(indices[indices_first + j * inner + i], axis_size)
                if place >= 0:
                    dx[dx_first + place * inner + i] += dy[outer * size + j * inner + i]


@kernel
def argmax(x, y, axis_size, inner):
    """y = where the first largest lies, or the first NaN.  x: (outer, axis_size, inner), y: (outer, inner)"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    for outer in range(y.size // inner):
        for i in range(inner):
            first = outer * axis_size * inner + i
            best = 0
            largest = x[first]
            for j in range(1, axis_size):
                value = x[first + j * inner]
                if value > largest or (value != value and largest == largest):
                    best = j
                    largest = value
            y[outer * inner + i] = best


@scalar
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
def argsort(x, y, axis_size, inner):
    """y = the order that sorts x along the axis, equal ones in their order, NaNs last.  x, y: (outer, axis_size, inner)

    A heap in place (Williams 1964): no memory of its own.
    """
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    for outer in range(y.size // (axis_size * inner)):
        for i in range(inner):
            first = outer * axis_size * inner + i
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
                while child < end:
                    if child + 1 < end and _before(
                        x, y[first + child * inner], y[first + (child + 1) * inner], first, inner
                    ):
                        child += 1
                    if not _before(x, item, y[first + child * inner], first, inner):
                        break
                    y[first + hole * inner] = y[first + child * inner]
                    hole = child
                    child = 2 * hole + 1
                y[first + hole * inner] = item
