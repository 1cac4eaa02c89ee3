"""Masks of ReLUs after batch normalisation that come from what was normalised."""

import pytest
from programs import BATCH, Sketch, check, unchanged

from jitnet.core.program import Out
from jitnet.targets.cpu.masks import mask_by_inputs

ROWS, CHANNELS = 20, 6
NAMES = ["batch_norm_relu_apply", "batch_norm_relu_backward_statistics", "batch_norm_relu_backward_data"]


def network(program: Sketch, between=None, y=None, dtype="float32"):
    """Forward, and back to the gradients of all but beta's statistics."""
    x, dy, dx = (program.given(name, CHANNELS, dtype=dtype).viewed((CHANNELS,)) for name in ("x", "dy", "dx"))
    mean, rstd, gamma, beta = (program.weight(name, CHANNELS) for name in ("mean", "rstd variance", "gamma", "beta"))
    result = program.given("y", CHANNELS, dtype=dtype)
    statistics = {"mean": mean, "rstd": rstd}
    program.call("normalization.batch_norm_relu_apply", x=x, **statistics, gamma=gamma, beta=beta, y=Out(result))
    if between is not None:
        between(program, x, beta)
    sums = [program.temporary(name, (CHANNELS,), "float32", "partial") for name in ("dgamma", "dbeta")]
    y = result if y is None else y(program)
    program.call(
        f"normalization.{NAMES[1]}", x=x, y=y, dy=dy, **statistics, dgamma=Out(sums[0]),
        dbeta=Out(sums[1]), accumulate=False,
    )  # fmt: skip
    program.call(
        f"normalization.{NAMES[2]}", x=x, y=y, dy=dy, **statistics, gamma=gamma, dgamma=program.weight("dg", CHANNELS),
        dbeta=program.weight("db", CHANNELS), dx=Out(dx), count=BATCH, accumulate=False,
    )  # fmt: skip


def test_the_result_is_not_read():
    program = check(network, mask_by_inputs, NAMES, tolerance=1e-6)
    assert [call.opcode for call in program.calls[1:]] == [f"fast.normalization.{name}" for name in NAMES[1:]]
    for call in program.calls[1:]:
        assert "y" not in call.arguments and call["beta"].name == "beta"


@pytest.mark.parametrize("number", [0, 1])
def test_numbers_that_change_in_between_do_not_serve(number):
    def change(program, x, beta):
        program.call("shape.fill", y=Out((x, beta)[number]), value=0.5)

    unchanged(lambda program: network(program, change), mask_by_inputs)


def test_what_is_computed_otherwise_is_read():
    unchanged(lambda program: network(program, y=lambda p: p.given("another", CHANNELS)), mask_by_inputs)
    unchanged(lambda program: network(program, dtype="float64"), mask_by_inputs)
