"""Parts of models as Keras's users take them: frozen by name, their features, growing, and the input's gradient."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, ops, optimizers

CLASSES = 3
RANDOM = np.random.default_rng(5)
X, Y = RANDOM.standard_normal((24, 8, 7, 1)), np.arange(24) % CLASSES


def network():
    """Compiled, of float64: what is compared differs by rounding alone."""
    jitnet.set_floatx("float64")
    jitnet.utils.set_random_seed(2)
    model = jitnet.Sequential(
        [
            layers.Input(X.shape[1:]),
            layers.Conv2D(4, 3, activation="tanh", name="conv_first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(5, activation="tanh", name="features"),
            layers.Dense(CLASSES, name="scores"),
            layers.Softmax(name="classes"),
        ]
    )
    return compiled(model)


def compiled(model):
    model.compile(optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    return model


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_features_are_what_the_layers_compute():
    model = network()
    expected, values = X, {}
    for layer in model.layers:
        expected = values[layer.name] = np.asarray(layer(expected))
    assert_same([jitnet.Model(model.input, model.get_layer("features").output).predict(X, verbose=0)],
                [values["features"]])  # fmt: skip
    every = jitnet.Model(model.inputs, [layer.output for layer in model.layers])
    assert_same(every.predict(X, verbose=0), list(values.values()))
    named = jitnet.Model(model.input, {name: model.get_layer(name).output for name in ("pool", "scores")})
    found = named.predict(X, verbose=0)
    assert_same([found["pool"], found["scores"]], [values["pool"], values["scores"]])
    rest = jitnet.Model(model.get_layer("features").input, model.output)
    assert_same([rest.predict(values["flat"], verbose=0)], [values["classes"]])
    # of the weights as they are
    model.fit(X, Y, verbose=0)
    assert not np.allclose(every.predict(X, verbose=0)[0], values["conv_first"])


@pytest.mark.parametrize("compiles_again", [False, True])
def test_layers_frozen_by_name_are_features_for_the_rest(compiles_again):
    model, other = network(), network()
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(("conv", "feat"))
    if compiles_again:
        compiled(model)
    assert [v.name for v in model.trainable_weights] == ["scores/kernel", "scores/bias"]
    features = jitnet.Model(other.input, other.get_layer("features").output).predict(X, verbose=0)
    head = compiled(jitnet.Sequential([layers.Input((5,)), other.get_layer("scores"), layers.Softmax()]))
    before = model.get_weights()
    for m, x in ((model, X), (head, features)):
        m.fit(x, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    assert_same(model.get_weights()[-2:], head.get_weights())
    for one, two in zip(before[:-2], model.get_weights(), strict=False):
        np.testing.assert_array_equal(one, two)


def test_a_frozen_part_under_a_new_head_and_then_the_whole():
    model = network()
    features = jitnet.Model(model.input, model.get_layer("features").output)
    features.trainable = False
    inputs = layers.Input(X.shape[1:])
    outputs = layers.Dense(2, activation="softmax")(features(inputs, training=False))
    moved = compiled(jitnet.Model(inputs, outputs))
    before = features.get_weights()
    moved.fit(X, Y % 2, epochs=2, verbose=0)
    for one, two in zip(before, model.get_weights(), strict=False):
        np.testing.assert_array_equal(one, two)
    assert len(moved.trainable_weights) == 2
    features.trainable = True
    compiled(moved).fit(X, Y % 2, verbose=0)
    assert len(moved.trainable_weights) == 6
    assert all((one != two).any() for one, two in zip(before, model.get_weights(), strict=False))


def test_a_layer_more_keeps_what_was_learned():
    """Net2DeeperNet (Chen et al. 2016): a new layer that is the identity leaves the function as it is."""
    model = network()
    model.get_layer("features").activation = jitnet.activations.relu
    compiled(model).fit(X, Y, epochs=2, verbose=0)
    before = model.predict(X, verbose=0)
    learned = [layer.get_weights() for layer in model.layers]
    top = [model.pop(), model.pop()][::-1]
    for layer in (layers.Dense(5, activation="relu", kernel_initializer="identity", name="more"), *top):
        model.add(layer)
    assert [layer.name for layer in model.layers[-4:]] == ["features", "more", "scores", "classes"]
    assert_same([model.predict(X, verbose=0)], [before])
    # another list of layers, some of which are shared
    deeper = jitnet.Sequential([*model.layers[:4], layers.Dense(7, name="new"), layers.Dense(CLASSES, "softmax")])
    for layer, weights in zip(deeper.layers[:4], learned, strict=False):
        assert all((one == two).all() for one, two in zip(layer.get_weights(), weights, strict=True))
    with pytest.raises(ValueError, match=r"This Adam has trained other weights.*Make a new one"):
        model.fit(X, Y, verbose=0)
    compiled(model).fit(X, Y, verbose=0)
    more = model.get_layer("more").kernel.value
    assert more.shape == (5, 5) and (more != np.eye(5)).any()


def test_weights_go_by_names_to_a_network_of_another_form():
    model = network()
    other = jitnet.Sequential(
        [layers.Input(X.shape[1:]), layers.Conv2D(4, 3, name="conv_first"), layers.Flatten(), layers.Dense(2)]
    )
    own = other.layers[-1].get_weights()
    for layer in other.layers:
        if layer.name in [known.name for known in model.layers]:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    assert_same(other.get_weights(), [*model.layers[0].get_weights(), *own])
    with pytest.raises(ValueError, match=r"Unknown layer 'conv'\. Did you mean 'conv_first'"):
        model.get_layer("conv")


def test_which_pixels_a_score_rests_on():
    """Saliency (Simonyan et al. 2014): a class's score by the pixels, against differences and PyTorch."""
    model = network()
    scores = jitnet.Model(model.input, model.get_layer("scores").output)
    call = jitnet.value_and_grad(lambda images, labels: ops.sum(ops.one_hot(labels, CLASSES) * scores(images)))
    value, slopes = call(X, Y)
    assert slopes.shape == X.shape
    picked = scores.predict(X, verbose=0)[np.arange(len(Y)), Y]
    np.testing.assert_allclose(value, picked.sum(), rtol=1e-10)
    for place in ((0, 2, 3), (5, 0, 0), (23, 6, 6)):
        ends = []
        for step in (1e-6, -1e-6):
            moved = X.copy()
            moved[place] += step
            ends.append(call(moved, Y)[0])
        np.testing.assert_allclose(slopes[place], (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)

    torch = pytest.importorskip("torch")
    filters, bias, *dense = (torch.tensor(w) for w in model.get_weights())
    images = torch.tensor(X, requires_grad=True)
    maps = torch.nn.functional.conv2d(images.permute(0, 3, 1, 2), filters.permute(3, 2, 0, 1), bias)
    pooled = torch.nn.functional.max_pool2d(torch.tanh(maps), 2).permute(0, 2, 3, 1).flatten(1)
    theirs = torch.tanh(pooled @ dense[0] + dense[1]) @ dense[2] + dense[3]
    theirs[torch.arange(len(Y)), torch.tensor(Y)].sum().backward()
    np.testing.assert_allclose(slopes, images.grad, rtol=1e-9, atol=1e-12)
