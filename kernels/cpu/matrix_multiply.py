"""Plans for products of matrices: dense layers forward and backward, on the tiles of ``jitnet.kernels.simd``.

A plan names a kernel and says what the caller must provide; ``plan.kernel()`` writes, compiles and caches it.  Every
count is a run-time argument, so one kernel per plan's type serves all dense layers of a model and any batch size.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.specialise import VectorTarget, specialised_module, vector_target

_CACHED_BYTES = 1 << 19  # what a kernel may take for granted of the second-level cache

_PRODUCT = '''"""Product of matrices in {dtype}, epilogue {epilogue!r}, written for {target} by jitnet."""

from jitnet.kernels.cpu._jit import kernel, kernel_attributes
from jitnet.kernels.simd import address, matrix_tile, pad_rows_tile

COLUMNS = {columns}
ROWS = {rows}
ITEMSIZE = {itemsize}
CACHED = {cached}
_constants = dict(dtype={dtype!r}, lanes={lanes}, rows=ROWS, vectors={vectors}, epilogue={epilogue!r})
whole = matrix_tile(masked=False, unroll={unroll}, contiguous=True, **_constants)
edge = matrix_tile(masked=True, unroll=1, contiguous=True, **_constants)
pack = pad_rows_tile(dtype={dtype!r})


@kernel
def {name}(a, b{extra_argument}, c, workspace):
    """c = epilogue(a @ b).  a: (M, K), b: (K, N), c: (M, N){extra_shape}

    A workspace of K * {columns} elements holds each panel of b while it is used; with one of 0 elements b is read in
    place."""
    kernel_attributes()
    a_row = a.strides[0] // ITEMSIZE
    b_row = b.strides[0] // ITEMSIZE
    c_row = c.strides[0] // ITEMSIZE
    {extra_row}
    depth = a.shape[1]
    # so many rows of a stay in the second-level cache while all columns of b go by
    some_rows = max(1, CACHED // max(1, depth) // ROWS) * ROWS
    for first in range(0, c.shape[0], some_rows):
        for column in range(0, c.shape[1], COLUMNS):
            columns = c.shape[1] - column
            b_at, panel_row = address(b, column), b_row
            if workspace.size > 0:
                panel, panel_row = address(workspace, 0), COLUMNS
                pack((b_at, b_row, panel, COLUMNS, depth, 0, min(columns, COLUMNS)))
                b_at = panel
            for row in range(first, min(first + some_rows, c.shape[0]), ROWS):
                a_at = address(a, row * a_row)
                c_at = address(c, row * c_row + column)
                extra_at = {extra_at}
                arguments = (
                    a_at, a_row, 1, b_at, panel_row, c_at, c_row, depth, c.shape[0] - row, columns, extra_at, extra_row
                )
                if columns >= COLUMNS:
                    whole(arguments)
                else:
                    edge(arguments)
'''

_FILTER = '''"""Transposed product of matrices in {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu._jit import kernel, kernel_attributes
from jitnet.kernels.simd import address, matrix_tile

COLUMNS = {columns}
ROWS = {rows}
ITEMSIZE = {itemsize}
CACHED = {cached}
_constants = dict(dtype={dtype!r}, lanes={lanes}, rows=ROWS, vectors={vectors}, epilogue={epilogue!r})
whole = matrix_tile(masked=False, unroll={unroll}, contiguous=False, **_constants)
edge = matrix_tile(masked=True, unroll=1, contiguous=False, **_constants)


@kernel
def {name}(x, dy, dkernel, first, last):
    """dkernel[first:last] {operator} x.T[first:last] @ dy.  x: (M, K), dy: (M, N), dkernel: (K, N)"""
    kernel_attributes()
    x_row = x.strides[0] // ITEMSIZE
    dy_row = dy.strides[0] // ITEMSIZE
    out_row = dkernel.strides[0] // ITEMSIZE
    depth = x.shape[0]
    # so many columns of dy stay in the second-level cache while all rows of x.T go by
    some_columns = max(1, CACHED // max(1, depth) // COLUMNS) * COLUMNS
    for first_column in range(0, dy.shape[1], some_columns):
        for row in range(first, last, ROWS):
            x_at = address(x, row)
            for column in range(first_column, min(first_column + some_columns, dy.shape[1]), COLUMNS):
                dy_at = address(dy, column)
                out_at = address(dkernel, row * out_row + column)
                columns = dy.shape[1] - column
                arguments = (x_at, 1, x_row, dy_at, dy_row, out_at, out_row, depth, last - row, columns, 0, 0)
                if columns >= COLUMNS:
                    whole(arguments)
                else:
                    edge(arguments)
'''

_EXTRA = {  # epilogue: argument, its shape, distance between its rows, address of its block
    "store": ("", "", "extra_row = 0", "0"),
    "accumulate": ("", "", "extra_row = 0", "0"),
    "bias": (", bias", ", bias: (N,)", "extra_row = 0", "address(bias, column)"),
    "bias_relu": (", bias", ", bias: (N,)", "extra_row = 0", "address(bias, column)"),
    "relu_mask": (
        ", activation",
        ", activation: (M, N); c is 0 where it is not positive",
        "extra_row = activation.strides[0] // ITEMSIZE",
        "address(activation, row * extra_row + column)",
    ),
}


def _tile_shape(target: VectorTarget) -> tuple[int, int]:
    """Rows and vectors of a tile: their product and one row of vectors must fit the registers."""
    return (8, 2) if target.registers >= 32 else (4, 2)


@dataclass(frozen=True)
class _MatrixPlan:
    dtype: str
    epilogue: str
    target: VectorTarget

    @property
    def name(self) -> str:
        return self._prefix + ("" if self.epilogue == "store" else f"_{self.epilogue}")

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        rows, vectors = _tile_shape(self.target)
        lanes = self.target.lanes(self.dtype)
        itemsize = 4 if self.dtype == "float32" else 8
        argument, shape, row, at = _EXTRA[self.epilogue]
        return self._template.format(
            name=self.name,
            dtype=self.dtype,
            epilogue=self.epilogue,
            operator="+=" if self.epilogue == "accumulate" else "=",
            target=self.target.name,
            itemsize=itemsize,
            lanes=lanes,
            rows=rows,
            vectors=vectors,
            columns=lanes * vectors,
            unroll=2,
            cached=_CACHED_BYTES // itemsize,
            extra_argument=argument,
            extra_shape=shape,
            extra_row=row,
            extra_at=at,
        )

    def kernel(self):
        """The compiled kernel (compiled or loaded from the cache on its first call)."""
        return getattr(specialised_module(self.source), self.name)


class MatrixMultiply(_MatrixPlan):
    """``kernel(a, b[, bias or activation], c)``: c (M, N) = epilogue(a (M, K) @ b (K, N))."""

    _prefix = "matrix_multiply"
    _template = _PRODUCT


class MatrixMultiplyTransposed(_MatrixPlan):
    """``kernel(x, dy, dkernel, first, last)``: rows [first, last) of dkernel (K, N) = or += x (M, K).T @ dy (M, N)."""

    _prefix = "matrix_multiply_transposed"
    _template = _FILTER


def matrix_multiply_plan(dtype="float32", epilogue="store", target=None) -> MatrixMultiply:
    """Product of matrices; epilogue: store, accumulate, bias, bias_relu or relu_mask.

    Dense forward is ``kernel(x, w, bias, y)``, dense backward to the input ``kernel(dy, transposed w, dx)``.
    """
    return MatrixMultiply(dtype, epilogue, target or vector_target())


def matrix_multiply_transposed_plan(dtype="float32", epilogue="store", target=None) -> MatrixMultiplyTransposed:
    """Dense backward to the weights; epilogue: store or accumulate."""
    return MatrixMultiplyTransposed(dtype, epilogue, target or vector_target())
