"""Winograd's convolution of NHWC images: 3x3, stride 1, no dilation, on ``tiles.winograd``.

F(4x4, 3x3) needs 2.25 multiplications per output where direct convolution needs 9, F(2x2, 3x3) needs 4 (Lavin & Gray
2016, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308).  A block of tiles is transformed,
multiplied and transformed back while it is in the second-level cache.

Rounding errors in float32, relative to the largest output: 6e-6 with F(4x4, 3x3) and 64 channels, 2e-5 with 512; 4e-7
and 9e-7 with F(2x2, 3x3), less than the 1e-6 and 3e-6 of direct convolution, whose sums are nine times as long.

The kernels take the arguments of those in ``convolution_direct``, with weights that ``weights().kernel()`` has
transformed, and a workspace whatever the halo.
"""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast import costs
from jitnet.kernels.cpu.fast.convolution_direct import direct_kernel
from jitnet.kernels.cpu.fast.template import ITEMSIZE, TemplateKernel, suffix
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

# How the sizes of blocks were found is not recorded.
_BLOCK_BYTES = 3 << 17  # of a block of transformed tiles: it shares the second-level cache with weights and images
_MOST_TILES = 16
_FILTER_BLOCK_BYTES = 9 << 16  # the same backward to the weights, whose sums are transformed once per block
_MOST_FILTER_TILES = 32
_PIECE = 64  # channels and filters of a piece of a gradient: a multiple of the filters of a product
# forward, the error of F(4x4, 3x3) changes which ReLUs let gradients pass: below, F(2x2, 3x3) is as fast in training
_FEWEST_CHANNELS_INEXACT = 32
_GAP = 16  # elements between positions, so that those of a tile do not compete for the same cache lines


@dataclass(frozen=True)
class _Winograd(TemplateKernel):
    outputs: int  # of a tile, along each axis
    channels: int
    filters: int
    dtype: str
    target: VectorTarget

    weights_cost = 0.0

    @property
    def positions(self) -> int:
        """Elements of a transformed tile."""
        return (self.outputs + 2) ** 2

    @property
    def title(self) -> str:
        """What the kernel is for."""
        size = f"{self.outputs}x{self.outputs}"
        return f"{self._what}, F({size}, 3x3), {self.channels} -> {self.filters} channels, {self.dtype}"

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

    def _number_of_tiles(self, images: int, height: int, width: int) -> int:
        return images * -(-height // self.outputs) * -(-width // self.outputs)

    @property
    def _vector_counts(self) -> tuple[float, float]:
        """Cost of an operation with all vectors of the channels, and of the filters of whole products."""
        channel_lanes, itemsize = self.target.lanes(self.dtype, self.channels), ITEMSIZE[self.dtype]
        channels = -(-self.channels // channel_lanes) * costs.width_of(channel_lanes, itemsize)
        filters = -(-self.filters // self._columns) * self._vectors * costs.width_of(self._lanes, itemsize)
        return channels, filters

    def _transform_cost(self, tiles: int) -> float:
        return costs.TRANSFORM[self.outputs] * self.positions * tiles * sum(self._vector_counts)

    @property
    def _common(self) -> dict:
        shape = dict(OUTPUTS=self.outputs, CHANNELS=self.channels, FILTERS=self.filters)
        return self.widest_vectors | dict(LANES=self._lanes) | shape

    @property
    def _product(self) -> dict:
        channel_vectors = -(-self.channels // self._lanes)
        tile = dict(MR=self._rows, VECTORS=self._vectors, CHANNEL_VECTORS=channel_vectors)
        return self._common | tile | dict(TILES=self._tiles, GAP=_GAP)


class WinogradWeights(_Winograd):
    """``kernel(kernel, out, part, parts)``: kernel (3, 3, channels, filters) into ``out``, flat, ``elements`` elements.

    One call does its share of the channels: with part in range(parts), all are done.
    """

    template = "winograd_weights"
    _what = "Weights transformed for Winograd's convolution"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return f"winograd{self.outputs}x{self.outputs}_weights_{self.channels}_{self.filters}"

    @property
    def elements(self) -> int:
        """Elements of the transformed weights: the filters are rounded up to those of whole products."""
        return self.positions * self.channels * -(-self.filters // self._columns) * self._columns

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        return self._common | dict(COLUMNS=self._columns)


@dataclass(frozen=True)
class WinogradKernel(_Winograd):
    """One pass of one convolution.  ``kind``: forward or backward_data, which is forward over dy.

    pitch: the filters of y, if a call computes ``filters`` of them alone; then weights, bias, residual and y begin with
    the first of these, at their places among all filters.
    """

    kind: str
    epilogue: str
    pitch: int | None = None
    template = "winograd_convolution"

    @property
    def _what(self):
        return f"Winograd's convolution {self.kind}"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        shape = (self.channels, self.filters) if self.kind == "forward" else (self.filters, self.channels)
        size = f"winograd{self.outputs}x{self.outputs}_3x3_{shape[0]}_{shape[1]}"
        size += f"_of{self.pitch}" if self.pitch else ""
        return f"conv2d_{self.kind}_{size}{suffix(self.epilogue)}"

    @property
    def workspace_elements(self) -> int:
        """Elements of workspace; every chunk that runs at the same time needs its own."""
        block = self._tiles * (self.channels + self._columns) + 2 * _GAP
        return self.channels + self.filters + self.positions * block

    @property
    def _tiles(self) -> int:
        """Tiles of a block: a multiple of the rows of a product."""
        bytes_per_tile = self.positions * (self.channels + self._columns) * ITEMSIZE[self.dtype]
        return max(1, min(_BLOCK_BYTES // bytes_per_tile, _MOST_TILES) // self._rows) * self._rows

    def cost(self, images: int, height: int, width: int, first: bool = False) -> float:
        """Of ``height`` x ``width`` pixels, as in ``costs``; first: the weights are read for the first time."""
        tiles = self._number_of_tiles(images, height, width)
        whole, rest = divmod(tiles, self._tiles)
        rows = whole * self._tiles + -(-rest // self._rows) * self._rows
        nbytes = self.filters * self.bytes_per_filter
        reads = costs.read_first(nbytes) if first else costs.READ * (whole + (rest > 0))
        return self._transform_cost(tiles) + (rows + reads) * self._weight_vectors

    @property
    def weights_cost(self) -> float:
        """Of transforming the weights."""
        return costs.TRANSFORM_WEIGHTS * self._weight_vectors

    @property
    def _weight_vectors(self) -> float:
        return self.positions * self.channels * self._vector_counts[1]

    def parts(self, height: int, width: int) -> int:
        """Into how many parts of some work one image falls: rows of tiles that fill a product, and 32 filters each."""
        return -(-height // self.rows_of_block(width)) * max(1, self.filters // 32)

    @property
    def filters_of_parts(self) -> int:
        """Of which number of filters those are a multiple that a call may compute alone."""
        return self._columns

    @property
    def bytes_per_filter(self) -> int:
        """Of the transformed weights."""
        return self.positions * self.channels * ITEMSIZE[self.dtype]

    def rows_of_block(self, width: int) -> int:
        """Rows of y, ``width`` pixels wide, of which the tiles fill the rows of a product."""
        return self.outputs * -(-self._rows // -(-width // self.outputs))

    def weights(self) -> WinogradWeights:
        """The transform of the weights (for backward_data, of the transposed weights)."""
        return WinogradWeights(self.outputs, self.channels, self.filters, self.dtype, self.target)

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        kind = dict(BACKWARD=self.kind == "backward_data", EPILOGUE=self.epilogue)
        return self._product | dict(PITCH=self.pitch or self.filters) | kind


@dataclass(frozen=True)
class WinogradFilterKernel(_Winograd):
    """The gradient of the weights.

    shared: of the whole batch, in ``pieces`` that are computed apart from each other: see ``ConvolutionKernel``.
    """

    shared: bool = False
    kind = "backward_filter"
    template = "winograd_filter"
    _what = "Winograd's convolution backward_filter"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        size = f"winograd{self.outputs}x{self.outputs}_3x3_{self.channels}_{self.filters}"
        return f"conv2d_backward_filter_{size}{'_pieces' * self.shared}"

    @property
    def unused(self) -> set[str]:
        """Parameters of the template's kernel that the specialised one has not."""
        return set() if self.shared else {"share", "first", "last"}

    @property
    def pieces(self) -> int:
        """Into how many pieces the gradient falls."""
        return -(-self.channels // self._piece[0]) * -(-self.filters // self._piece[1])

    @property
    def _piece(self) -> tuple[int, int]:
        """Channels and filters of a piece."""
        return (min(_PIECE, self.channels), min(_PIECE, self.filters)) if self.shared else (self.channels, self.filters)

    @property
    def workspace_elements(self) -> int:
        """Elements of workspace; every chunk that runs at the same time needs its own."""
        block = self._tiles * (self._piece[0] + self._columns) + self._channel_block * self._columns + 3 * _GAP
        return self.channels + self.filters + self.positions * block

    def cost(self, images: int, height: int, width: int) -> float:
        """Of dy of ``height`` x ``width`` pixels, as in ``costs``."""
        tiles, (_, filters) = self._number_of_tiles(images, height, width), self._vector_counts
        whole_channels = -(-self.channels // self._rows) * self._rows
        products = -(-self.filters // self._columns) * whole_channels // self._rows
        a_block = costs.FINISH_GRADIENT * self.channels * filters + costs.PRODUCT * self.positions * products
        multiplied = self.positions * whole_channels * filters * tiles
        return multiplied + self._transform_cost(tiles) + -(-tiles // self._tiles) * a_block

    @property
    def _tiles(self) -> int:
        fitting = _FILTER_BLOCK_BYTES // (self.positions * self._piece[0] * ITEMSIZE[self.dtype])
        return max(16, min(fitting, _MOST_FILTER_TILES))

    @property
    def _channel_block(self) -> int:
        """Channels whose sums stay in the second-level cache."""
        return min(-(-self.channels // self._rows) * self._rows, 64)

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        channels, filters = self._piece
        return self._product | dict(
            CHANNEL_BLOCK=self._channel_block, SHARED=self.shared, CHANNELS_OF_PIECE=channels,
            FILTERS_OF_PIECE=filters, WORKSPACE=self.workspace_elements,
        )  # fmt: skip


def winograd_outputs(
    kind, kernel_shape, height, width, stride, dilation, dtype="float32", algorithm="auto", few=False
) -> int:
    """The m of the F(m x m, 3x3) to compute a pass of a convolution with, or 0 for a direct convolution.

    kind: forward, backward_data or backward_filter; kernel_shape: (R, S, C, K); height, width: of what forward and
    backward_data write, and of dy for backward_filter; algorithm: auto, direct or winograd (wherever possible); few:
    for the prediction of few images, to which reading the weights counts as well, and no transform of them, and where
    no gradients depend on the rounding.

    The cheapest of them, by ``costs``.
    """
    rows, columns, channels, filters = kernel_shape
    possible = (rows, columns) == (3, 3) and tuple(stride) == tuple(dilation) == (1, 1)
    if algorithm == "direct" or not possible or (algorithm == "auto" and dtype != "float32"):
        return 0
    target = vector_target()
    read, written = (filters, channels) if kind == "backward_data" else (channels, filters)
    if kind == "backward_filter":
        plans = {m: WinogradFilterKernel(m, read, written, dtype, target) for m in (2, 4)}
    else:
        plans = {m: WinogradKernel(m, read, written, dtype, target, kind, "store") for m in (2, 4)}
    if algorithm == "auto":
        plans[0] = direct_kernel(kind, kernel_shape, width)
    if kind == "forward" and algorithm == "auto" and not few and min(channels, filters) < _FEWEST_CHANNELS_INEXACT:
        del plans[4]
    cost = _cost_of_one if few else _cost_of_step
    return min(plans, key=lambda m: cost(plans[m], height, width))


def _cost_of_one(plan, height: int, width: int) -> float:
    """Of an image on some cores, of which each does some parts."""
    return costs.on_cores(plan.cost(1, height, width, first=True), plan.parts(height, width))


def _cost_of_step(plan, height: int, width: int) -> float:
    """Of a plan in training, where weights are transformed once for all chunks of a batch."""
    # gradients of large weights are computed over the whole batch
    images = costs.IMAGES_OF_STEP if plan.kind == "backward_filter" else costs.IMAGES_OF_CALL
    return plan.weights_cost + costs.IMAGES_OF_STEP / images * plan.cost(images, height, width)


def winograd_forward_kernel(kernel_shape, outputs=4, dtype="float32", epilogue="store", target=None) -> WinogradKernel:
    """y = epilogue(convolution of x).  kernel_shape: (3, 3, C, K); epilogue: store, bias, bias_relu, bias_add or
    bias_add_relu.

    ``kernel(x, transformed kernel[, bias[, residual]], y, workspace, pad_top, pad_left, x_top, x_left, y_top, y_left,
    height, width)`` with height and width those of y.
    """
    *_, channels, filters = kernel_shape
    return WinogradKernel(outputs, channels, filters, dtype, target or vector_target(), "forward", epilogue)


def winograd_backward_data_kernel(
    kernel_shape, outputs=4, dtype="float32", epilogue="store", target=None
) -> WinogradKernel:
    """dx from dy.  kernel_shape: (3, 3, C, K); epilogue: store, accumulate, relu_mask, bias or bias_relu.

    ``kernel(dy, transformed transposed kernel[, bias][, activation], dx, workspace, pad_top, pad_left, dy_top, dy_left,
    dx_top, dx_left[, activation_top, activation_left], height, width)`` with height and width those of dx and the
    padding of the forward pass.
    """
    *_, channels, filters = kernel_shape
    return WinogradKernel(outputs, filters, channels, dtype, target or vector_target(), "backward_data", epilogue)


def winograd_backward_filter_kernel(
    kernel_shape, outputs=4, dtype="float32", target=None, shared=False
) -> WinogradFilterKernel:
    """dkernel from x and dy.  kernel_shape: (3, 3, C, K).

    ``kernel(x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width,
    accumulate[, share, first, last])`` with height and width those of dy.
    """
    *_, channels, filters = kernel_shape
    return WinogradFilterKernel(outputs, channels, filters, dtype, target or vector_target(), shared)
