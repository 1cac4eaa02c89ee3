"""Plans for products of matrices: dense layers forward and backward, on the tiles of ``jitnet.kernels.cpu.tiles.simd``.

A plan names a kernel and says what the caller must provide; ``plan.kernel()`` writes, compiles and caches it.  Every
count is a run-time argument, so one kernel per plan's type serves all dense layers of a model and any batch size.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_CACHED_BYTES = 1 << 19  # what a kernel may take for granted of the second-level cache
_DEPTH = 256  # steps of a sum in one part: a panel of B and some rows of A stay in the first-level cache
_SOME_ROWS = 128  # of the result, whose part of x is packed at a time
_ROW_GAP = 16  # elements between the packed rows of A, so that they do not compete for the same cache lines

_PRODUCT = '''"""Product of matrices in {dtype}, epilogue {epilogue!r}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile

COLUMNS, ROWS, ITEMSIZE, CACHED = {columns}, {rows}, {itemsize}, {cached}
_constants = dict(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, rows=ROWS, vectors={vectors}, epilogue={epilogue!r},
    contiguous=True,
)
whole = matrix_tile(masked={masked}, unroll=2, **_constants)
edge = matrix_tile(masked=True, unroll={edge_unroll}, **_constants)
{thin_tile}

@kernel
def {name}(a, b{extra_argument}, c, workspace):
    """c = epilogue(a @ b).  a: (M, K), b: {b_shape}, c: (M, N){extra_shape}; workspace: not used"""
    kernel_attributes()
    a_row, b_row, c_row = a.strides[0] // ITEMSIZE, {b_row}, c.strides[0] // ITEMSIZE
    {extra_row}
    height, width, depth = c.shape[0], c.shape[1], a.shape[1]
{thin_loop}    # so many rows of a stay in the second-level cache while all columns of b go by
    some_rows = max(1, CACHED // max(1, depth) // ROWS) * ROWS
    for first in range(0, height, some_rows):
        for column in range(0, width, COLUMNS):
            for row in range(first, min(first + some_rows, height), ROWS):
                arguments = (
                    address(a, row * a_row), a_row, 1, address(b, {b_offset}), b_row,
                    address(c, row * c_row + column), c_row, depth, height - row, width - column, 0, 1,
                    {extra_at}, extra_row,
                )
                if width - column >= COLUMNS:
                    whole(arguments)
                else:
                    edge(arguments)
'''

_PACKED = '''"""Product of large matrices in {dtype}, epilogue {epilogue!r}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile, panel_tile

COLUMNS, ROWS, DEPTH, A_ROW, ITEMSIZE = {columns}, {rows}, {depth}, {packed_row}, {itemsize}
_constants = dict(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, rows=ROWS, vectors={vectors}, epilogue={epilogue!r},
    contiguous=True, in_parts=True,
)
whole = matrix_tile(masked=False, unroll=2, **_constants)
edge = matrix_tile(masked=True, unroll=1, **_constants)
pack_a = pad_rows_tile(dtype={dtype!r})
pack_b = panel_tile(dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, vectors={vectors})


@kernel
def {name}(a, b{extra_argument}, c, workspace):
    """c = epilogue(a @ b), parts of a and b packed into the workspace.  a: (M, K), b: (K, N), c: (M, N){extra_shape}"""
    kernel_attributes()
    a_row, b_row, c_row = a.strides[0] // ITEMSIZE, b.strides[0] // ITEMSIZE, c.strides[0] // ITEMSIZE
    {extra_row}
    height, width, depth = c.shape[0], c.shape[1], a.shape[1]
    panel = address(workspace, 0)
    block = address(workspace, DEPTH * COLUMNS)
    some_rows = (workspace.size - DEPTH * COLUMNS) // A_ROW // ROWS * ROWS
    for part in range(0, max(depth, 1), DEPTH):
        count = min(DEPTH, depth - part)
        for first in range(0, height, some_rows):
            last = min(first + some_rows, height)
            pack_a((address(a, first * a_row + part), a_row, block, A_ROW, last - first, 0, count))
            for column in range(0, width, COLUMNS):
                pack_b((address(b, part * b_row + column), b_row, panel, count, width - column))
                for row in range(first, last, ROWS):
                    arguments = (
                        block + (row - first) * A_ROW * ITEMSIZE, A_ROW, 1, panel, COLUMNS,
                        address(c, row * c_row + column), c_row, count, last - row, width - column,
                        part > 0, part + DEPTH >= depth, {extra_at}, extra_row,
                    )
                    if width - column >= COLUMNS:
                        whole(arguments)
                    else:
                        edge(arguments)
'''

_PART = '''"""Part of a product of matrices in {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile

COLUMNS, ROWS, ITEMSIZE = {columns}, {rows}, {itemsize}
_constants = dict(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, rows=ROWS, vectors={vectors}, epilogue="store",
    contiguous=True,
)
whole = matrix_tile(masked=False, unroll=2, **_constants)
edge = matrix_tile(masked=True, unroll=1, **_constants)


@kernel
def {name}(a, b, c, part, first, last):
    """c[:, part] = a[:, first:last] @ b[first:last].  a: (M, K), b: (K, N), c: (M, P, N)"""
    kernel_attributes()
    a_row, b_row, c_row = a.strides[0] // ITEMSIZE, b.strides[0] // ITEMSIZE, c.strides[0] // ITEMSIZE
    height, width = c.shape[0], c.shape[2]
    for column in range(0, width, COLUMNS):
        for row in range(0, height, ROWS):
            arguments = (
                address(a, row * a_row + first), a_row, 1, address(b, first * b_row + column), b_row,
                address(c, row * c_row + part * width + column), c_row, last - first, height - row, width - column,
                0, 1, 0, 0,
            )
            if width - column >= COLUMNS:
                whole(arguments)
            else:
                edge(arguments)
'''

_FILTER = '''"""Transposed product of matrices in {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile

COLUMNS = {columns}
ROWS = {rows}
ITEMSIZE = {itemsize}
CACHED = {cached}
_constants = dict(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, rows=ROWS, vectors={vectors}, epilogue={epilogue!r}
)
whole = matrix_tile(masked={masked}, unroll=2, contiguous=False, **_constants)
edge = matrix_tile(masked=True, unroll={edge_unroll}, contiguous=False, **_constants)


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
                arguments = (
                    x_at, 1, x_row, dy_at, dy_row, out_at, out_row, depth, last - row, columns, 0, 1, 0, 0
                )
                if columns >= COLUMNS:
                    whole(arguments)
                else:
                    edge(arguments)
'''

_NARROW_FILTER = '''"""Transposed product of matrices in {dtype}, few columns, written for {target} by jitnet."""

import numpy as np

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import scratch
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile

COLUMNS, ITEMSIZE = {columns}, {itemsize}
tile = matrix_tile(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, rows={narrow}, vectors={vectors}, epilogue="store",
    contiguous=False, masked=True, unroll=2,
)


@kernel
def {name}(x, dy, dkernel, first, last):
    """dkernel[first:last] {operator} x.T[first:last] @ dy.  x: (M, K), dy: (M, N), dkernel: (K, N)"""
    kernel_attributes()
    x_row = x.strides[0] // ITEMSIZE
    dy_row = dy.strides[0] // ITEMSIZE
    # vectors along the rows of dkernel, which are its columns here; then it is turned
    turned = scratch(np.{dtype})
    for row in range(first, last, COLUMNS):
        for column in range(0, dy.shape[1], {narrow}):
            columns = dy.shape[1] - column
            tile((
                address(dy, column), 1, dy_row, address(x, row), x_row, address(turned, 0), COLUMNS, x.shape[0],
                columns, last - row, 0, 1, 0, 0,
            ))
            for i in range(min(COLUMNS, last - row)):
                for j in range(min({narrow}, columns)):
                    dkernel[row + i, column + j] {operator} turned[j * COLUMNS + i]
'''

_PACKED_FILTER = '''"""Transposed product of large matrices in {dtype}, written for {target} by jitnet."""

import numpy as np

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import stack_array
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile
from jitnet.kernels.cpu.tiles.copies import panel_tile

COLUMNS, ROWS, SOME_ROWS, DEPTH, ITEMSIZE = {columns}, {rows}, {some_rows}, {depth}, {itemsize}
_constants = dict(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, rows=ROWS, vectors={vectors}, epilogue="store",
    contiguous=False, in_parts=True,
)
whole = matrix_tile(masked=False, unroll=2, **_constants)
edge = matrix_tile(masked=True, unroll=1, **_constants)
pack_x = panel_tile(dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, vectors=SOME_ROWS // {lanes})
pack_dy = panel_tile(dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, vectors={vectors})
BLOCK, PANEL = DEPTH * SOME_ROWS, DEPTH * COLUMNS


@kernel
def {name}(x, dy, dkernel, first, last):
    """dkernel[first:last] {operator} x.T[first:last] @ dy, parts of x and dy packed.

    x: (M, K), dy: (M, N), dkernel: (K, N)
    """
    kernel_attributes()
    x_row, dy_row, out_row = x.strides[0] // ITEMSIZE, dy.strides[0] // ITEMSIZE, dkernel.strides[0] // ITEMSIZE
    depth, width = dy.shape
    block = address(stack_array(np.{dtype}, BLOCK), 0)
    panel = address(stack_array(np.{dtype}, PANEL), 0)
    for part in range(0, max(depth, 1), DEPTH):
        count = min(DEPTH, depth - part)
        for some in range(first, last, SOME_ROWS):
            pack_x((address(x, part * x_row + some), x_row, block, count, last - some))
            for column in range(0, width, COLUMNS):
                pack_dy((address(dy, part * dy_row + column), dy_row, panel, count, width - column))
                for row in range(some, min(some + SOME_ROWS, last), ROWS):
                    arguments = (
                        block + (row - some) * ITEMSIZE, 1, SOME_ROWS, panel, COLUMNS,
                        address(dkernel, row * out_row + column), out_row, count, last - row, width - column,
                        {resume}, 1, 0, 0,
                    )
                    if width - column >= COLUMNS:
                        whole(arguments)
                    else:
                        edge(arguments)
'''

_THIN_TILE = """# few rows, predictions for one sample say, are bound by reading b: one row of more vectors
THIN_COLUMNS = {thin_columns}
_thin = _constants | dict(rows=1, vectors={thin_vectors})
thin = matrix_tile(masked=True, unroll=2, **_thin)
"""
_THIN_LOOP = """    if height < ROWS // 2:
        for row in range(height):
            for column in range(0, width, THIN_COLUMNS):
                thin((
                    address(a, row * a_row), a_row, 1, address(b, column), b_row,
                    address(c, row * c_row + column), c_row, depth, 1, width - column, 0, 1,
                    {extra_at}, extra_row,
                ))
        return
"""
_THIN_EPILOGUES = ("store", "bias", "bias_relu")  # of forward passes
_THIN_VECTORS = 8

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
class _MatrixPlan(GeneratedKernel):
    dtype: str
    epilogue: str
    target: VectorTarget
    narrow: int  # 0, or lanes of the only vector of a row of the result
    panels = 0  # columns of b that lie side by side, or 0 for all

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        narrow = f"_narrow{self.narrow}" if self.narrow else ""
        return self._prefix + narrow + ("" if self.epilogue == "store" else f"_{self.epilogue}")

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        rows, vectors = _tile_shape(self.target)
        lanes = self.target.lanes(self.dtype)
        if self._template is _NARROW_FILTER:
            vectors = max(1, rows * vectors // 8)
        elif self.narrow:
            # one kind of tile for all of the result, masked
            lanes, vectors = self.narrow, 1
        itemsize = 4 if self.dtype == "float32" else 8
        argument, shape, row, at = _EXTRA[self.epilogue]
        thin = dict.fromkeys(("thin_tile", "thin_loop"), "")
        if self.epilogue in _THIN_EPILOGUES and not self.narrow and not self.panels:
            columns = lanes * _THIN_VECTORS
            thin["thin_tile"] = _THIN_TILE.format(thin_columns=columns, thin_vectors=_THIN_VECTORS)
            thin["thin_loop"] = _THIN_LOOP.format(extra_at=at)
        return self._template.format(
            **thin,
            name=self.name,
            dtype=self.dtype,
            epilogue=self.epilogue,
            operator="+=" if self.epilogue == "accumulate" else "=",
            target=self.target.name,
            masks=self.target.hardware_masks,
            itemsize=itemsize,
            lanes=lanes,
            rows=rows,
            vectors=vectors,
            columns=lanes * vectors,
            masked=bool(self.narrow),
            narrow=self.narrow,
            b_shape=f"(ceil(N / {lanes * vectors}), K, {lanes * vectors})" if self.panels else "(K, N)",
            b_row="COLUMNS" if self.panels else "b.strides[0] // ITEMSIZE",
            b_offset="column * depth" if self.panels else "column",
            edge_unroll=2 if self.narrow else 1,
            depth=_DEPTH,
            packed_row=_DEPTH + _ROW_GAP,
            some_rows=_SOME_ROWS,
            resume="1" if self.epilogue == "accumulate" else "part > 0",
            cached=_CACHED_BYTES // itemsize,
            extra_argument=argument,
            extra_shape=shape,
            extra_row=row,
            extra_at=at,
        )


@dataclass(frozen=True)
class MatrixMultiply(_MatrixPlan):
    """``kernel(a, b[, bias or activation], c, workspace)``: c (M, N) = epilogue(a (M, K) @ b (K, N)).

    With ``panels`` b lies in memory as ``transpose.panels_plan`` leaves it, so many columns side by side.
    """

    workspace_elements: int  # 0: b is read in place; every chunk that runs at the same time needs its own
    panels: int = 0

    @property
    def _prefix(self):
        if self.panels:
            return "matrix_multiply_panels"
        return "matrix_multiply_packed" if self.workspace_elements else "matrix_multiply"

    @property
    def _template(self):
        return _PACKED if self.workspace_elements else _PRODUCT


class MatrixMultiplyPart(_MatrixPlan):
    """``kernel(a, b, c, part, first, last)``: c[:, part] = a[:, first:last] @ b[first:last]; c: (M, P, N)."""

    _prefix = "matrix_multiply_part"
    _template = _PART


@dataclass(frozen=True)
class MatrixMultiplyTransposed(_MatrixPlan):
    """``kernel(x, dy, dkernel, first, last)``: rows [first, last) of dkernel (K, N) = or += x (M, K).T @ dy (M, N)."""

    packed: bool

    @property
    def _prefix(self):
        return "matrix_multiply_transposed" + "_packed" * self.packed

    @property
    def tile_rows(self) -> int:
        """Rows of dkernel that are computed together; parts of it should start at a multiple."""
        return _SOME_ROWS // 2 if self.packed else _tile_shape(self.target)[0]

    @property
    def _template(self):
        if self.packed:
            return _PACKED_FILTER
        # wider results fill the lanes of their own vectors well enough
        return _NARROW_FILTER if 0 < self.narrow <= 4 else _FILTER


def _narrow(columns: int, dtype: str, target: VectorTarget) -> int:
    """Lanes of the one vector that holds a row of ``columns``, or 0 where there is more than one."""
    lanes = target.lanes(dtype, columns)
    return lanes if columns <= lanes else 0


def matrix_multiply_plan(rows, depth, columns, dtype="float32", epilogue="store", target=None) -> MatrixMultiply:
    """Product of (rows, depth) and (depth, columns); epilogue: store, accumulate, bias, bias_relu or relu_mask.

    Dense forward is ``kernel(x, w, bias, y, workspace)``, dense backward to the input
    ``kernel(dy, transposed w, dx, workspace)``.  The sizes say no more than whether packing pays: the kernel takes
    matrices of any size and gives the same bits packed or not.
    """
    target = target or vector_target()
    tile_rows, vectors = _tile_shape(target)
    # rows of a panel that are one cache line each come badly out of a large matrix
    large = 1 << 18 if vectors * target.bytes <= 64 else 1 << 21
    workspace = 0
    if rows >= 64 and depth >= 2 * _DEPTH and depth * columns >= large:
        packed_rows = min(-(-rows // tile_rows) * tile_rows, 256)
        workspace = _DEPTH * vectors * target.lanes(dtype) + packed_rows * (_DEPTH + _ROW_GAP)
    narrow = 0 if workspace else _narrow(columns, dtype, target)
    return MatrixMultiply(dtype, epilogue, target, narrow, workspace)


def matrix_multiply_panels_plan(dtype="float32", epilogue="store", target=None) -> MatrixMultiply:
    """The same product with b in panels: large weights are read from one end to the other."""
    target = target or vector_target()
    panels = _tile_shape(target)[1] * target.lanes(dtype)
    return MatrixMultiply(dtype, epilogue, target, 0, 0, panels)


def matrix_multiply_part_plan(dtype="float32", target=None) -> MatrixMultiplyPart:
    """Dense forward as partial sums, one for each part of the weights' rows.  The kernel takes matrices of any size."""
    return MatrixMultiplyPart(dtype, "store", target or vector_target(), 0)


def matrix_multiply_transposed_plan(
    rows, depth, columns, dtype="float32", epilogue="store", target=None
) -> MatrixMultiplyTransposed:
    """Dense backward to the weights (depth, columns) over ``rows``; epilogue: store or accumulate.

    The sizes say no more than whether packing pays: the kernel takes matrices of any size and gives the same bits
    packed or not.
    """
    target = target or vector_target()
    narrow = _narrow(columns, dtype, target)
    # where rows of x and dy lie so far apart, and so many of them, that their addresses outgrow the processor's tables
    large = min(depth, columns) >= 1024 or rows * (depth + columns) >= 1 << 21
    return MatrixMultiplyTransposed(dtype, epilogue, target, narrow, large and not narrow)
