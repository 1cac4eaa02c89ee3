"""Bias, residual, ReLU and ReLU's mask become part of a product, where nothing else needs what is between.

Each rewrite alone, over programs of a few calls; what they compute is compared by the reference target.
"""

import pytest
from programs import GEOMETRY, Sketch, check, unchanged

from jitnet.core.program import Block, Out, Scalar
from jitnet.core.rewrites.epilogues import fuse_epilogues
from jitnet.kernels.scalar.broadcasting import canonical

SHAPE = (4, 5, 6)


def everything(program):
    fuse_epilogues(program, lambda call, epilogue: True)


def convolution(program: Sketch, bias=True):
    """x -> conv -> bias: the buffer of the result."""
    x, kernel = program.given("x", 4, 5, 2), program.weight("kernel", 3, 3, 2, 6)
    y = program.batch("y", *SHAPE)
    program.conv(x, kernel, y)
    if not bias:
        return y
    z = program.batch("z", *SHAPE)
    program.bias(y, program.weight("bias", 6), z)
    return z


# ---- forward


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_what_follows_a_convolution(residual, relu):
    def make(program, order=0):
        skip, last = program.given("skip", *SHAPE), program.given("result", *SHAPE)
        found = convolution(program)
        if residual:
            total = program.batch("total", *SHAPE)
            program.add(*((found, skip) if order == 0 else (skip, found)), total)
            found = total
        if relu:
            result = program.batch("activation", *SHAPE)
            program.relu(found, result)
            found = result
        program.copy(found, last)

    name = "conv2d_forward+bias" + "_add" * residual + "_relu" * relu
    fused = check(make, everything, [name, "copy_forward"])
    conv = fused.calls[0]
    # the names of what the epilogue reads come after the kernel's own; the last result is written at once
    assert list(conv.arguments)[-1 - residual :] == ["bias"] + ["residual"] * residual
    assert conv["y"].root is fused.calls[1]["x"].root and conv.in_place is None
    if residual:
        check(lambda program: make(program, 1), everything, [name, "copy_forward"])


def test_a_dense_layer_over_rows():
    """The product sees rows, the bias whole samples: the result has the shape that the product writes."""

    def make(program):
        x, y, z = program.given("x", 3, 4), program.batch("y", 3, 5), program.batch("z", 3, 5)
        kernel = program.weight("kernel", 4, 5)
        out = Out(program.as_rows(y, 5))
        program.call("dense.dense_forward", x=program.as_rows(x, 4), kernel=kernel, y=out)
        program.bias(y, program.weight("bias", 5), z)
        activation = program.batch("activation", 3, 5)
        program.relu(z, activation)
        program.copy(activation, program.given("result", 3, 5))

    fused = check(make, everything, ["dense_forward+bias_relu", "copy_forward"])
    assert (fused.calls[0]["y"].shape, fused.calls[0]["y"].rows) == ((5,), 3)


@pytest.mark.parametrize("relu", [False, True])
def test_what_follows_a_transposed_convolution(relu):
    """Which is the gradient of a convolution in its input."""

    def make(program):
        y, z = program.batch("y", 4, 5, 2), program.batch("z", 4, 5, 2)
        given = {"dy": program.given("x", *SHAPE), "kernel": program.weight("kernel", 3, 3, 2, 6), "dx": Out(y)}
        program.call("conv.conv2d_backward_data", **given, **GEOMETRY, accumulate=False)
        program.bias(y, program.weight("bias", 2), z)
        if relu:
            activation = program.batch("activation", 4, 5, 2)
            program.relu(z, activation)
            z = activation
        program.copy(z, program.given("last", 4, 5, 2))

    fused = check(make, everything, ["conv2d_backward_data+bias" + "_relu" * relu, "copy_forward"])
    assert fused.calls[0]["dx"].root is fused.calls[1]["x"].root
    unchanged(make, lambda program: fuse_epilogues(program, lambda call, epilogue: epilogue == "relu_mask"))


def test_a_target_chooses():
    asked = []

    def fuses(call, epilogue):
        asked.append((call.opcode, epilogue))
        return epilogue == "bias"

    def make(program):
        total, result = program.batch("total", *SHAPE), program.batch("result", *SHAPE)
        program.add(convolution(program), program.given("skip", *SHAPE), total)
        program.relu(total, result)
        program.copy(result, program.given("last", *SHAPE))

    rest = ["add_forward", "relu_forward", "copy_forward"]
    check(make, lambda program: fuse_epilogues(program, fuses), ["conv2d_forward+bias", *rest])
    assert asked == [("conv.conv2d_forward", "bias"), ("conv.conv2d_forward", "bias_add")]
    unchanged(make, lambda program: fuse_epilogues(program, lambda call, epilogue: False))


def test_what_others_read_stays():
    def make(program):
        z = convolution(program)
        program.copy(z, program.given("also", *SHAPE))
        activation = program.batch("activation", *SHAPE)
        program.relu(z, activation)
        program.copy(activation, program.given("last", *SHAPE))

    check(make, everything, ["conv2d_forward+bias", "copy_forward", "relu_forward", "copy_forward"])

    def before_the_bias(program):
        y = convolution(program, bias=False)
        program.bias(y, program.weight("bias", 6), program.given("result", *SHAPE))
        program.copy(y, program.given("also", *SHAPE))

    unchanged(before_the_bias, everything)


def test_what_the_caller_reads_stays():
    """An output of the model is written, whatever comes after it."""

    def make(program):
        output = program.given("predictions", *SHAPE)
        program.bias(convolution(program, bias=False), program.weight("bias", 6), output)
        program.relu(output, program.given("last", *SHAPE))

    check(make, everything, ["conv2d_forward+bias", "relu_forward"])

    def result_of_the_product(program):
        x, kernel, y = program.given("x", 4, 5, 2), program.weight("kernel", 3, 3, 2, 6), program.given("y", *SHAPE)
        program.conv(x, kernel, y)
        program.bias(y, program.weight("bias", 6), program.given("last", *SHAPE))

    unchanged(result_of_the_product, everything)


def test_a_residual_must_be_known_and_of_one_shape():
    def later(program):
        """The other term is computed after the convolution."""
        skip, total = program.batch("skip", *SHAPE), program.batch("total", *SHAPE)
        z = convolution(program)
        program.copy(program.given("other", *SHAPE), skip)
        program.add(z, skip, total)
        program.copy(total, program.given("last", *SHAPE))

    check(later, everything, ["conv2d_forward+bias", "copy_forward", "add_forward", "copy_forward"])

    def doubled(program):
        total = program.batch("total", *SHAPE)
        z = convolution(program)
        program.add(z, z, total)
        program.copy(total, program.given("last", *SHAPE))

    check(doubled, everything, ["conv2d_forward+bias", "add_forward", "copy_forward"])

    def repeated(program):
        total, skip = program.batch("total", *SHAPE), program.given("skip", 1, 1, 6)
        shape, a, b = canonical(SHAPE, True, skip.shape, True)
        program.call(
            "elementwise.add_forward", a=convolution(program), b=skip, y=Out(total), shape=shape, a_strides=a,
            b_strides=b,
        )  # fmt: skip
        program.copy(total, program.given("last", *SHAPE))

    check(repeated, everything, ["conv2d_forward+bias", "add_forward", "copy_forward"])


def test_a_block_with_a_condition_is_not_run_early():
    def make(program):
        z, activation = convolution(program), program.given("last", *SHAPE)
        program.blocks.append(Block((Scalar("t") % 2).equals(0)))
        program.relu(z, activation)

    for t in (0, 1):
        check(make, everything, ["conv2d_forward+bias", "relu_forward"], t=t)


# ---- in a loop


def test_the_store_of_a_step():
    """What writes one step reads the one before."""

    def make(program):
        h = program.temporary("h", (6,), "float32", "batch", steps=4)
        kernel, bias = program.weight("kernel", 6, 6), program.weight("bias", 6)
        program.copy(program.given("x", 6), h.at(0))
        with program.loop("time", 3) as time:
            product, shifted = program.batch("product", 6), program.batch("shifted", 6)
            program.dense(h.at(time), kernel, product)
            program.bias(product, bias, shifted)
            program.relu(shifted, h.at(time + 1))
        program.copy(h, program.given("last", 4, 6))

    check(make, everything, ["copy_forward", "dense_forward+bias_relu", "copy_forward"])


def test_the_mask_of_a_step():
    def make(program):
        dz = program.temporary("dz", (6,), "float32", "batch", steps=4)
        program.copy(program.given("x", 6), dz.at(3))
        with program.loop("time", 3, backwards=True) as time:
            dh, mask = program.batch("dh", 6), program.batch("mask", 6)
            program.copy(program.given("y", 6), mask)
            given = {"dy": dz.at(time + 1), "kernel": program.weight("kernel", 6, 6), "dx": Out(dh)}
            program.call("dense.dense_backward_data", **given, accumulate=False)
            program.relu_backward(mask, dh, dz.at(time))
        program.copy(dz, program.given("last", 4, 6))

    check(make, everything, ["copy_forward", "copy_forward", "dense_backward_data+relu_mask", "copy_forward"])


def looped(program, first, last):
    """Three turns of ``last`` on what ``first`` begins with, of a buffer that a turn leaves to the next."""
    h, y = program.batch("h", 6), program.given("last", 18)
    program.copy(program.given("x", 6), h)
    first(program, h)
    with program.loop("time", 3) as time:
        last(program, h)
        program.put(h, y, time, 3)


def test_what_a_turn_needs_of_the_one_before_is_not_overwritten():
    def itself(program, h):
        """The store would overwrite what the product still reads."""
        product = program.batch("product", 6)
        program.dense(h, program.weight("kernel", 6, 6), product)
        program.bias(product, program.weight("bias", 6), h)

    def read_between(program, h):
        product, other = program.batch("product", 6), program.batch("other", 6)
        program.dense(program.given("x", 6), program.weight("kernel", 6, 6), product)
        program.copy(h, other)
        program.bias(product, program.weight("bias", 6), h)
        program.add(other, h, h)

    def steps_that_may_be_one(program, h):
        """The fourth of six steps backwards is the third of six forwards, and so on."""
        steps, product = program.temporary("steps", (6,), "float32", "batch", steps=6), program.batch("product", 6)
        program.copy(program.given("all", 6, 6), steps)
        with program.loop("turn", 6) as turn:
            program.dense(steps.at(turn), program.weight("kernel", 6, 6), product)
            program.bias(product, program.weight("bias", 6), steps.at(turn * -1 + 5))
        program.copy(steps.at(0), h)

    for last in (itself, read_between):
        unchanged(lambda program, last=last: looped(program, lambda p, h: None, last), everything)
    unchanged(lambda program: looped(program, steps_that_may_be_one, lambda p, h: None), everything)


def test_nothing_is_joined_across_the_edge_of_a_loop():
    def before(program):
        product, shifted = program.batch("product", 6), program.batch("shifted", 6)
        program.dense(program.given("x", 6), program.weight("kernel", 6, 6), product)
        with program.loop("time", 3) as time:
            program.bias(product, program.weight("bias", 6), shifted)
            program.put(shifted, program.given("last", 18), time, 3)

    def a_step_of_all(program):
        """The product is of all steps, the bias of one."""
        x = program.temporary("x", (6,), "float32", "batch", steps=3)
        product = program.temporary("product", (6,), "float32", "batch", steps=3)
        program.copy(program.given("given", 3, 6), x)
        program.dense(x, program.weight("kernel", 6, 6), product)
        program.bias(product.at(1), program.weight("bias", 6), program.given("last", 6))

    for make in (before, a_step_of_all):
        unchanged(make, everything)


def test_a_product_of_all_steps():
    def make(program):
        x, product, shifted = (program.temporary(n, (6,), "float32", "batch", steps=3) for n in ("x", "p", "s"))
        program.copy(program.given("given", 3, 6), x)
        program.dense(x, program.weight("kernel", 6, 6), product)
        program.bias(product, program.weight("bias", 6), shifted)
        with program.loop("time", 3) as time:
            program.put(shifted.at(time), program.given("last", 18), time, 3)

    check(make, everything, ["copy_forward", "dense_forward+bias", "concatenate_forward"])


# ---- backward


def backward(program: Sketch, into, accumulate=False):
    """The gradient of x by a convolution, masked by a ReLU whose result is y."""
    dx = program.batch("dx", 4, 5, 2)
    program.call(
        "conv.conv2d_backward_data", dy=program.given("dy", *SHAPE), kernel=program.weight("kernel", 3, 3, 2, 6),
        dx=Out(dx), **GEOMETRY, accumulate=False,
    )  # fmt: skip
    program.relu_backward(program.given("y", 4, 5, 2), dx, into, accumulate)
    return dx


def test_the_mask_of_a_relu():
    def make(program):
        masked = program.batch("masked", 4, 5, 2)
        backward(program, masked)
        program.copy(masked, program.given("last", 4, 5, 2))

    fused = check(make, everything, ["conv2d_backward_data+relu_mask", "copy_forward"])
    assert fused.calls[0]["mask"].root.name == "y"
    unchanged(make, lambda program: fuse_epilogues(program, lambda call, epilogue: epilogue != "relu_mask"))


def test_masks_that_stay():
    def added(program):
        backward(program, program.given("last", 4, 5, 2), accumulate=True)

    unchanged(added, everything)

    def read_again(program):
        dx = backward(program, program.given("last", 4, 5, 2))
        program.copy(dx, program.given("also", 4, 5, 2))

    unchanged(read_again, everything)

    def of_an_accumulated_gradient(program):
        dx = program.batch("dx", 4, 5, 2)
        program.copy(program.given("earlier", 4, 5, 2), dx)
        program.call(
            "conv.conv2d_backward_data", dy=program.given("dy", *SHAPE), kernel=program.weight("kernel", 3, 3, 2, 6),
            dx=Out(dx, True), **GEOMETRY, accumulate=True,
        )  # fmt: skip
        program.relu_backward(program.given("y", 4, 5, 2), dx, program.given("last", 4, 5, 2))

    unchanged(of_an_accumulated_gradient, everything)

    def by_its_own_result(program, dy=None):
        """The mask is what the product writes: it cannot be read before."""
        dx = program.batch("dx", 4, 5, 2)
        program.call(
            "conv.conv2d_backward_data", dy=program.given("dy", *SHAPE), kernel=program.weight("kernel", 3, 3, 2, 6),
            dx=Out(dx), **GEOMETRY, accumulate=False,
        )  # fmt: skip
        program.relu_backward(dx, dy or dx, program.given("last", 4, 5, 2))

    unchanged(by_its_own_result, everything)
    unchanged(lambda program: by_its_own_result(program, program.given("another", 4, 5, 2)), everything)

    def by_what_is_computed_later(program):
        dx, mask = program.batch("dx", 4, 5, 2), program.batch("mask", 4, 5, 2)
        program.call(
            "conv.conv2d_backward_data", dy=program.given("dy", *SHAPE), kernel=program.weight("kernel", 3, 3, 2, 6),
            dx=Out(dx), **GEOMETRY, accumulate=False,
        )  # fmt: skip
        program.copy(program.given("y", 4, 5, 2), mask)
        program.relu_backward(mask, dx, program.given("last", 4, 5, 2))

    unchanged(by_what_is_computed_later, everything)
