"""Comparisons, whose results are bool, and the choice by them."""

from ...kernels.scalar import comparisons
from .. import checks
from ..program import Out
from ..values import Constant, Value, as_value
from .base import KEPT, Operation, converted, display
from .elementwise import Binary


class Compare(Binary):
    """``function`` of two values with NumPy's broadcasting, true or false: equal, less, logical_and, ..."""

    differentiable = False
    keeps_booleans = True
    integers = KEPT

    def __init__(self, function: str):
        self.function = checks.one_of("Compare", "function", function, comparisons.NAMES)

    def infer(self, a, b):
        ((shape, _),) = super().infer(a, b)
        return [(shape, "bool")]

    def forward(self, program, lowered):
        a, b = lowered.inputs
        opcode = f"comparison.{self.function}_forward"
        program.call(opcode, a=a, b=b, y=Out(lowered.output), **self._scalars(lowered))

    def backward(self, program, lowered):
        raise TypeError(f"{self.function} has no gradient")


class Select(Operation):
    """The elements of the second value where the first, of bool, is true, else those of the third.

    All have the shape of the result; constants may have only its last axes, or a single element.
    """

    integers = KEPT

    def prepare(self, inputs):
        condition, *values = inputs
        if not isinstance(condition, Value):
            condition = Constant(as_value(condition).array != 0)
        elif condition.dtype != "bool":
            condition = Compare("not_equal")(condition, 0)
        return (condition, *converted(self, values))

    def infer(self, condition, a, b):
        shape = max((condition.shape, a.shape, b.shape), key=len)
        sample = shape[1:] if shape[:1] == (None,) else shape
        for x in (condition, a, b):
            suffix = x.shape == sample[len(sample) - x.ndim :] or x.shape in ((), (1,))
            if x.shape != shape and not (isinstance(x, Constant) and suffix):
                raise ValueError(
                    f"select expects values of one shape. Received: shapes {display(condition.shape)}, "
                    f"{display(a.shape)} and {display(b.shape)}"
                )
        return [(shape, a.dtype)]

    def forward(self, program, lowered):
        condition, a, b = lowered.inputs
        program.call("comparison.select_forward", condition=condition, a=a, b=b, y=Out(lowered.output))

    def backward(self, program, lowered):
        for index, side in ((1, True), (2, False)):
            if lowered.needs(index):
                dx = lowered.gradient(index)
                program.call(
                    "comparison.select_backward", condition=lowered.inputs[0], dy=lowered.d_output, dx=dx, side=side,
                    accumulate=dx.accumulate,
                )  # fmt: skip
