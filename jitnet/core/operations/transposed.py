"""Transposed convolution, channels last, on the kernels of convolution in exchanged roles."""

import math

from .. import checks
from ..errors import invalid
from ..program import Out
from .base import REFUSED, display
from .convolution import Windowed


def transposed_sides(padding: str, window: int, stride: int, dilation: int, extra: int | None) -> tuple[int, int]:
    """What is cut off before and after the full result of (size - 1) * stride + dilated window; negative: zeros there.

    extra: ``output_padding``.  As in Keras, "valid" gives (size - 1) * stride + max(dilated window, stride), "same"
    size * stride.  With ``extra`` it is (size - 1) * stride + extra, and the dilated window, or its remainder by 2.
    """
    dilated = (window - 1) * dilation + 1
    if padding == "valid":
        return 0, min(0, dilated - stride) if extra is None else -extra
    longer = stride if extra is None else dilated % 2 + extra  # than (size - 1) * stride
    total = dilated - longer
    before = max(total // 2, 0)
    return before, total - before


class Conv2DTranspose(Windowed):
    """The gradient of a convolution in its input, as an operation: x (N, P, Q, K), kernel (R, S, C, K), y (N, H, W, C).

    padding: "valid" or "same", of that convolution; output_padding: None or a pair, see ``transposed_sides``.
    """

    name = "conv2d_transpose"
    whole_inputs = (1,)
    integers = REFUSED

    def __init__(self, strides=(1, 1), padding="valid", output_padding=None, dilation=(1, 1)):
        self.strides = checks.pair(self.name, "strides", strides)
        self.padding = checks.padding_name(self.name, padding)
        self.output_padding = checks.optional(checks.pair)(self.name, "output_padding", output_padding, least=0)
        self.dilation = checks.pair(self.name, "dilation", dilation)
        if self.output_padding and any(e >= s for e, s in zip(self.output_padding, self.strides, strict=True)):
            raise invalid(
                f"{self.name} expects output_padding to be smaller than strides={self.strides}.",
                output_padding=output_padding,
            )

    def _sides(self, window) -> list[tuple[int, int]]:
        extra = self.output_padding or (None, None)
        axes = zip(window, self.strides, self.dilation, extra, strict=True)
        return [transposed_sides(self.padding, *axis) for axis in axes]

    def infer(self, x, kernel):
        self.require_kernel(x, kernel)
        if kernel.shape[3] != x.shape[3]:
            raise ValueError(
                f"conv2d_transpose expects a kernel (height, width, filters, {x.shape[3]}) for an input of shape "
                f"{display(x.shape)}. Received: kernel of shape {display(kernel.shape)}"
            )
        sizes = []
        for axis, sides in enumerate(self._sides(kernel.shape[:2])):
            dilated = (kernel.shape[axis] - 1) * self.dilation[axis] + 1
            sizes.append((x.shape[1 + axis] - 1) * self.strides[axis] + dilated - sum(sides))
        if min(sizes) < 1:
            raise invalid(f"conv2d_transpose leaves nothing of {display(x.shape)}.", padding=self.padding)
        return [((x.shape[0], *sizes, kernel.shape[2]), x.dtype)]

    def _scalars(self, kernel) -> dict:
        (top, _), (left, _) = self._sides(kernel.shape[:2])
        return {
            "stride_h": self.strides[0], "stride_w": self.strides[1], "pad_top": top, "pad_left": left,
            "dilation_h": self.dilation[0], "dilation_w": self.dilation[1], "groups": 1,
        }  # fmt: skip

    def forward(self, program, lowered):
        x, kernel = lowered.inputs
        work = 2 * math.prod(x.shape) * math.prod(kernel.shape[:3])
        program.call(
            "conv.conv2d_backward_data", dy=x, kernel=kernel, dx=Out(lowered.output), **self._scalars(kernel),
            accumulate=False, work=work,
        )  # fmt: skip

    def backward(self, program, lowered):
        x, kernel = lowered.inputs
        dy, scalars = lowered.d_output, self._scalars(kernel)
        work = 2 * math.prod(x.shape) * math.prod(kernel.shape[:3])
        if lowered.needs(1):
            dkernel = lowered.gradient(1)
            program.call(
                "conv.conv2d_backward_filter", x=dy, dy=x, dkernel=dkernel, **scalars, accumulate=dkernel.accumulate,
                work=work,
            )  # fmt: skip
        if lowered.needs(0):
            dx = lowered.gradient(0)
            # the forward pass of a convolution has no form that adds to what is there
            y = Out(program.temporary(f"{dx.buffer.name}_part", x.shape, x.dtype, "batch")) if dx.accumulate else dx
            program.call("conv.conv2d_forward", x=dy, kernel=kernel, y=y, **scalars, work=work)
            if y is not dx:
                program.call("shape.copy_backward", dy=y.buffer, dx=dx, accumulate=True)
