"""CUDA kernels of attention, emulated, beside their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins
from naive.attention import CASES, Case

MORE = [(1, 9, 66, 2, 1, 3, 2, "causal pairs"), (1, 66, 3, 1, 1, 2, 3, "padding")]  # more than a block


@pytest.mark.parametrize("arguments", CASES + MORE, ids=lambda case: " ".join(map(str, case)))
def test_attention(arguments):
    case = Case(*arguments, dtype=np.float32)
    y, log_sums = case.results()
    tolerance = {"rtol": 2e-5, "atol": 1e-6}
    assert_twins(
        "attention", "attention_forward", *case.inputs(), y, log_sums, *case.numbers(1), unwritten=("y", "log_sums"),
        **tolerance,
    )  # fmt: skip
    from jitnet.kernels.cpu import attention

    attention.attention_forward(*case.inputs(), y, log_sums, *case.numbers(1))
    assert_twins(
        "attention", "attention_backward", *case.inputs(), y, log_sums, case.dy, *case.gradients(), *case.numbers(1),
        unwritten=("dquery", "dkey", "dvalue"), **tolerance,
    )  # fmt: skip
