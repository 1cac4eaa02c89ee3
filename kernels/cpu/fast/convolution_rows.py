"""Plans for the forward pass of convolutions with rows of five taps (stride 1) by Winograd's algorithm along rows.

A row of the image is transformed once and serves all rows of taps; see ``jitnet.kernels.cpu.tiles.rows``.  Lanes are
filters.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

PRODUCTS, TAPS = 6, 5  # of two outputs, and of a row
LARGEST_WIDTH = 64  # columns of an image: the code of a row's transform is as long as the row

_SOURCE = '''"""Winograd along rows, {rows}x5, {channels} -> {filters} channels, {dtype}, for {target}, by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.rows import row_input_tile, row_output_tile

TAP_ROWS, CHANNELS, FILTERS, WIDTH, OUTPUTS, LANES = {rows}, {channels}, {filters}, {width}, {outputs}, {lanes}
ITEMSIZE, ROW = {itemsize}, {row}  # elements of a transformed row
transform = row_input_tile(
    dtype={dtype!r}, lanes={input_lanes}, hardware_masks={masks}, channels=CHANNELS, width=WIDTH, pad_left={pad_left},
    pairs={pairs},
)
tile = row_output_tile(
    dtype={dtype!r}, lanes=LANES, hardware_masks={masks}, pairs={pairs}, together={together},
    input_lanes={input_lanes}, channels=CHANNELS, filters=FILTERS, outputs=OUTPUTS, epilogue={epilogue!r},
)


@kernel
def {name}(x, kernel{extra_argument}, y, workspace, pad_top):
    """x: (N, rows, {width}, {channels}), kernel: from row_weights{extra_shape}, y: (N, rows, {outputs}, {filters})."""
    kernel_attributes()
    images, rows = x.shape[:2]
    height = y.shape[1]
    workspace_at = address(workspace, 0)
    for image in range(images):
        transform((address(x, image * rows * WIDTH * CHANNELS), workspace_at, rows))
        for block in range(0, FILTERS, LANES):
            for h in range(height):
                first = h - pad_top
                tap = max(0, -first)
                tap_end = min(TAP_ROWS, rows - first)
                tile((
                    workspace_at + (first + tap) * ROW * ITEMSIZE,
                    address(kernel, tap * CHANNELS * {products} * FILTERS + block), tap_end - tap,
                    address(y, (image * height + h) * OUTPUTS * FILTERS + block), FILTERS - block, {extra_at},
                ))
'''

_WEIGHTS = '''"""Weights in {dtype} for Winograd's convolution along rows, for {target}, by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.rows import WEIGHTS


@kernel
def row_weights(kernel, out):
    """kernel: (R, 5, C, K), out: (R * C * 6 * K,), the six products of each row of taps."""
    kernel_attributes()
    rows, _, channels, filters = kernel.shape
    at = 0
    for r in range(rows):
        for c in range(channels):
            first, second, third = kernel[r, 0, c], kernel[r, 1, c], kernel[r, 2, c]
            fourth, fifth = kernel[r, 3, c], kernel[r, 4, c]
            for j in range(6):
                a, b, c_, d, e = WEIGHTS[j]
                target = out[at : at + filters]
                for k in range(filters):
                    target[k] = a * first[k] + b * second[k] + c_ * third[k] + d * fourth[k] + e * fifth[k]
                at += filters
'''


@dataclass(frozen=True)
class RowConvolutionPlan(GeneratedKernel):
    """y = epilogue(convolution of x).  width: of x; outputs: columns of y; epilogue: store, bias or bias_relu."""

    kernel_shape: tuple[int, int, int, int]
    width: int
    outputs: int
    pad_left: int
    dtype: str
    epilogue: str
    target: VectorTarget

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        epilogue = "" if self.epilogue == "store" else f"_{self.epilogue}"
        return f"conv2d_forward_{rows}x{columns}_{channels}_{filters}_winograd_rows{epilogue}"

    @property
    def _pairs(self) -> int:
        return -(-self.outputs // 2)

    @property
    def _input_lanes(self) -> int:
        return self.target.lanes(self.dtype, self.kernel_shape[2])

    @property
    def pays(self) -> bool:
        """Whether it takes clearly less time than a direct convolution, transforms included, by a simple count."""
        rows, taps, channels, filters = self.kernel_shape
        lanes = self.target.lanes(self.dtype, filters)
        possible = taps == TAPS and channels <= self._input_lanes and self.width <= LARGEST_WIDTH
        if not possible or filters < lanes or self.width == 0:
            return False
        vectors = -(-filters // lanes)
        here = PRODUCTS * rows * channels * vectors + 12 * vectors + 20
        return here < 0.8 * 2 * TAPS * rows * channels * vectors

    def workspace_elements(self, rows: int) -> int:
        """Elements of workspace for images of ``rows`` rows."""
        return rows * self._pairs * PRODUCTS * self._input_lanes

    @property
    def weight_elements(self) -> int:
        """Elements of what ``row_weights_plan().kernel()`` writes."""
        rows, _, channels, filters = self.kernel_shape
        return rows * channels * PRODUCTS * filters

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        rows, _, channels, filters = self.kernel_shape
        biased = self.epilogue != "store"
        return _SOURCE.format(
            name=self.name,
            target=self.target.name,
            masks=self.target.hardware_masks,
            dtype=self.dtype,
            itemsize=4 if self.dtype == "float32" else 8,
            rows=rows,
            channels=channels,
            filters=filters,
            width=self.width,
            outputs=self.outputs,
            pad_left=self.pad_left,
            pairs=self._pairs,
            products=PRODUCTS,
            together=max(1, (self.target.registers - 2) // PRODUCTS),
            lanes=self.target.lanes(self.dtype, filters),
            input_lanes=self._input_lanes,
            row=self._pairs * PRODUCTS * self._input_lanes,
            epilogue=self.epilogue,
            extra_argument=", bias" * biased,
            extra_shape=f", bias: ({filters},)" * biased,
            extra_at="address(bias, block)" if biased else "0",
        )


def conv2d_row_forward_plan(
    kernel_shape, width, outputs, pad_left=0, dtype="float32", epilogue="store", target=None
) -> RowConvolutionPlan:
    """y = epilogue(convolution of x).  kernel_shape: (R, 5, C, K); width: of x; outputs: columns of y.

    ``kernel(x, transformed kernel[, bias], y, workspace, pad_top)``; see ``row_weights_plan``.
    """
    plan_target = target or vector_target()
    return RowConvolutionPlan(tuple(kernel_shape), width, outputs, pad_left, dtype, epilogue, plan_target)


@dataclass(frozen=True)
class RowWeightsPlan(GeneratedKernel):
    """``kernel(kernel, out)``: the transformed weights that the convolution along rows reads."""

    dtype: str
    target: VectorTarget
    name = "row_weights"

    @property
    def source(self) -> str:
        """The module that holds the kernel."""
        return _WEIGHTS.format(dtype=self.dtype, target=self.target.name)


def row_weights_plan(dtype="float32", target=None) -> RowWeightsPlan:
    """Transforms of weights of ``dtype``."""
    return RowWeightsPlan(dtype, target or vector_target())
