"""Batch normalisation folded into the weights before it, or joined with the ReLU and the residual around it.

Each rewrite alone, over programs of a few calls; what they compute is compared by the reference target.
"""

import pytest
from programs import BATCH, GEOMETRY, Sketch, check, opcodes, run, unchanged

from jitnet.core.program import Out
from jitnet.core.rewrites.batch_norm import fold_batch_norm, fuse_batch_norm

IMAGE = (4, 5, 2)
SHAPE = (4, 5, 6)


def fold(program):
    fold_batch_norm(program, lambda call, epilogue: True)


def normalise(program: Sketch, x, y, statistics=None):
    """Batch normalisation by moving statistics; x and y as rows.  Returns the call that makes 1 / deviation."""
    weights = {name: program.weight(name, x.shape[-1]) for name in ("mean", "variance", "gamma", "beta")}
    rstd = program.temporary("rstd", (x.shape[-1],), "float32", "whole")
    variance = statistics or weights.pop("variance")
    inverse = program.call("normalization.batch_norm_rstd", variance=variance, rstd=Out(rstd), epsilon=1e-3)
    program.call(
        "normalization.batch_norm_apply", x=program.as_rows(x, 6), mean=weights["mean"], rstd=rstd,
        gamma=weights["gamma"], beta=weights["beta"], y=Out(program.as_rows(y, 6)), in_place=("x", "y"),
    )  # fmt: skip
    return inverse


# ---- folded into the weights


@pytest.mark.parametrize("bias", [False, True])
def test_folded_into_a_convolution(bias):
    def make(program):
        x, y, z = program.given("x", *IMAGE), program.batch("y", *SHAPE), program.batch("z", *SHAPE)
        program.conv(x, program.weight("kernel", 3, 3, 2, 6), y)
        if bias:
            biased = program.batch("biased", *SHAPE)
            program.bias(y, program.weight("bias", 6), biased)
            y = biased
        normalise(program, y, z)
        program.copy(z, program.given("last", *SHAPE))

    name = "batch_norm_fold_bias" if bias else "batch_norm_fold"
    folded = check(make, fold, [name, "conv2d_forward", "bias_add_forward", "copy_forward"], tolerance=2e-5)
    first, conv, shift, _ = folded.calls
    assert conv["kernel"] is first["folded"] and shift["bias"] is first["folded_bias"]
    unchanged(make, lambda program: fold_batch_norm(program, lambda call, epilogue: False))


def dense_and_normalisation(program: Sketch, kernel=None, statistics=None, between=None, output=None):
    x, y, z = program.given("x", 4), program.batch("y", 6), output or program.batch("z", 6)
    program.call("dense.dense_forward", x=x, kernel=kernel or program.weight("kernel", 4, 6), y=Out(y))
    if between:
        between(y)
    normalise(program, y, z, statistics)
    return z


def test_folded_into_a_dense_layer_whose_weights_are_updated_afterwards():
    """As in a training step with frozen statistics."""

    def make(program):
        dense_and_normalisation(program, output=program.given("last", 6))
        program.call("shape.fill", y=Out(program.calls[0]["kernel"]), value=0.5)

    check(make, fold, ["batch_norm_fold", "dense_forward", "bias_add_forward", "fill"], tolerance=2e-5)


def test_what_else_reads_the_deviation_keeps_it():
    def make(program):
        dense_and_normalisation(program, output=program.given("last", 6))
        rstd, gamma, dx = program.calls[1]["rstd"], program.calls[2]["gamma"], program.given("dx", 6)
        program.call(
            "normalization.batch_norm_backward_data_frozen", dy=program.given("dy", 6), rstd=rstd, gamma=gamma,
            dx=Out(dx), accumulate=False,
        )  # fmt: skip

    rest = ["batch_norm_rstd", "bias_add_forward", "batch_norm_backward_data_frozen"]
    check(make, fold, ["batch_norm_fold", "dense_forward", *rest], tolerance=2e-5)


def in_a_loop(program: Sketch, kernel=None, after=None):
    """Three turns of a dense layer and its normalisation."""
    with program.loop("time", 3) as time:
        chosen = program.weight("kernel", 4, 6) if kernel is None else kernel.at(time)
        z = dense_and_normalisation(program, chosen)
        program.put(z, program.given("last", 18), time, 3)
        if after:
            program.call("shape.fill", y=Out(after(program)), value=2.0)


def test_folded_before_a_loop():
    names = ["batch_norm_fold", "dense_forward", "bias_add_forward", "concatenate_forward"]
    folded = check(in_a_loop, fold, names, tolerance=2e-5)
    assert [len(block.calls) for block in folded.blocks] == [0, 1, 3, 0]


def test_weights_that_change_in_a_loop_are_not_folded():
    def other_steps(program):
        kernels = program.weight("kernels", 3, 4, 6)
        kernels.steps = 3
        in_a_loop(program, kernels)

    def written_in_it(program):
        in_a_loop(program, after=lambda program: next(c for c in program.calls if "mean" in c.arguments)["mean"])

    for make in (other_steps, written_in_it):
        unchanged(make, fold)


def test_normalisations_that_are_not_folded():
    def read_twice(program):
        also = program.given("also", 6)
        dense_and_normalisation(program, output=program.given("last", 6), between=lambda y: program.copy(y, also))

    unchanged(read_twice, fold)

    def after_another_function(program):
        activation = program.batch("activation", 6)
        y = program.batch("y", 6)
        program.call("dense.dense_forward", x=program.given("x", 4), kernel=program.weight("kernel", 4, 6), y=Out(y))
        program.relu(y, activation)
        normalise(program, activation, program.given("last", 6))

    unchanged(after_another_function, fold)

    def of_computed_weights(program):
        kernel = program.temporary("computed", (4, 6), "float32", "whole")
        program.copy(program.weight("kernel", 4, 6), kernel)
        dense_and_normalisation(program, kernel, output=program.given("last", 6))

    unchanged(of_computed_weights, fold)

    def of_statistics_that_change_before(program):
        variance = program.weight("variance", 6)
        program.call("shape.fill", y=Out(variance), value=2.0)
        dense_and_normalisation(program, statistics=variance, output=program.given("last", 6))

    unchanged(of_statistics_that_change_before, fold)

    def of_the_batchs_statistics(program):
        variance = program.temporary("computed", (6,), "float32", "whole")
        program.call("shape.fill", y=Out(variance), value=2.0)
        dense_and_normalisation(program, statistics=variance, output=program.given("last", 6))

    unchanged(of_the_batchs_statistics, fold)


# ---- joined with what follows


def normalised(program: Sketch):
    y = program.batch("y", *SHAPE)
    normalise(program, program.given("x", *SHAPE), y)
    return y


def test_the_relu_after_it():
    def make(program):
        z = program.batch("z", *SHAPE)
        program.relu(normalised(program), z)
        program.copy(z, program.given("last", *SHAPE))

    fused = check(make, fuse_batch_norm, ["batch_norm_rstd", "batch_norm_relu_apply", "copy_forward"])
    assert fused.calls[1].in_place is None and fused.calls[1]["y"].rows == 20


@pytest.mark.parametrize("first", [False, True])
def test_a_residual_and_the_relu_after_it(first):
    def make(program):
        total, z, skip = program.batch("total", *SHAPE), program.batch("z", *SHAPE), program.given("skip", *SHAPE)
        y = normalised(program)
        program.add(*((skip, y) if first else (y, skip)), total)
        program.relu(total, z)
        program.copy(z, program.given("last", *SHAPE))

    check(make, fuse_batch_norm, ["batch_norm_rstd", "batch_norm_add_relu_apply", "copy_forward"], tolerance=1e-6)


def test_what_is_not_joined():
    def read_again(program):
        y = normalised(program)
        program.relu(y, program.given("last", *SHAPE))
        program.copy(y, program.given("also", *SHAPE))

    def output_of_the_model(program):
        y = program.given("predictions", *SHAPE)
        normalise(program, program.given("x", *SHAPE), y)
        program.relu(y, program.given("last", *SHAPE))

    def sum_without_relu(program):
        program.add(normalised(program), program.given("skip", *SHAPE), program.given("last", *SHAPE))

    def sum_that_others_read(program):
        total = program.batch("total", *SHAPE)
        program.add(normalised(program), program.given("skip", *SHAPE), total)
        program.relu(total, program.given("last", *SHAPE))
        program.copy(total, program.given("also", *SHAPE))

    def residual_computed_later(program):
        y, skip, total = normalised(program), program.batch("skip", *SHAPE), program.batch("total", *SHAPE)
        program.copy(program.given("other", *SHAPE), skip)
        program.add(y, skip, total)
        program.relu(total, program.given("last", *SHAPE))

    def twice_itself(program):
        y, total = normalised(program), program.batch("total", *SHAPE)
        program.add(y, y, total)
        program.relu(total, program.given("last", *SHAPE))

    def over_what_it_reads_itself(program):
        """In a loop, where the turn before left it."""
        h, y, total = (program.batch(name, *SHAPE) for name in ("h", "y", "total"))
        program.copy(program.given("first", *SHAPE), h)
        with program.loop("time", 2) as time:
            normalise(program, h, y)
            program.add(y, program.given("skip", *SHAPE), total)
            program.relu(total, h)
            program.put(h, program.given("last", 2, *SHAPE), time, 2)

    for make in (
        read_again, output_of_the_model, sum_without_relu, sum_that_others_read, residual_computed_later, twice_itself,
        over_what_it_reads_itself,
    ):  # fmt: skip
        unchanged(make, fuse_batch_norm)


# ---- backward


def backward(program: Sketch, accumulate=False, between=None, dx=None):
    """ReLU's mask and then the gradient of a batch normalisation in training."""
    y, dy = program.given("y", *SHAPE), program.given("dy", *SHAPE)
    masked = program.batch("masked", *SHAPE)
    if accumulate:
        program.copy(program.given("earlier", *SHAPE), masked)
    program.relu_backward(y, dy, masked, accumulate)
    if between:
        program.copy(masked, between)
    x, masked = program.as_rows(program.given("x", *SHAPE), 6), program.as_rows(masked, 6)
    statistics = {"mean": program.weight("mean", 6), "rstd": program.weight("rstd variance", 6)}
    totals = {}
    partials = [program.temporary(name, (6,), "float32", "partial") for name in ("dgamma", "dbeta")]
    program.call(
        "normalization.batch_norm_backward_statistics", x=x, dy=masked, **statistics, dgamma=Out(partials[0]),
        dbeta=Out(partials[1]), accumulate=False,
    )  # fmt: skip
    for partial in partials:
        totals[partial.name] = program.temporary(f"{partial.name}_sum", (6,), "float32", "whole")
        program.call("training.sum_partials", partials=partial, out=Out(totals[partial.name]))
    program.call(
        "normalization.batch_norm_backward_data", x=x, dy=masked, **statistics, gamma=program.weight("gamma", 6),
        **totals, dx=Out(program.as_rows(program.given("dx", *SHAPE), 6)), count=BATCH * 20, accumulate=False,
    )  # fmt: skip


def test_the_mask_of_the_relu_after_it():
    names = ["batch_norm_relu_backward_statistics", "sum_partials", "sum_partials", "batch_norm_relu_backward_data"]
    fused = check(backward, fuse_batch_norm, names, tolerance=1e-6)
    for call in (fused.calls[0], fused.calls[-1]):
        assert (call["y"].root.name, call["dy"].root.name) == ("y", "dy") and call["y"].shape == (6,)


def test_masks_that_stay():
    def in_a_loop(program):
        """The last turn's goes on."""
        with program.loop("time", 2):
            program.relu_backward(program.given("y", *SHAPE), program.given("dy", *SHAPE), program.batch("m", *SHAPE))
        mask = program.calls[0]
        backward(program)
        program.blocks[-1].calls = [c for c in program.blocks[-1].calls if c.opcode != mask.opcode]
        for call in program.blocks[-1].calls:
            if "dy" in call.arguments:
                call.arguments = {**call.arguments, "dy": program.as_rows(mask["dx"], 6)}

    unchanged(in_a_loop, fuse_batch_norm)
    unchanged(lambda program: backward(program, accumulate=True), fuse_batch_norm)
    unchanged(lambda program: backward(program, between=program.given("also", *SHAPE)), fuse_batch_norm)


def test_after_folding_nothing_is_left_to_join():
    """Folded, the normalisation is a bias, whose ReLU is the convolution's business."""

    def make(program):
        x, y, z = program.given("x", *IMAGE), program.batch("y", *SHAPE), program.batch("z", *SHAPE)
        program.call("conv.conv2d_forward", x=x, kernel=program.weight("kernel", 3, 3, 2, 6), y=Out(y), **GEOMETRY)
        normalise(program, y, z)
        program.relu(z, program.given("last", *SHAPE))

    program = Sketch()
    make(program)
    fold(program)
    fuse_batch_norm(program)
    assert opcodes(program) == ["batch_norm_fold", "conv2d_forward", "bias_add_forward", "relu_forward"]
    assert run(program)["last"].max() > 0
