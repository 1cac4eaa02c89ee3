"""Copies of samples of the user's data into the order of a batch."""

from ._api import cuda, kernel, launch, over_rows


@kernel
def _gather(source, order, out, size):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, order.size, row_step):
        sample = order[row] * size
        for i in range(first_column, size, column_step):
            out[row * size + i] = source[sample + i]


def gather(source, order, out):
    """out[i] = source[order[i]].  source: (samples, ...), order: (n,), out: (n, ...)"""
    size = out.size // max(1, order.size)
    launch(_gather, *over_rows(order.size, size), source.reshape(-1), order, out.reshape(-1), size)
