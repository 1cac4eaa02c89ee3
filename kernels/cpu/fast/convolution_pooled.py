"""Gradients of a convolution (stride 1) that is followed by max pooling with windows of 2 x 2.

The gradient of the convolution's result is never written: these passes read the pooled gradient and the number of the
pixel that won each window (0 to 3), and leave out the three quarters of the products that are zero.  Lanes are a row of
a filter's window, on the tiles of ``jitnet.kernels.cpu.tiles.pooled``.  That suits few channels; ``pays`` says where.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.fast.template import ITEMSIZE, TemplateKernel, suffix
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

LARGEST_TABLE = 24 * 1024  # bytes of weights that a tile of backward_data reads, in the first-level cache (a guess)


def _vectors(size: int, target: VectorTarget, itemsize: int) -> tuple[int, int]:
    """(lanes, vectors) that hold ``size`` elements with the least work, 64 bytes being that of twice 32."""
    lanes = [nbytes // itemsize for nbytes in (64, 32, 16) if nbytes <= target.bytes]
    best = min(lanes, key=lambda n: -(-size // n) * (2 if n * itemsize == 64 else 1))
    return best, -(-size // best)


def _aligned(elements: int) -> int:
    return -(-elements // 16) * 16


def _largest_divisor(number: int, most: int) -> int:
    return max((d for d in range(1, number + 1) if number % d == 0 and d <= most), default=0)


@dataclass(frozen=True)
class PooledConvolutionKernel(TemplateKernel):
    """One backward pass.  ``kind``: backward_data or backward_filter.

    width: of the convolution's input; pooled_width: of the pooled result.
    """

    kind: str
    kernel_shape: tuple[int, int, int, int]
    width: int
    pooled_width: int
    pad_left: int
    dtype: str
    epilogue: str
    target: VectorTarget

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        return f"conv2d_pooled_{self.kind}_{rows}x{columns}_{channels}_{filters}{suffix(self.epilogue)}"

    @cached_property
    def _row(self) -> tuple[int, int]:
        """(lanes, vectors) that hold a row of a window."""
        _, taps, channels, _ = self.kernel_shape
        size = (taps + (self.kind == "backward_data")) * channels
        return _vectors(size, self.target, ITEMSIZE[self.dtype])

    @cached_property
    def _tile(self) -> tuple[int, int]:
        """(filters, rows) of a tile; rows are 0 if not even one fits in the registers."""
        lanes, vectors = self._row
        most = (self.target.registers - 2) // vectors
        if self.kind == "backward_filter":
            rows = _largest_divisor(self.kernel_shape[0], most)
            return (_largest_divisor(self.kernel_shape[3], most // rows) if rows else 0), rows
        filters = self.kernel_shape[3]
        table_rows = LARGEST_TABLE // (2 * filters * vectors * lanes * ITEMSIZE[self.dtype]) - 1
        return 1, _largest_divisor(self.kernel_shape[0] + 1, min(most, table_rows))

    @property
    def pays(self) -> bool:
        """Whether this pass takes fewer vector operations than the dense one."""
        rows, taps, channels, filters = self.kernel_shape
        (lanes, vectors), (_, tile_rows) = self._row, self._tile
        if tile_rows == 0:
            return False
        weight = {64: 2}
        if self.kind == "backward_filter":
            # 1.4: loads that are not aligned (a guess)
            here = 1.4 * rows * vectors * filters
            wide, dense = self.target.lanes(self.dtype, filters), 4 * rows * taps * channels
            dense *= -(-filters // wide)
        else:
            here = (rows + 1) * vectors * filters
            wide, dense = self.target.lanes(self.dtype, channels), 4 * rows * taps * filters
            dense *= -(-channels // wide)
        here *= weight.get(lanes * ITEMSIZE[self.dtype], 1)
        return here < 0.8 * dense * weight.get(wide * ITEMSIZE[self.dtype], 1)

    @property
    def weight_elements(self) -> int:
        """Elements of what backward_data reads as weights; ``weight_row`` of them are a row."""
        return self.kernel_shape[3] * 2 * (self.kernel_shape[0] + 2) * self.weight_row

    @property
    def weight_row(self) -> int:
        """Elements of a row of weights."""
        lanes, vectors = self._row
        return lanes * vectors

    def workspace_elements(self, height: int, pooled_height: int, pad_top: int) -> int:
        """Elements of workspace for images of ``height`` rows, pooled to ``pooled_height``."""
        rows, _, _, filters = self.kernel_shape
        window_rows = 2 * pooled_height + rows - 1
        if self.kind == "backward_data":
            return max(window_rows, height + pad_top) * self._row_elements + self.weight_row
        return window_rows * self._row_elements + self.weight_row * (1 + filters * rows)

    @property
    def _row_elements(self) -> int:
        """Elements of a row of the image in the workspace."""
        _, taps, channels, _ = self.kernel_shape
        columns = 2 * self.pooled_width + taps - 1
        return max(columns, self.width + self.pad_left if self._keeps_all_columns(columns) else 0) * channels

    def _keeps_all_columns(self, columns: int) -> bool:
        """backward_data writes every column of dx; backward_filter reads the image in place if it has no padding."""
        return self.kind == "backward_data" or (self.pad_left == 0 and columns <= self.width)

    @property
    def template(self) -> str:
        """Which template has the kernel."""
        return "pooled_filter" if self.kind == "backward_filter" else "pooled_data"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        rows, columns, channels, filters = self.kernel_shape
        shape = f"{rows}x{columns}, {channels} -> {filters} channels"
        return f"{self.kind} of a pooled convolution, {shape}, {self.dtype}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        rows, taps, channels, filters = self.kernel_shape
        lanes, vectors = self._row
        filter_block, tile_rows = self._tile
        values = dict(
            DTYPE=self.dtype, LANES=lanes, TAP_ROWS=rows, TAPS=taps, CHANNELS=channels, FILTERS=filters,
            WIDTH=self.width, COLUMNS=self.pooled_width, PAD_LEFT=self.pad_left, ROWS=tile_rows, VECTORS=vectors,
        )  # fmt: skip
        if self.kind == "backward_filter":
            copied = min(self.width, self._row_elements // channels - self.pad_left) * channels
            return values | dict(X_ROW=self._row_elements, COPIED=copied, FILTER_BLOCK=filter_block)
        return values | dict(DX_ROW=self._row_elements, EPILOGUE=self.epilogue)


def conv2d_pooled_backward_data_kernel(
    kernel_shape, width, pooled_width, pad_left=0, dtype="float32", epilogue="store", target=None
) -> PooledConvolutionKernel:
    """dx from the pooled gradient.  kernel_shape: (R, S, C, K); epilogue: store, accumulate or relu_mask.

    ``kernel(dy, argmax, weights[, activation], dx, workspace, pad_top)``; see ``pooled_weights_kernel``.
    """
    plan_target = target or vector_target()
    return PooledConvolutionKernel(
        "backward_data", tuple(kernel_shape), width, pooled_width, pad_left, dtype, epilogue, plan_target
    )


def conv2d_pooled_backward_filter_kernel(
    kernel_shape, width, pooled_width, pad_left=0, dtype="float32", target=None
) -> PooledConvolutionKernel:
    """dkernel from x and the pooled gradient.  kernel_shape: (R, S, C, K).

    ``kernel(x, dy, argmax, dkernel, workspace, pad_top, accumulate)``.
    """
    plan_target = target or vector_target()
    return PooledConvolutionKernel(
        "backward_filter", tuple(kernel_shape), width, pooled_width, pad_left, dtype, "store", plan_target
    )


@dataclass(frozen=True)
class PooledForwardKernel(TemplateKernel):
    """Convolution of one channel with at most 16 filters, bias, max pooling, and perhaps ReLU.

    size: height and width of x; pooled: of y; padding: top and left.
    """

    kernel_shape: tuple[int, int, int, int]
    size: tuple[int, int]
    pooled: tuple[int, int]
    padding: tuple[int, int]
    relu: bool
    dtype: str
    target: VectorTarget
    template = "pooled_forward"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        return f"conv2d_forward_{rows}x{columns}_{channels}_{filters}_bias_max_pool{'_relu' * self.relu}"

    @property
    def _lanes(self) -> int:
        return _vectors(self.pooled[0] * self.pooled[1], self.target, ITEMSIZE[self.dtype])[0]

    @cached_property
    def _parts(self) -> dict:
        """Elements of the parts of the workspace: the image, planes of it, y and argmax."""
        filters, lanes = self.kernel_shape[3], self._lanes
        rows, row, plane = (self._layout_of_image[name] for name in ("X_ROWS", "X_ROW", "PLANE"))
        pixels = -(-self.pooled[0] * self.pooled[1] // lanes) * lanes
        return dict(
            IMAGE=rows * row + 2 * lanes + self.kernel_shape[1] + 1,
            PLANES=2 * (self.kernel_shape[1] + 1) * plane + 2 * lanes,
            Y=pixels * filters + 8,
            ARGMAX=(pixels * filters + 8) // ITEMSIZE[self.dtype] + 1,
        )

    @property
    def _layout_of_image(self) -> dict:
        rows, taps, *_ = self.kernel_shape
        height, width = self.pooled
        x_rows = 2 * (height + rows // 2)  # an even number of rows, all that a window reads
        plane = x_rows // 2 * width + self._lanes  # a vector reaches past its row
        return dict(X_ROWS=x_rows, X_ROW=2 * width + taps - 1, PLANE=plane)

    @property
    def _layout(self) -> dict:
        """Where the parts of the workspace begin, and how the image lies in it."""
        starts, total = {}, 0
        for name, size in self._parts.items():
            starts[name] = total
            total += _aligned(size)
        return self._layout_of_image | starts

    @property
    def workspace_elements(self) -> int:
        """Elements of workspace."""
        return sum(map(_aligned, self._parts.values()))

    @property
    def pays(self) -> bool:
        """Whether filters would leave many lanes of the direct kernel empty, and pooled pixels few of this one's."""
        *_, channels, filters = self.kernel_shape
        pixels = self.pooled[0] * self.pooled[1]
        wide = self.target.lanes(self.dtype, filters)
        full = pixels / (-(-pixels // self._lanes) * self._lanes)
        return channels == 1 and filters <= 16 and filters / (-(-filters // wide) * wide) < full

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Convolution of one channel and max pooling, {self.dtype}"

    @property
    def unused(self) -> set[str]:
        """Parameters of the template's kernel that the specialised one has not."""
        return set()

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        rows, taps, _, filters = self.kernel_shape
        return self._layout | dict(
            DTYPE=self.dtype, LANES=self._lanes, TAP_ROWS=rows, TAPS=taps, FILTERS=filters, HEIGHT=self.size[0],
            WIDTH=self.size[1], ROWS=self.pooled[0], COLUMNS=self.pooled[1], PAD_TOP=self.padding[0],
            PAD_LEFT=self.padding[1], FILTER_BLOCK=max(1, (self.target.registers - 6) // 4), RELU=self.relu,
        )  # fmt: skip


def conv2d_pooled_forward_kernel(
    kernel_shape, size, pooled, padding=(0, 0), relu=False, dtype="float32", target=None
) -> PooledForwardKernel:
    """y = [relu](max pooling(convolution of x + bias)).  kernel_shape: (R, S, 1, K); size, pooled: of x and y.

    ``kernel(x, kernel, bias, y, argmax, workspace)``
    """
    plan_target = target or vector_target()
    return PooledForwardKernel(
        tuple(kernel_shape), tuple(size), tuple(pooled), tuple(padding), relu, dtype, plan_target
    )


@dataclass(frozen=True)
class PooledWeightsKernel(TemplateKernel):
    """``kernel(kernel, out, weight_row)``: the weights as ``conv2d_pooled_backward_data`` reads them."""

    dtype: str
    target: VectorTarget
    name = template = "pooled_weights"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Weights in {self.dtype} as the gradient of a pooled convolution reads them"

    @property
    def constants(self) -> dict:
        """The template has none."""
        return {}


def pooled_weights_kernel(dtype="float32", target=None) -> PooledWeightsKernel:
    """Copies of weights of ``dtype``."""
    return PooledWeightsKernel(dtype, target or vector_target())
