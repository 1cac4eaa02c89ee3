"""Products of many matrices: a is (p, rows, depth), b (q, depth, columns), y (m, rows, columns).

m is the larger of p and q.  Where one of a and b has fewer matrices, these repeat, in order.
"""

from .runtime.jit import kernel, kernel_attributes


@kernel
def matmul_forward(a, b, y, rows, depth, columns):
    """y[m] = a[m] @ b[m]"""
    kernel_attributes()
    a = a.reshape(-1)
    b = b.reshape(-1)
    y = y.reshape(-1)
    for m in range(y.size // (rows * columns)):
        a_first = m * rows * depth % a.size
        b_first = m * depth * columns % b.size
        for r in range(rows):
            y_first = (m * rows + r) * columns
            y_row = y[y_first : y_first + columns]
            y_row[:] = 0
            for k in range(depth):
                factor = a[a_first + r * depth + k]
                b_row = b[b_first + k * columns : b_first + k * columns + columns]
                for c in range(columns):
                    y_row[c] += factor * b_row[c]


@kernel
def matmul_backward_a(b, dy, da, rows, depth, columns, accumulate):
    """da[m] = dy[m] @ transposed b[m], summed where a repeats"""
    kernel_attributes()
    b = b.reshape(-1)
    dy = dy.reshape(-1)
    da = da.reshape(-1)
    if not accumulate:
        da[:] = 0
    for m in range(dy.size // (rows * columns)):
        a_first = m * rows * depth % da.size
        b_first = m * depth * columns % b.size
        for r in range(rows):
            dy_first = (m * rows + r) * columns
            dy_row = dy[dy_first : dy_first + columns]
            da_row = da[a_first + r * depth : a_first + r * depth + depth]
            for k in range(depth):
                b_row = b[b_first + k * columns : b_first + k * columns + columns]
                total = dy.dtype.type(0)
                for c in range(columns):
                    total += dy_row[c] * b_row[c]
                da_row[k] += total


@kernel
def matmul_backward_b(a, dy, db, rows, depth, columns, accumulate):
    """db[m] = transposed a[m] @ dy[m], summed where b repeats"""
    kernel_attributes()
    a = a.reshape(-1)
    dy = dy.reshape(-1)
    db = db.reshape(-1)
    if not accumulate:
        db[:] = 0
    for m in range(dy.size // (rows * columns)):
        a_first = m * rows * depth % a.size
        b_first = m * depth * columns % db.size
        for k in range(depth):
            db_row = db[b_first + k * columns : b_first + k * columns + columns]
            for r in range(rows):
                factor = a[a_first + r * depth + k]
                dy_first = (m * rows + r) * columns
                dy_row = dy[dy_first : dy_first + columns]
                for c in range(columns):
                    db_row[c] += factor * dy_row[c]
