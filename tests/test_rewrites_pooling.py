"""Max pooling and ReLU change places in the graph: the same values and gradients, from fewer elements."""

import numpy as np
import pytest
from programs import BATCH, opcodes, values

import jitnet
from jitnet import ops
from jitnet.builder import Builder, Computation
from jitnet.core.rewrites.pooling import pool_before_relu
from jitnet.core.trace import topological_order
from jitnet.core.values import placeholder
from jitnet.targets.reference import Reference

SHAPE = (5, 6, 3)


def computed(function, moved: bool):
    """The calls of ``function`` of an image and of its gradient; its result and the gradient."""
    x = placeholder("x", SHAPE)
    y = function(x)
    dy = placeholder("dy", y.shape[1:])
    built = Builder(Computation({"x": x, "dy": dy}, [y], seeds={y: dy}, wanted_inputs=[x]), moved, ())
    arrays = {"x": values("x", (BATCH, *SHAPE)), "dy": values("dy", (BATCH, *y.shape[1:]))}
    arrays |= {"predictions": np.full_like(arrays["dy"], np.nan), "gradient_of_x": np.full_like(arrays["x"], np.nan)}
    Reference().run(built.program, BATCH, arrays)
    return opcodes(built.program), arrays["predictions"], arrays["gradient_of_x"]


@pytest.mark.parametrize("size, strides, padding", [(2, 2, "valid"), (3, 2, "same"), ((1, 3), (1, 1), "valid")])
def test_they_change_places(size, strides, padding):
    def function(x):
        # many windows have no positive element
        return ops.max_pool(ops.relu(x - 0.8), size, strides, padding) * 2.0

    names, result, gradient = computed(function, moved=True)
    before, expected, expected_gradient = computed(function, moved=False)
    assert (expected == 0).any() and (expected > 0).any() and expected_gradient.any()
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(gradient, expected_gradient)
    pool = next(name for name in names if name.startswith("max_pool2d"))
    assert names.index(pool) < names.index("relu_forward") and names.index("relu_backward") < len(names) - 2
    assert before.index("relu_forward") < before.index(pool) and sorted(before) == sorted(names)


def order(outputs):
    return [a.operation.name for a in pool_before_relu(topological_order(outputs), outputs)]


def test_a_relu_that_others_read_stays_before():
    x = jitnet.Input((4, 4, 2))
    y = ops.relu(x)
    # y has two readers, so only the second relu moves
    assert order([ops.max_pool(y, 2), ops.max_pool(ops.relu(y), 2)]) == ["relu", "max_pool2d", "max_pool2d", "relu"]


def test_a_relu_that_is_an_output_stays_before():
    y = ops.relu(jitnet.Input((4, 4, 2)))
    assert order([ops.max_pool(y, 2), y]) == ["relu", "max_pool2d"]


def test_no_other_function_and_no_other_pooling():
    x = jitnet.Input((4, 4, 2))
    assert order([ops.max_pool(ops.tanh(x), 2)]) == ["tanh", "max_pool2d"]
    assert order([ops.average_pool(ops.relu(x), 2)]) == ["relu", "average_pool2d"]
    assert order([ops.max_pool(x, 2)]) == ["max_pool2d"]


def test_several_in_a_row():
    x = jitnet.Input((8, 8, 2))
    first = ops.max_pool(ops.relu(x), 2)
    assert order([ops.max_pool(ops.relu(ops.negative(first)), 2)]) == [
        "max_pool2d", "relu", "negative", "max_pool2d", "relu",
    ]  # fmt: skip
