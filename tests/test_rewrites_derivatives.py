"""Derivatives computed beside their values: where that saves work, and where the input is needed for something else."""

import numpy as np
import pytest
from programs import Sketch, check, same

import jitnet
from jitnet import layers
from jitnet.core.program import Out
from jitnet.core.rewrites.derivatives import save_derivatives
from jitnet.core.rewrites.pointwise import fuse_pointwise
from jitnet.kernels.scalar import activations

SHAPE = (2, 5)
CLOSE = 1e-5  # Python's functions round otherwise than vectors of them


def rewrite(program):
    save_derivatives(program)
    fuse_pointwise(program)


def network(program: Sketch, name, between=None, **parameters):
    """An activation of sums, the sums of its values' rows, and back to what is added."""
    x, h, y = program.given("x", *SHAPE), program.batch("h", *SHAPE), program.batch("y", *SHAPE)
    dy, dx = program.given("dy", *SHAPE), program.given("dx", *SHAPE)
    program.call("cumulative.cumsum_forward", x=x, y=Out(h), axis_size=2, inner=5)
    program.call(f"elementwise.{name}_forward", x=h, y=Out(y), **parameters)
    program.call("reduction.sum_forward", x=y, y=Out(program.given("sums", 5)), axis_size=2, inner=5)
    if between is not None:
        between(program, h, y)
    saved = {argument: {"x": h, "y": y}[argument] for argument in activations.derivative_arguments(name)}
    program.call(f"elementwise.{name}_backward", **saved, dy=dy, dx=Out(dx), **parameters, accumulate=False)


def kept(name, between=None, **parameters):
    """Nothing changes but chains."""
    names = ["cumsum_forward", f"{name}_forward", "sum_forward", f"{name}_backward"]
    names[3:3] = [] if between is None else ["max_forward"]
    check(lambda p: network(p, name, between, **parameters), rewrite, names, CLOSE)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "mish", "tanh_shrink"])
def test_a_derivative_takes_the_place_of_what_it_is_computed_from(name):
    names = ["cumsum_forward", "chain", "sum_forward", "exp_backward"]
    program = check(lambda p: network(p, name), rewrite, names, CLOSE)
    _, chain, _, product = program.calls
    assert [out.buffer.root.name for out in chain.outputs] == ["h", "y"]
    assert chain.attributes["chain"].functions == (name, f"{name}_derivative")
    assert product["y"].root.name == "h" and not product["accumulate"]


def test_what_is_cheap_or_shares_nothing_is_computed_on_the_way_back():
    kept("tanh")  # from its value
    kept("elu", alpha=0.5)
    kept("sin")
    kept("softplus")
    kept("squareplus", b=0.5)
    kept("silu")  # it would be rounded otherwise


def test_an_input_that_is_needed_later_is_not_overwritten():
    def read(program, h, y):
        program.call("reduction.max_forward", x=h, y=Out(program.given("most", 5)), axis_size=2, inner=5)

    kept("gelu", read)


def test_values_that_are_needed_later_change_nothing():
    def read(program, h, y):
        program.call("reduction.max_forward", x=y, y=Out(program.given("most", 5)), axis_size=2, inner=5)

    names = ["cumsum_forward", "chain", "sum_forward", "max_forward", "exp_backward"]
    check(lambda p: network(p, "gelu", read), rewrite, names, CLOSE)


def test_it_becomes_part_of_longer_chains():
    def make(program):
        x, h, y = program.given("x", *SHAPE), program.batch("h", *SHAPE), program.batch("y", *SHAPE)
        program.call("elementwise.add_forward", a=x, b=program.given("more", *SHAPE), y=Out(h), **same(h))
        program.call("elementwise.mish_forward", x=h, y=Out(y))
        program.call("elementwise.multiply_forward", a=y, b=x, y=Out(program.given("product", *SHAPE)), **same(y))
        program.call("reduction.sum_forward", x=y, y=Out(program.given("sums", 5)), axis_size=2, inner=5)
        dy, dx = program.given("dy", *SHAPE), program.given("dx", *SHAPE)
        program.copy(dy, dx)
        program.call("elementwise.mish_backward", x=h, dy=dy, dx=Out(dx, True), accumulate=True)

    program = check(make, rewrite, ["chain", "sum_forward", "chain"], CLOSE)
    assert [out.buffer.root.name for out in program.calls[0].outputs] == ["h", "y", "product"]


def test_what_is_outside_of_the_block_changes_nothing():
    """Not in loops, whose turns may need what is there; nor without a backward pass."""

    def loop(program):
        h = program.temporary("h", SHAPE, "float32", "batch", steps=2)
        y = program.temporary("y", SHAPE, "float32", "batch", steps=2)
        program.copy(program.given("x", 2, *SHAPE), h)
        with program.loop("time", 2) as time:
            program.call("elementwise.gelu_forward", x=h.at(time), y=Out(y.at(time)))
        dx = program.given("dx", *SHAPE)
        program.call("elementwise.gelu_backward", x=h.at(1), dy=y.at(1), dx=Out(dx), accumulate=False)

    check(loop, rewrite, ["copy_forward", "gelu_forward", "gelu_backward"], CLOSE)

    def predicting(program):
        h = program.batch("h", *SHAPE)
        program.copy(program.given("x", *SHAPE), h)
        program.call("elementwise.gelu_forward", x=h, y=Out(program.given("y", *SHAPE)))

    check(predicting, save_derivatives, ["copy_forward", "gelu_forward"], CLOSE)


def test_a_network_trains_by_it_as_torch_does():
    torch = pytest.importorskip("torch")
    jitnet.utils.set_random_seed(4)
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(5, "gelu"), layers.Dense(3)])
    model.compile(jitnet.optimizers.SGD(0.5), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(6, 4)).astype(np.float32), generator.integers(0, 3, 6)
    weights = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]
    for _ in range(3):
        w, b, v, c = weights
        logits = torch.nn.functional.gelu(torch.tensor(x) @ w + b) @ v + c
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(y))
        gradients = torch.autograd.grad(loss, weights)
        assert abs(float(model.train_on_batch(x, y)) - loss.item()) < 1e-5
        weights = [(w - 0.5 * g).detach().requires_grad_() for w, g in zip(weights, gradients, strict=True)]
    for mine, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-5, atol=1e-6)
    source = model.step_source()
    assert "pointwise_gelu_gelu_derivative(" in source and "gelu_backward" not in source
