"""Plans for the gradients of a convolution (stride 1) that is followed by max pooling with windows of 2 x 2.

The gradient of the convolution's result is never written: these passes read the pooled gradient and the number of the
pixel that won each window (0 to 3), and leave out the three quarters of the products that are zero.  Lanes are a row of
a filter's window, on the tiles of ``jitnet.kernels.cpu.tiles.pooled``.  That suits few channels; ``pays`` says where.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_FILTER = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.copies import copy_rows_tile
from jitnet.kernels.cpu.tiles.pooled import pooled_filter_tile

TAP_ROWS, TAPS, CHANNELS, FILTERS = {kernel_shape}
WIDTH, COLUMNS, PAD_LEFT, X_ROW, ITEMSIZE = {width}, {pooled_width}, {pad_left}, {x_row}, {itemsize}
GROUP, ROWS, VECTORS, LANES = {group}, {rows}, {vectors}, {lanes}
tile = pooled_filter_tile(
    dtype={dtype!r}, lanes=LANES, group=GROUP, rows=ROWS, vectors=VECTORS, row_stride=TAP_ROWS, x_row=X_ROW,
    channels=CHANNELS, filters=FILTERS, columns=COLUMNS,
)
copy_rows = copy_rows_tile(dtype={dtype!r}, lanes=LANES, count={count})


@kernel
def {name}(x, dy, argmax, dkernel, workspace, pad_top, accumulate):
    """x: (N, rows, {width}, {channels}), dy, argmax: (N, rows, {pooled_width}, {filters}), dkernel: {kernel_shape}."""
    kernel_attributes()
    images, height = x.shape[:2]
    pooled_rows = dy.shape[1]
    rows = 2 * pooled_rows + TAP_ROWS - 1
    padded = X_ROW != WIDTH * CHANNELS or PAD_LEFT > 0 or pad_top > 0 or rows > height
    copied = min(height, rows - pad_top)
    sums_at = rows * X_ROW + VECTORS * LANES
    sums = workspace[sums_at : sums_at + FILTERS * TAP_ROWS * VECTORS * LANES]
    sums[:] = 0
    if padded:
        workspace[:sums_at] = 0
    for image in range(images):
        image_at = address(x, image * height * WIDTH * CHANNELS)
        # a vector that reaches past the last window ends in what follows the image, if enough does
        if padded or (images - 1 - image) * height * WIDTH * CHANNELS < VECTORS * LANES:
            target = address(workspace, (pad_top * X_ROW) + PAD_LEFT * CHANNELS)
            copy_rows((image_at, WIDTH * CHANNELS, target, X_ROW, copied))
            image_at = address(workspace, 0)
        pooled = image * pooled_rows * COLUMNS * FILTERS
        for first in range(0, FILTERS, GROUP):
            for row in range(0, TAP_ROWS, ROWS):
                tile((
                    image_at + row * X_ROW * ITEMSIZE, address(dy, pooled + first),
                    address(argmax, pooled + first), address(sums, (first * TAP_ROWS + row) * VECTORS * LANES),
                    pooled_rows,
                ))
    out = dkernel.reshape(-1)
    for row in range(TAP_ROWS):
        for j in range(TAPS * CHANNELS):
            at = (row * TAPS * CHANNELS + j) * FILTERS
            for k in range(FILTERS):
                value = sums[(k * TAP_ROWS + row) * VECTORS * LANES + j]
                out[at + k] = out[at + k] + value if accumulate else value
'''

_FORWARD = '''"""Convolution of one channel and max pooling, {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.copies import copy_bytes_tile, copy_rows_tile
from jitnet.kernels.cpu.tiles.pooled import phases_tile, pooled_forward_tile

TAP_ROWS, TAPS, _, FILTERS = {kernel_shape}
HEIGHT, WIDTH, ROWS, COLUMNS, PAD_TOP, PAD_LEFT = {height}, {width}, {pooled_height}, {columns}, {pad_top}, {pad_left}
X_ROW, X_ROWS, PLANE, LANES, ITEMSIZE = {x_row}, {x_rows}, {plane}, {lanes}, {itemsize}
BLOCKS = (ROWS * COLUMNS + LANES - 1) // LANES
phases = phases_tile(
    dtype={dtype!r}, lanes=LANES, row=X_ROW, taps=TAPS, columns=COLUMNS, plane=PLANE, rows=X_ROWS,
)
tile = pooled_forward_tile(
    dtype={dtype!r}, lanes=LANES, group={group}, tap_rows=TAP_ROWS, taps=TAPS, filters=FILTERS, columns=COLUMNS,
    plane=PLANE, relu={relu},
)
copy_rows = copy_rows_tile(dtype={dtype!r}, lanes=LANES, count=min(WIDTH, X_ROW - PAD_LEFT))
copy_bytes = copy_bytes_tile()


@kernel
def {name}(x, kernel, bias, y, argmax, workspace):
    """x: (N, {height}, {width}, 1), kernel: {kernel_shape}, bias: ({filters},),
    y, argmax: (N, {pooled_height}, {columns}, {filters})."""
    kernel_attributes()
    image_at = address(workspace, {image_offset})
    planes_at = address(workspace, {planes_offset})
    y_at = address(workspace, {y_offset})
    argmax_at = address(workspace, {argmax_offset})
    workspace[{image_offset} : {planes_offset}] = 0
    inside = image_at + (PAD_TOP * X_ROW + PAD_LEFT) * ITEMSIZE
    size = ROWS * COLUMNS * FILTERS
    for image in range(x.shape[0]):
        copy_rows((address(x, image * HEIGHT * WIDTH), WIDTH, inside, X_ROW, min(HEIGHT, X_ROWS - PAD_TOP)))
        phases((image_at, planes_at))
        tile((planes_at, address(kernel, 0), address(bias, 0), y_at, argmax_at, BLOCKS))
        copy_bytes((y_at, address(y, image * size), size * ITEMSIZE))
        copy_bytes((argmax_at, address(argmax, image * size), size))
'''

_DATA = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.pooled import pooled_data_tile

TAP_ROWS, TAPS, CHANNELS, FILTERS = {kernel_shape}
WIDTH, COLUMNS, PAD_LEFT, DX_ROW = {width}, {pooled_width}, {pad_left}, {dx_row}
ROWS, ROW = {rows}, {vectors} * {lanes}  # rows of dx that a tile makes, elements of a row of weights
tile = pooled_data_tile(
    dtype={dtype!r}, lanes={lanes}, rows=ROWS, vectors={vectors}, table_rows=TAP_ROWS + 2, dx_row=DX_ROW,
    channels=CHANNELS, filters=FILTERS, columns=COLUMNS,
)


@kernel
def {name}(
    dy, argmax, weights{extra_argument}, dx, workspace, pad_top
):
    """dy, argmax: (N, rows, {pooled_width}, {filters}), weights: from pooled_weights{extra_shape},
    dx: (N, rows, {width}, {channels})."""
    kernel_attributes()
    images, height = dx.shape[:2]
    pooled_rows = dy.shape[1]
    rows = max(2 * pooled_rows + TAP_ROWS - 1, height + pad_top)
    # without padding left and right, all rows are one
    lines, length = (1, height * DX_ROW) if DX_ROW == WIDTH * CHANNELS else (height, WIDTH * CHANNELS)
    out = dx.reshape(-1)
{extra_rows}    for image in range(images):
        workspace[: rows * DX_ROW] = 0
        pooled = image * pooled_rows * COLUMNS * FILTERS
        for row in range(0, TAP_ROWS + 1, ROWS):
            tile((
                address(dy, pooled), address(argmax, pooled), address(weights, (row + 1) * ROW),
                address(workspace, row * DX_ROW), pooled_rows,
            ))
        for line in range(lines):
            source = workspace[(pad_top + line) * DX_ROW + PAD_LEFT * CHANNELS :]
            at = (image * lines + line) * length
            target = out[at : at + length]
{finish}
'''

_FINISH = {
    "store": "            for i in range(length):\n                target[i] = source[i]",
    "accumulate": "            for i in range(length):\n                target[i] += source[i]",
    "relu_mask": """            mask = active[at : at + length]
            for i in range(length):
                target[i] = source[i] if mask[i] > 0 else 0""",
}

_WEIGHTS = '''"""Weights in {dtype} as the gradient of a pooled convolution reads them, for {target}, by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes


@kernel
def pooled_weights(kernel, out, row):
    """For each filter, for each column of the winner: a row of zeros, the rows of taps, a row of zeros.

    kernel: (R, S, C, K); out: (K * 2 * (R + 2) * row,), row: elements of a row, of which S * C from 0 or C on are taps
    """
    kernel_attributes()
    taps_h, taps_w, channels, filters = kernel.shape
    size = taps_w * channels
    source = kernel.reshape(-1)
    out[:] = 0
    for k in range(filters):
        for column in range(2):
            for r in range(taps_h):
                at = ((k * 2 + column) * (taps_h + 2) + r + 1) * row + column * channels
                target = out[at : at + size]
                taps = source[r * size * filters + k :]
                for j in range(size):
                    target[j] = taps[j * filters]
'''

LARGEST_TABLE = 24 * 1024  # bytes of weights that a tile of backward_data reads: they stay in the first cache


def _vectors(size: int, target: VectorTarget, itemsize: int) -> tuple[int, int]:
    """(lanes, vectors) that hold ``size`` elements with the least work, 64 bytes being that of twice 32."""
    lanes = [nbytes // itemsize for nbytes in (64, 32, 16) if nbytes <= target.bytes]
    best = min(lanes, key=lambda n: -(-size // n) * (2 if n * itemsize == 64 else 1))
    return best, -(-size // best)


def _largest_divisor(number: int, most: int) -> int:
    return max((d for d in range(1, number + 1) if number % d == 0 and d <= most), default=0)


@dataclass(frozen=True)
class PooledConvolutionPlan(GeneratedKernel):
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
        epilogue = "" if self.epilogue == "store" else f"_{self.epilogue}"
        return f"conv2d_pooled_{self.kind}_{rows}x{columns}_{channels}_{filters}{epilogue}"

    @property
    def _itemsize(self) -> int:
        return 4 if self.dtype == "float32" else 8

    @cached_property
    def _row(self) -> tuple[int, int]:
        """(lanes, vectors) that hold a row of a window."""
        _, taps, channels, _ = self.kernel_shape
        size = (taps + (self.kind == "backward_data")) * channels
        return _vectors(size, self.target, self._itemsize)

    @cached_property
    def _tile(self) -> tuple[int, int]:
        """(filters, rows) of a tile; rows are 0 if not even one fits in the registers."""
        lanes, vectors = self._row
        most = (self.target.registers - 2) // vectors
        if self.kind == "backward_filter":
            rows = _largest_divisor(self.kernel_shape[0], most)
            return (_largest_divisor(self.kernel_shape[3], most // rows) if rows else 0), rows
        filters = self.kernel_shape[3]
        table_rows = LARGEST_TABLE // (2 * filters * vectors * lanes * self._itemsize) - 1
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
            # loads that are not aligned
            here = 1.4 * rows * vectors * filters
            wide, dense = self.target.lanes(self.dtype, filters), 4 * rows * taps * channels
            dense *= -(-filters // wide)
        else:
            here = (rows + 1) * vectors * filters
            wide, dense = self.target.lanes(self.dtype, channels), 4 * rows * taps * filters
            dense *= -(-channels // wide)
        here *= weight.get(lanes * self._itemsize, 1)
        return here < 0.8 * dense * weight.get(wide * self._itemsize, 1)

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

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        rows, columns, channels, filters = self.kernel_shape
        lanes, vectors = self._row
        group, tile_rows = self._tile
        values = dict(
            title=f"{self.kind} of a pooled convolution, {rows}x{columns}, {channels} -> {filters} channels, "
            f"{self.dtype}",
            name=self.name,
            target=self.target.name,
            dtype=self.dtype,
            itemsize=self._itemsize,
            kernel_shape=self.kernel_shape,
            channels=channels,
            filters=filters,
            width=self.width,
            pooled_width=self.pooled_width,
            pad_left=self.pad_left,
            lanes=lanes,
            vectors=vectors,
            group=group,
            rows=tile_rows,
        )
        if self.kind == "backward_filter":
            count = min(self.width, self._row_elements // channels - self.pad_left) * channels
            return _FILTER.format(**values, x_row=self._row_elements, count=count)
        masked = self.epilogue == "relu_mask"
        return _DATA.format(
            **values,
            dx_row=self._row_elements,
            finish=_FINISH[self.epilogue],
            extra_argument=", activation" if masked else "",
            extra_shape=",\n    activation: (N, rows, columns, channels): dx is 0 where it is not positive" * masked,
            extra_rows="    active = activation.reshape(-1)\n" * masked,
        )


def conv2d_pooled_backward_data_plan(
    kernel_shape, width, pooled_width, pad_left=0, dtype="float32", epilogue="store", target=None
) -> PooledConvolutionPlan:
    """dx from the pooled gradient.  kernel_shape: (R, S, C, K); epilogue: store, accumulate or relu_mask.

    ``kernel(dy, argmax, weights[, activation], dx, workspace, pad_top)``; see ``pooled_weights_plan``.
    """
    plan_target = target or vector_target()
    return PooledConvolutionPlan(
        "backward_data", tuple(kernel_shape), width, pooled_width, pad_left, dtype, epilogue, plan_target
    )


def conv2d_pooled_backward_filter_plan(
    kernel_shape, width, pooled_width, pad_left=0, dtype="float32", target=None
) -> PooledConvolutionPlan:
    """dkernel from x and the pooled gradient.  kernel_shape: (R, S, C, K).

    ``kernel(x, dy, argmax, dkernel, workspace, pad_top, accumulate)``.
    """
    plan_target = target or vector_target()
    return PooledConvolutionPlan(
        "backward_filter", tuple(kernel_shape), width, pooled_width, pad_left, dtype, "store", plan_target
    )


@dataclass(frozen=True)
class PooledForwardPlan(GeneratedKernel):
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

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        return f"conv2d_forward_{rows}x{columns}_{channels}_{filters}_bias_max_pool{'_relu' * self.relu}"

    @property
    def _itemsize(self) -> int:
        return 4 if self.dtype == "float32" else 8

    @property
    def _lanes(self) -> int:
        return _vectors(self.pooled[0] * self.pooled[1], self.target, self._itemsize)[0]

    @cached_property
    def _offsets(self) -> dict:
        """The parts of the workspace, in elements."""
        rows, taps, _, filters = self.kernel_shape
        lanes, (height, width) = self._lanes, self.pooled
        x_rows = 2 * (height + rows // 2)  # an even number of rows, all that a window reads
        x_row = 2 * width + taps - 1
        plane = x_rows // 2 * width + lanes  # a vector reaches past its row
        pixels = -(-height * width // lanes) * lanes
        sizes = dict(
            image_offset=x_rows * x_row + 2 * lanes + taps + 1,
            planes_offset=2 * (taps + 1) * plane + 2 * lanes,
            y_offset=pixels * filters + 8,
            argmax_offset=(pixels * filters + 8) // self._itemsize + 1,
        )
        offsets, total = dict(x_rows=x_rows, x_row=x_row, plane=plane), 0
        for name, size in sizes.items():
            offsets[name] = total
            total += -(-size // 16) * 16
        return offsets | dict(total=total)

    @property
    def workspace_elements(self) -> int:
        """Elements of workspace."""
        return self._offsets["total"]

    @property
    def pays(self) -> bool:
        """Whether filters would leave many lanes of the direct kernel empty, and pooled pixels few of this one's."""
        *_, channels, filters = self.kernel_shape
        pixels = self.pooled[0] * self.pooled[1]
        wide = self.target.lanes(self.dtype, filters)
        full = pixels / (-(-pixels // self._lanes) * self._lanes)
        return channels == 1 and filters <= 16 and filters / (-(-filters // wide) * wide) < full

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        return _FORWARD.format(
            name=self.name,
            target=self.target.name,
            dtype=self.dtype,
            itemsize=self._itemsize,
            kernel_shape=self.kernel_shape,
            filters=self.kernel_shape[3],
            height=self.size[0],
            width=self.size[1],
            pooled_height=self.pooled[0],
            columns=self.pooled[1],
            pad_top=self.padding[0],
            pad_left=self.padding[1],
            lanes=self._lanes,
            group=max(1, (self.target.registers - 6) // 4),
            relu=self.relu,
            **self._offsets,
        )


def conv2d_pooled_forward_plan(
    kernel_shape, size, pooled, padding=(0, 0), relu=False, dtype="float32", target=None
) -> PooledForwardPlan:
    """y = [relu](max pooling(convolution of x + bias)).  kernel_shape: (R, S, 1, K); size, pooled: of x and y.

    ``kernel(x, kernel, bias, y, argmax, workspace)``
    """
    plan_target = target or vector_target()
    return PooledForwardPlan(tuple(kernel_shape), tuple(size), tuple(pooled), tuple(padding), relu, dtype, plan_target)


@dataclass(frozen=True)
class PooledWeightsPlan(GeneratedKernel):
    """``kernel(kernel, out, weight_row)``: the weights as ``conv2d_pooled_backward_data`` reads them."""

    dtype: str
    target: VectorTarget
    name = "pooled_weights"

    @property
    def source(self) -> str:
        """The module that holds the kernel."""
        return _WEIGHTS.format(dtype=self.dtype, target=self.target.name)


def pooled_weights_plan(dtype="float32", target=None) -> PooledWeightsPlan:
    """Copies of weights of ``dtype``."""
    return PooledWeightsPlan(dtype, target or vector_target())
