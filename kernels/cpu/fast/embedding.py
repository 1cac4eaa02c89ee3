"""Gradients of large tables: each core keeps to its own rows, and no chunk of the batch has a table of its own."""

from jitnet.kernels.cpu.optimizers import adagrad_update, sgd_update
from jitnet.kernels.cpu.runtime.arrays import prefetch
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes, scalar

_AHEAD = 8  # rows of dy that are fetched before they are needed: they lie anywhere


@kernel
def order_rows(indices, order, rows, spare_order, spare_rows, counts, size, first, last):
    """order = the places of indices, row by row of a table of ``size`` rows, in their order; rows: the row of each.

    indices, order, rows, spare_order, spare_rows: (k,); counts: (2048,).  Indices below 0 count from the end, those
    outside of the table come last, as row ``size``.  Nothing is done where first is last: of several calls with a part
    each, one does all.
    """
    kernel_attributes()
    indices, order, rows = indices.reshape(-1), order.reshape(-1), rows.reshape(-1)
    spare_order, spare_rows = spare_order.reshape(-1), spare_rows.reshape(-1)
    if first < last:
        for j in range(indices.size):
            place = indices[j] + size if indices[j] < 0 else indices[j]
            rows[j] = place if 0 <= place < size else size
            order[j] = j
        # by digits of 11 bits, from the last one on: the passes are as many as the digits, however many rows there are
        shift = 0
        while size >> shift > 0:
            counts[:] = 0
            for j in range(rows.size):
                counts[(rows[j] >> shift) & 2047] += 1
            total = 0
            for digit in range(2048):
                count = counts[digit]
                counts[digit] = total
                total += count
            for j in range(rows.size):
                digit = (rows[j] >> shift) & 2047
                place = counts[digit]
                counts[digit] += 1
                spare_rows[place] = rows[j]
                spare_order[place] = order[j]
            for j in range(rows.size):
                rows[j] = spare_rows[j]
                order[j] = spare_order[j]
            shift += 11


@scalar
def _place(rows, row):
    """How many of the rows, which are in order, come before ``row``."""
    begin, end = 0, rows.size
    while begin < end:
        middle = (begin + end) // 2
        if rows[middle] < row:
            begin = middle + 1
        else:
            end = middle
    return begin


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
def add_rows(order, rows, dy, dx, first, last):
    """dx[first:last] = the sums of the rows of dy that were sent there, in their order; other rows are not touched.

    order, rows: of ``order_rows``; dy: (k, columns), dx: (size, columns)
    """
    kernel_attributes()
    order, rows = order.reshape(-1), rows.reshape(-1)
    dy = dy.reshape(-1)
    place, end = _place(rows, first), _place(rows, last)
    for row in range(first, last):
        begin = place
        while place < end and rows[place] == row:
            place += 1
        _sum(order, dy, dx[row], begin, place, end)


@kernel
def add_rows_sgd(order, rows, dy, dx, parameter, learning_rate, first, last):
    """``add_rows`` and ``sgd_update`` of the rows [first, last) to which something was sent; others are not touched.

    parameter: (size, columns)
    """
    kernel_attributes()
    order, rows = order.reshape(-1), rows.reshape(-1)
    dy = dy.reshape(-1)
    place, end = _place(rows, first), _place(rows, last)
    while place < end:
        begin, row = place, rows[place]
        while place < end and rows[place] == row:
            place += 1
        _sum(order, dy, dx[row], begin, place, end)
        sgd_update(parameter[row], dx[row], learning_rate)


@kernel
def add_rows_adagrad(order, rows, dy, dx, parameter, squares, learning_rate, epsilon, first, last):
    """The same with ``adagrad_update``.  parameter, squares: (size, columns)"""
    kernel_attributes()
    order, rows = order.reshape(-1), rows.reshape(-1)
    dy = dy.reshape(-1)
    place, end = _place(rows, first), _place(rows, last)
    while place < end:
        begin, row = place, rows[place]
        while place < end and rows[place] == row:
            place += 1
        _sum(order, dy, dx[row], begin, place, end)
        adagrad_update(parameter[row], dx[row], squares[row], learning_rate, epsilon)
