"""Keras's old functions of tensors, K: on arrays against NumPy, and in models and losses as old scripts have them."""

import numpy as np
import pytest

import jitnet
from jitnet import backend as K
from jitnet import layers

GENERATOR = np.random.default_rng(0)
X, Y = (GENERATOR.normal(size=(3, 4)).astype("float32") for _ in range(2))
S, T = (GENERATOR.normal(size=(3, 5, 4)).astype("float32") for _ in range(2))

EXPECTED = {
    "abs": ((X,), np.abs(X)),
    "pow": ((X, 2), X**2),
    "sqrt": ((X,), np.sqrt(np.maximum(X, 0))),
    "relu": ((X, 0.5, 1.0, 0.25), np.where(X < 0.25, 0.5 * (X - 0.25), np.minimum(X, 1))),
    "hard_sigmoid": ((3 * X,), np.clip(0.6 * X + 0.5, 0, 1)),
    "argmax": ((X,), X.argmax(-1)),
    "argmin": ((X,), X.argmin(-1)),
    "cumsum": ((S, 1), S.cumsum(1)),
    "cumprod": ((S, 1), S.cumprod(1)),
    "l2_normalize": ((X, -1), X / np.linalg.norm(X, axis=-1, keepdims=True)),
    "concatenate": (([X, Y],), np.concatenate([X, Y], -1)),
    "expand_dims": ((X,), X[..., None]),
    "permute_dimensions": ((S, (0, 2, 1)), S.transpose(0, 2, 1)),
    "reverse": ((S, 1), S[:, ::-1]),
    "repeat": ((X, 3), np.repeat(X[:, None], 3, 1)),
    "repeat_elements": ((S, 2, 1), np.repeat(S, 2, 1)),
    "batch_flatten": ((S,), S.reshape(3, 20)),
    "batch_dot": ((S, T, (2, 2)), np.einsum("abc,adc->abd", S, T)),
    "switch": ((X > 0, X, lambda: 2 * X), np.where(X > 0, X, 2 * X)),
}


def symbolic(argument, tensors):
    """The argument with a symbolic tensor in the place of each array; (array, tensor) of each go to ``tensors``."""
    if isinstance(argument, list):
        return [symbolic(part, tensors) for part in argument]
    if not isinstance(argument, np.ndarray) or argument.dtype == bool:
        return argument
    for array, tensor in tensors:
        if array is argument:
            return tensor
    tensors.append((argument, jitnet.Input(argument.shape[1:])))
    return tensors[-1][1]


@pytest.mark.parametrize("name", EXPECTED)
def test_functions_of_tensors(name):
    arguments, expected = EXPECTED[name]
    function = getattr(K, name)
    np.testing.assert_allclose(function(*arguments), expected, rtol=1e-5, atol=1e-6)
    if name == "switch":
        arguments = (K.greater(jitnet.Input((4,)), 0), X, X)
        return
    tensors = []
    found = function(*(symbolic(argument, tensors) for argument in arguments))
    model = jitnet.Model([tensor for _, tensor in tensors], found)
    predicted = model.predict([array for array, _ in tensors], verbose=0)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)


def test_products():
    np.testing.assert_allclose(K.batch_dot(X, Y), (X * Y).sum(-1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(K.batch_dot(S, T.transpose(0, 2, 1)), S @ T.transpose(0, 2, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(K.batch_dot(S, X, (2, 1)), np.einsum("abc,ac->ab", S, X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(K.dot(S, X.T), S @ X.T, rtol=1e-5, atol=1e-6)
    assert K.flatten(X).shape == (12,) and K.gather(X, [2, 0]).tolist() == X[[2, 0]].tolist()
    with pytest.raises(ValueError, match=r"takes x \(batch, size\)\. Received: shape=\(3, 5, 4\)"):
        K.repeat(S, 2)


def test_variables():
    variable = K.variable([[1, 2]], name="pair")
    assert K.get_value(variable).tolist() == [[1, 2]] and variable.dtype == "float32" and K.count_params(variable) == 2
    K.set_value(variable, [[3, 4]])
    assert K.eval(K.update_add(variable, 1)).tolist() == [[4, 5]]
    assert K.get_value(K.update_sub(variable, [[1, 1]])).tolist() == [[3, 4]]
    assert K.constant(2, shape=(2,)).tolist() == [2, 2] and K.constant([1]).dtype == np.float32
    optimizer = jitnet.optimizers.Adam(0.5)
    K.set_value(optimizer.learning_rate, 0.25)
    assert float(optimizer.learning_rate) == K.get_value(optimizer.learning_rate) == 0.25
    assert K.int_shape(jitnet.Input((3, 2))) == (None, 3, 2) and K.backend() == "jitnet"
    assert K.cast_to_floatx(np.arange(2)).dtype == np.float32
    jitnet.utils.set_random_seed(0)
    normal, uniform = K.random_normal((500,), 2.0, 0.1), K.random_uniform((500,), 1.0, 3.0)
    assert abs(normal.mean() - 2) < 0.02 and uniform.min() >= 1 and uniform.max() < 3 and uniform.std() > 0.5


def dice(y_true, y_pred, smooth=1.0):
    common = K.sum(y_true * y_pred, axis=-1)
    return (2.0 * common + smooth) / (K.sum(y_true, axis=-1) + K.sum(y_pred, axis=-1) + smooth)


def recall(y_true, y_pred):
    right = K.sum(K.round(K.clip(y_true * y_pred, 0, 1)))
    return right / (K.sum(K.round(K.clip(y_true, 0, 1))) + K.epsilon())


class Attention(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(name="w", shape=(input_shape[-1], 1), initializer="ones")

    def call(self, x):
        scores = K.softmax(K.squeeze(K.dot(K.tanh(x), self.w), axis=-1))
        return K.sum(x * K.expand_dims(scores), axis=1)


def test_an_old_script():
    x = jitnet.Input((5, 4))
    model = jitnet.Model(x, layers.Dense(2, "sigmoid")(Attention()(x)))
    model.compile("adam", lambda y_true, y_pred: 1 - dice(y_true, y_pred), metrics=[recall])
    y = GENERATOR.integers(0, 2, (3, 2)).astype("float32")
    predictions = model.predict(S, verbose=0)
    loss, found = model.evaluate(S, y, verbose=0)
    assert loss == pytest.approx(1 - np.mean(dice(y, predictions)), rel=1e-5)
    assert found == pytest.approx(float(recall(y, predictions)), rel=1e-5)
    assert np.isfinite(model.fit(S, y, epochs=2, verbose=0).history["loss"]).all()
