"""Products of bfloat16 operands, summed in float32, on the tiles of ``jitnet.kernels.cpu.tiles.bfloat16``.

Arrays stay float32: operands are rounded to bfloat16 (nearest, ties to even) where they are packed, weights once per
step, images and gradients one image at a time into a workspace that stays in the second-level cache.  A row of an
image with its halo is a matrix already: the inputs of neighbouring pixels lie ``stride * channels`` apart, and what
one row of taps reads is contiguous.  So convolution forward and backward to the input are one product per row, summed
over the rows of taps; backward to the weights is a product of the transposed image with the gradient.
"""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast.template import TemplateKernel, even, suffix
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target, bfloat16_target

_LANES = 16
_TILE_ROWS, _TILE_STEP = 16, 32  # of AMX: rows of A, and products of a sum in one instruction
_DENSE_ROWS = 8  # of a tile without AMX: 16 sums of 2 vectors hide the latency of the products (a guess)
_LEAST_DEPTH, _LEAST_DENSE = 6, 64  # of depth, for ``rounding_pays`` (these limits are a guess)
_MOST_PAIRS = 4  # that take no longer than a block of 16, when an image is transposed (how it was found: not recorded)
_PACKED_HALVES = 1 << 17  # of rows of A that are packed at a time, in the second-level cache with B (a guess)


def _steps(target: BFloat16Target, size: int, repeats: int = 1) -> tuple[int, int]:
    """(padded size, products of a step) of a reduction over ``repeats`` times ``size`` elements.

    Both are even and ``repeats * padded`` is a multiple of the step: the fewest steps, then the least padding.
    """
    even = size + size % 2
    if not target.tiles:
        return even, 4 if repeats * even % 4 == 0 else 2
    choices = [
        (repeats * padded // step, padded, step)
        for padded in range(even, even + _TILE_STEP, 2)
        for step in range(2, _TILE_STEP + 1, 2)
        if repeats * padded % step == 0
    ]
    _, padded, step = min(choices)
    return padded, step


@dataclass(frozen=True)
class BFloat16Kernel(TemplateKernel):
    """What all of them share."""

    target: BFloat16Target

    @property
    def _target(self) -> dict:
        return dict(TARGET=self.target.name, AMX=self.target.tiles, NATIVE=self.target.native)

    def _vectors(self, columns: int) -> int:
        """Vectors of columns in a tile."""
        total = -(-columns // _LANES)
        return 3 if total == 3 and not self.target.tiles else min(total, 2)

    def _rows(self, count: int, vectors: int) -> int:
        """Rows of a tile, of ``count`` that there are."""
        if self.target.tiles:
            rows = even(count, 2 * _TILE_ROWS)
            return rows if rows <= _TILE_ROWS else rows + rows % 2
        return even(count, min((31 - vectors) // vectors, 16))

    def _tile_of(self, rows: int, vectors: int) -> dict:
        scratch = (rows if self.target.tiles else 1) * vectors * _LANES
        return dict(MR=rows, VECTORS=vectors, SCRATCH=scratch)

    def _tile_rows(self, rows: int) -> dict:
        """Rows of each of AMX's tiles, of which two may lie below each other."""
        return dict(TILE_ROWS=rows // 2 if rows > _TILE_ROWS else rows)


@dataclass(frozen=True)
class BFloat16Weights(BFloat16Kernel):
    """``kernel(kernel, out, padded, part, parts)``: (taps, depth, columns) into pairs, ``elements`` float32 elements.

    One call does its share of the depth: with part in range(parts), all is done.
    """

    vectors: int  # of columns that lie side by side
    template = "bfloat16_weights"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return f"bfloat16_weights_{self.columns}"

    @property
    def columns(self) -> int:
        """Columns that lie side by side."""
        return self.vectors * _LANES

    def elements(self, taps: int, padded: int, columns: int) -> int:
        return taps * padded // 2 * -(-columns // self.columns) * self.columns

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Weights as pairs of bfloat16, {self.columns} columns side by side"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        return self._target | dict(VECTORS=self.vectors)


class _PackedProduct(BFloat16Kernel):
    """A kernel whose B are packed weights: (``taps``, ``depth``, ``columns``), the depth filled up to ``padded``."""

    def weights(self) -> BFloat16Weights:
        """The packing of the weights (for backward passes, of the transposed weights)."""
        return BFloat16Weights(self.target, self._vectors(self.columns))

    @property
    def weight_elements(self) -> int:
        return self.weights().elements(self.taps, self.padded, self.columns)


@dataclass(frozen=True)
class BFloat16Convolution(_PackedProduct):
    """Forward or backward_data: ``kernel(x, packed kernel[, bias or activation], y, workspace, pad_top, pad_left)``.

    For backward_data x is dy, y is dx and the padding that of the forward pass.  kernel_shape: (R, S, C, K).
    """

    kind: str
    kernel_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    width: int  # of y
    epilogue: str
    template = "bfloat16_convolution"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        stride = "" if self.stride == (1, 1) else f"_stride{self.stride[0]}x{self.stride[1]}"
        return f"conv2d_{self.kind}_bfloat16_{rows}x{columns}_{channels}_{filters}{stride}{suffix(self.epilogue)}"

    @property
    def taps(self) -> int:
        return self.kernel_shape[0] * self.kernel_shape[1]

    @property
    def depth(self) -> int:
        """Channels of x."""
        return self.kernel_shape[2 if self.kind == "forward" else 3]

    @property
    def columns(self) -> int:
        """Channels of y."""
        return self.kernel_shape[3 if self.kind == "forward" else 2]

    @property
    def padded(self) -> int:
        return self._step[0]

    @property
    def _step(self) -> tuple[int, int]:
        phased = self.kind == "backward_data" and self.stride[1] > 1
        return _steps(self.target, self.depth, 1 if phased else self.kernel_shape[1])

    @property
    def _tile(self) -> dict:
        phases = 1 if self.kind == "forward" else self.stride[1]
        vectors = self._vectors(self.columns)
        return self._tile_of(self._rows(-(-self.width // phases), vectors), vectors)

    def workspace_elements(self, rows: int, columns: int, pad_left: int) -> int:
        """float32 elements of workspace for x of ``rows`` x ``columns``; every chunk needs its own."""
        taps, stride = self.kernel_shape[1], self.stride[1]
        if self.kind == "forward":
            left, right = -pad_left, (self.width - 1) * stride + taps - pad_left
        else:
            left, right = min(0, pad_left // stride - taps), (self.width + pad_left) // stride + taps + 1
        span = max(right, columns) - min(left, 0)
        # the last tile may read rows that there are not, and a tap beyond them
        beyond = (self._tile["MR"] + 1) * stride + taps
        return self._tile["SCRATCH"] + (rows * span + beyond) * self.padded // 2

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Convolution {self.kind} of bfloat16, {self.kernel_shape}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        forward = self.kind == "forward"
        stride, phases = (self.stride, (1, 1)) if forward else ((1, 1), self.stride)
        padded, step = self._step
        return self._target | self._tile | self._tile_rows(self._tile["MR"]) | dict(
            TAP_ROWS=self.kernel_shape[0], TAPS=self.kernel_shape[1], CHANNELS=self.depth, FILTERS=self.columns,
            STRIDE_H=stride[0], STRIDE_W=stride[1], PHASES_H=phases[0], PHASES_W=phases[1],
            DEPTH=padded, STEP=step, BACKWARD=not forward, EPILOGUE=self.epilogue,
        )  # fmt: skip


@dataclass(frozen=True)
class BFloat16Filter(BFloat16Kernel):
    """Backward to the weights: ``kernel(x, dy, dkernel, workspace, pad_top, pad_left, accumulate)``."""

    kernel_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    width: int  # of dy
    template = "bfloat16_filter"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        stride = "" if self.stride == (1, 1) else f"_stride{self.stride[0]}x{self.stride[1]}"
        return f"conv2d_backward_filter_bfloat16_{rows}x{columns}_{channels}_{filters}{stride}"

    @property
    def _line(self) -> tuple[int, int, int]:
        """Elements that a row of the transposed image takes; blocks of 32 and pairs that are made."""
        pixels, _ = _steps(self.target, self.width)
        used = pixels + (self.kernel_shape[1] - 1) // self.stride[1]
        blocks, rest = divmod(used, 32)
        pairs = -(-rest // 2)
        if pairs > _MOST_PAIRS:
            blocks, pairs = blocks + 1, 0
        return -(-used // 32) * 32, blocks, pairs

    @property
    def _tile(self) -> dict:
        _, _, channels, filters = self.kernel_shape
        vectors = self._vectors(filters)
        return self._tile_of(self._rows(channels, vectors), vectors)

    def workspace_elements(self, rows: int, height: int) -> int:
        """float32 elements of workspace for ``rows`` of x and ``height`` of dy; every chunk needs its own."""
        _, taps, channels, _ = self.kernel_shape
        pixels, _ = _steps(self.target, self.width)
        x_row = min(self.stride[1], taps) * -(-channels // 16) * 16 * self._line[0] + 32
        image = (height * pixels * self._tile["VECTORS"] * _LANES + rows * x_row) // 2
        beyond = (self._tile["MR"] + 1) * self._line[0] // 2  # what products read and do not use
        return self._tile["SCRATCH"] + image + beyond

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Convolution backward_filter of bfloat16, {self.kernel_shape}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        tap_rows, taps, channels, filters = self.kernel_shape
        pixels, step = _steps(self.target, self.width)
        line, blocks, pairs = self._line
        return self._target | self._tile | self._tile_rows(self._tile["MR"]) | dict(
            TAP_ROWS=tap_rows, TAPS=taps, CHANNELS=channels, FILTERS=filters, STRIDE_H=self.stride[0],
            STRIDE_W=self.stride[1], PIXELS=pixels, STEP=step, LINE=line, BLOCKS=blocks, PAIRS=pairs,
        )  # fmt: skip


@dataclass(frozen=True)
class BFloat16Dense(_PackedProduct):
    """``kernel(a, packed b[, bias or activation], c, workspace)``: c (M, N) = epilogue(a (M, depth) @ b (depth, N))."""

    depth: int
    columns: int
    epilogue: str
    taps = 1
    template = "bfloat16_dense"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return f"matrix_multiply_bfloat16_{self.depth}_by_{self.weights().columns}{suffix(self.epilogue)}"

    @property
    def padded(self) -> int:
        return _steps(self.target, self.depth)[0]

    @property
    def _packed_row(self) -> int:
        return self.padded + 32  # so that rows do not compete for the same cache lines

    @property
    def _tile(self) -> dict:
        rows = _TILE_ROWS if self.target.tiles else _DENSE_ROWS
        return self._tile_of(rows, self._vectors(self.columns))

    @property
    def _mc(self) -> int:
        rows = self._tile["MR"]
        return max(1, min(64, _PACKED_HALVES // self._packed_row) // rows) * rows

    @property
    def workspace_elements(self) -> int:
        """float32 elements of workspace; every chunk needs its own."""
        return self._tile["SCRATCH"] + self._mc * self._packed_row // 2

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Product of matrices of bfloat16, depth {self.depth}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        padded, step = _steps(self.target, self.depth)
        return (
            self._target
            | self._tile
            | dict(
                DEPTH=self.depth, PADDED=padded, STEP=step, A_ROW=self._packed_row, MC=self._mc, EPILOGUE=self.epilogue
            )
        )


def rounding_pays(kind: str, kernel_shape, dilation=(1, 1), winograd: int = 0) -> bool:
    """Whether a product of bfloat16 operands is possible and faster than that of float32.

    kind: forward, backward_data, backward_filter or dense; kernel_shape: (R, S, C, K), for dense (1, 1, depth,
    columns); winograd: of the F(m x m, 3x3) that float32 would use, 0 for none.

    Measured with AVX512-BF16 at 1.7 to 2 times the speed of direct convolution in float32, but half that of Winograd's
    F(4x4, 3x3), which is the more exact, too.  A few channels leave too many lanes or places of pairs empty.
    """
    target = bfloat16_target()
    if target is None or tuple(dilation) != (1, 1):
        return False
    depth, columns = kernel_shape[2:] if kind != "backward_data" else kernel_shape[:1:-1]
    least = _LEAST_DENSE if kind == "dense" else _LEAST_DEPTH
    return depth >= least and columns >= _LANES and (target.tiles or not winograd)


def conv2d_bfloat16_kernel(
    kind, kernel_shape, width, stride=(1, 1), epilogue="store", target=None
) -> BFloat16Convolution:
    """kind: forward (epilogue: store, bias or bias_relu) or backward_data (store, accumulate or relu_mask).

    kernel_shape: (R, S, C, K); width: of the result.
    """
    target = target or bfloat16_target()
    return BFloat16Convolution(target, kind, tuple(kernel_shape), tuple(stride), width, epilogue)


def conv2d_backward_filter_bfloat16_kernel(kernel_shape, width, stride=(1, 1), target=None) -> BFloat16Filter:
    """kernel_shape: (R, S, C, K); width: of dy."""
    return BFloat16Filter(target or bfloat16_target(), tuple(kernel_shape), tuple(stride), width)


def matrix_multiply_bfloat16_kernel(depth, columns, epilogue="store", target=None) -> BFloat16Dense:
    """Product of (any, depth) and (depth, columns); epilogue: store, accumulate, bias, bias_relu or relu_mask."""
    return BFloat16Dense(target or bfloat16_target(), depth, columns, epilogue)
