"""``jitnet.value_and_grad``: values and gradients of functions of arrays, layers and models."""

import numpy as np
import pytest
import small_networks

import jitnet
from jitnet import gradients, layers, ops


def differences(function, arrays, place, step=1e-6):
    """The gradient of ``function``, a number of float64 arrays, by one of them, by central differences."""
    found = np.zeros_like(arrays[place])
    for index in np.ndindex(found.shape):
        moved = [[a.copy() for a in arrays] for _ in range(2)]
        moved[0][place][index] += step
        moved[1][place][index] -= step
        found[index] = (function(*moved[0]) - function(*moved[1])) / (2 * step)
    return found


def arrays_of(*shapes):
    generator = np.random.default_rng(3)
    return [generator.standard_normal(shape) for shape in shapes]


def regression(w, b, x, y):
    return ops.mean(ops.square(ops.tanh(ops.matmul(x, w) + b) - y)) + 0.1 * ops.sum(ops.absolute(w))


def regression_in_numpy(w, b, x, y):
    return np.square(np.tanh(x @ w + b) - y).mean() + 0.1 * np.abs(w).sum()


@pytest.mark.parametrize("argnums", [0, (2, 1), (0, 1, 2, 3)])
def test_several_arguments_against_central_differences(argnums):
    jitnet.set_floatx("float64")
    arrays = arrays_of((4, 3), (3,), (7, 4), (7, 3))
    value, found = jitnet.value_and_grad(regression, argnums, whole_argnums=(0, 1))(*arrays)
    assert value.shape == () and value.dtype == np.float64
    np.testing.assert_allclose(value, regression_in_numpy(*arrays), rtol=1e-12)
    several = isinstance(argnums, tuple)
    assert isinstance(found, tuple) == several
    for place, gradient in zip(argnums if several else (argnums,), found if several else (found,), strict=True):
        assert gradient.shape == arrays[place].shape
        np.testing.assert_allclose(gradient, differences(regression_in_numpy, arrays, place), rtol=1e-6, atol=1e-9)


def test_numbers_auxiliary_values_and_what_the_value_does_not_depend_on():
    jitnet.set_floatx("float64")
    x, unused = arrays_of((5, 2), (5, 3))

    def function(x, factor, unused):
        y = ops.exp(x * factor)
        return ops.sum(y), {"y": y, "several": [ops.mean(y, axis=0), "text"], "negative": -ops.sum(y)}

    call = jitnet.value_and_grad(function, (0, 1, 2), has_aux=True)
    (value, aux), (by_x, by_factor, by_unused) = call(x, 0.7, unused)
    np.testing.assert_allclose(value, np.exp(x * 0.7).sum(), rtol=1e-12)
    np.testing.assert_allclose(aux["y"], np.exp(x * 0.7), rtol=1e-12)
    np.testing.assert_allclose(aux["several"][0], np.exp(x * 0.7).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(aux["negative"], -value, rtol=1e-12)
    assert aux["several"][1] == "text"
    np.testing.assert_allclose(by_x, 0.7 * np.exp(x * 0.7), rtol=1e-12)
    np.testing.assert_allclose(by_factor, (x * np.exp(x * 0.7)).sum(), rtol=1e-12)
    np.testing.assert_array_equal(by_unused, np.zeros_like(unused))
    # another number, other numbers of samples: the same compiled step
    for factor, samples in ((-1.0, 5), (2, 3), (np.float64(0.5), 1)):
        (value, _), (by_x, _, _) = call(x[:samples], factor, unused[:samples])
        np.testing.assert_allclose(value, np.exp(x[:samples] * factor).sum(), rtol=1e-12)
        np.testing.assert_allclose(by_x, factor * np.exp(x[:samples] * factor), rtol=1e-12)


def test_compiled_once_per_shapes_and_types(monkeypatch):
    made = []
    real = gradients.Step
    monkeypatch.setattr(gradients, "Step", lambda *arguments: made.append(1) or real(*arguments))
    traced = []

    def function(x):
        traced.append(1)
        return ops.sum(ops.square(x))

    call = jitnet.value_and_grad(function)
    for samples in (4, 9, 1, 4):
        x = np.full((samples, 3), 2, np.float32)
        value, gradient = call(x)
        assert value == 12 * samples and (gradient == 4).all() and gradient.dtype == np.float32
    assert len(made) == len(traced) == 1
    assert call(np.ones((4, 3)))[1].dtype == np.float64
    assert len(made) == 2
    call(np.ones((4, 3)))
    call(np.ones((5, 3), np.float32))
    assert len(made) == 2
    jitnet.set_conv_algorithm("direct")
    try:
        call(np.ones((5, 3)))
    finally:
        jitnet.set_conv_algorithm("auto")
    assert len(made) == 3


def test_whole_models_against_pytorch():
    torch = pytest.importorskip("torch")
    model = small_networks.perceptron()
    x, labels = small_networks.data()
    call = jitnet.value_and_grad(
        lambda x, y: (ops.mean(model.loss.call(y, model(x))), model(x)), 0, has_aux=True, variables=model
    )
    (value, predictions), (by_x, by_weights) = call(x, labels)

    weights = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]
    inputs = torch.tensor(x, requires_grad=True)
    logits = torch.tanh(inputs @ weights[0] + weights[1]) @ weights[2] + weights[3]
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
    loss.backward()
    np.testing.assert_allclose(value, loss.item(), rtol=1e-6)
    np.testing.assert_allclose(predictions, torch.softmax(logits, 1).detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_x, inputs.grad, rtol=1e-4, atol=1e-6)
    for gradient, weight in zip(by_weights, weights, strict=True):
        np.testing.assert_allclose(gradient, weight.grad, rtol=1e-4, atol=1e-6)

    # as soon as the weights are others
    model.set_weights([0 * w for w in model.get_weights()])
    (value, _), _ = call(x, labels)
    np.testing.assert_allclose(value, np.log(small_networks.CLASSES), rtol=1e-6)
    # and as soon as fewer of them are trained
    model.layers[-1].trainable = False
    _, (_, by_weights) = call(x, labels)
    assert [g.shape for g in by_weights] == [(4, 5), (5,)]


def test_a_model_with_two_inputs_and_outputs_and_chosen_variables():
    jitnet.set_floatx("float64")
    first, second = jitnet.Input((3,)), jitnet.Input((2,))
    hidden = layers.Dense(4, "tanh", name="shared")(layers.Concatenate()([first, second]))
    model = jitnet.Model([first, second], {"sum": layers.Dense(1)(hidden), "hidden": hidden})
    kernel = model.get_layer("shared").kernel

    def function(a, b):
        found = model([a, b])
        return ops.mean(found["sum"]) * ops.sum(ops.square(found["hidden"])), found

    a, b = arrays_of((5, 3), (5, 2))
    call = jitnet.value_and_grad(function, argnums=(1,), has_aux=True, variables=[kernel])
    (value, found), ((by_b,), (by_kernel,)) = call(a, b)
    assert found["sum"].shape == (5, 1) and found["hidden"].shape == (5, 4)
    np.testing.assert_allclose(value, found["sum"].mean() * np.square(found["hidden"]).sum(), rtol=1e-10)
    np.testing.assert_allclose(by_b, differences(lambda a, b: call(a, b)[0][0], [a, b], 1), rtol=1e-5, atol=1e-8)

    def by(weights):
        before = kernel.numpy()
        kernel.assign(weights)
        value = call(a, b)[0][0]
        kernel.assign(before)
        return value

    np.testing.assert_allclose(by_kernel, differences(by, [kernel.numpy()], 0), rtol=1e-5, atol=1e-8)


def test_images_labels_and_random_numbers():
    model = small_networks.convolutional()
    x, labels = small_networks.images()
    loss = jitnet.losses.SparseCategoricalCrossentropy()

    def function(x, y):
        return loss(y, model(x + 0.01 * jitnet.random.normal(ops.shape(x)), training=True))

    call = jitnet.value_and_grad(function, variables=model)
    jitnet.utils.set_random_seed(4)
    first, second = call(x, labels), call(x, labels)
    assert first[0] != second[0]
    jitnet.set_num_threads(1)
    jitnet.utils.set_random_seed(4)
    again = call(x, labels)
    assert again[0] == first[0]
    for one, other in zip(again[1], first[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_errors():
    x = np.ones((4, 3), np.float32)

    with pytest.raises(ValueError, match=r"value_and_grad takes a function\. Received: function=3"):
        jitnet.value_and_grad(3)
    with pytest.raises(ValueError, match=r"single number, such as jitnet.ops.mean.*\n?.*Received: shape=\(None, 3\)"):
        jitnet.value_and_grad(lambda x: x * 2)(x)
    with pytest.raises(ValueError, match=r"single number.*Received: shape=float"):
        jitnet.value_and_grad(lambda x: 2.0)(x)
    with pytest.raises(ValueError, match=r"has_aux.*pair"):
        jitnet.value_and_grad(lambda x: ops.sum(x), has_aux=True)(x)
    with pytest.raises(ValueError, match=r"of one length.*Received: lengths \[2, 4\]"):
        jitnet.value_and_grad(lambda x, y: ops.sum(x))(x, x[:2])
    with pytest.raises(ValueError, match=r"floating-point numbers"):
        jitnet.value_and_grad(lambda x: ops.sum(ops.cast(x, "float32")))(np.ones((4, 3), int))
    with pytest.raises(TypeError, match=r"arrays and numbers. Received: str"):
        jitnet.value_and_grad(lambda x: ops.sum(x))("text")
    with pytest.raises(ValueError, match=r"argnums.*Received: argnums=2"):
        jitnet.value_and_grad(lambda x: ops.sum(x), 2)(x)

    def penalty(x):
        _, gradient = jitnet.value_and_grad(lambda x: ops.sum(ops.square(x)))(x)
        return ops.sum(ops.square(gradient))

    with pytest.raises(ValueError, match=r"first derivatives only"):
        jitnet.value_and_grad(penalty)(x)

    weight = layers.Dense(1).add_weight((3,), name="weight")

    def assigning(x):
        weight.assign(weight * 2)
        return ops.sum(x)

    with pytest.raises(ValueError, match=r"assigns nothing"):
        jitnet.value_and_grad(assigning)(x)


def test_sums_of_samples():
    jitnet.set_floatx("float64")
    (x,) = arrays_of((5, 2, 3))

    def function(x):
        total, mean = ops.sum(ops.tanh(x), axis=0), ops.mean(x, axis=0)
        return ops.sum(ops.square(total) * mean)

    def in_numpy(x):
        return (np.tanh(x).sum(axis=0) ** 2 * x.mean(axis=0)).sum()

    value, gradient = jitnet.value_and_grad(function)(x)
    np.testing.assert_allclose(value, in_numpy(x), rtol=1e-12)
    np.testing.assert_allclose(gradient, differences(in_numpy, [x], 0), rtol=1e-6, atol=1e-8)
