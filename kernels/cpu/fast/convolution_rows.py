"""The forward pass of convolutions with rows of five taps (stride 1) by Winograd's algorithm along rows.

A row of the image is transformed once and serves all rows of taps; see ``jitnet.kernels.cpu.tiles.rows``.  Lanes are
filters.
"""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast import costs
from jitnet.kernels.cpu.fast.template import ITEMSIZE, TemplateKernel, suffix
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

PRODUCTS, TAPS = 6, 5  # of two outputs, and of a row
LARGEST_WIDTH = 64  # columns of an image: the code of a row's transform is as long as the row (a guess)


@dataclass(frozen=True)
class RowConvolutionKernel(TemplateKernel):
    """y = epilogue(convolution of x).  width: of x; outputs: columns of y; epilogue: store, bias or bias_relu."""

    kernel_shape: tuple[int, int, int, int]
    width: int
    outputs: int
    pad_left: int
    dtype: str
    epilogue: str
    target: VectorTarget
    template = "row_convolution"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        return f"conv2d_forward_{rows}x{columns}_{channels}_{filters}_winograd_rows{suffix(self.epilogue)}"

    @property
    def _pairs(self) -> int:
        return -(-self.outputs // 2)

    @property
    def _input_lanes(self) -> int:
        return self.target.lanes(self.dtype, self.kernel_shape[2])

    @property
    def pays(self) -> bool:
        """Whether this is possible and costs less than a direct convolution, by ``costs``."""
        rows, taps, channels, filters = self.kernel_shape
        itemsize, lanes = ITEMSIZE[self.dtype], self.target.lanes(self.dtype, filters)
        possible = taps == TAPS and channels <= self._input_lanes and 0 < self.width <= LARGEST_WIDTH
        if not possible or filters < lanes:
            return False
        vectors = -(-filters // lanes) * costs.width_of(lanes, itemsize)
        transformed = vectors + costs.width_of(self._input_lanes, itemsize)
        products = rows * channels * vectors  # for a tap, or one that is transformed
        here = PRODUCTS * (costs.ROW_PRODUCT * products + costs.TRANSFORM_ROW * transformed)
        return here < 2 * TAPS * products

    def workspace_elements(self, rows: int) -> int:
        """Elements of workspace for images of ``rows`` rows."""
        return rows * self._pairs * PRODUCTS * self._input_lanes

    @property
    def weight_elements(self) -> int:
        """Elements of what ``row_weights_kernel().kernel()`` writes."""
        rows, _, channels, filters = self.kernel_shape
        return rows * channels * PRODUCTS * filters

    @property
    def title(self) -> str:
        """What the kernel is for."""
        rows, _, channels, filters = self.kernel_shape
        return f"Winograd along rows, {rows}x5, {channels} -> {filters} channels, {self.dtype}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        rows, _, channels, filters = self.kernel_shape
        return self.widest_vectors | dict(
            LANES=self.target.lanes(self.dtype, filters), INPUT_LANES=self._input_lanes, TAP_ROWS=rows,
            CHANNELS=channels, FILTERS=filters, WIDTH=self.width, OUTPUTS=self.outputs, PAD_LEFT=self.pad_left,
            PAIRS_PER_TILE=max(1, (self.target.registers - 2) // PRODUCTS), EPILOGUE=self.epilogue,
        )  # fmt: skip


def conv2d_row_forward_kernel(
    kernel_shape, width, outputs, pad_left=0, dtype="float32", epilogue="store", target=None
) -> RowConvolutionKernel:
    """y = epilogue(convolution of x).  kernel_shape: (R, 5, C, K); width: of x; outputs: columns of y.

    ``kernel(x, transformed kernel[, bias], y, workspace, pad_top)``; see ``row_weights_kernel``.
    """
    plan_target = target or vector_target()
    return RowConvolutionKernel(tuple(kernel_shape), width, outputs, pad_left, dtype, epilogue, plan_target)


@dataclass(frozen=True)
class RowWeightsKernel(TemplateKernel):
    """``kernel(kernel, out)``: the transformed weights that the convolution along rows reads."""

    dtype: str
    target: VectorTarget
    name = template = "row_weights"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Weights in {self.dtype} for Winograd's convolution along rows"

    @property
    def constants(self) -> dict:
        """The template has none."""
        return {}


def row_weights_kernel(dtype="float32", target=None) -> RowWeightsKernel:
    """Transforms of weights of ``dtype``."""
    return RowWeightsKernel(dtype, target or vector_target())
