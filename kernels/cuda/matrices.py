"""Products of many matrices: a is (p, rows, depth), b (q, depth, columns), y (m, rows, columns).

m is the larger of p and q.  Where one of a and b has fewer matrices, these repeat, in order.
"""

from ..scalar import real
from ._api import ceil_div, cuda, kernel, launch

_TILE = 16
_MOST_MATRICES = 4096  # of a grid


@kernel
def _product(a, b, y, count, terms, matrices, rows, depth, columns, a_strides, b_strides, accumulate):
    """y[m] = the sum of a[t] @ b[t] over t = m, m + count, ... below terms, by tiles in shared memory.

    matrices: of a and of b; a_strides, b_strides: of a matrix's rows and columns.
    """
    a_tile = cuda.shared.array((_TILE, _TILE), real)
    b_tile = cuda.shared.array((_TILE, _TILE), real)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    r, c = cuda.blockIdx.y * _TILE + row, cuda.blockIdx.x * _TILE + column
    for m in range(cuda.blockIdx.z, count, cuda.gridDim.z):
        total = real(0)
        for t in range(m, terms, count):
            a_first = t % matrices[0] * rows * depth
            b_first = t % matrices[1] * depth * columns
            for k in range(0, depth, _TILE):
                inside = r < rows and k + column < depth
                a_tile[row, column] = a[a_first + r * a_strides[0] + (k + column) * a_strides[1]] if inside else real(0)
                inside = k + row < depth and c < columns
                b_tile[row, column] = b[b_first + (k + row) * b_strides[0] + c * b_strides[1]] if inside else real(0)
                cuda.syncthreads()
                for i in range(_TILE):
                    total += a_tile[row, i] * b_tile[i, column]
                cuda.syncthreads()
        if r < rows and c < columns:
            at = (m * rows + r) * columns + c
            y[at] = y[at] + total if accumulate else total


def _launch(a, b, y, terms, rows, depth, columns, a_strides, b_strides, accumulate):
    count = y.size // (rows * columns)
    matrices = a.size // (rows * depth), b.size // (depth * columns)
    grid = ceil_div(columns, _TILE), ceil_div(rows, _TILE), min(count, _MOST_MATRICES)
    flat = a.reshape(-1), b.reshape(-1), y.reshape(-1)
    sizes = count, terms, matrices, rows, depth, columns
    launch(_product, grid, (_TILE, _TILE), *flat, *sizes, a_strides, b_strides, accumulate)


def matmul_forward(a, b, y, rows, depth, columns):
    """y[m] = a[m] @ b[m]"""
    terms = y.size // (rows * columns)
    _launch(a, b, y, terms, rows, depth, columns, (depth, 1), (columns, 1), False)


def matmul_backward_a(b, dy, da, rows, depth, columns, accumulate):
    """da[m] = dy[m] @ transposed b[m], summed where a repeats"""
    terms = dy.size // (rows * columns)
    _launch(dy, b, da, terms, rows, columns, depth, (columns, 1), (1, columns), accumulate)


def matmul_backward_b(a, dy, db, rows, depth, columns, accumulate):
    """db[m] = transposed a[m] @ dy[m], summed where b repeats"""
    terms = dy.size // (rows * columns)
    _launch(a, dy, db, terms, depth, rows, columns, (1, depth), (columns, 1), accumulate)
