"""Plans for direct convolution of NHWC images, three passes, on the tiles of ``jitnet.kernels.cpu.tiles.simd``.

Nothing is unrolled into columns: a tile reads each input pixel once and uses it for every tap of a filter row
(Georganas et al. 2018, "Anatomy of high-performance deep learning convolutions on SIMD architectures", arXiv
1808.05567, shows the idea).  Lanes are output channels; vectors narrow to 8 or 4 lanes where there are few.  Groups are
convolutions of their own, one after the other; small ones share a vector, as many as divide their number.

A plan names a kernel and says what the caller must provide; ``plan.kernel()`` writes, compiles and caches it.  The
number of images, their height and all origins are run-time arguments: layers that differ in nothing else share a
kernel.  Images are buffers (N, rows, columns, channels) in which pixel (0, 0) lies at (top, left) and everything
around the image is zero; outside the buffer counts as zero, too.  A buffer with enough columns of halo is read in
place, otherwise each image is copied into ``workspace`` first.  A halo above or below is never needed.
"""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_PADDED = """        if padded:
            before = min(max(0, -left), span) * CHANNELS
            count = max(0, min(left + span, columns) - max(0, left)) * CHANNELS
            image_at += max(0, left) * CHANNELS * ITEMSIZE
            pad_rows((image_at, row, workspace_at, span * CHANNELS, rows, before, count))
            image_at = workspace_at
"""

_COLUMNS = """    left = x_left - {tap_origin_w}
    span = (width - 1) * STRIDE_W + (TAPS - 1) * DILATION_W + 1
    padded = left < 0 or left + span > columns
    x_row = span * CHANNELS if padded else row
    x_left_at = 0 if padded else left * CHANNELS * ITEMSIZE"""

_BLOCKS = "for block in range(0, FILTERS, BLOCK):"
_GROUPED_BLOCKS = """for part in range(GROUPS // TOGETHER * BLOCKS):
    group = part // BLOCKS * TOGETHER
    group_at = {at} + group * DEPTH * ITEMSIZE
    block = group * GROUP_FILTERS + part % BLOCKS * BLOCK
    end = (group + TOGETHER) * GROUP_FILTERS"""

_CONVOLUTION = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import convolution_tile
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile

TAP_ROWS, TAPS, CHANNELS, FILTERS, BLOCK = {tap_rows}, {taps}, {channels}, {filters}, {block}
STRIDE_H, STRIDE_W, DILATION_H, DILATION_W = {stride_h}, {stride_w}, {dilation_h}, {dilation_w}
{grouping}PIXELS, ITEMSIZE = {pixels}, {itemsize}
tile = convolution_tile(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, pixels=PIXELS, vectors={vectors}, taps=TAPS,
    stride=STRIDE_W, dilation=DILATION_W, channels=CHANNELS, filters=FILTERS, step=1, narrow={narrow},
    epilogue={epilogue!r}, edges={edges},{tile_groups}
)
pad_rows = pad_rows_tile(dtype={dtype!r})


@kernel
def {name}(
    x, kernel{extra_argument}, y, workspace,
    pad_top, pad_left, x_top, x_left, y_top, y_left{extra_origin}, height, width,
):
    """x: (N, rows, columns, {channels}), kernel: {kernel_shape}{extra_shape},
    y: (N, rows, columns, {filters}), of which height x width pixels from (y_top, y_left) on are written."""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, y_rows, y_columns, _ = y.shape
    workspace_at = address(workspace, 0)
    top = x_top - {tap_origin_h}
    row = columns * CHANNELS
{columns}
    tiles = (width + PIXELS - 1) // PIXELS
    wide = width - tiles * (PIXELS - 1)
    for image in range(images):
        image_at = address(x, image * rows * row)
{padded}        {blocks}
            for h in range(height):
                first = top + h * STRIDE_H
                tap = max(0, (DILATION_H - 1 - first) // DILATION_H)
                tap_end = min(TAP_ROWS, (rows - first + DILATION_H - 1) // DILATION_H)
                pixel = (image * y_rows + y_top + h) * y_columns + y_left
                tile((
                    {at} + x_left_at + (first + tap * DILATION_H) * x_row * ITEMSIZE, x_row * DILATION_H,
                    address(kernel, tap * TAPS * {depth} * FILTERS + block), tap_end - tap,
                    address(y, pixel * FILTERS + block), wide, tiles - wide, {end} - block,
                    {extra_at},
                ))
'''

_PHASED = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import convolution_tile
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile

TAP_ROWS, TAPS, CHANNELS, FILTERS, BLOCK = {tap_rows}, {taps}, {channels}, {filters}, {block}
STRIDE_H, STRIDE_W = {stride_h}, {stride_w}  # outputs this far apart share their taps: one phase
{grouping}PIXELS, ITEMSIZE = {pixels}, {itemsize}
_constants = dict(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, pixels=PIXELS, vectors={vectors}, stride=1, dilation=1,
    channels=CHANNELS, filters=FILTERS, step=STRIDE_W, narrow={narrow}, epilogue={epilogue!r},{tile_groups}
)
{tiles}
pad_rows = pad_rows_tile(dtype={dtype!r})


@kernel
def {name}(
    x, kernel{extra_argument}, y, workspace,
    pad_top, pad_left, x_top, x_left, y_top, y_left{extra_origin}, height, width,
):
    """x: (N, rows, columns, {channels}), kernel: {kernel_shape}{extra_shape},
    y: (N, rows, columns, {filters}), of which height x width pixels from (y_top, y_left) on are written."""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, y_rows, y_columns, _ = y.shape
    workspace_at = address(workspace, 0)
    left, right = columns, 0
    for phase in range(STRIDE_W):
        taps = (TAPS - phase + STRIDE_W - 1) // STRIDE_W
        output = (phase - pad_left) % STRIDE_W
        start = x_left + (output + pad_left) // STRIDE_W - taps + 1
        left = min(left, start)
        right = max(right, start + (width - output + STRIDE_W - 1) // STRIDE_W + taps - 1)
    span = right - left
    padded = left < 0 or right > columns
    row = columns * CHANNELS
    x_row = span * CHANNELS if padded else row
    origin = left if padded else 0
    for image in range(images):
        image_at = address(x, image * rows * row)
{padded}        kernel_offset = 0
        for phase in range(STRIDE_H * STRIDE_W):
            tap_rows = (TAP_ROWS - phase // STRIDE_W + STRIDE_H - 1) // STRIDE_H
            taps = (TAPS - phase % STRIDE_W + STRIDE_W - 1) // STRIDE_W
            output_h = (phase // STRIDE_W - pad_top) % STRIDE_H
            output_w = (phase % STRIDE_W - pad_left) % STRIDE_W
            start_h = x_top + (output_h + pad_top) // STRIDE_H - tap_rows + 1
            start_w = x_left + (output_w + pad_left) // STRIDE_W - taps + 1 - origin
            outputs = (width - output_w + STRIDE_W - 1) // STRIDE_W
            tiles = (outputs + PIXELS - 1) // PIXELS
            wide = outputs - tiles * (PIXELS - 1)
            {blocks}
                for h in range(output_h, height, STRIDE_H):
                    first = start_h + h // STRIDE_H
                    tap = max(0, -first)
                    tap_end = min(tap_rows, rows - first) if taps > 0 else 0
                    pixel = (image * y_rows + y_top + h) * y_columns + y_left + output_w
                    arguments = (
                        {at} + ((first + tap) * x_row + start_w * CHANNELS) * ITEMSIZE, x_row,
                        address(kernel, kernel_offset + tap * taps * {depth} * FILTERS + block), tap_end - tap,
                        address(y, pixel * FILTERS + block), wide, tiles - wide, {end} - block,
                        {extra_at},
                    )
{calls}
            kernel_offset += tap_rows * taps * {depth} * FILTERS
'''

_FILTER = '''"""{title}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import filter_tile
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile

TAP_ROWS, TAPS, CHANNELS, FILTERS, BLOCK = {tap_rows}, {taps}, {channels}, {filters}, {block}
STRIDE_H, STRIDE_W, DILATION_H, DILATION_W = {stride_h}, {stride_w}, {dilation_h}, {dilation_w}
{grouping}PIXELS, SHARE, ITEMSIZE = {pixels}, {share}, {itemsize}
_constants = dict(
    dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, vectors={vectors}, taps=TAPS, stride=STRIDE_W,
    dilation=DILATION_W, channels=CHANNELS, filters=FILTERS, pixels=PIXELS, narrow={narrow}, copies={copies},
   {tile_groups}
)
{tiles}
pad_rows = pad_rows_tile(dtype={dtype!r})


@kernel
def {name}(
    x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width, accumulate
):
    """x: (N, rows, columns, {channels}), dy: (N, rows, columns, {filters}), dkernel: {kernel_shape}."""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, dy_rows, dy_columns, _ = dy.shape
    workspace_at = address(workspace, 0)
    left = x_left - pad_left
    span = (width - 1) * STRIDE_W + (TAPS - 1) * DILATION_W + 1
    padded = left < 0 or left + span > columns
    row = columns * CHANNELS
    x_row = span * CHANNELS if padded else row
    x_left_at = 0 if padded else left * CHANNELS * ITEMSIZE
    blocks = (width + PIXELS - 1) // PIXELS
    wide = width - blocks * (PIXELS - 1)
    shares = ({depth} + SHARE - 1) // SHARE
    wide_shares = {depth} - shares * (SHARE - 1)
    dy_row = dy_columns * FILTERS
    if not accumulate:
        dkernel[:] = 0
    for image in range(images):
        image_at = address(x, image * rows * row)
{padded}        dy_at = address(dy, (image * dy_rows + dy_top) * dy_row + dy_left * FILTERS)
        for tap in range(TAP_ROWS):
            top = x_top - pad_top + tap * DILATION_H
            first = max(0, (STRIDE_H - 1 - top) // STRIDE_H)
            last = min(height, (rows - top + STRIDE_H - 1) // STRIDE_H)
            row_at = image_at + x_left_at + (top + first * STRIDE_H) * x_row * ITEMSIZE
            channel = 0
            for share in range(shares):
                {blocks}
                    arguments = (
                        {at} + channel * ITEMSIZE, x_row * STRIDE_H,
                        dy_at + (first * dy_row + block) * ITEMSIZE, dy_row,
                        address(dkernel, (tap * TAPS * {depth} + channel) * FILTERS + block),
                        last - first, wide, blocks - wide, {end} - block,
                    )
{calls}
                channel += SHARE if share < wide_shares else SHARE - 1
'''


_EXTRA = {  # epilogue: arguments, their shapes, origin, addresses of what goes with the row's first element
    "bias": (", bias", ", bias: (filters,)", "", "address(bias, block), 0"),
    "bias_add": (
        ", bias, residual",
        ", bias: (filters,), residual: like y, which may be its memory",
        "",
        "address(bias, block), address(residual, pixel * FILTERS + block)",
    ),
    "relu_mask": (
        ", activation",
        ",\n    activation: (N, rows, columns, filters): y is 0 where it is not positive",
        ", activation_top, activation_left",
        "0, address(\n                        activation, ((image * activation.shape[1] + activation_top + h) * "
        "activation.shape[2]\n                        + activation_left{column}) * FILTERS + block)",
    ),
}
_EXTRA["bias_relu"] = _EXTRA["bias"]
_EXTRA["bias_add_relu"] = _EXTRA["bias_add"]


def _even(count: int, most: int) -> int:
    """The larger of the sizes when ``count`` things go into as few groups of at most ``most`` as can be, evenly."""
    groups = -(-count // most)
    return -(-count // groups)


@dataclass(frozen=True)
class ConvolutionPlan(GeneratedKernel):
    """One pass of one convolution.  ``kind``: forward, backward_data or backward_filter.

    edges: (pad_left, columns of the image), promised for every call whose buffers have no halo; with them a kernel
    whose tile is a whole row leaves out what is zero, and needs no workspace.
    groups: the channels and the filters fall into so many; kernel_shape is then (R, S, C / groups, K).
    """

    kind: str
    kernel_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    width: int
    dtype: str
    epilogue: str
    target: VectorTarget
    edges: tuple[int, int] | None = None
    groups: int = 1

    @property
    def _channels(self) -> tuple[int, int]:
        """Channels of what the kernel reads (x, or dy in backward_data) and of the other image."""
        channels, filters = self.kernel_shape[2] * self.groups, self.kernel_shape[3]
        return (filters, channels) if self.kind == "backward_data" else (channels, filters)

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        rows, columns, depth, filters = self.kernel_shape
        groups = "" if self.groups == 1 else f"_groups{self.groups}"
        stride = "" if self.stride == (1, 1) else f"_stride{self.stride[0]}x{self.stride[1]}"
        epilogue = "" if self.epilogue == "store" else f"_{self.epilogue}"
        rows_whole = "_whole_rows" if self._whole_rows else ""
        shape = f"{rows}x{columns}_{depth * self.groups}_{filters}{groups}"
        return f"conv2d_{self.kind}_{shape}{stride}{rows_whole}{epilogue}"

    @cached_property
    def _whole_rows(self) -> bool:
        """Whether one tile makes a whole row of the result, whose edges are known."""
        phased = self.kind == "backward_data" and self.stride != (1, 1)
        if self.edges is None or self.kind == "backward_filter" or phased:
            return False
        return self._convolution_tile()[3] >= self.width

    @property
    def needs_transposed_kernel(self) -> bool:
        """Whether the kernel argument is what ``transpose_plan(groups=groups).kernel()`` wrote (as many elements)."""
        return self.kind == "backward_data"

    def workspace_elements(self, rows: int, columns: int, pad_left: int, left: int) -> int:
        """Elements of workspace for buffers of ``rows`` x ``columns`` whose image starts at column ``left``.

        Of x for forward and backward_filter, of dy for backward_data; ``pad_left`` is the convolution's own.  0 where
        the halo in the buffer is wide enough.  Every chunk that runs at the same time needs a workspace of its own.
        """
        if self._whole_rows:
            return 0
        first, end = self._columns_read(pad_left, left)
        return 0 if first >= 0 and end <= columns else rows * (end - first) * self._channels[0]

    def halo(self, columns: int, pad_left: int) -> tuple[int, int]:
        """Columns of zeros left and right of an image of ``columns`` with which no workspace is needed."""
        first, end = self._columns_read(pad_left, 0)
        return max(0, -first), max(0, end - columns)

    def _columns_read(self, pad_left: int, left: int) -> tuple[int, int]:
        taps, stride, dilation = self.kernel_shape[1], self.stride[1], self.dilation[1]
        if self.kind != "backward_data":
            first = left - pad_left
            return first, first + (self.width - 1) * stride + (taps - 1) * dilation + 1
        firsts, ends = [], []
        for phase in range(stride):
            phase_taps = -(-(taps - phase) // stride)
            output = (phase - pad_left) % stride
            count = -(-(self.width - output) // stride)
            first = (output + pad_left) // stride - (phase_taps - 1) * dilation + left
            firsts.append(first)
            ends.append(first + count - 1 + (phase_taps - 1) * dilation + 1)
        return min(firsts), max(ends)

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        return self._filter_source() if self.kind == "backward_filter" else self._convolution_source()

    def _vectors(self) -> tuple[int, int, int]:
        """(groups that share a vector, lanes, vectors of the filters of these groups)."""
        depth, filters = (channels // self.groups for channels in self._channels)
        widest = self.target.lanes(self.dtype)
        room = widest // max(depth, filters)  # a vector holds the channels that its filters read, too
        together = max((n for n in range(1, room + 1) if self.groups % n == 0), default=1)
        lanes = self.target.lanes(self.dtype, filters if together == 1 else together * max(depth, filters))
        return together, lanes, -(-together * filters // lanes)

    def _grouping(self, together: int, block: int, indent: int, at: str) -> dict:
        """What differs in the source of a kernel with groups; ``at``: the address to which a group's place is added."""
        if self.groups == 1:
            return dict(blocks=_BLOCKS, end="FILTERS", at=at, depth="CHANNELS", grouping="", tile_groups="")
        depth, filters = (channels // self.groups for channels in self._channels)
        names = "GROUPS, TOGETHER, DEPTH, GROUP_FILTERS, BLOCKS"
        values = f"{self.groups}, {together}, {depth}, {filters}, {-(-together * filters // block)}"
        return dict(
            blocks=_GROUPED_BLOCKS.format(at=at).replace("\n", "\n" + " " * indent),
            end="end",
            at="group_at",
            depth="DEPTH",
            grouping=f"{names} = {values}\n",
            tile_groups=" groups=GROUPS, together=TOGETHER,",
        )

    def _common(self) -> dict:
        rows, columns, depth, filters = self.kernel_shape
        channels = f"{depth * self.groups} -> {filters} channels"
        if self.groups > 1:
            channels += f" in {self.groups} groups"
        return dict(
            title=f"Direct convolution {self.kind}, {rows}x{columns}, {channels}, {self.dtype}",
            name=self.name,
            target=self.target.name,
            masks=self.target.hardware_masks,
            dtype=self.dtype,
            itemsize=4 if self.dtype == "float32" else 8,
            kernel_shape=self.kernel_shape,
            tap_rows=rows,
            taps=columns,
            stride_h=self.stride[0],
            stride_w=self.stride[1],
            dilation_h=self.dilation[0],
            dilation_w=self.dilation[1],
            padded=_PADDED,
        )

    def _convolution_source(self) -> str:
        values = self._common()
        rows, taps = self.kernel_shape[:2]
        channels, filters = self._channels
        origins = "pad_top", "pad_left"
        phases = 1
        if self.kind == "backward_data":
            # with stride 1, forward over dy; else so for each phase of dx
            phases = self.stride[1]
            origins = f"({(rows - 1) * self.dilation[0]} - pad_top)", f"({(taps - 1) * self.dilation[1]} - pad_left)"
            values |= dict(kernel_shape=f"transposed {self.kernel_shape}")
        together, lanes, vectors, pixels = self._convolution_tile()
        widths = self._widths()
        tap_counts = sorted({max(1, -(-(taps - phase) // phases)) for phase in range(phases)})
        edges, columns, padded = None, _COLUMNS.format(tap_origin_w=origins[1]), _PADDED
        if self._whole_rows:
            pad_left, existing = self.edges
            missing = pad_left if self.kind == "forward" else (taps - 1) * self.dilation[1] - pad_left
            edges, columns, padded = (missing, existing), "    x_row, x_left_at = row, 0", ""
        values |= dict(edges=edges, columns=columns, padded=padded)
        definitions = [f"tile_{count} = convolution_tile(taps={count}, **_constants)" for count in tap_counts]
        calls = [f"tile_{tap_counts[-1]}(arguments)"]
        if len(tap_counts) == 2:
            calls = [f"if taps == {tap_counts[1]}:", f"    {calls[0]}", "else:", f"    tile_{tap_counts[0]}(arguments)"]
        argument, shape, origin, at = _EXTRA.get(self.epilogue, ("", "", "", "0, 0"))
        phased = self.kind == "backward_data" and self.stride != (1, 1)
        return (_PHASED if phased else _CONVOLUTION).format(
            **values,
            **self._grouping(together, vectors * lanes, 12 if phased else 8, "image_at"),
            channels=channels,
            filters=filters,
            tap_origin_h=origins[0],
            tap_origin_w=origins[1],
            lanes=lanes,
            vectors=vectors,
            pixels=pixels,
            narrow=any(width % pixels for width in widths),
            block=vectors * lanes,
            epilogue=self.epilogue,
            tiles="\n".join(definitions),
            calls="\n".join(" " * 20 + line for line in calls),
            extra_argument=argument,
            extra_shape=shape,
            extra_origin=origin,
            extra_at=at.format(column=" + output_w" if phased else ""),
        )

    def _widths(self) -> set[int]:
        """Outputs of a row that share their taps."""
        phases = self.stride[1] if self.kind == "backward_data" else 1
        return {-(-(self.width - first) // phases) for first in range(min(phases, self.width))}

    def _convolution_tile(self) -> tuple[int, int, int, int]:
        """(groups, lanes, vectors, pixels) of the tile of a forward or backward_data pass."""
        taps = self.kernel_shape[1]
        stride, phases = self.stride[1], 1
        if self.kind == "backward_data":
            stride, phases = 1, stride
        together, lanes, total = self._vectors()
        return together, lanes, *self._tile_shape(max(self._widths()), -(-taps // phases), stride, total)

    def _tile_shape(self, width: int, taps: int, stride: int, total: int) -> tuple[int, int]:
        """(vectors, pixels) of a convolution tile: the fewest cycles per useful product by a simple count."""
        best = None
        for vectors in (1, 2, 3, 4):
            if total % vectors:
                continue
            room = (self.target.registers - 1 - taps * vectors) // vectors
            pixels = _even(width, max(room, 1))
            products = pixels * taps * vectors
            spilled = max(0, (pixels + taps) * vectors + 1 - self.target.registers)
            columns = {p * stride + s * self.dilation[1] for p in range(pixels) for s in range(taps)}
            loads = taps * vectors + len(columns)
            cycles = max(products, loads, 8 * taps * (pixels * vectors < 8)) + 0.2 * loads + 2 * spilled + 2
            uneven = 0.05 * (width % pixels != 0)  # two sizes to compile
            cost = cycles / products + uneven
            if best is None or cost < best[0]:
                best = (cost, vectors, pixels)
        return best[1], best[2]

    def _filter_source(self) -> str:
        values = self._common()
        channels, filters = self._channels
        together, lanes, total = self._vectors()
        vectors, share, pixels, copies = self._filter_tile_shape(total)
        sizes = [share] if self.kernel_shape[2] % share == 0 else [share, share - 1]
        definitions = [f"tile_{size} = filter_tile(share={size}, **_constants)" for size in sizes]
        calls = [f"tile_{share}(arguments)"]
        if len(sizes) == 2:
            calls = ["if share < wide_shares:", f"    tile_{share}(arguments)"]
            calls += ["else:", f"    tile_{share - 1}(arguments)"]
        return _FILTER.format(
            **values,
            **self._grouping(together, vectors * lanes, 16, "row_at"),
            channels=channels,
            filters=filters,
            lanes=lanes,
            vectors=vectors,
            share=share,
            pixels=pixels,
            copies=copies,
            narrow=self.width % pixels != 0,
            block=vectors * lanes,
            tiles="\n".join(definitions),
            calls="\n".join(" " * 20 + line for line in calls),
        )

    def _filter_tile_shape(self, total: int) -> tuple[int, int, int, int]:
        """(vectors, channels, pixels, copies of the sums) of a filter tile, by the same kind of count."""
        taps, channels = self.kernel_shape[1:3]
        best = None
        for vectors in (1, 2, 3, 4):
            if total % vectors:
                continue
            room = (self.target.registers - 1 - vectors * min(taps, 3)) // (taps * vectors)
            share = _even(channels, max(room, 1))
            sums = share * taps * vectors
            copies = 2 if sums < 8 and 2 * share <= room else 1
            for pixels in range(1, min(self.width, 8) + 1):
                if self.width < -(-self.width // pixels) * (pixels - 1) or sums * pixels > max(sums, 240):
                    continue
                products = sums * pixels
                columns = {p * self.stride[1] + s * self.dilation[1] for p in range(pixels) for s in range(taps)}
                loads = vectors * pixels + share * len(columns)
                cycles = max(products, loads, pixels * 8 // copies * (sums * copies < 8)) + 0.2 * loads + 2
                uneven = 0.05 * (self.width % pixels != 0) + 0.05 * (channels % share != 0)
                cost = cycles / products + uneven
                if best is None or cost < best[0]:
                    best = (cost, vectors, share, pixels, copies)
        return best[1:]


def supports(kind: str, stride, dilation) -> bool:
    """Whether a direct kernel exists: not for backward_data with both stride and dilation."""
    return kind != "backward_data" or tuple(stride) == (1, 1) or tuple(dilation) == (1, 1)


def conv2d_forward_plan(
    kernel_shape, width, stride=(1, 1), dilation=(1, 1), dtype="float32", epilogue="store", target=None, edges=None,
    groups=1,
) -> ConvolutionPlan:  # fmt: skip
    """y = epilogue(convolution of x).  kernel_shape: (R, S, C / groups, K); width: of y; epilogue: store, bias,
    bias_relu, bias_add or bias_add_relu; edges: see ``ConvolutionPlan``.

    ``kernel(x, kernel[, bias[, residual]], y, workspace, pad_top, pad_left, x_top, x_left, y_top, y_left, height,
    width)`` with height and width those of y.
    """
    plan_target = target or vector_target()
    geometry = tuple(kernel_shape), tuple(stride), tuple(dilation), width
    return ConvolutionPlan("forward", *geometry, dtype, epilogue, plan_target, edges, groups)


def conv2d_backward_data_plan(
    kernel_shape, width, stride=(1, 1), dilation=(1, 1), dtype="float32", epilogue="store", target=None, edges=None,
    groups=1,
) -> ConvolutionPlan:  # fmt: skip
    """dx from dy.  kernel_shape: (R, S, C / groups, K); width: of dx; epilogue: store, accumulate or relu_mask;
    edges: (pad_left, columns of dy).

    ``kernel(dy, transposed kernel[, activation], dx, workspace, pad_top, pad_left, dy_top, dy_left, dx_top,
    dx_left[, activation_top, activation_left], height, width)`` with height and width those of dx and the padding of
    the forward pass.
    """
    if not supports("backward_data", stride, dilation):
        raise ValueError(
            f"A stride and a dilation together have no direct kernel. Received: stride={stride}, dilation={dilation}"
        )
    plan_target = target or vector_target()
    geometry = tuple(kernel_shape), tuple(stride), tuple(dilation), width
    return ConvolutionPlan("backward_data", *geometry, dtype, epilogue, plan_target, edges, groups)


def conv2d_backward_filter_plan(
    kernel_shape, width, stride=(1, 1), dilation=(1, 1), dtype="float32", target=None, groups=1
) -> ConvolutionPlan:
    """dkernel from x and dy.  kernel_shape: (R, S, C / groups, K); width: of dy.

    ``kernel(x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width,
    accumulate)`` with height and width those of dy.
    """
    plan_target = target or vector_target()
    geometry = tuple(kernel_shape), tuple(stride), tuple(dilation), width
    return ConvolutionPlan("backward_filter", *geometry, dtype, "store", plan_target, groups=groups)
