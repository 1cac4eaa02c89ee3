"""Functions of single elements, and binary functions with broadcasting."""

from ...kernels.scalar import activations, arithmetic
from ...kernels.scalar.broadcasting import canonical
from .. import checks
from ..errors import SamplesPairedError, invalid
from ..program import Out
from .base import CONVERTED, KEPT, REFUSED, Operation, display

CAST_DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


class Unary(Operation):
    """``function`` of every element; ``parameters`` are its further arguments (a slope, a scale)."""

    keeps_booleans = False

    def __init__(self, function: str, parameters=()):
        self.function = checks.one_of("Unary", "function", function, activations.NAMES)
        names = activations.parameters(function)
        if not isinstance(parameters, list | tuple) or len(parameters) != len(names):
            expected = f"Unary expects {len(names)} parameters of {function} ({', '.join(names) or 'none'})."
            raise invalid(expected, parameters=parameters)
        self.parameters = tuple(checks.number("Unary", "parameters", p, finite=False) for p in parameters)

    @property
    def name(self):
        return self.function

    @property
    def integers(self) -> str:
        return KEPT if self.function in ("absolute", "negative", "relu", "sign", "square") else CONVERTED

    def infer(self, x):
        return [(x.shape, x.dtype)]

    def _scalars(self, lowered) -> dict:
        names = activations.parameters(self.function)
        return {name: lowered.setting(name, value) for name, value in zip(names, self.parameters, strict=True)}

    def forward(self, program, lowered):
        x, y = lowered.inputs[0], lowered.output
        scalars = self._scalars(lowered)
        program.call(f"elementwise.{self.function}_forward", x=x, y=Out(y), **scalars, in_place=("x", "y"))

    def backward(self, program, lowered):
        known = {"x": lowered.inputs[0], "y": lowered.output}
        saved = {argument: known[argument] for argument in activations.derivative_arguments(self.function)}
        dx = lowered.gradient(0)
        program.call(
            f"elementwise.{self.function}_backward", **saved, dy=lowered.d_output, dx=dx, **self._scalars(lowered),
            accumulate=dx.accumulate, in_place=None if dx.accumulate else ("dy", "dx"),
        )  # fmt: skip


class Cast(Operation):
    """The same numbers as ``dtype``; towards integers, what is after the point is cut off."""

    integers = KEPT

    def __init__(self, dtype: str):
        self.dtype = checks.one_of("cast", "dtype", dtype, CAST_DTYPES)

    def infer(self, x):
        return [(x.shape, self.dtype)]

    def forward(self, program, lowered):
        program.call("shape.copy_forward", x=lowered.inputs[0], y=Out(lowered.output))

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        program.call("shape.copy_backward", dy=lowered.d_output, dx=dx, accumulate=dx.accumulate)


def _split(x):
    return (x.shape[1:], True) if x.batched else (x.shape, False)


class Binary(Operation):
    """``function`` of two values with NumPy's broadcasting; gradients are summed over broadcast axes."""

    broadcasts = True
    keeps_booleans = False

    def __init__(self, function: str):
        self.function = checks.one_of("Binary", "function", function, arithmetic.NAMES)

    @property
    def name(self):
        return self.function

    @property
    def integers(self) -> str:
        return {"divide": CONVERTED, "power": REFUSED}.get(self.function, KEPT)

    def _canonical(self, a, b):
        # a batched operand of lower rank lines up from the right only when the ranks agree
        if a.batched != b.batched:
            batched, other = (a, b) if a.batched else (b, a)
            if other.ndim >= batched.ndim and other.ndim > 0:
                if other.ndim > batched.ndim or other.shape[0] != 1:
                    raise ValueError(
                        f"{self.function} cannot broadcast {display(a.shape)} with {display(b.shape)}: the batch axis "
                        "is paired with an axis of fixed size."
                    )
                shape = other.shape[1:]
                other = type("Squeezed", (), {"shape": shape, "batched": False})()
                a, b = (batched, other) if a.batched else (other, batched)
        elif a.batched and a.ndim != b.ndim:
            raise SamplesPairedError(
                f"{self.function} needs operands of the same rank when both have a batch axis: broadcasting would pair "
                "each sample with all others. jitnet.ops.expand_dims(x, -1) adds an axis. "
                f"Received: shapes {display(a.shape)} and {display(b.shape)}"
            )
        return canonical(*_split(a), *_split(b))

    def infer(self, a, b):
        try:
            self._canonical(a, b)
        except ValueError as error:
            raise type(error)(
                f"{self.function} cannot combine shapes {display(a.shape)} and {display(b.shape)}: {error}"
            ) from None
        sizes = []
        longest = max(a.ndim, b.ndim)
        for x, y in zip((1,) * (longest - a.ndim) + a.shape, (1,) * (longest - b.ndim) + b.shape, strict=True):
            sizes.append(None if x is None or y is None else (y if x == 1 else x))
        return [(tuple(sizes), a.dtype)]

    def _scalars(self, lowered) -> dict:
        shape, a_strides, b_strides = self._canonical(*lowered.application.inputs)
        return {"shape": shape, "a_strides": a_strides, "b_strides": b_strides}

    def _bias(self, lowered) -> int | None:
        """Which operand is a vector that is added to every row of the other, as a bias; None if neither is."""
        inputs, output = lowered.application.inputs, lowered.application.outputs[0]
        if self.function != "add" or not output.dtype.startswith("float"):
            return None
        for index, vector in enumerate(inputs):
            other = inputs[1 - index]
            is_vector = not vector.batched and len(vector.shape) == 1 and vector.shape == output.shape[-1:]
            if is_vector and other.batched and other.shape == output.shape:
                return index
        return None

    def forward(self, program, lowered):
        a, b = lowered.inputs
        y = lowered.output
        bias = self._bias(lowered)
        if bias is not None:
            x = lowered.inputs[1 - bias]
            in_place = ("x", "y") if x.kind == y.kind else None
            program.call("dense.bias_add_forward", x=x, bias=lowered.inputs[bias], y=Out(y), in_place=in_place)
            return
        in_place = ("a", "y") if a.kind == y.kind and a.size == y.size else None
        program.call(
            f"elementwise.{self.function}_forward", a=a, b=b, y=Out(y), **self._scalars(lowered), in_place=in_place
        )

    def backward(self, program, lowered):
        a, b = lowered.inputs
        scalars, bias = self._scalars(lowered), self._bias(lowered)
        if bias is not None:
            if lowered.needs(bias):
                d_bias = lowered.gradient(bias)
                arguments = {"dy": lowered.d_output, "dbias": d_bias, "accumulate": d_bias.accumulate}
                program.call("dense.bias_add_backward", **arguments)
            if lowered.needs(1 - bias):
                lowered.pass_gradient(1 - bias)
            return
        sides = [(1, b, "b"), (0, a, "a")]
        for index, operand, side in sides:
            if not lowered.needs(index):
                continue
            if self.function == "add" and operand.kind == "batch" and operand.shape == lowered.output.shape:
                # the second operand first: its copy must be made before the first one takes the memory over
                if index == 0:
                    lowered.pass_gradient(0)
                else:
                    d_operand = lowered.gradient(1)
                    program.call(
                        "shape.copy_backward", dy=lowered.d_output, dx=d_operand, accumulate=d_operand.accumulate
                    )
                continue
            d_operand = lowered.gradient(index)
            program.call(
                f"elementwise.{self.function}_backward_{side}", a=a, b=b, dy=lowered.d_output,
                **{f"d{side}": d_operand}, **scalars, accumulate=d_operand.accumulate,
            )  # fmt: skip
