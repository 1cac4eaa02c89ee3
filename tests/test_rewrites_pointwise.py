"""Chains of pointwise calls become one call: what belongs to a chain, what it stores, what it computes again.

The rewrite alone, over programs of a few calls; what they compute is compared by the reference target, which runs the
statements of a chain in Python.
"""

import pytest
from programs import Sketch, check, same, unchanged

from jitnet.builder import Builder, Computation
from jitnet.core.operations.elementwise import Binary, Unary
from jitnet.core.program import Block, Out, Program, Scalar
from jitnet.core.rewrites.pointwise import MOST_CALLS, _Pointwise, fuse_pointwise
from jitnet.core.values import placeholder
from jitnet.kernels.scalar import activations, arithmetic
from jitnet.kernels.scalar.broadcasting import canonical

SHAPE = (2, 5)
CLOSE = 1e-5  # Python's functions round otherwise than vectors of them


def unary(program: Sketch, name, x, y, **parameters):
    program.call(f"elementwise.{name}_forward", x=x, y=Out(y), **parameters)


def binary(program: Sketch, name, a, b, y):
    program.call(f"elementwise.{name}_forward", a=a, b=b, y=Out(y), **same(y))


def statements(program: Program, number=0):
    """What a chain of the program does with an element, with its letters in the order of its arguments."""
    chains = [call.attributes["chain"] for call in program.calls if "chain" in call.attributes]
    return list(chains[number].statements)


def stored(program: Program) -> list[str]:
    """The names of what every chain writes."""
    chains = [call for call in program.calls if "chain" in call.attributes]
    return [[out.buffer.root.name for out in call.outputs] for call in chains]


# ---- what is one chain


def test_two_calls_read_what_is_given_once():
    def make(program):
        x, hidden = program.given("x", *SHAPE), program.batch("hidden", *SHAPE)
        unary(program, "tanh", x, hidden)
        binary(program, "multiply", x, hidden, program.given("y", *SHAPE))

    fused = check(make, fuse_pointwise, ["chain"], CLOSE)
    assert statements(fused) == ["v1 = x1[i]", "v2 = tanh(v1)", "v3 = multiply(v1, v2)", "x2[i] = v3"]
    (call,) = fused.calls
    assert [b.root.name for b in call.buffers] == ["x", "y"] and stored(fused) == [["y"]]
    assert call.work == 20  # as much as both


def test_a_vector_for_every_row():
    """A bias, and a factor for each column; a shorter vector, or one for each row, is no part of a chain."""

    def make(program):
        x, scaled, total = program.given("x", 2, 40), program.batch("scaled", 2, 40), program.batch("total", 2, 40)
        shape, a, b = canonical((40,), False, (2, 40), True)
        program.call(
            "elementwise.multiply_forward", a=program.weight("factor", 40), b=x, y=Out(scaled), shape=shape,
            a_strides=a, b_strides=b,
        )  # fmt: skip
        program.bias(scaled, program.weight("bias", 40), total)
        unary(program, "tanh", total, program.given("y", 2, 40))

    fused = check(make, fuse_pointwise, ["chain"], CLOSE)
    assert fused.calls[0].attributes["chain"].rows == ("r1", "r2")

    def make_short(program):
        x, scaled, total = program.given("x", 40, 2), program.batch("scaled", 40, 2), program.batch("total", 40, 2)
        shape, a, b = canonical((40, 1), False, (40, 2), True)
        program.call(
            "elementwise.multiply_forward", a=program.weight("factor", 40, 1), b=x, y=Out(scaled), shape=shape,
            a_strides=a, b_strides=b,
        )  # fmt: skip
        program.bias(scaled, program.weight("bias", 2), total)
        unary(program, "tanh", total, program.given("y", 40, 2))

    unchanged(make_short, fuse_pointwise)


def test_numbers_and_single_elements():
    def make(program):
        x, slope, hidden = program.given("x", *SHAPE), program.weight("slope", 1), program.batch("hidden", *SHAPE)
        unary(program, "elu", x, hidden, alpha=Scalar("alpha"))
        shape, a, b = canonical(SHAPE, True, (1,), False)
        program.call(
            "elementwise.multiply_forward", a=hidden, b=slope, y=Out(program.given("y", *SHAPE)), shape=shape,
            a_strides=a, b_strides=b,
        )  # fmt: skip

    fused = check(make, fuse_pointwise, ["chain"], CLOSE, alpha=0.7)
    chain = fused.calls[0].attributes["chain"]
    assert (len(chain.arrays), len(chain.singles), len(chain.scalars)) == (2, 1, 1)
    assert "elu(v1, p1)" in "".join(statements(fused)) and "c1" in "".join(statements(fused))


def test_views_of_one_array():
    """Shapes don't matter, where the sizes are the same."""

    def make(program):
        x, hidden, y = program.given("x", *SHAPE), program.batch("hidden", *SHAPE), program.given("y", 10)
        unary(program, "tanh", x, hidden)
        unary(program, "sigmoid", program.reshaped(hidden, (10,)), y)

    check(make, fuse_pointwise, ["chain"], CLOSE)


def test_backward_calls_that_add():
    def make(program):
        x, y, dy = program.given("x", *SHAPE), program.given("y", *SHAPE), program.given("dy", *SHAPE)
        total = program.given("dx", *SHAPE)
        program.call("elementwise.tanh_backward", y=y, dy=dy, dx=Out(total), accumulate=False)
        program.call("elementwise.square_backward", x=x, dy=dy, dx=Out(total, True), accumulate=True)
        program.call("shape.copy_backward", dy=dy, dx=Out(total, True), accumulate=True)

    fused = check(make, fuse_pointwise, ["chain"], CLOSE)
    assert stored(fused) == [["dx"]]
    assert not fused.calls[0].outputs[0].accumulate  # nothing of what was there before counts


def test_a_chain_that_adds_to_what_is_there():
    def make(program):
        total = program.batch("total", *SHAPE)
        program.call("pool.global_average_pool2d_backward", dy=program.given("d", 5), dx=Out(
            program.reshaped(total, (1, 2, 5))), accumulate=False)  # fmt: skip
        x, hidden = program.given("x", *SHAPE), program.batch("hidden", *SHAPE)
        unary(program, "tanh", x, hidden)
        program.call("shape.copy_backward", dy=hidden, dx=Out(total, True), accumulate=True)
        program.call("reduction.sum_forward", x=total, y=Out(program.given("last", 5)), axis_size=2, inner=5)

    fused = check(make, fuse_pointwise, ["global_average_pool2d_backward", "chain", "sum_forward"], CLOSE)
    assert fused.calls[1].outputs[0].accumulate


def test_what_is_no_chain():
    def one_call(program):
        unary(program, "tanh", program.given("x", *SHAPE), program.given("y", *SHAPE))

    def nothing_in_common(program):
        for name in "ab":
            unary(program, "tanh", program.given(f"x_{name}", *SHAPE), program.given(f"y_{name}", *SHAPE))

    def another_size(program):
        unary(program, "tanh", program.given("x", *SHAPE), program.given("y", *SHAPE))
        unary(program, "tanh", program.given("y", *SHAPE).viewed((5,)), program.given("z", 5))

    def repeated_along_an_axis(program):
        x, hidden = program.given("x", *SHAPE), program.batch("hidden", *SHAPE)
        unary(program, "tanh", x, hidden)
        shape, a, b = canonical(SHAPE, True, (1, 5), True)
        program.call(
            "elementwise.add_forward", a=hidden, b=program.given("row", 1, 5), y=Out(program.given("y", *SHAPE)),
            shape=shape, a_strides=a, b_strides=b,
        )  # fmt: skip

    def integers(program):
        x, y = program.given("x", *SHAPE, dtype="uint8"), program.given("y", *SHAPE, dtype="uint8")
        program.copy(x, y)
        program.copy(y, program.given("z", *SHAPE, dtype="uint8"))

    def without_a_batch(program):
        weight = program.weight("w", *SHAPE)
        hidden = program.temporary("hidden", SHAPE, "float32", "whole")
        unary(program, "tanh", weight, hidden)
        unary(program, "tanh", hidden, program.weight("state", *SHAPE))

    def apart(program):
        x, hidden, sums = program.given("x", *SHAPE), program.batch("hidden", *SHAPE), program.given("sums", 5)
        unary(program, "tanh", x, hidden)
        program.call("reduction.sum_forward", x=hidden, y=Out(sums), axis_size=2, inner=5)
        unary(program, "sigmoid", hidden, program.given("y", *SHAPE))

    for make in (
        one_call, nothing_in_common, another_size, repeated_along_an_axis, integers, without_a_batch, apart,
    ):  # fmt: skip
        unchanged(make, fuse_pointwise)


def test_long_chains_are_cut():
    def make(program):
        x = program.given("x", *SHAPE)
        for number in range(2 * MOST_CALLS):
            y = program.batch(f"y_{number}", *SHAPE) if number < 2 * MOST_CALLS - 1 else program.given("last", *SHAPE)
            unary(program, "sin", x, y)
            x = y

    fused = check(make, fuse_pointwise, ["chain", "chain"], CLOSE)
    assert [statements(fused, number)[-2].count("sin") for number in (0, 1)] == [1, 1]


def test_a_block_with_a_condition_is_a_chain_of_its_own():
    def make(program):
        x, hidden, y = program.given("x", *SHAPE), program.batch("hidden", *SHAPE), program.given("y", *SHAPE)
        unary(program, "tanh", x, hidden)
        unary(program, "sigmoid", hidden, y)
        program.blocks.append(Block((Scalar("t") % 2).equals(1)))
        unary(program, "square", hidden, y)
        unary(program, "sin", y, program.given("z", *SHAPE))

    for t in (0, 1):
        fused = check(make, fuse_pointwise, ["chain", "chain"], CLOSE, t=t)
    assert stored(fused) == [["hidden", "y"], ["y", "z"]]


# ---- what is stored, and what is computed again


def far(program: Sketch, *between, x_is_read_later=True):
    """x -> hidden -> y, something that is no part of a chain, and then two calls that read ``hidden`` again."""
    x, y, hidden = program.given("x", *SHAPE), program.batch("y", *SHAPE), program.batch("hidden", *SHAPE)
    between[0](program, x, hidden)
    unary(program, "tanh", hidden, y)
    program.call("reduction.sum_forward", x=y, y=Out(program.given("sums", 5)), axis_size=2, inner=5)
    for call in between[1:]:
        call(program, x, hidden)
    other = program.batch("other", *SHAPE)
    unary(program, "sigmoid", hidden, other)
    binary(program, "add", other, hidden, program.given("last", *SHAPE))
    if x_is_read_later:
        program.call("reduction.sum_forward", x=x, y=Out(program.given("of x", 5)), axis_size=2, inner=5)


def squared(program, x, y):
    unary(program, "square", x, y)


def test_what_is_cheap_is_computed_again():
    fused = check(lambda p: far(p, squared), fuse_pointwise, ["chain", "sum_forward", "chain", "sum_forward"], CLOSE)
    assert stored(fused) == [["y"], ["last"]]
    assert "square" in "".join(statements(fused, 1))


def test_what_is_expensive_is_kept():
    def make(program):
        far(program, lambda program, x, y: unary(program, "exp", x, y))

    fused = check(make, fuse_pointwise, ["chain", "sum_forward", "chain", "sum_forward"], CLOSE)
    assert stored(fused) == [["hidden", "y"], ["last"]]


def test_what_would_keep_its_operands_alive_is_kept():
    def make(program):
        far(program, squared, x_is_read_later=False)

    fused = check(make, fuse_pointwise, ["chain", "sum_forward", "chain"], CLOSE)
    assert stored(fused) == [["hidden", "y"], ["last"]]


def test_what_others_read_is_kept():
    def read(program, x, hidden):
        program.call("reduction.max_forward", x=hidden, y=Out(program.given("most", 5)), axis_size=2, inner=5)

    names = ["chain", "sum_forward", "max_forward", "chain", "sum_forward"]
    fused = check(lambda p: far(p, squared, read), fuse_pointwise, names, CLOSE)
    assert stored(fused)[0] == ["hidden", "y"]


def test_what_would_come_out_otherwise_later_is_kept():
    def change(program, x, hidden):
        program.call("shape.fill", y=Out(x), value=3.0)

    names = ["chain", "sum_forward", "fill", "chain", "sum_forward"]
    fused = check(lambda p: far(p, squared, change), fuse_pointwise, names, CLOSE)
    assert stored(fused)[0] == ["hidden", "y"]


def test_what_is_added_to_later_is_kept():
    def add(program, x, hidden):
        program.call("shape.copy_backward", dy=program.given("d", *SHAPE), dx=Out(hidden, True), accumulate=True)

    names = ["chain", "sum_forward", "chain", "sum_forward"]
    fused = check(lambda p: far(p, squared, add), fuse_pointwise, names, CLOSE)
    assert stored(fused) == [["hidden", "y"], ["last"]]


def test_an_accumulated_gradient_is_not_computed_again():
    def make(program):
        x, dy, total = program.given("x", *SHAPE), program.given("dy", *SHAPE), program.batch("total", *SHAPE)
        program.call("shape.copy_backward", dy=dy, dx=Out(total), accumulate=False)
        program.call("elementwise.square_backward", x=x, dy=dy, dx=Out(total, True), accumulate=True)
        program.call("reduction.sum_forward", x=total, y=Out(program.given("sums", 5)), axis_size=2, inner=5)
        unary(program, "negative", total, program.given("last", *SHAPE))

    fused = check(make, fuse_pointwise, ["chain", "sum_forward", "negative_forward"], CLOSE)
    assert stored(fused) == [["total"]]


def test_nothing_is_left_of_what_nobody_reads():
    def make(program):
        x, hidden = program.given("x", *SHAPE), program.batch("hidden", *SHAPE)
        program.copy(program.given("a", 3), program.given("b", 3))
        unary(program, "tanh", x, hidden)
        unary(program, "sigmoid", hidden, program.batch("unread", *SHAPE))

    check(make, fuse_pointwise, ["copy_forward"], CLOSE)


# ---- in a loop


def sequence(program, name="h"):
    """Four steps, the first of them given."""
    h = program.temporary(name, SHAPE, "float32", "batch", steps=4)
    program.copy(program.given("first", *SHAPE), h.at(0))
    return h


def test_a_chain_from_one_step_to_the_next():
    def make(program):
        h, x, z = sequence(program), program.given("x", *SHAPE), program.batch("z", *SHAPE)
        with program.loop("time", 3) as time:
            binary(program, "multiply", h.at(time), x, z)
            binary(program, "subtract", z, h.at(time), h.at(time + 1))
        program.copy(h, program.given("last", 4, *SHAPE))

    fused = check(make, fuse_pointwise, ["copy_forward", "chain", "copy_forward"], CLOSE)
    assert statements(fused) == [
        "v1 = x1[i]", "v2 = x2[i]", "v3 = multiply(v1, v2)", "v4 = subtract(v3, v1)", "x3[i] = v4",
    ]  # fmt: skip
    assert [b.step is None for b in fused.calls[1].buffers] == [False, True, False]


def test_steps_that_may_be_one_are_no_chain():
    def make(program):
        h, z = sequence(program), program.batch("z", *SHAPE)
        program.call("shape.fill", y=Out(h), value=0.5)
        with program.loop("time", 3) as time:
            unary(program, "tanh", h.at(time * -1 + 2), z)
            binary(program, "add", z, z, h.at(time))

    unchanged(make, fuse_pointwise)


def test_what_the_next_turn_reads_is_kept():
    """Also if the turn that computes it doesn't, and if it would cost little to compute again."""

    def at_the_end(program):
        h, y = program.batch("h", *SHAPE), program.given("last", 3, *SHAPE)
        program.copy(program.given("first", *SHAPE), h)
        with program.loop("time", 3) as time:
            z, s = program.batch("z", *SHAPE), program.batch("s", *SHAPE)
            unary(program, "tanh", h, z)
            unary(program, "sin", z, s)
            binary(program, "add", z, s, h)
            program.put(s, y, time, 3)

    fused = check(at_the_end, fuse_pointwise, ["copy_forward", "chain", "concatenate_forward"], CLOSE)
    assert stored(fused) == [["h", "s"]]

    def cheap(program):
        h, x, y = program.batch("h", *SHAPE), program.given("x", *SHAPE), program.given("last", 6, *SHAPE)
        r = program.temporary("r", SHAPE, "float32", "batch", steps=3)
        program.call("shape.fill", y=Out(r), value=2.0)
        program.copy(program.given("first", *SHAPE), h)
        with program.loop("time", 3) as time:
            a, b, c, d = (program.batch(name, *SHAPE) for name in "abcd")
            unary(program, "sin", h, a)
            unary(program, "tanh", a, b)
            program.put(b, y, time * 2, 6)
            binary(program, "multiply", r.at(time), x, h)
            unary(program, "sin", h, c)
            program.put(c, y, time * 2 + 1, 6)
            binary(program, "add", h, c, d)
            unary(program, "square", d, r.at(time))

    names = ["fill", "copy_forward", "chain", "concatenate_forward", "chain", "concatenate_forward", "chain"]
    fused = check(cheap, fuse_pointwise, names, CLOSE)
    assert stored(fused) == [["b"], ["h", "c"], ["r"]]


def test_what_an_earlier_turn_left_is_not_computed_again():
    def make(program):
        h, x, y = program.batch("h", *SHAPE), program.given("x", *SHAPE), program.given("last", 9, *SHAPE)
        program.copy(program.given("first", *SHAPE), h)
        with program.loop("time", 3) as time:
            before, also, square, later, last = (program.batch(name, *SHAPE) for name in "abcde")
            unary(program, "sin", h, before)
            unary(program, "tanh", before, also)
            program.put(also, y, time * 3, 9)
            unary(program, "square", x, h)
            unary(program, "sin", h, square)
            program.put(square, y, time * 3 + 1, 9)
            binary(program, "add", h, x, later)
            unary(program, "tanh", later, last)
            program.put(last, y, time * 3 + 2, 9)

    names = ["copy_forward", *["chain", "concatenate_forward"] * 3]
    fused = check(make, fuse_pointwise, names, CLOSE)
    assert stored(fused) == [["b"], ["h", "c"], ["e"]]


def test_a_loop_is_a_chain_of_its_own():
    def make(program):
        x, hidden = program.given("x", *SHAPE), program.batch("hidden", *SHAPE)
        unary(program, "square", x, hidden)
        with program.loop("time", 3) as time:
            z = program.batch("z", *SHAPE)
            unary(program, "tanh", hidden, z)
            program.put(z, program.given("last", 3, *SHAPE), time, 3)
        unary(program, "sin", z, program.given("after", *SHAPE))

    unchanged(make, fuse_pointwise)


# ---- every function


CHEAP = {
    "absolute", "add", "divide", "hard_shrink", "hard_sigmoid", "hard_tanh", "maximum", "minimum", "multiply",
    "negative", "reciprocal", "rectifier", "relu", "sign", "sparse_plus", "sparse_sigmoid", "square", "subtract",
    "thresholded",
}  # fmt: skip


@pytest.mark.parametrize("name", [*activations.NAMES, *arithmetic.NAMES])
def test_every_function_can_be_part_of_a_chain(name):
    """From its two scalar functions alone, forward and backward."""
    x, y, dz = (placeholder(letter, (3,)) for letter in ("x", "y", "dz"))
    operation = Binary(name) if name in arithmetic.NAMES else Unary(name, [0.5] * len(activations.parameters(name)))
    operands = [x, y] if name in arithmetic.NAMES else [x]
    z = operation(*operands)
    inputs = {value.name: value for value in (*operands, dz)}
    program = Builder(Computation(inputs, [z], seeds={z: dz}, wanted_inputs=operands), False, ()).program
    pointwise = [_Pointwise.of(call) for call in program.calls]
    assert all(pointwise)
    assert pointwise[0].function == name and program.calls[0].opcode == f"elementwise.{name}_forward"
    assert all(item.function is None or item.function.startswith(name) for item in pointwise)
    assert pointwise[0].cheap == (name in CHEAP) and not any(item.cheap for item in pointwise[1:])
