"""Products of matrices: dense layers forward and backward, on the tiles of ``jitnet.kernels.cpu.tiles.simd``.

A specialised kernel says what the caller must provide; its ``kernel()`` is written, compiled and cached.  Every
count is a run-time argument, so one kernel of a kind serves all dense layers of a model and any batch size.
"""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast.template import TemplateKernel, suffix
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

# The sizes of blocks are a guess from those of caches.  Packing itself was measured, with AVX-512: a transposed product
# of 2048^3 runs at 91 GFLOP/s a core instead of 36.
_L2_BYTES = 1 << 19  # what a kernel may take for granted of the second-level cache
_KC = 256  # steps of a sum in one part: a panel of B and some rows of A stay in the first-level cache
_MC = 128  # rows of the result, whose part of x is packed at a time
_MOST_ROWS = 256  # of A that are packed at a time
_ROW_GAP = 16  # elements between the packed rows of A, so that they do not compete for the same cache lines
_GEMV_EPILOGUES = ("store", "bias", "bias_relu", "bias_add", "bias_add_relu", "accumulate")
_GEMV_VECTORS = 8  # chains of additions that hide one another's latency (a guess: 4 cycles, two additions per cycle)


def _tile_shape(target: VectorTarget) -> tuple[int, int]:
    """Rows and vectors of a tile: their product and one row of vectors must fit the registers."""
    return (8, 2) if target.registers >= 32 else (4, 2)


@dataclass(frozen=True)
class _MatrixKernel(TemplateKernel):
    dtype: str
    epilogue: str
    target: VectorTarget
    narrow: int  # 0, or lanes of the only vector of a row of the result
    panels = 0  # columns of b that lie side by side, or 0 for all

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        narrow = f"_narrow{self.narrow}" if self.narrow else ""
        return self._prefix + narrow + suffix(self.epilogue)

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Product of matrices in {self.dtype}, epilogue {self.epilogue}"

    @property
    def _tile(self) -> dict:
        rows, vectors = _tile_shape(self.target)
        if self.narrow:
            return self.widest_vectors | dict(LANES=self.narrow, MR=rows, VECTORS=1)
        return self.widest_vectors | dict(MR=rows, VECTORS=vectors)


@dataclass(frozen=True)
class MatrixMultiply(_MatrixKernel):
    """``kernel(a, b[, bias[, residual] or activation], c, workspace)``: c (M, N) = epilogue(a (M, K) @ b (K, N)).

    With ``panels`` b lies in memory as ``transpose.panels_kernel`` leaves it, so many columns side by side.
    """

    workspace_elements: int  # 0: b is read in place; every chunk that runs at the same time needs its own
    panels: int = 0

    @property
    def _prefix(self):
        return "matrix_multiply_panels" if self.panels else self.template

    @property
    def template(self):
        """Which template has the kernel."""
        return "matrix_multiply_packed" if self.workspace_elements else "matrix_multiply"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        values = self._tile | dict(EPILOGUE=self.epilogue)
        if self.workspace_elements:
            return values | dict(KC=_KC, A_ROW=_KC + _ROW_GAP)
        gemv = self.epilogue in _GEMV_EPILOGUES and not self.narrow and not self.panels
        values |= dict(GEMV=gemv, GEMV_VECTORS=_GEMV_VECTORS, L2_BYTES=_L2_BYTES)
        return values | dict(NARROW=bool(self.narrow), PANELS=bool(self.panels))


class MatrixMultiplyPart(_MatrixKernel):
    """``kernel(a, b, c, part, first, last)``: c[:, part] = a[:, first:last] @ b[first:last]; c: (M, P, N)."""

    template = _prefix = "matrix_multiply_part"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        return self._tile | dict(GEMV_VECTORS=_GEMV_VECTORS)


@dataclass(frozen=True)
class MatrixMultiplyTransposed(_MatrixKernel):
    """``kernel(x, dy, dkernel, first, last)``: rows [first, last) of dkernel (K, N) = or += x (M, K).T @ dy (M, N)."""

    packed: bool

    @property
    def _prefix(self):
        return "matrix_multiply_transposed" + "_packed" * self.packed

    @property
    def tile_rows(self) -> int:
        """Rows of dkernel that are computed together; parts of it should start at a multiple."""
        return _MC // 2 if self.packed else _tile_shape(self.target)[0]

    @property
    def template(self):
        """Which template has the kernel."""
        # wider results fill the lanes of their own vectors well enough
        return self._prefix + ("_narrow" if 0 < self.narrow <= 4 else "")

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        values = self._tile | dict(EPILOGUE=self.epilogue)
        if self.packed:
            return values | dict(MC=_MC, KC=_KC)
        if self.template.endswith("_narrow"):
            rows, vectors = _tile_shape(self.target)
            return values | self.widest_vectors | dict(MR=self.narrow, VECTORS=max(1, rows * vectors // 8))
        return values | dict(NARROW=bool(self.narrow), L2_BYTES=_L2_BYTES)


def _narrow(columns: int, dtype: str, target: VectorTarget) -> int:
    """Lanes of the one vector that holds a row of ``columns``, or 0 where there is more than one."""
    lanes = target.lanes(dtype, columns)
    return lanes if columns <= lanes else 0


def matrix_multiply_kernel(rows, depth, columns, dtype="float32", epilogue="store", target=None) -> MatrixMultiply:
    """Product of (rows, depth) and (depth, columns).

    epilogue: store, accumulate, bias, bias_relu, bias_add, bias_add_relu or relu_mask.

    Dense forward is ``kernel(x, w, bias, y, workspace)``, dense backward to the input
    ``kernel(dy, transposed w, dx, workspace)``.  The sizes say no more than whether packing pays: the kernel takes
    matrices of any size and gives the same bits packed or not.
    """
    target = target or vector_target()
    tile_rows, vectors = _tile_shape(target)
    # rows of a panel that are one cache line each come badly out of a large matrix
    # (how these limits were found is not recorded)
    large = 1 << 18 if vectors * target.bytes <= 64 else 1 << 21
    workspace = 0
    if rows >= 64 and depth >= 2 * _KC and depth * columns >= large:
        packed_rows = min(-(-rows // tile_rows) * tile_rows, _MOST_ROWS)
        workspace = _KC * vectors * target.lanes(dtype) + packed_rows * (_KC + _ROW_GAP)
    narrow = 0 if workspace else _narrow(columns, dtype, target)
    return MatrixMultiply(dtype, epilogue, target, narrow, workspace)


def matrix_multiply_panels_kernel(dtype="float32", epilogue="store", target=None) -> MatrixMultiply:
    """The same product with b in panels: large weights are read from one end to the other."""
    target = target or vector_target()
    panels = _tile_shape(target)[1] * target.lanes(dtype)
    return MatrixMultiply(dtype, epilogue, target, 0, 0, panels)


def matrix_multiply_part_kernel(dtype="float32", target=None) -> MatrixMultiplyPart:
    """Dense forward as partial sums, one for each part of the weights' rows.  The kernel takes matrices of any size."""
    return MatrixMultiplyPart(dtype, "store", target or vector_target(), 0)


def matrix_multiply_transposed_kernel(
    rows, depth, columns, dtype="float32", epilogue="store", target=None
) -> MatrixMultiplyTransposed:
    """Dense backward to the weights (depth, columns) over ``rows``; epilogue: store or accumulate.

    The sizes say no more than whether packing pays: the kernel takes matrices of any size and gives the same bits
    packed or not.
    """
    target = target or vector_target()
    narrow = _narrow(columns, dtype, target)
    # every tile reads x and dy from one end to the other: packing, which takes 5 %, pays where they outgrow the
    # second-level cache and its table of addresses.  Measured with AVX-512 from 64 x 128 x 128 to 4096 x 784 x 512:
    # below, packed takes 1.05 times as long, above it is 1.3 times as fast; so it is where rows are a page apart
    large = min(depth, columns) >= 1024 or rows * (depth + columns) >= 7 << 17
    return MatrixMultiplyTransposed(dtype, epilogue, target, narrow, large and not narrow)
