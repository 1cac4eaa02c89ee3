"""The worked numbers of two course texts, reproduced to the last printed digit."""

import numpy as np

import jitnet
from jitnet import layers, losses, ops, optimizers


def test_forward_pass_of_three_layers():
    """Saito, Deep Learning from Scratch, section 3.4: sigmoid, sigmoid, identity."""
    jitnet.set_floatx("float64")
    weights = [
        [[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], [0.1, 0.2, 0.3],
        [[0.1, 0.5], [0.2, 0.7], [0.3, 0.9]], [0.1, 0.2],
        [[0.1, 0.3], [0.2, 0.4]], [0.1, 0.2],
    ]  # fmt: skip
    x = layers.Input((2,))
    first = layers.Dense(3, "sigmoid")(x)
    second = layers.Dense(2, "sigmoid")(first)
    model = jitnet.Model(x, [first, second, layers.Dense(2)(second)])
    model.set_weights([np.array(w) for w in weights])
    z1, z2, y = model.predict(np.array([[1.0, 0.5]]))
    np.testing.assert_allclose(z1, [[0.57444252, 0.66818777, 0.75026011]], rtol=0, atol=5e-9)
    # the text prints 0.6264937, which lost a digit: its own y follows from 0.62624937
    np.testing.assert_allclose(z2, [[0.62624937, 0.83619523]], rtol=0, atol=5e-9)
    np.testing.assert_allclose(y, [[0.32986398, 0.7223529]], rtol=0, atol=5e-9)


class HalfSquaredError(losses.Loss):
    """The sum over the samples of (prediction - target)^2 / 2."""

    def __init__(self):
        super().__init__(reduction="sum")

    def call(self, y_true, y_pred):
        return 0.5 * ops.square(y_pred - y_true)


def test_line_by_gradient_descent():
    """y = a x + b through three points, from zero, to the epoch at which b has its final three digits."""
    jitnet.set_floatx("float64")
    x, y = np.array([[20.0], [30.0], [40.0]]), np.array([[30.0], [50.0], [80.0]])
    (a,), (b,) = np.linalg.pinv(np.hstack([x, np.ones_like(x)])) @ y
    assert (round(a, 3), round(b, 3)) == (2.5, -21.667)

    model = jitnet.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile(optimizers.SGD(0.0005), HalfSquaredError(), jit_compile=True)

    def train(first, last):
        """Epochs first to last, counted from 1, of one batch each; a and b after them."""
        model.fit(x, y, batch_size=3, initial_epoch=first - 1, epochs=last, shuffle=False, verbose=0)
        (slope,), (intercept,) = model.get_weights()
        return slope.item(), intercept.item()

    _, before = train(1, 113_956)
    assert round(before, 3) != -21.667
    a, b = train(113_957, 113_957)
    assert (round(a, 3), round(b, 3)) == (2.5, -21.667)
    assert f"{before - b:.10f}" == "0.0000000172"
    assert model.optimizer.iterations == 113_957
