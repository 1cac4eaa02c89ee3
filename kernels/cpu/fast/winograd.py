"""Plans for Winograd's convolution of NHWC images: 3x3, stride 1, no dilation, on ``tiles.winograd``.

F(4x4, 3x3) needs 2.25 multiplications per output where direct convolution needs 9, F(2x2, 3x3) needs 4 (Lavin & Gray
2016, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308).  A block of tiles is transformed,
multiplied and transformed back while it is in the second-level cache.

Rounding errors in float32, relative to the largest output: 6e-6 with F(4x4, 3x3) and 64 channels, 2e-5 with 512; 4e-7
and 9e-7 with F(2x2, 3x3), less than the 1e-6 and 3e-6 of direct convolution, whose sums are nine times as long.

The kernels take the arguments of those in ``convolution_direct``, with weights that ``plan.weights().kernel()`` has
transformed, and a workspace whatever the halo.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_CACHED_BYTES = 3 << 17  # of a block of transformed tiles: it shares the second-level cache with weights and images
_MOST_TILES = 16
_FILTER_BYTES = 9 << 16  # the same backward to the weights, whose sums are transformed once per block
_MOST_FILTER_TILES = 32
_FEWEST_CHANNELS = 16  # with 8 it ties with direct convolution
# forward, the error of F(4x4, 3x3) changes which ReLUs let gradients pass: below, F(2x2, 3x3) is as fast in training
_FEWEST_CHANNELS_INEXACT = 32
_FEWEST_PIXELS = 16  # below, transforming the weights takes as long as what is saved on 16 images
_GAP = 16  # elements between positions, so that those of a tile do not compete for the same cache lines

_CONVOLUTION = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile
from jitnet.kernels.cpu.tiles.winograd import image_tile, output_tile

OUTPUTS, POSITIONS, CHANNELS, FILTERS = {outputs}, {positions}, {channels}, {filters}
TILES, ROWS, COLUMNS, ITEMSIZE = {tiles}, {rows}, {columns}, {itemsize}
INPUT_PITCH, SUM_PITCH = TILES * CHANNELS + {gap}, TILES * COLUMNS + {gap}  # from one position to the next
_constants = dict(dtype={dtype!r}, lanes={lanes}, hardware_masks={masks})
transform = image_tile(
    outputs=OUTPUTS, gradient=False, channels=CHANNELS, pitch=INPUT_PITCH, vectors={channel_vectors}, **_constants
)
product = matrix_tile(
    rows=ROWS, vectors={vectors}, masked=False, epilogue="store", unroll=2, contiguous=True, **_constants
)
finish = output_tile(
    outputs=OUTPUTS, filters=FILTERS, pitch=SUM_PITCH, vectors={vectors}, epilogue={epilogue!r}, **_constants
)


@kernel
def {name}(
    x, kernel{extra_argument}, y, workspace,
    pad_top, pad_left, x_top, x_left, y_top, y_left{extra_origin}, height, width,
):
    """x: (N, rows, columns, {channels}), kernel: transformed {kernel_shape}{extra_shape},
    y: (N, rows, columns, {filters}), of which height x width pixels from (y_top, y_left) on are written."""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, y_rows, y_columns, _ = y.shape
    # workspace: zeros, outputs that do not exist, transformed inputs (positions, tiles, channels), sums alike
    workspace[:CHANNELS] = 0
    zeros, nowhere = address(workspace, 0), address(workspace, CHANNELS)
    inputs = address(workspace, CHANNELS + FILTERS)
    sums = address(workspace, CHANNELS + FILTERS + POSITIONS * INPUT_PITCH)
    top, left = x_top - {origin_h}, x_left - {origin_w}
    {extra_row}
    down, across = (height + OUTPUTS - 1) // OUTPUTS, (width + OUTPUTS - 1) // OUTPUTS
    total = images * down * across
    for first in range(0, total, TILES):
        count = min(TILES, total - first)
        for tile in range(count):
            image, place = divmod(first + tile, down * across)
            row = top + place // across * OUTPUTS
            column = left + place % across * OUTPUTS
            transform((
                address(x, ((image * rows + row) * columns + column) * CHANNELS), columns * CHANNELS,
                -row, rows - row, -column, columns - column, zeros, inputs + tile * CHANNELS * ITEMSIZE, CHANNELS,
            ))
        for block in range(0, FILTERS, COLUMNS):
            for position in range(POSITIONS):
                weights = address(kernel, (block * POSITIONS + position * COLUMNS) * CHANNELS)
                for tile in range(0, count, ROWS):
                    product((
                        inputs + (position * INPUT_PITCH + tile * CHANNELS) * ITEMSIZE, CHANNELS, 1, weights, COLUMNS,
                        sums + (position * SUM_PITCH + tile * COLUMNS) * ITEMSIZE, COLUMNS, CHANNELS, count - tile,
                        COLUMNS, 0, 1, 0, 0,
                    ))
            for tile in range(count):
                image, place = divmod(first + tile, down * across)
                h, w = place // across * OUTPUTS, place % across * OUTPUTS
                pixel = (image * y_rows + y_top + h) * y_columns + y_left + w
                finish((
                    sums + tile * COLUMNS * ITEMSIZE, address(y, pixel * FILTERS + block), y_columns * FILTERS,
                    height - h, width - w, nowhere, FILTERS - block, {extra_at}, extra_row,
                ))
'''

_FILTER = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import matrix_tile
from jitnet.kernels.cpu.tiles.winograd import filter_result_tile, image_tile

OUTPUTS, POSITIONS, CHANNELS, FILTERS = {outputs}, {positions}, {channels}, {filters}
TILES, GROUP, ROWS, COLUMNS, ITEMSIZE = {tiles}, {group}, {rows}, {columns}, {itemsize}
_constants = dict(dtype={dtype!r}, lanes={lanes}, hardware_masks={masks})
_image = dict(outputs=OUTPUTS, **_constants)
# from one position to the next
INPUT_PITCH, GRADIENT_PITCH, SUM_PITCH = TILES * CHANNELS + {gap}, TILES * COLUMNS + {gap}, GROUP * COLUMNS + {gap}
transform_x = image_tile(gradient=False, channels=CHANNELS, pitch=INPUT_PITCH, vectors={channel_vectors}, **_image)
transform_dy = image_tile(gradient=True, channels=FILTERS, pitch=GRADIENT_PITCH, vectors={vectors}, **_image)
product = matrix_tile(
    rows=ROWS, vectors={vectors}, masked=False, epilogue="store", unroll=2, contiguous=False, **_constants
)
finish = filter_result_tile(
    outputs=OUTPUTS, channels=CHANNELS, filters=FILTERS, pitch=SUM_PITCH, vectors={vectors}, **_constants
)


@kernel
def {name}(
    x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width, accumulate
):
    """x: (N, rows, columns, {channels}), dy: (N, rows, columns, {filters}), dkernel: {kernel_shape}."""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, dy_rows, dy_columns, _ = dy.shape
    # workspace: zeros, transformed inputs (positions, tiles, channels), gradients (positions, tiles, filters of a
    # block) and sums (positions, channels of a group, filters of a block); filters that do not exist stay as they are
    # and get into no others' sums
    workspace[: CHANNELS + FILTERS] = 0
    zeros = address(workspace, 0)
    inputs = address(workspace, CHANNELS + FILTERS)
    gradients = inputs + POSITIONS * INPUT_PITCH * ITEMSIZE
    sums = gradients + POSITIONS * GRADIENT_PITCH * ITEMSIZE
    top, left = x_top - pad_top, x_left - pad_left
    down, across = (height + OUTPUTS - 1) // OUTPUTS, (width + OUTPUTS - 1) // OUTPUTS
    total = images * down * across
    if not accumulate:
        dkernel[:] = 0
    for first in range(0, total, TILES):
        count = min(TILES, total - first)
        for tile in range(count):
            image, place = divmod(first + tile, down * across)
            row = top + place // across * OUTPUTS
            column = left + place % across * OUTPUTS
            transform_x((
                address(x, ((image * rows + row) * columns + column) * CHANNELS), columns * CHANNELS,
                -row, rows - row, -column, columns - column, zeros, inputs + tile * CHANNELS * ITEMSIZE, CHANNELS,
            ))
        for block in range(0, FILTERS, COLUMNS):
            for tile in range(count):
                image, place = divmod(first + tile, down * across)
                h, w = place // across * OUTPUTS, place % across * OUTPUTS
                pixel = (image * dy_rows + dy_top + h) * dy_columns + dy_left + w
                transform_dy((
                    address(dy, pixel * FILTERS + block), dy_columns * FILTERS, 0, height - h, 0, width - w, zeros,
                    gradients + tile * COLUMNS * ITEMSIZE, FILTERS - block,
                ))
            for group in range(0, CHANNELS, GROUP):
                group_end = min(group + GROUP, CHANNELS)
                for position in range(POSITIONS):
                    for channel in range(group, group_end, ROWS):
                        product((
                            inputs + (position * INPUT_PITCH + channel) * ITEMSIZE, 1, CHANNELS,
                            gradients + position * GRADIENT_PITCH * ITEMSIZE, COLUMNS,
                            sums + (position * SUM_PITCH + (channel - group) * COLUMNS) * ITEMSIZE, COLUMNS, count,
                            group_end - channel, COLUMNS, 0, 1, 0, 0,
                        ))
                finish((sums, address(dkernel, group * FILTERS + block), group_end - group, FILTERS - block))
'''

_WEIGHTS = '''"""Weights transformed for Winograd's convolution, {title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.winograd import weight_tile

POSITIONS, CHANNELS, FILTERS, COLUMNS = {positions}, {channels}, {filters}, {columns}
transform = weight_tile(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, outputs={outputs}, channels=CHANNELS, filters=FILTERS,
    columns=COLUMNS,
)


@kernel
def {name}(kernel, out, part, parts):
    """One of several parts of the channels.

    kernel: (3, 3, {channels}, {filters}), out: (blocks of filters, positions, channels, filters of a block), flat
    """
    kernel_attributes()
    first = CHANNELS * part // parts
    count = CHANNELS * (part + 1) // parts - first
    for block in range(0, FILTERS, COLUMNS):
        target = block * POSITIONS * CHANNELS + first * COLUMNS
        transform((address(kernel, first * FILTERS + block), address(out, target), count, FILTERS - block))
'''

_EXTRA = {  # epilogue: arguments, their shapes, origin, distance between rows, addresses for the tile's first output
    "bias": (", bias", ", bias: (filters,)", "", "extra_row = 0", "address(bias, block), 0"),
    "bias_add": (
        ", bias, residual",
        ", bias: (filters,), residual: like y, which may be its memory",
        "",
        "extra_row = y_columns * FILTERS",
        "address(bias, block),\n                    address(residual, pixel * FILTERS + block)",
    ),
    "relu_mask": (
        ", activation",
        ",\n    activation: (N, rows, columns, filters): y is 0 where it is not positive",
        ", activation_top, activation_left",
        "extra_row = activation.shape[2] * FILTERS",
        "0, address(\n                        activation, ((image * activation.shape[1] + activation_top + h) * "
        "activation.shape[2]\n                        + activation_left + w) * FILTERS + block)",
    ),
}
_EXTRA["bias_relu"] = _EXTRA["bias"]
_EXTRA["bias_add_relu"] = _EXTRA["bias_add"]


@dataclass(frozen=True)
class _WinogradPlan(GeneratedKernel):
    outputs: int  # of a tile, along each axis
    channels: int
    filters: int
    dtype: str
    target: VectorTarget

    @property
    def positions(self) -> int:
        """Elements of a transformed tile."""
        return (self.outputs + 2) ** 2

    @property
    def _rows(self) -> int:
        """Rows of a product."""
        return 8 if self.target.registers >= 32 else 4

    @property
    def _lanes(self) -> int:
        return self.target.lanes(self.dtype, self.filters)

    @property
    def _vectors(self) -> int:
        return min(2, -(-self.filters // self._lanes))

    @property
    def _columns(self) -> int:
        """Filters of a product."""
        return self._vectors * self._lanes

    @property
    def _itemsize(self) -> int:
        return 4 if self.dtype == "float32" else 8

    def _values(self) -> dict:
        return dict(
            name=self.name,
            title=f"F({self.outputs}x{self.outputs}, 3x3), {self.channels} -> {self.filters} channels, {self.dtype}",
            target=self.target.name,
            masks=self.target.hardware_masks,
            dtype=self.dtype,
            lanes=self._lanes,
            itemsize=self._itemsize,
            vectors=self._vectors,
            columns=self._columns,
            channel_vectors=-(-self.channels // self._lanes),
            outputs=self.outputs,
            positions=self.positions,
            gap=_GAP,
            channels=self.channels,
            filters=self.filters,
        )


class WinogradWeights(_WinogradPlan):
    """``kernel(kernel, out, part, parts)``: kernel (3, 3, channels, filters) into ``out``, flat, ``elements`` elements.

    One call does its share of the channels: with part in range(parts), all are done.
    """

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return f"winograd{self.outputs}x{self.outputs}_weights_{self.channels}_{self.filters}"

    @property
    def elements(self) -> int:
        """Elements of the transformed weights: the filters are rounded up to those of whole products."""
        return self.positions * self.channels * -(-self.filters // self._columns) * self._columns

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        return _WEIGHTS.format(**self._values())


@dataclass(frozen=True)
class WinogradPlan(_WinogradPlan):
    """One pass of one convolution.  ``kind``: forward or backward_data, which is forward over dy."""

    kind: str
    epilogue: str

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        shape = (self.channels, self.filters) if self.kind == "forward" else (self.filters, self.channels)
        epilogue = "" if self.epilogue == "store" else f"_{self.epilogue}"
        return f"conv2d_{self.kind}_winograd{self.outputs}x{self.outputs}_3x3_{shape[0]}_{shape[1]}{epilogue}"

    @property
    def workspace_elements(self) -> int:
        """Elements of workspace; every chunk that runs at the same time needs its own."""
        block = self._tiles * (self.channels + self._columns) + 2 * _GAP
        return self.channels + self.filters + self.positions * block

    @property
    def _tiles(self) -> int:
        """Tiles of a block: a multiple of the rows of a product."""
        bytes_per_tile = self.positions * (self.channels + self._columns) * self._itemsize
        return max(1, min(_CACHED_BYTES // bytes_per_tile, _MOST_TILES) // self._rows) * self._rows

    def weights(self) -> WinogradWeights:
        """The plan of the transform of the weights (for backward_data, of the transposed weights)."""
        return WinogradWeights(self.outputs, self.channels, self.filters, self.dtype, self.target)

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        forward = self.kind == "forward"
        argument, shape, origin, row, at = _EXTRA.get(self.epilogue, ("", "", "", "extra_row = 0", "0, 0"))
        return _CONVOLUTION.format(
            **self._values(),
            kernel_shape=(3, 3, self.channels, self.filters),
            tiles=self._tiles,
            rows=self._rows,
            epilogue=self.epilogue,
            origin_h="pad_top" if forward else "(2 - pad_top)",
            origin_w="pad_left" if forward else "(2 - pad_left)",
            extra_argument=argument,
            extra_shape=shape,
            extra_origin=origin,
            extra_row=row,
            extra_at=at,
        )


@dataclass(frozen=True)
class WinogradFilterPlan(_WinogradPlan):
    """The gradient of the weights."""

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return f"conv2d_backward_filter_winograd{self.outputs}x{self.outputs}_3x3_{self.channels}_{self.filters}"

    @property
    def workspace_elements(self) -> int:
        """Elements of workspace; every chunk that runs at the same time needs its own."""
        block = self._tiles * (self.channels + self._columns) + self._group * self._columns + 3 * _GAP
        return self.channels + self.filters + self.positions * block

    @property
    def _tiles(self) -> int:
        fitting = _FILTER_BYTES // (self.positions * self.channels * self._itemsize)
        return max(16, min(fitting, _MOST_FILTER_TILES))

    @property
    def _group(self) -> int:
        """Channels whose sums stay in the second-level cache."""
        return min(-(-self.channels // self._rows) * self._rows, 64)

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        shape = (3, 3, self.channels, self.filters)
        return _FILTER.format(
            **self._values(), kernel_shape=shape, tiles=self._tiles, group=self._group, rows=self._rows
        )


def winograd_outputs(kind, kernel_shape, height, width, stride, dilation, dtype="float32", algorithm="auto") -> int:
    """The m of the F(m x m, 3x3) to compute a pass of a convolution with, or 0 for a direct convolution.

    kind: forward, backward_data or backward_filter; kernel_shape: (R, S, C, K); height, width: of what forward and
    backward_data write, and of dy for backward_filter; algorithm: auto, direct or winograd (wherever possible).

    Direct convolution's time / Winograd's with F(4x4, 3x3), two threads, AVX-512, 32 or 64 images, forward and
    backward_filter: 16 channels 1.4 and 1.5, 32 channels 1.9 and 1.8, 64 and 128 channels 2.8 and 2.3, 256 channels of
    8x8 pixels 2.7 and 1.4; with 8 channels 1.0 and 1.2.  Training ResNet-20 takes 104 instead of 164 ms a step.
    """
    rows, columns, channels, filters = kernel_shape
    possible = (rows, columns) == (3, 3) and tuple(stride) == tuple(dilation) == (1, 1)
    if algorithm == "direct" or not possible:
        return 0
    costs = {m: _cost(m, channels, filters, height, width) for m in (2, 4)}
    if algorithm == "auto":
        fewest = min(channels, filters)
        if dtype != "float32" or fewest < _FEWEST_CHANNELS or height * width < _FEWEST_PIXELS:
            return 0
        if kind == "forward" and fewest < _FEWEST_CHANNELS_INEXACT:
            del costs[4]
        if 1.2 * min(costs.values()) > 9 * height * width * channels * filters:
            return 0
    return min(costs, key=costs.get)


def _cost(outputs, channels, filters, height, width):
    """Multiplications of an image; transforming one channel at one position takes as long as 5 of them."""
    tiles = -(-height // outputs) * -(-width // outputs)
    return tiles * (outputs + 2) ** 2 * (channels * filters + 5 * (channels + filters))


def winograd_forward_plan(kernel_shape, outputs=4, dtype="float32", epilogue="store", target=None) -> WinogradPlan:
    """y = epilogue(convolution of x).  kernel_shape: (3, 3, C, K); epilogue: store, bias, bias_relu, bias_add or
    bias_add_relu.

    ``kernel(x, transformed kernel[, bias[, residual]], y, workspace, pad_top, pad_left, x_top, x_left, y_top, y_left,
    height, width)`` with height and width those of y.
    """
    *_, channels, filters = kernel_shape
    return WinogradPlan(outputs, channels, filters, dtype, target or vector_target(), "forward", epilogue)


def winograd_backward_data_plan(
    kernel_shape, outputs=4, dtype="float32", epilogue="store", target=None
) -> WinogradPlan:
    """dx from dy.  kernel_shape: (3, 3, C, K); epilogue: store, accumulate or relu_mask.

    ``kernel(dy, transformed transposed kernel[, activation], dx, workspace, pad_top, pad_left, dy_top, dy_left, dx_top,
    dx_left[, activation_top, activation_left], height, width)`` with height and width those of dx and the padding of
    the forward pass.
    """
    *_, channels, filters = kernel_shape
    return WinogradPlan(outputs, filters, channels, dtype, target or vector_target(), "backward_data", epilogue)


def winograd_backward_filter_plan(kernel_shape, outputs=4, dtype="float32", target=None) -> WinogradFilterPlan:
    """dkernel from x and dy.  kernel_shape: (3, 3, C, K).

    ``kernel(x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width,
    accumulate)`` with height and width those of dy.
    """
    *_, channels, filters = kernel_shape
    return WinogradFilterPlan(outputs, channels, filters, dtype, target or vector_target())
