"""2-D convolution and pooling, channels last."""

import math

from .. import checks
from ..program import Out
from .base import REFUSED, Operation, display, require_rank


def output_size(size: int, window: int, stride: int, dilation: int, before: int, after: int) -> int:
    """floor((size + padding - dilated window) / stride) + 1"""
    return (size + before + after - ((window - 1) * dilation + 1)) // stride + 1


def resolve_padding(padding, size: int, window: int, stride: int, dilation: int, axis: int) -> tuple[int, int]:
    """Padding before and after one spatial axis (0: height, 1: width).

    "same" follows TensorFlow: ceil(size / stride) outputs, the odd element of padding comes after.
    """
    if padding == "valid":
        return 0, 0
    if padding == "same":
        dilated = (window - 1) * dilation + 1
        total = max((math.ceil(size / stride) - 1) * stride + dilated - size, 0)
        return total // 2, total - total // 2
    return padding[axis]


class Windowed(Operation, registered=False):
    """What convolution and pooling share: the geometry of a sliding window."""

    def geometry(self, operation: str, x, window) -> tuple:
        """Output height and width, and the padding at the top and left."""
        sizes, starts = [], []
        for axis in (0, 1):
            size = x.shape[1 + axis]
            stride, dilation = self.strides[axis], self.dilation[axis]
            before, after = resolve_padding(self.padding, size, window[axis], stride, dilation, axis)
            dilated = (window[axis] - 1) * dilation + 1
            if dilated > size + before + after:
                raise ValueError(
                    f"{operation}: the window of size {dilated} (with dilation {dilation}) is larger than the padded "
                    f"input of size {size + before + after} along {('height', 'width')[axis]}. Use a smaller kernel "
                    f'or padding="same". Received: input shape={display(x.shape)}'
                )
            sizes.append(output_size(size, window[axis], stride, dilation, before, after))
            starts.append(before)
        return (*sizes, *starts)

    def window_scalars(self, x, window) -> dict:
        """Strides, padding and dilation as kernels take them."""
        _, _, top, left = self.geometry(self.name, x, window)
        return {
            "stride_h": self.strides[0], "stride_w": self.strides[1], "pad_top": top, "pad_left": left,
            "dilation_h": self.dilation[0], "dilation_w": self.dilation[1],
        }  # fmt: skip

    def require_kernel(self, x, kernel) -> None:
        """Raise unless x is (N, H, W, C) and the kernel has four axes of fixed size."""
        require_rank(self.name, x, 4, "(batch, height, width, channels)")
        if kernel.ndim != 4 or kernel.batched:
            raise ValueError(
                f"{self.name} expects a kernel (height, width, channels, filters) without a batch axis. "
                f"Received: kernel of shape {display(kernel.shape)}"
            )


class Conv2D(Windowed):
    """Cross-correlation of x (N, H, W, C) with kernel (R, S, C / groups, K), as every deep-learning text has it.

    padding: "valid", "same" or ((top, bottom), (left, right)).
    """

    name = "conv2d"
    whole_inputs = (1,)
    integers = REFUSED

    def __init__(self, strides=(1, 1), padding="valid", dilation=(1, 1), groups=1):
        self.strides = checks.pair(self.name, "strides", strides)
        self.padding = checks.padding(self.name, padding)
        self.dilation = checks.pair(self.name, "dilation", dilation)
        self.groups = checks.integer(self.name, "groups", groups, least=1)

    def infer(self, x, kernel):
        self.require_kernel(x, kernel)
        channels, filters = x.shape[3], kernel.shape[3]
        if kernel.shape[2] * self.groups != channels:
            raise ValueError(
                f"conv2d expects {kernel.shape[2] * self.groups} input channels "
                f"(kernel {display(kernel.shape)}, groups={self.groups}). Received: shape={display(x.shape)}"
            )
        if filters % self.groups:
            raise ValueError(f"conv2d: filters must be a multiple of groups={self.groups}. Received: filters={filters}")
        height, width, _, _ = self.geometry("conv2d", x, kernel.shape[:2])
        return [((x.shape[0], height, width, filters), x.dtype)]

    def _scalars(self, x, kernel) -> dict:
        return {**self.window_scalars(x, kernel.shape[:2]), "groups": self.groups}

    def _depthwise(self, x, kernel) -> "DepthwiseConv2D | None":
        """The same for groups of one channel and one filter: kernel (R, S, 1, C) is (R, S, C, 1) in memory."""
        if self.groups > 1 and x.shape[3] == kernel.shape[3] == self.groups:
            return DepthwiseConv2D(self.strides, self.padding, self.dilation)
        return None

    def forward(self, program, lowered):
        x, kernel = lowered.inputs
        y = lowered.output
        depthwise = self._depthwise(*lowered.application.inputs)
        if depthwise is not None:
            depthwise.forward(program, lowered)
            return
        scalars = self._scalars(*lowered.application.inputs)
        work = 2 * math.prod(y.shape) * math.prod(kernel.shape[:3])
        program.call("conv.conv2d_forward", x=x, kernel=kernel, y=Out(y), **scalars, work=work)

    def backward(self, program, lowered):
        x, kernel = lowered.inputs
        dy = lowered.d_output
        depthwise = self._depthwise(*lowered.application.inputs)
        if depthwise is not None:
            depthwise.backward(program, lowered)
            return
        scalars = self._scalars(*lowered.application.inputs)
        work = 2 * math.prod(dy.shape) * math.prod(kernel.shape[:3])
        if lowered.needs(1):
            dkernel = lowered.gradient(1)
            program.call(
                "conv.conv2d_backward_filter", x=x, dy=dy, dkernel=dkernel, **scalars, accumulate=dkernel.accumulate,
                work=work,
            )  # fmt: skip
        if lowered.needs(0):
            dx = lowered.gradient(0)
            program.call(
                "conv.conv2d_backward_data", dy=dy, kernel=kernel, dx=dx, **scalars, accumulate=dx.accumulate, work=work
            )


class DepthwiseConv2D(Windowed):
    """Cross-correlation of each channel of x (N, H, W, C) with M filters of its own: kernel (R, S, C, M).

    Output channel c * M + m comes from channel c.  padding: "valid", "same" or ((top, bottom), (left, right)).
    """

    name = "depthwise_conv2d"
    whole_inputs = (1,)
    integers = REFUSED

    def __init__(self, strides=(1, 1), padding="valid", dilation=(1, 1)):
        self.strides = checks.pair(self.name, "strides", strides)
        self.padding = checks.padding(self.name, padding)
        self.dilation = checks.pair(self.name, "dilation", dilation)

    def infer(self, x, kernel):
        self.require_kernel(x, kernel)
        if kernel.shape[2] != x.shape[3]:
            raise ValueError(
                f"depthwise_conv2d expects a kernel (height, width, {x.shape[3]}, filters per channel) for an input of "
                f"shape {display(x.shape)}. Received: kernel of shape {display(kernel.shape)}"
            )
        height, width, _, _ = self.geometry("depthwise_conv2d", x, kernel.shape[:2])
        return [((x.shape[0], height, width, x.shape[3] * kernel.shape[3]), x.dtype)]

    def _scalars(self, x, kernel) -> dict:
        return self.window_scalars(x, kernel.shape[:2])

    def _kernel_shape(self, x, y, kernel) -> tuple:
        channels = x.shape[2]
        return (*kernel.shape[:2], channels, y.shape[2] // channels)

    def forward(self, program, lowered):
        x, kernel = lowered.inputs
        y = lowered.output
        scalars = self._scalars(*lowered.application.inputs)
        work = 2 * math.prod(y.shape) * math.prod(kernel.shape[:2])
        kernel = program.reshaped(kernel, self._kernel_shape(x, y, kernel))
        program.call("depthwise.depthwise_conv2d_forward", x=x, kernel=kernel, y=Out(y), **scalars, work=work)

    def backward(self, program, lowered):
        x, kernel = lowered.inputs
        dy = lowered.d_output
        scalars = self._scalars(*lowered.application.inputs)
        work = 2 * math.prod(dy.shape) * math.prod(kernel.shape[:2])
        shape = self._kernel_shape(x, dy, kernel)
        if lowered.needs(1):
            dkernel = lowered.gradient(1)
            out = Out(program.reshaped(dkernel.buffer, shape), dkernel.accumulate)
            program.call(
                "depthwise.depthwise_conv2d_backward_filter", x=x, dy=dy, dkernel=out, **scalars,
                accumulate=out.accumulate, work=work,
            )  # fmt: skip
        if lowered.needs(0):
            dx = lowered.gradient(0)
            kernel = program.reshaped(kernel, shape)
            program.call(
                "depthwise.depthwise_conv2d_backward_data", dy=dy, kernel=kernel, dx=dx, **scalars,
                accumulate=dx.accumulate, work=work,
            )  # fmt: skip


class Pool2D(Windowed, registered=False):
    """Shared by max and average pooling of x (N, H, W, C)."""

    def __init__(self, pool_size=(2, 2), strides=(2, 2), padding="valid"):
        self.pool_size = checks.pair(self.name, "pool_size", pool_size)
        self.strides = checks.pair(self.name, "strides", strides)
        self.padding = checks.padding(self.name, padding)

    dilation = (1, 1)

    def infer(self, x):
        require_rank(self.name, x, 4, "(batch, height, width, channels)")
        height, width, _, _ = self.geometry(self.name, x, self.pool_size)
        return [((x.shape[0], height, width, x.shape[3]), x.dtype)]

    def _scalars(self, x) -> dict:
        _, _, top, left = self.geometry(self.name, x, self.pool_size)
        return {
            "window_h": self.pool_size[0], "window_w": self.pool_size[1],
            "stride_h": self.strides[0], "stride_w": self.strides[1], "pad_top": top, "pad_left": left,
        }  # fmt: skip


class MaxPool2D(Pool2D):
    """The maximum of each window; the first maximum wins and receives the gradient."""

    name = "max_pool2d"
    integers = REFUSED

    def forward(self, program, lowered):
        x, y = lowered.inputs[0], lowered.output
        # 255 stands for no winner
        argmax = lowered.save("argmax", y.shape, "uint8" if math.prod(self.pool_size) <= 255 else "int32")
        symbolic = lowered.application.inputs[0]
        call = program.call("pool.max_pool2d_forward", x=x, y=Out(y), argmax=Out(argmax), **self._scalars(symbolic))
        call.attributes["padding"] = self.padding

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        argmax = lowered.saved["argmax"]
        scalars = self._scalars(lowered.application.inputs[0])
        call = program.call(
            "pool.max_pool2d_backward", dy=lowered.d_output, argmax=argmax, dx=dx, **scalars, accumulate=dx.accumulate
        )
        call.attributes["padding"] = self.padding


class AveragePool2D(Pool2D):
    """The mean of each window; padding is not counted."""

    name = "average_pool2d"

    def forward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        program.call("pool.average_pool2d_forward", x=lowered.inputs[0], y=Out(lowered.output), **scalars)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        scalars = self._scalars(lowered.application.inputs[0])
        program.call(
            "pool.average_pool2d_backward", dy=lowered.d_output, dx=dx, **scalars, accumulate=dx.accumulate
        )


class GlobalAveragePool2D(Operation):
    """The mean over height and width: (N, H, W, C) to (N, C)."""

    name = "global_average_pool2d"

    def infer(self, x):
        require_rank(self.name, x, 4, "(batch, height, width, channels)")
        return [((x.shape[0], x.shape[3]), x.dtype)]

    def forward(self, program, lowered):
        program.call("pool.global_average_pool2d_forward", x=lowered.inputs[0], y=Out(lowered.output))

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        program.call("pool.global_average_pool2d_backward", dy=lowered.d_output, dx=dx, accumulate=dx.accumulate)


class GlobalMaxPool2D(Operation):
    """The maximum over height and width: (N, H, W, C) to (N, C); the first maximum receives the gradient."""

    name = "global_max_pool2d"
    integers = REFUSED
    infer = GlobalAveragePool2D.infer

    def forward(self, program, lowered):
        y = lowered.output
        argmax = lowered.save("argmax", y.shape, "int32")
        program.call("pool.global_max_pool2d_forward", x=lowered.inputs[0], y=Out(y), argmax=Out(argmax))

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        program.call(
            "pool.global_max_pool2d_backward", dy=lowered.d_output, argmax=lowered.saved["argmax"], dx=dx,
            accumulate=dx.accumulate,
        )  # fmt: skip
