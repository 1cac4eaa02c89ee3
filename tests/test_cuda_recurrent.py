"""Recurrent layers on CUDA, emulated, against their CPU twins."""

import inspect

import numpy as np
import pytest
from cuda_cases import assert_twins
from test_kernels_recurrent import GATES, Operands, reference

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# samples, steps, units, masked, reverse, gradients of all steps
CASES = [(1, 1, 1, False, False, False), (3, 2, 5, True, False, True), (2, 3, 4, True, True, True)]


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_recurrent(cell, case):
    *size, masked, reverse, sequences = case
    dtype = "float64" if cell == "gru" and reverse else "float32"
    operands = Operands(cell, *size, dtype, masked, reverse, sequences)
    for direction in ("forward", "backward"):
        kernel = reference(cell, direction)
        names = list(inspect.signature(kernel.py_func).parameters)
        given = operands.given | (operands.kept if direction == "backward" else {})
        outs = {name: np.zeros(operands.expected[name].shape, dtype) for name in names if name not in given}
        tolerance = dict.fromkeys(("rtol", "atol"), TOLERANCE[dtype])
        arguments = [(given | outs)[name] for name in names]
        assert_twins("recurrent", kernel.py_func.__name__, *arguments, unwritten=tuple(outs), **tolerance)
