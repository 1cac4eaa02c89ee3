"""Gradients of large tables: each core keeps to its own rows, and no chunk of the batch has a table of its own."""

from jitnet.kernels.cpu.optimizers import adagrad_update, sgd_update
from jitnet.kernels.cpu.runtime.arrays import prefetch
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes, scalar

_AHEAD = 8  # rows of dy that are fetched before they are needed: they lie anywhere


@kernel
def order_rows(indices, order, starts, first, last):
    """order = the places of indices, row by row of the table, from starts[row] to starts[row + 1] in their order.

    indices, order: (k,), below 0 from the end, outside of the table for nothing; starts: (rows + 1,).  Nothing is done
    where first is last: of several calls with a part each, one does all.
    """
    kernel_attributes()
    indices = indices.reshape(-1)
    order = order.reshape(-1)
    if first < last:
        rows = starts.size - 1
        starts[:] = 0
        for j in range(indices.size):
            place = indices[j] + rows if indices[j] < 0 else indices[j]
            if 0 <= place < rows:
                starts[place] += 1
        total = starts.dtype.type(0)
        for row in range(rows):
            total += starts[row]
            starts[row] = total
        starts[rows] = total
        for j in range(indices.size - 1, -1, -1):
            place = indices[j] + rows if indices[j] < 0 else indices[j]
            if 0 <= place < rows:
                starts[place] -= 1
                order[starts[place]] = j


@scalar
def _sum(order, dy, target, begin, end, after):
    """target = the sum of the rows of dy, which is flat, at order[begin:end]; those up to ``after`` come next."""
    columns = target.size
    line = 64 // dy.itemsize
    target[:] = 0
    for place in range(begin, end):
        following = place + _AHEAD
        if following < after:
            ahead = order[following] * columns
            for i in range(ahead, ahead + columns, line):
                prefetch(dy, i)
        first = order[place] * columns
        source = dy[first : first + columns]
        for i in range(columns):
            target[i] += source[i]


@kernel
def add_rows(order, starts, dy, dx, first, last):
    """dx[first:last] = the sums of the rows of dy that were sent there, in their order; other rows are not touched.

    order, starts: of ``order_rows``; dy: (k, columns), dx: (rows, columns)
    """
    kernel_attributes()
    order = order.reshape(-1)
    dy = dy.reshape(-1)
    for row in range(first, last):
        _sum(order, dy, dx[row], starts[row], starts[row + 1], starts[last])


@kernel
def add_rows_sgd(order, starts, dy, dx, parameter, learning_rate, first, last):
    """``add_rows`` and ``sgd_update`` of the rows [first, last) to which something was sent; others are not touched.

    parameter: (rows, columns)
    """
    kernel_attributes()
    order = order.reshape(-1)
    dy = dy.reshape(-1)
    for row in range(first, last):
        if starts[row] < starts[row + 1]:
            _sum(order, dy, dx[row], starts[row], starts[row + 1], starts[last])
            sgd_update(parameter[row], dx[row], learning_rate)


@kernel
def add_rows_adagrad(order, starts, dy, dx, parameter, squares, learning_rate, epsilon, first, last):
    """The same with ``adagrad_update``.  parameter, squares: (rows, columns)"""
    kernel_attributes()
    order = order.reshape(-1)
    dy = dy.reshape(-1)
    for row in range(first, last):
        if starts[row] < starts[row + 1]:
            _sum(order, dy, dx[row], starts[row], starts[row + 1], starts[last])
            adagrad_update(parameter[row], dx[row], squares[row], learning_rate, epsilon)
