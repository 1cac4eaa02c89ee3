"""Plans for products of bfloat16 operands, summed in float32, on the tiles of ``jitnet.kernels.cpu.tiles.bfloat16``.

Arrays stay float32: operands are rounded to bfloat16 (nearest, ties to even) where they are packed, weights once per
step, images and gradients one image at a time into a workspace that stays in the second-level cache.  A row of an
image with its halo is a matrix already: the inputs of neighbouring pixels lie ``stride * channels`` apart, and what
one row of taps reads is contiguous.  So convolution forward and backward to the input are one product per row, summed
over the rows of taps; backward to the weights is a product of the transposed image with the gradient.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target, bfloat16_target

_LANES = 16
_TILE_ROWS, _TILE_STEP = 16, 32  # of AMX: rows of A, and products of a sum in one instruction
_DENSE_ROWS = 8
_LEAST_DEPTH, _LEAST_DENSE = 6, 64
_MOST_PAIRS = 4  # that take no longer than a block of 16, when an image is transposed
_PACKED_HALVES = 1 << 17  # of the rows of A that are packed at a time: they share the second-level cache with B

_WEIGHTS = '''"""Weights as pairs of bfloat16, {vectors} vectors of columns together, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.bfloat16 import pair_tile
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target

VECTORS = {vectors}
COLUMNS = VECTORS * 16
pack = pair_tile(target={target_source}, vectors=VECTORS)


@kernel
def {name}(kernel, out, padded, part, parts):
    """One of several parts of the depth, which is filled up with zeros to ``padded``.

    kernel: (taps, depth, columns), out: (blocks of columns, taps, padded / 2, columns of a block, 2), flat
    """
    kernel_attributes()
    taps, depth, columns = kernel.shape
    pairs = padded // 2
    first = pairs * part // parts
    last = pairs * (part + 1) // parts
    for block in range(0, columns, COLUMNS):
        for tap in range(taps):
            source = (tap * depth + 2 * first) * columns + block
            target = ((block // COLUMNS * taps + tap) * pairs + first) * COLUMNS
            pack((
                address(kernel, source), columns, address(out, target), depth - 2 * first, columns - block,
                last - first,
            ))
'''

_CONVOLUTION = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.bfloat16 import clear_tile, configure_tile, product_tile, release_tile, round_tile
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target

TAP_ROWS, TAPS, CHANNELS, FILTERS = {tap_rows}, {taps}, {channels}, {filters}
STRIDE_H, STRIDE_W = {stride_h}, {stride_w}
PHASES_H, PHASES_W = {phases_h}, {phases_w}  # outputs this far apart share their taps
DEPTH, STEP = {depth}, {step}  # channels with zeros up to a whole number of steps
ROWS, COLUMNS, SCRATCH = {rows}, {columns}, {scratch}
_target = {target_source}
pack = round_tile(target=_target)
clear = clear_tile()
configure = configure_tile(target=_target, rows={tile_rows}, step=STEP)
product = product_tile(
    target=_target, rows=ROWS, vectors={vectors}, a_row=STRIDE_W * DEPTH, step=STEP, epilogue={epilogue!r}
)
release = release_tile(target=_target)


@kernel
def {name}(x, kernel{extra_argument}, y, workspace, pad_top, pad_left):
    """x: (N, rows, columns, {channels}), kernel: packed {kernel_shape}{extra_shape},
    y: (N, height, width, {filters})"""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, height, width, _ = y.shape
    scratch, image_at = address(workspace, 0), address(workspace, SCRATCH)
    left, right = 0, columns
    for phase in range(PHASES_W):
        taps = (TAPS - phase + PHASES_W - 1) // PHASES_W
        output = (phase - pad_left) % PHASES_W
        start = {start_w}
        left = min(left, start)
        right = max(right, start + (width - output - 1) // PHASES_W * STRIDE_W + taps)
    span = right - left
    clear((image_at, rows * span * DEPTH * 2))
    if DEPTH == CHANNELS:
        pixels, together = 1, columns
    else:
        pixels, together = columns, 1
    configure((0,))
    for image in range(images):
        for row in range(rows):
            pack((
                address(x, (image * rows + row) * columns * CHANNELS), CHANNELS,
                image_at + (row * span - left) * DEPTH * 2, DEPTH, pixels, together * CHANNELS, together * DEPTH,
            ))
        for block in range(0, FILTERS, COLUMNS):
            tap_at = block // COLUMNS * TAP_ROWS * TAPS
            for phase in range(PHASES_H * PHASES_W):
                tap_rows = (TAP_ROWS - phase // PHASES_W + PHASES_H - 1) // PHASES_H
                taps = (TAPS - phase % PHASES_W + PHASES_W - 1) // PHASES_W
                output_h = (phase // PHASES_W - pad_top) % PHASES_H
                output = (phase % PHASES_W - pad_left) % PHASES_W
                start_h = {start_h}
                start = {start_w} - left
                outputs = (width - output + PHASES_W - 1) // PHASES_W
                for h in range((height - output_h + PHASES_H - 1) // PHASES_H):
                    first = start_h + h * STRIDE_H
                    tap = max(0, -first)
                    tap_end = min(tap_rows, rows - first)
                    weights = address(kernel, (tap_at + tap * taps) * (DEPTH // 2) * COLUMNS)
                    row_at = image_at + ((first + tap) * span + start) * DEPTH * 2
                    for pixel in range(0, outputs, ROWS):
                        line = image * height + output_h + h * PHASES_H
                        y_at = (line * width + output + pixel * PHASES_W) * FILTERS + block
                        product((
                            row_at + pixel * STRIDE_W * DEPTH * 2, span * DEPTH, weights, tap_end - tap,
                            taps * DEPTH // STEP, address(y, y_at), PHASES_W * FILTERS, outputs - pixel,
                            FILTERS - block, {extra_at}, PHASES_W * FILTERS, scratch,
                        ))
                tap_at += tap_rows * taps
    release((0,))
'''

_FILTER = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.bfloat16 import configure_tile, pair_tile, product_tile, release_tile, transpose_tile
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target

TAP_ROWS, TAPS, CHANNELS, FILTERS = {tap_rows}, {taps}, {channels}, {filters}
STRIDE_H, STRIDE_W = {stride_h}, {stride_w}
GROUPS = min(STRIDE_W, TAPS)  # columns of x, of which taps STRIDE_W apart share one
PIXELS, STEP = {pixels}, {step}  # of a row of dy, with zeros up to a whole number of steps
LINE = {line}  # elements of a row of one channel of the transposed image, of which blocks and pairs are made
BLOCKS, PAIRS = {blocks}, {pairs}
LINES = (CHANNELS + 15) // 16 * 16
X_ROW = GROUPS * LINES * LINE + 32  # so that rows do not compete for the same cache lines
ROWS, COLUMNS, SCRATCH = {rows}, {columns}, {scratch}
_target = {target_source}
pack = pair_tile(target=_target, vectors={vectors})
transpose = transpose_tile(target=_target)
configure = configure_tile(target=_target, rows={tile_rows}, step=STEP)
product = product_tile(target=_target, rows=ROWS, vectors={vectors}, a_row=LINE, step=STEP, epilogue="accumulate")
release = release_tile(target=_target)


@kernel
def {name}(x, dy, dkernel, workspace, pad_top, pad_left, accumulate):
    """x: (N, rows, columns, {channels}), dy: (N, height, width, {filters}), dkernel: {kernel_shape}"""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, height, width, _ = dy.shape
    # workspace: scratch, dy as pairs (height, PIXELS / 2, COLUMNS, 2), x transposed (rows, X_ROW: GROUPS, LINES, LINE)
    scratch, dy_at = address(workspace, 0), address(workspace, SCRATCH)
    x_at = dy_at + height * PIXELS * COLUMNS * 2
    if not accumulate:
        dkernel[:] = 0
    configure((0,))
    for image in range(images):
        for row in range(rows):
            for group in range(GROUPS):
                before = (max(0, pad_left - group) + STRIDE_W - 1) // STRIDE_W
                after = (columns + pad_left - group + STRIDE_W - 1) // STRIDE_W
                for channel in range(0, CHANNELS, 16):
                    source = ((image * rows + row) * columns + group - pad_left) * CHANNELS + channel
                    transpose((
                        address(x, source), STRIDE_W * CHANNELS,
                        x_at + (row * X_ROW + (group * LINES + channel) * LINE) * 2, LINE, before, after,
                        CHANNELS - channel, BLOCKS, PAIRS,
                    ))
        for block in range(0, FILTERS, COLUMNS):
            for h in range(height):
                pack((
                    address(dy, (image * height + h) * width * FILTERS + block), FILTERS,
                    dy_at + h * PIXELS * COLUMNS * 2, width, FILTERS - block, PIXELS // 2,
                ))
            for tap_row in range(TAP_ROWS):
                top = tap_row - pad_top
                first = max(0, (STRIDE_H - 1 - top) // STRIDE_H)
                last = min(height, (rows - top + STRIDE_H - 1) // STRIDE_H)
                for tap in range(TAPS):
                    line_at = (top + first * STRIDE_H) * X_ROW + tap % STRIDE_W * LINES * LINE + tap // STRIDE_W
                    for channel in range(0, CHANNELS, ROWS):
                        product((
                            x_at + (line_at + channel * LINE) * 2, STRIDE_H * X_ROW,
                            dy_at + first * PIXELS * COLUMNS * 2, last - first, PIXELS // STEP,
                            address(dkernel, ((tap_row * TAPS + tap) * CHANNELS + channel) * FILTERS + block), FILTERS,
                            CHANNELS - channel, FILTERS - block, 0, 0, scratch,
                        ))
    release((0,))
'''

_DENSE = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.bfloat16 import configure_tile, product_tile, release_tile, round_tile
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target

DEPTH, PADDED, STEP, A_ROW = {depth}, {padded}, {step}, {packed_row}
ROWS, COLUMNS, SCRATCH, SOME_ROWS = {rows}, {columns}, {scratch}, {some_rows}
_target = {target_source}
pack = round_tile(target=_target)
configure = configure_tile(target=_target, rows=ROWS, step=STEP)
product = product_tile(target=_target, rows=ROWS, vectors={vectors}, a_row=A_ROW, step=STEP, epilogue={epilogue!r})
release = release_tile(target=_target)


@kernel
def {name}(a, b{extra_argument}, c, workspace):
    """c = epilogue(a @ b).  a: (M, {depth}), b: packed, c: (M, N){extra_shape}"""
    kernel_attributes()
    height, width = c.shape
    scratch, rows_at = address(workspace, 0), address(workspace, SCRATCH)
    configure((0,))
    for first in range(0, height, SOME_ROWS):
        last = min(first + SOME_ROWS, height)
        pack((address(a, first * DEPTH), DEPTH, rows_at, A_ROW, last - first, DEPTH, PADDED))
        for column in range(0, width, COLUMNS):
            for row in range(first, last, ROWS):
                product((
                    rows_at + (row - first) * A_ROW * 2, 0, address(b, column // COLUMNS * (PADDED // 2) * COLUMNS), 1,
                    PADDED // STEP, address(c, row * width + column), width, last - row, width - column,
                    {extra_at}, width, scratch,
                ))
    release((0,))
'''

_EXTRA = {  # epilogue: argument, its shape, address of what goes with a tile
    "store": ("", "", "0"),
    "bias": (", bias", ", bias: (columns,)", "address(bias, {column})"),
    "relu_mask": (
        ", activation",
        ", activation: like the result, which is 0 where it is not positive",
        "address(activation, {element})",
    ),
}
_EXTRA |= {"accumulate": _EXTRA["store"], "bias_relu": _EXTRA["bias"]}


def _even(count: int, most: int) -> int:
    """The larger of the sizes when ``count`` things go into as few groups of at most ``most`` as can be, evenly."""
    groups = -(-count // most)
    return -(-count // groups)


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
class BFloat16Plan(GeneratedKernel):
    """What all plans share."""

    target: BFloat16Target

    @property
    def _target_values(self) -> dict:
        return dict(target=self.target.name, target_source=repr(self.target), name=self.name)

    def _vectors(self, columns: int) -> int:
        """Vectors of columns in a tile."""
        total = -(-columns // _LANES)
        return 3 if total == 3 and not self.target.tiles else min(total, 2)

    def _rows(self, count: int, vectors: int) -> int:
        """Rows of a tile, of ``count`` that there are."""
        if self.target.tiles:
            rows = _even(count, 2 * _TILE_ROWS)
            return rows if rows <= _TILE_ROWS else rows + rows % 2
        return _even(count, min((31 - vectors) // vectors, 16))

    def _tile_values(self, rows: int, vectors: int) -> dict:
        scratch = (rows if self.target.tiles else 1) * vectors * _LANES
        return dict(
            rows=rows, tile_rows=rows // 2 if rows > _TILE_ROWS else rows, vectors=vectors,
            columns=vectors * _LANES, scratch=scratch,
        )  # fmt: skip


@dataclass(frozen=True)
class BFloat16Weights(BFloat16Plan):
    """``kernel(kernel, out, padded, part, parts)``: (taps, depth, columns) into pairs, ``elements`` float32 elements.

    One call does its share of the depth: with part in range(parts), all is done.
    """

    vectors: int

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return f"bfloat16_weights_{self.vectors * _LANES}"

    def elements(self, taps: int, padded: int, columns: int) -> int:
        block = self.vectors * _LANES
        return taps * padded // 2 * -(-columns // block) * block

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        return _WEIGHTS.format(**self._target_values, vectors=self.vectors)


class _PackedProduct(BFloat16Plan):
    """A plan whose B are packed weights: (``taps``, ``depth``, ``columns``), the depth filled up to ``padded``."""

    def weights(self) -> BFloat16Weights:
        """The plan of the packing of the weights (for backward passes, of the transposed weights)."""
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

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, channels, filters = self.kernel_shape
        stride = "" if self.stride == (1, 1) else f"_stride{self.stride[0]}x{self.stride[1]}"
        epilogue = "" if self.epilogue == "store" else f"_{self.epilogue}"
        return f"conv2d_{self.kind}_bfloat16_{rows}x{columns}_{channels}_{filters}{stride}{epilogue}"

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
        return self._tile_values(self._rows(-(-self.width // phases), vectors), vectors)

    def workspace_elements(self, rows: int, columns: int, pad_left: int) -> int:
        """float32 elements of workspace for x of ``rows`` x ``columns``; every chunk needs its own."""
        taps, stride = self.kernel_shape[1], self.stride[1]
        if self.kind == "forward":
            left, right = -pad_left, (self.width - 1) * stride + taps - pad_left
        else:
            left, right = min(0, pad_left // stride - taps), (self.width + pad_left) // stride + taps + 1
        span = max(right, columns) - min(left, 0)
        # the last tile may read rows that there are not, and a tap beyond them
        beyond = (self._tile["rows"] + 1) * stride + taps
        return self._tile["scratch"] + (rows * span + beyond) * self.padded // 2

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        tap_rows, taps, *_ = self.kernel_shape
        forward = self.kind == "forward"
        stride, phases = (self.stride, (1, 1)) if forward else ((1, 1), self.stride)
        argument, shape, at = _EXTRA[self.epilogue]
        return _CONVOLUTION.format(
            **self._target_values,
            **self._tile,
            title=f"Convolution {self.kind} of bfloat16, {self.kernel_shape}",
            kernel_shape=self.kernel_shape,
            tap_rows=tap_rows,
            taps=taps,
            channels=self.depth,
            filters=self.columns,
            stride_h=stride[0],
            stride_w=stride[1],
            phases_h=phases[0],
            phases_w=phases[1],
            depth=self.padded,
            step=self._step[1],
            epilogue=self.epilogue,
            start_h="-pad_top" if forward else "(output_h + pad_top) // PHASES_H - tap_rows + 1",
            start_w="-pad_left" if forward else "(output + pad_left) // PHASES_W - taps + 1",
            extra_argument=argument,
            extra_shape=shape,
            extra_at=at.format(column="block", element="y_at"),
        )


@dataclass(frozen=True)
class BFloat16Filter(BFloat16Plan):
    """Backward to the weights: ``kernel(x, dy, dkernel, workspace, pad_top, pad_left, accumulate)``."""

    kernel_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    width: int  # of dy

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
        return self._tile_values(self._rows(channels, vectors), vectors)

    def workspace_elements(self, rows: int, height: int) -> int:
        """float32 elements of workspace for ``rows`` of x and ``height`` of dy; every chunk needs its own."""
        _, taps, channels, _ = self.kernel_shape
        pixels, _ = _steps(self.target, self.width)
        x_row = min(self.stride[1], taps) * -(-channels // 16) * 16 * self._line[0] + 32
        image = (height * pixels * self._tile["columns"] + rows * x_row) // 2
        beyond = (self._tile["rows"] + 1) * self._line[0] // 2  # what products read and do not use
        return self._tile["scratch"] + image + beyond

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        tap_rows, taps, channels, filters = self.kernel_shape
        pixels, step = _steps(self.target, self.width)
        line, blocks, pairs = self._line
        return _FILTER.format(
            **self._target_values,
            **self._tile,
            title=f"Convolution backward_filter of bfloat16, {self.kernel_shape}",
            kernel_shape=self.kernel_shape,
            tap_rows=tap_rows,
            taps=taps,
            channels=channels,
            filters=filters,
            stride_h=self.stride[0],
            stride_w=self.stride[1],
            pixels=pixels,
            step=step,
            line=line,
            blocks=blocks,
            pairs=pairs,
        )


@dataclass(frozen=True)
class BFloat16Dense(_PackedProduct):
    """``kernel(a, packed b[, bias or activation], c, workspace)``: c (M, N) = epilogue(a (M, depth) @ b (depth, N))."""

    depth: int
    columns: int
    epilogue: str
    taps = 1

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        narrow = self.weights().vectors
        epilogue = "" if self.epilogue == "store" else f"_{self.epilogue}"
        return f"matrix_multiply_bfloat16_{self.depth}_by_{narrow * _LANES}{epilogue}"

    @property
    def padded(self) -> int:
        return _steps(self.target, self.depth)[0]

    @property
    def _packed_row(self) -> int:
        return self.padded + 32  # so that rows do not compete for the same cache lines

    @property
    def _tile(self) -> dict:
        rows = _TILE_ROWS if self.target.tiles else _DENSE_ROWS
        return self._tile_values(rows, self._vectors(self.columns))

    @property
    def _some_rows(self) -> int:
        rows = self._tile["rows"]
        return max(1, min(64, _PACKED_HALVES // self._packed_row) // rows) * rows

    @property
    def workspace_elements(self) -> int:
        """float32 elements of workspace; every chunk needs its own."""
        return self._tile["scratch"] + self._some_rows * self._packed_row // 2

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        padded, step = _steps(self.target, self.depth)
        argument, shape, at = _EXTRA[self.epilogue]
        return _DENSE.format(
            **self._target_values,
            **self._tile,
            title=f"Product of matrices of bfloat16, depth {self.depth}",
            depth=self.depth,
            padded=padded,
            step=step,
            packed_row=self._packed_row,
            some_rows=self._some_rows,
            epilogue=self.epilogue,
            extra_argument=argument,
            extra_shape=shape,
            extra_at=at.format(column="column", element="row * width + column"),
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


def conv2d_bfloat16_plan(
    kind, kernel_shape, width, stride=(1, 1), epilogue="store", target=None
) -> BFloat16Convolution:
    """kind: forward (epilogue: store, bias or bias_relu) or backward_data (store, accumulate or relu_mask).

    kernel_shape: (R, S, C, K); width: of the result.
    """
    target = target or bfloat16_target()
    return BFloat16Convolution(target, kind, tuple(kernel_shape), tuple(stride), width, epilogue)


def conv2d_backward_filter_bfloat16_plan(kernel_shape, width, stride=(1, 1), target=None) -> BFloat16Filter:
    """kernel_shape: (R, S, C, K); width: of dy."""
    return BFloat16Filter(target or bfloat16_target(), tuple(kernel_shape), tuple(stride), width)


def matrix_multiply_bfloat16_plan(depth, columns, epilogue="store", target=None) -> BFloat16Dense:
    """Product of (any, depth) and (depth, columns); epilogue: store, accumulate, bias, bias_relu or relu_mask."""
    return BFloat16Dense(target or bfloat16_target(), depth, columns, epilogue)
