"""Gradients of large tables: each core keeps to its own rows, and no chunk of the batch has a table of its own."""

from jitnet.kernels.cpu.runtime.arrays import prefetch
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes

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


@kernel
def add_rows(order, starts, dy, dx, first, last):
    """dx[first:last] = the sums of the rows of dy that were sent there, in their order; other rows are not touched.

    order, starts: of ``order_rows``; dy: (k, columns), dx: (rows, columns)
    """
    kernel_attributes()
    order = order.reshape(-1)
    dy = dy.reshape(-1)
    columns = dx.shape[1]
    line = 64 // dy.itemsize
    for row in range(first, last):
        target = dx[row]
        target[:] = 0
        for place in range(starts[row], starts[row + 1]):
            following = place + _AHEAD
            if following < starts[last]:
                ahead = order[following] * columns
                for i in range(ahead, ahead + columns, line):
                    prefetch(dy, i)
            begin = order[place] * columns
            source = dy[begin : begin + columns]
            for i in range(columns):
                target[i] += source[i]
