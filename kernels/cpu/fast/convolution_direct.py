"""Direct convolution of NHWC images, three passes, on the tiles of ``jitnet.kernels.cpu.tiles.simd``.

Nothing is unrolled into columns: a tile reads each input pixel once and uses it for every tap of a filter row
(Georganas et al. 2018, "Anatomy of high-performance deep learning convolutions on SIMD architectures", arXiv
1808.05567, shows the idea).  Lanes are output channels; vectors narrow to 8 or 4 lanes where there are few.  Groups are
convolutions of their own, one after the other; small ones share a vector, as many as divide their number.

A specialised kernel says what the caller must provide; its ``kernel()`` is written, compiled and cached.  The
number of images, their height and all origins are run-time arguments: layers that differ in nothing else share a
kernel.  Images are buffers (N, rows, columns, channels) in which pixel (0, 0) lies at (top, left) and everything
around the image is zero; outside the buffer counts as zero, too.  A buffer with enough columns of halo is read in
place, otherwise each image is copied into ``workspace`` first.  A halo above or below is never needed.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.fast import costs
from jitnet.kernels.cpu.fast.template import ITEMSIZE, TemplateKernel, even, suffix
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_PIXELS_OF_ANY_WIDTH = 8  # with tiles of 8 and 7 pixels, most widths and all above 48 leave no single pixels


@dataclass(frozen=True)
class ConvolutionKernel(TemplateKernel):
    """One pass of one convolution.  ``kind``: forward, backward_data or backward_filter.

    width: of what forward and backward_data write, and of dy for backward_filter; None: a kernel for any.
    edges: (pad_left, columns of the image), promised for every call whose buffers have no halo; with them a kernel
    whose tile is a whole row leaves out what is zero, and needs no workspace.
    groups: the channels and the filters fall into so many; kernel_shape is then (R, S, C / groups, K).
    part: of forward without groups, how many of the filters a call computes; None: all.  Then weights, bias, residual
    and y begin with the first of them, at their places among all filters.
    shared: of backward_filter over the whole batch: the gradient falls into ``pieces``, of which a call does those from
    ``first`` to ``last``; calls that run at once have different numbers ``share``, and their own parts of a workspace,
    each of ``workspace_elements``.
    """

    kind: str
    kernel_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    width: int | None
    dtype: str
    epilogue: str
    target: VectorTarget
    edges: tuple[int, int] | None = None
    groups: int = 1
    part: int | None = None
    shared: bool = False

    @property
    def filters_of_parts(self) -> int:
        """Of which number of filters ``part`` is a multiple."""
        _, lanes, vectors, _ = self._convolution_tile()
        return lanes * vectors

    @property
    def unused(self) -> set[str]:
        """Parameters of the template's kernel that the specialised one has not."""
        if self.kind != "backward_filter":
            return super().unused
        return set() if self.shared else {"share", "first", "last"}

    @property
    def pieces(self) -> int:
        """Into how many pieces the gradient of the weights falls: channels of a tile, of one row of taps each."""
        _, channel_block, _, _ = self._filter_tile_shape(self._vectors()[2])
        return self.kernel_shape[0] * -(-self.kernel_shape[2] // channel_block)

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
        rows_whole = "_whole_rows" if self._whole_rows else ""
        shape = f"{rows}x{columns}_{depth * self.groups}_{filters}{groups}"
        any_width = "_any_width" if self.width is None else ""
        any_width += f"_part{self.part}" if self.part else ""
        end = suffix(self.epilogue) + "_pieces" * self.shared
        return f"conv2d_{self.kind}_{shape}{stride}{rows_whole}{any_width}{end}"

    @cached_property
    def _whole_rows(self) -> bool:
        """Whether one tile makes a whole row of the result, whose edges are known."""
        if self.edges is None or self.width is None or self.kind == "backward_filter" or self._phased:
            return False
        return self._convolution_tile()[3] >= self.width

    @property
    def needs_transposed_kernel(self) -> bool:
        """Whether the kernel argument is what ``transpose_kernel(groups=groups).kernel()`` wrote (as many elements)."""
        return self.kind == "backward_data"

    def workspace_elements(self, rows: int, columns: int, pad_left: int, left: int, width: int | None = None) -> int:
        """Elements of workspace for buffers of ``rows`` x ``columns`` whose image starts at column ``left``.

        width: the kernel's, if that is made for any.

        Of x for forward and backward_filter, of dy for backward_data; ``pad_left`` is the convolution's own.  0 where
        the halo in the buffer is wide enough.  Every chunk that runs at the same time needs a workspace of its own.
        """
        if self._whole_rows:
            return 0
        first, end = self._columns_read(pad_left, left, self.width or width)
        return 0 if first >= 0 and end <= columns else rows * (end - first) * self._channels[0]

    def halo(self, columns: int, pad_left: int) -> tuple[int, int]:
        """Columns of zeros left and right of an image of ``columns`` with which no workspace is needed."""
        first, end = self._columns_read(pad_left, 0, self.width)
        return max(0, -first), max(0, end - columns)

    def _columns_read(self, pad_left: int, left: int, width: int) -> tuple[int, int]:
        taps, stride, dilation = self.kernel_shape[1], self.stride[1], self.dilation[1]
        if self.kind != "backward_data":
            first = left - pad_left
            return first, first + (width - 1) * stride + (taps - 1) * dilation + 1
        firsts, ends = [], []
        for phase in range(stride):
            phase_taps = -(-(taps - phase) // stride)
            output = (phase - pad_left) % stride
            count = -(-(width - output) // stride)
            first = (output + pad_left) // stride - (phase_taps - 1) * dilation + left
            firsts.append(first)
            ends.append(first + count - 1 + (phase_taps - 1) * dilation + 1)
        return min(firsts), max(ends)

    def _vectors(self) -> tuple[int, int, int]:
        """(groups that share a vector, lanes, vectors of the filters of these groups)."""
        depth, filters = (channels // self.groups for channels in self._channels)
        widest = self.target.lanes(self.dtype)
        room = widest // max(depth, filters)  # a vector holds the channels that its filters read, too
        groups_per_vector = max((n for n in range(1, room + 1) if self.groups % n == 0), default=1)
        lanes = self.target.lanes(
            self.dtype, filters if groups_per_vector == 1 else groups_per_vector * max(depth, filters)
        )
        return groups_per_vector, lanes, -(-groups_per_vector * filters // lanes)

    weights_cost = 0.0

    def cost(self, images: int, height: int, width: int, first: bool = False) -> float:
        """Of ``height`` x ``width`` pixels, as in ``costs``; first: the weights are read for the first time."""
        (rows, columns), itemsize = self.kernel_shape[:2], ITEMSIZE[self.dtype]
        groups, lanes, count = self._vectors()
        vectors = self._channels[0] // groups * count  # of the weights of a tap
        # what lies above and below the image is left out, beside it where a tile is a whole row
        taps = _inside(height, rows) * (_inside(width, columns) if self._makes_rows(width) else width * columns)
        nbytes = math.prod(self.kernel_shape) * itemsize
        each = 0.0  # per vector of the weights and image
        if self.kind == "backward_filter":
            each = costs.READ_FAR * rows * columns
        elif first or nbytes > costs.FAR_BYTES:
            reads = costs.read_first(nbytes) if first else costs.READ_FAR
            each = reads * min(2 * height - 1, rows) * min(2 * width - 1, columns)
        return images * vectors * (taps * costs.width_of(lanes, itemsize) + each)

    def parts(self, height: int, width: int) -> int:
        """Into how many parts of some work one image falls."""
        return height

    def _makes_rows(self, width: int) -> bool:
        return self.kind != "backward_filter" and self._convolution_tile()[3] >= width

    @property
    def template(self) -> str:
        """Which template has the kernel."""
        if self.kind == "backward_filter":
            return "conv2d_direct_filter"
        return "conv2d_direct_phases" if self._phased else "conv2d_direct"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        rows, columns, depth, filters = self.kernel_shape
        channels = f"{depth * self.groups} -> {filters} channels"
        if self.groups > 1:
            channels += f" in {self.groups} groups"
        return f"Direct convolution {self.kind}, {rows}x{columns}, {channels}, {self.dtype}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        rows, taps, depth, _ = self.kernel_shape
        channels, filters = self._channels
        groups_per_vector, lanes, total = self._vectors()
        values = self.widest_vectors | dict(
            LANES=lanes, TAP_ROWS=rows, TAPS=taps, CHANNELS=channels, FILTERS=filters, STRIDE_H=self.stride[0],
            STRIDE_W=self.stride[1], GROUPS=self.groups, GROUPS_PER_VECTOR=groups_per_vector,
        )  # fmt: skip
        dilation = dict(DILATION_H=self.dilation[0], DILATION_W=self.dilation[1])
        if self.kind == "backward_filter":
            vectors, channel_block, pixels, copies = self._filter_tile_shape(total)
            return values | dilation | dict(
                VECTORS=vectors, CHANNEL_BLOCK=channel_block, UNEVEN=depth % channel_block != 0, PIXELS=pixels,
                NARROW=self.width is None or self.width % pixels != 0, COPIES=copies,
                SHARED=self.shared,
            )  # fmt: skip
        _, _, vectors, pixels = self._convolution_tile()
        any_width = self.width is None
        narrow = any_width or any(width % pixels for width in self._widths())
        values |= dict(PIXELS=pixels, VECTORS=vectors, NARROW=narrow, ANY_WIDTH=any_width, EPILOGUE=self.epilogue)
        if self._phased:
            counts = [max(1, -(-(taps - phase) // self.stride[1])) for phase in range(self.stride[1])]
            return values | dict(MOST_TAPS=max(counts), FEWEST_TAPS=min(counts))
        edges = None
        if self._whole_rows:
            pad_left, existing = self.edges
            edges = (pad_left if self.kind == "forward" else (taps - 1) * self.dilation[1] - pad_left), existing
        values["PART"] = self.part or filters // self.groups
        whole_rows = dict(WHOLE_ROWS=self._whole_rows, EDGES=edges)
        return values | dilation | whole_rows | dict(BACKWARD=self.kind == "backward_data")

    @property
    def _phased(self) -> bool:
        """Whether the pixels of dx fall into phases, each with its own taps."""
        return self.kind == "backward_data" and self.stride != (1, 1)

    def _widths(self) -> set[int]:
        """Outputs of a row that share their taps; a kernel for any width has tiles of this many pixels."""
        if self.width is None:
            return {_PIXELS_OF_ANY_WIDTH}
        phases = self.stride[1] if self.kind == "backward_data" else 1
        return {-(-(self.width - first) // phases) for first in range(min(phases, self.width))}

    def _convolution_tile(self) -> tuple[int, int, int, int]:
        """(groups, lanes, vectors, pixels) of the tile of a forward or backward_data pass."""
        taps = self.kernel_shape[1]
        stride, phases = self.stride[1], 1
        if self.kind == "backward_data":
            stride, phases = 1, stride
        groups_per_vector, lanes, total = self._vectors()
        return groups_per_vector, lanes, *self._tile_shape(max(self._widths()), -(-taps // phases), stride, total)

    def _tile_shape(self, width: int, taps: int, stride: int, total: int) -> tuple[int, int]:
        """(vectors, pixels) of a convolution tile: the fewest cycles per useful product by a simple count.

        The weights of loads, spilled registers and second sizes in that count are a guess.
        """
        best = None
        for vectors in (1, 2, 3, 4):
            if total % vectors:
                continue
            room = (self.target.registers - 1 - taps * vectors) // vectors
            pixels = even(width, max(room, 1))
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

    def _filter_tile_shape(self, total: int) -> tuple[int, int, int, int]:
        """(vectors, channels, pixels, copies of the sums) of a filter tile, by the same kind of count."""
        taps, channels = self.kernel_shape[1:3]
        best = None
        for vectors in (1, 2, 3, 4):
            if total % vectors:
                continue
            room = (self.target.registers - 1 - vectors * min(taps, 3)) // (taps * vectors)
            channel_block = even(channels, max(room, 1))
            sums = channel_block * taps * vectors
            copies = 2 if sums < 8 and 2 * channel_block <= room else 1
            width = self.width or 1 << 20
            for pixels in range(1, min(width, 8) + 1):
                if sums * pixels > max(sums, 240) or (self.width is None and pixels > 2):
                    continue  # any width consists of pairs and one pixel
                if width < -(-width // pixels) * (pixels - 1):
                    continue
                products = sums * pixels
                columns = {p * self.stride[1] + s * self.dilation[1] for p in range(pixels) for s in range(taps)}
                loads = vectors * pixels + channel_block * len(columns)
                cycles = max(products, loads, pixels * 8 // copies * (sums * copies < 8)) + 0.2 * loads + 2
                uneven = 0.05 * (width % pixels != 0) + 0.05 * (channels % channel_block != 0)
                cost = cycles / products + uneven
                if best is None or cost < best[0]:
                    best = (cost, vectors, channel_block, pixels, copies)
        return best[1:]


def _inside(size: int, taps: int) -> int:
    """How many taps of all outputs along an axis lie inside an image that is padded to give as many outputs."""
    return max(1, size * taps - taps * taps // 4)


def supports(kind: str, stride, dilation) -> bool:
    """Whether a direct kernel exists: not for backward_data with both stride and dilation."""
    return kind != "backward_data" or tuple(stride) == (1, 1) or tuple(dilation) == (1, 1)


def conv2d_forward_kernel(
    kernel_shape, width, stride=(1, 1), dilation=(1, 1), dtype="float32", epilogue="store", target=None, edges=None,
    groups=1,
) -> ConvolutionKernel:  # fmt: skip
    """y = epilogue(convolution of x).  kernel_shape: (R, S, C / groups, K); width: of y, or None for any;
    epilogue: store, bias, bias_relu, bias_add or bias_add_relu; edges: see ``ConvolutionKernel``.

    ``kernel(x, kernel[, bias[, residual]], y, workspace, pad_top, pad_left, x_top, x_left, y_top, y_left, height,
    width)`` with height and width those of y.
    """
    plan_target = target or vector_target()
    geometry = tuple(kernel_shape), tuple(stride), tuple(dilation), width
    return ConvolutionKernel("forward", *geometry, dtype, epilogue, plan_target, edges, groups)


def conv2d_backward_data_kernel(
    kernel_shape, width, stride=(1, 1), dilation=(1, 1), dtype="float32", epilogue="store", target=None, edges=None,
    groups=1,
) -> ConvolutionKernel:  # fmt: skip
    """dx from dy.  kernel_shape: (R, S, C / groups, K); width: of dx, or None for any; epilogue: store, accumulate,
    relu_mask, bias or bias_relu; edges: (pad_left, columns of dy).

    ``kernel(dy, transposed kernel[, bias][, activation], dx, workspace, pad_top, pad_left, dy_top, dy_left, dx_top,
    dx_left[, activation_top, activation_left], height, width)`` with height and width those of dx and the padding of
    the forward pass.
    """
    if not supports("backward_data", stride, dilation):
        raise ValueError(
            f"A stride and a dilation together have no direct kernel. Received: stride={stride}, dilation={dilation}"
        )
    plan_target = target or vector_target()
    geometry = tuple(kernel_shape), tuple(stride), tuple(dilation), width
    return ConvolutionKernel("backward_data", *geometry, dtype, epilogue, plan_target, edges, groups)


def conv2d_backward_filter_kernel(
    kernel_shape, width, stride=(1, 1), dilation=(1, 1), dtype="float32", target=None, groups=1, shared=False
) -> ConvolutionKernel:
    """dkernel from x and dy.  kernel_shape: (R, S, C / groups, K); width: of dy, or None for any.

    ``kernel(x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width,
    accumulate[, share, first, last])`` with height and width those of dy.
    """
    plan_target = target or vector_target()
    geometry = tuple(kernel_shape), tuple(stride), tuple(dilation), width
    return ConvolutionKernel("backward_filter", *geometry, dtype, "store", plan_target, groups=groups, shared=shared)


def direct_kernel(kind: str, kernel_shape, width) -> ConvolutionKernel:
    """The kernel of a pass with no stride, no dilation and no groups, in float32."""
    makers = {
        "forward": conv2d_forward_kernel,
        "backward_data": conv2d_backward_data_kernel,
        "backward_filter": conv2d_backward_filter_kernel,
    }
    return makers[kind](kernel_shape, width)
