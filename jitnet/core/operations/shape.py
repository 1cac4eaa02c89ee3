"""Operations that move elements without changing them."""

from .. import checks
from ..errors import invalid
from ..policy import floatx
from ..program import Out
from ..values import DTYPES
from .base import KEPT, Operation, display, elements, normalize_axis, require_rank
from .strided import canonical_strides, dense_strides, sample_shape


class Reshape(Operation):
    """The same elements under another shape; ``shape`` is without the batch axis, one entry may be -1."""

    integers = KEPT

    def __init__(self, shape):
        self.shape = checks.sizes("reshape", "shape", shape, least=-1)
        if self.shape.count(-1) > 1:
            raise invalid("reshape takes sizes and at most one -1.", shape=self.shape)

    def infer(self, x):
        shape = list(self.shape)
        size = elements(x.shape)
        if -1 in shape:
            known = elements([s for s in shape if s != -1])
            shape[shape.index(-1)] = size // known if known else 0
        if elements(shape) != size:
            raise ValueError(
                f"reshape cannot turn {display(x.shape)} ({size} elements per sample) into {self.shape}. "
                f"Received: shape={self.shape}"
            )
        return [((None, *shape) if x.batched else tuple(shape), x.dtype)]

    def forward(self, program, lowered):
        if lowered.inputs[0].kind in ("batch", "whole", "external"):
            lowered.alias_output()
        else:
            program.call("shape.copy_forward", x=lowered.inputs[0], y=Out(lowered.output))

    def backward(self, program, lowered):
        lowered.pass_gradient(0)


class Regrouped(Operation):
    """The same elements of each sample as more or fewer parts: what joins ``batches`` batches, (None, *shape)."""

    integers = KEPT

    def __init__(self, shape, batches: int):
        self.shape = checks.sizes("regrouped", "shape", shape)
        self.batches = checks.integer("regrouped", "batches", batches, least=1)

    def infer(self, x):
        if not x.batched or self.batches * elements(self.shape) != x.batches * elements(x.shape):
            raise invalid(
                f"regrouped keeps the {x.batches * elements(x.shape)} elements of a sample of {display(x.shape)}.",
                shape=self.shape, batches=self.batches,
            )  # fmt: skip
        return [((None, *self.shape), x.dtype)]

    def batches_of(self, inputs):
        return self.batches

    def forward(self, program, lowered):
        x, output = lowered.inputs[0], lowered.application.outputs[0]
        if x.kind == "batch":
            lowered.lowering.alias(output, x.viewed(self.shape, batches=self.batches))
        else:  # the data, each in memory of its own
            program.call("shape.copy_forward", x=x, y=Out(lowered.output))

    def backward(self, program, lowered):
        lowered.pass_gradient(0)


class ExpandDims(Reshape):
    """With axes of one element at the places ``axes`` of the result."""

    def __init__(self, axes):
        self.axes = checks.sizes("expand_dims", "axes", axes, least=-checks.LARGEST)

    def infer(self, x):
        ndim = x.ndim + len(self.axes)
        axes = {axis % ndim for axis in self.axes if -ndim <= axis < ndim}
        if len(axes) != len(self.axes) or (x.batched and 0 in axes):
            first = 1 if x.batched else 0
            raise invalid(f"expand_dims expects places from {first} to {ndim - 1}, each once.", axis=self.axes)
        sizes = iter(x.shape)
        return [(tuple(1 if axis in axes else next(sizes) for axis in range(ndim)), x.dtype)]


class Squeeze(Reshape):
    """Without ``axes``, which have one element each."""

    def __init__(self, axes):
        self.axes = checks.sizes("squeeze", "axes", axes, least=-checks.LARGEST)

    def infer(self, x):
        axes = {normalize_axis("squeeze", axis, x) for axis in self.axes}
        if any(x.shape[axis] != 1 for axis in axes):
            raise ValueError(
                f"squeeze drops axes of one element, of a tensor {display(x.shape)}. Received: axis={self.axes}"
            )
        return [(tuple(size for axis, size in enumerate(x.shape) if axis not in axes), x.dtype)]


class StopGradient(Reshape):
    """The value as it is; to gradients it is a constant."""

    differentiable = False

    def __init__(self):
        pass

    def infer(self, x):
        return [(x.shape, x.dtype)]


class Filled(Operation):
    """``value`` everywhere: (None, *shape), for each sample of the batch, or of so many joined ``batches``."""

    differentiable = False

    def __init__(self, shape, value: float = 0.0, dtype: str | None = None, batches: int = 1):
        self.shape = checks.sizes("filled", "shape", shape)
        self.value = checks.number("filled", "value", value, finite=False)
        self.dtype = checks.one_of("filled", "dtype", dtype or floatx(), DTYPES)
        self.batches = checks.integer("filled", "batches", batches, least=1)

    def prepare(self, inputs):
        return inputs

    def batches_of(self, inputs):
        return self.batches

    def infer(self):
        return [((None, *self.shape), self.dtype)]

    def forward(self, program, lowered):
        program.call("shape.fill", y=Out(lowered.output), value=self.value)


class Concatenate(Operation):
    """Tensors side by side along ``axis``."""

    integers = KEPT

    def __init__(self, axis: int = -1):
        self.axis = checks.integer("concatenate", "axis", axis)

    def infer(self, *tensors):
        if not tensors:
            raise ValueError("concatenate expects at least one tensor. Received: none")
        first = tensors[0]
        axis = normalize_axis("concatenate", self.axis, first)
        for x in tensors[1:]:
            same = x.ndim == first.ndim and all(
                i == axis or s == t for i, (s, t) in enumerate(zip(x.shape, first.shape, strict=False))
            )
            if not same:
                shapes = ", ".join(display(t.shape) for t in tensors)
                raise ValueError(
                    f"concatenate expects shapes that agree in all axes but axis {axis}. Received: shapes {shapes}"
                )
        total = sum(x.shape[axis] for x in tensors)
        return [(first.shape[:axis] + (total,) + first.shape[axis + 1 :], first.dtype)]

    def _parts(self, application):
        """Per input where it starts, its width and that of the whole, in elements of one outer row."""
        inputs = application.inputs
        axis = normalize_axis("concatenate", self.axis, inputs[0])
        widths = [elements(x.shape[axis:]) for x in inputs]
        offset = 0
        for width in widths:
            yield {"offset": offset, "x_width": width, "y_width": sum(widths)}
            offset += width

    def forward(self, program, lowered):
        y = lowered.output
        for x, scalars in zip(lowered.inputs, self._parts(lowered.application), strict=True):
            # each call fills its own columns, so the earlier ones must count as kept
            program.call("shape.concatenate_forward", x=x, y=Out(y, accumulate=scalars["offset"] > 0), **scalars)

    def backward(self, program, lowered):
        dy = lowered.d_output
        for index, scalars in enumerate(self._parts(lowered.application)):
            if lowered.needs(index):
                dx = lowered.gradient(index)
                program.call("shape.concatenate_backward", dy=dy, dx=dx, **scalars, accumulate=dx.accumulate)


class Joined(Operation):
    """The samples of several tensors in one, whose batch axis is as long as theirs together: (None, ...).

    Each sample of the batch has one part of every tensor, in the tensors' order, so that it stays in its chunk: what
    has the first samples of all is ``Part``.
    """

    integers = KEPT

    def infer(self, *tensors):
        if not tensors or any(not x.batched or x.shape != tensors[0].shape for x in tensors):
            shapes = ", ".join(display(x.shape) for x in tensors)
            raise ValueError(
                "concatenate along the batch axis, 0, joins tensors that all have it, of shapes that agree in all "
                f"other axes. Received: shapes {shapes}"
            )
        return [(tensors[0].shape, tensors[0].dtype)]

    def batches_of(self, inputs):
        return sum(x.batches for x in inputs)

    def _parts(self, application):
        """Per input where it starts, its width and that of the whole, in elements of a sample of the batch."""
        width = elements(application.inputs[0].shape)
        start, batches = 0, application.batches
        for x in application.inputs:
            yield {"offset": start * width, "x_width": x.batches * width, "y_width": batches * width}
            start += x.batches

    # of a joined tensor, too, parts are columns
    forward, backward = Concatenate.forward, Concatenate.backward


class Part(Operation):
    """The batches ``start`` to ``stop`` - 1 of those that a tensor joins: (None, ...)."""

    integers = KEPT

    def __init__(self, start: int, stop: int):
        self.start = checks.integer("part", "start", start, least=0)
        self.stop = checks.integer("part", "stop", stop, least=1)

    def infer(self, x):
        if not x.batched or not self.start < self.stop <= x.batches:
            raise ValueError(
                f"part expects 0 <= start < stop <= {x.batches}, the batches that its input {display(x.shape)} joins. "
                f"Received: start={self.start}, stop={self.stop}"
            )
        return [(x.shape, x.dtype)]

    def batches_of(self, inputs):
        return self.stop - self.start

    def _scalars(self, x) -> dict:
        width = elements(x.shape)
        return {
            "offset": self.start * width, "x_width": x.batches * width, "y_width": (self.stop - self.start) * width,
        }  # fmt: skip

    def forward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        program.call("shape.slice_forward", x=lowered.inputs[0], y=Out(lowered.output), **scalars)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        scalars = self._scalars(lowered.application.inputs[0])
        program.call("shape.slice_backward", dy=lowered.d_output, dx=dx, **scalars, accumulate=dx.accumulate)


class Slice(Operation):
    """Elements ``start`` to ``stop`` along ``axis``."""

    integers = KEPT

    def __init__(self, axis: int, start: int, stop: int):
        self.axis = checks.integer("slice", "axis", axis)
        self.start = checks.integer("slice", "start", start, least=0)
        self.stop = checks.integer("slice", "stop", stop, least=1)

    def infer(self, x):
        axis = normalize_axis("slice", self.axis, x)
        if not 0 <= self.start < self.stop <= x.shape[axis]:
            raise ValueError(
                f"slice expects 0 <= start < stop <= {x.shape[axis]} along axis {axis} of {display(x.shape)}. "
                f"Received: start={self.start}, stop={self.stop}"
            )
        return [(x.shape[:axis] + (self.stop - self.start,) + x.shape[axis + 1 :], x.dtype)]

    def _scalars(self, x) -> dict:
        axis = normalize_axis("slice", self.axis, x)
        inner = elements(x.shape[axis + 1 :])
        widths = {"x_width": x.shape[axis] * inner, "y_width": (self.stop - self.start) * inner}
        return {"offset": self.start * inner, **widths}

    def forward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        program.call("shape.slice_forward", x=lowered.inputs[0], y=Out(lowered.output), **scalars)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        scalars = self._scalars(lowered.application.inputs[0])
        program.call("shape.slice_backward", dy=lowered.d_output, dx=dx, **scalars, accumulate=dx.accumulate)


class Transpose(Operation):
    """Axes in another order; the batch axis stays first."""

    integers = KEPT

    def __init__(self, axes):
        self.axes = checks.sizes("transpose", "axes", axes, least=0)

    def infer(self, x):
        if sorted(self.axes) != list(range(x.ndim)):
            raise ValueError(
                f"transpose expects an order of the {x.ndim} axes of {display(x.shape)}. Received: axes={self.axes}"
            )
        if x.batched and self.axes[0] != 0:
            raise ValueError(f"transpose must leave the batch axis (axis 0) first. Received: axes={self.axes}")
        return [(tuple(x.shape[a] for a in self.axes), x.dtype)]

    def _scalars(self, x) -> dict:
        axes = [a - 1 for a in self.axes[1:]] if x.batched else list(self.axes)
        sizes = sample_shape(x)
        strides = dense_strides(sizes)
        shape, strides = tuple(sizes[a] for a in axes), tuple(strides[a] for a in axes)
        if len(axes) > 4:
            return {**canonical_strides("transpose", shape, strides), "offset": 0, "size": elements(sizes)}
        missing = 4 - len(axes)
        return {"shape": (1,) * missing + shape, "strides": (0,) * missing + strides}

    def forward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        opcode = "strided.take_forward" if "size" in scalars else "shape.transpose_forward"
        program.call(opcode, x=lowered.inputs[0], y=Out(lowered.output), **scalars)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        scalars = self._scalars(lowered.application.inputs[0])
        opcode = "strided.take_backward" if "size" in scalars else "shape.transpose_backward"
        program.call(opcode, dy=lowered.d_output, dx=dx, **scalars, accumulate=dx.accumulate)


class Pad2D(Operation):
    """``value`` around height and width of x (N, H, W, C); padding: ((top, bottom), (left, right))."""

    name = "pad2d"
    integers = KEPT

    def __init__(self, padding, value=0.0):
        self.padding = checks.margins("pad2d", "padding", padding)
        self.value = checks.number("pad2d", "value", value, finite=False)

    def infer(self, x):
        require_rank("pad2d", x, 4, "(batch, height, width, channels)")
        (top, bottom), (left, right) = self.padding
        return [((x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3]), x.dtype)]

    def forward(self, program, lowered):
        (top, _), (left, _) = self.padding
        program.call(
            "shape.pad2d_forward", x=lowered.inputs[0], y=Out(lowered.output), top=top, left=left, value=self.value
        )

    def backward(self, program, lowered):
        (top, _), (left, _) = self.padding
        dx = lowered.gradient(0)
        program.call(
            "shape.pad2d_backward", dy=lowered.d_output, dx=dx, top=top, left=left, accumulate=dx.accumulate
        )
