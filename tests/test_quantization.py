"""Weights of int8: their values, files, refusals."""

import os
import re

import numpy as np
import pytest
from keras_cases import load_keras
from small_networks import data, perceptron

import jitnet
from jitnet import layers, saving

keras = load_keras()


def network():
    """Every kind of layer that can be quantised, and one that can't but has no matrix either."""
    x = jitnet.Input((7,), dtype="int64", name="tokens")
    y = layers.Embedding(11, 6, name="table")(x)
    y = layers.Conv1D(4, 3, groups=2, activation="tanh", name="line")(y)
    y = layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="plain")(y)
    y = layers.Conv2D(5, (2, 2), name="plane")(y)
    y = layers.LayerNormalization(name="norm")(y)
    y = layers.EinsumDense("abcd,cde->abce", (None, 1, 3), name="apart")(y)
    y = layers.Dense(3, name="dense")(layers.Flatten()(y))
    return jitnet.Model(x, y, name="all_kinds")


AXES = {"table": 1, "line": (0, 1), "plain": 0, "plane": (0, 1, 2), "apart": 1, "dense": 0}
SCALES = {"table": (11,), "line": (4,), "plain": (2, 3), "plane": (5,), "apart": (1, 1, 3), "dense": (3,)}
TOKENS = np.arange(35).reshape(5, 7) % 11


def test_every_kind_of_layer_counts_as_its_integers_over_their_scale(tmp_path):
    jitnet.utils.set_random_seed(3)
    model, reference = network(), network()
    draw = np.random.default_rng(4)
    model.set_weights([w + 0.1 * draw.normal(size=w.shape) for w in model.get_weights()])
    reference.set_weights(model.get_weights())
    before = {name: model.get_layer(name).get_weights()[0] for name in AXES}
    model.predict(TOKENS, verbose=0)  # a step that was made with floats
    model.quantize("int8")
    assert [layer.name for layer in model.layers if layer.quantization_mode == "int8"] == list(AXES)
    for name, axes in AXES.items():
        layer, floats = model.get_layer(name), before[name]
        integers = getattr(layer, layer.quantized_weight)
        scale = getattr(layer, f"{layer.quantized_weight}_scale")
        expected = 127 / (np.abs(floats).max(axis=axes, keepdims=True) + np.float32(1e-7))
        assert (integers.dtype, scale.dtype, scale.shape) == ("int8", "float32", SCALES[name])
        np.testing.assert_allclose(scale.value.ravel(), expected.ravel(), rtol=1e-6)
        np.testing.assert_array_equal(integers.value, np.round(floats * expected))
        assert np.abs(integers.value).max(axis=axes).min() == 127
        own = reference.get_layer(name)
        own.set_weights([integers.value / expected, *own.get_weights()[1:]])
    expected = reference.predict(TOKENS, verbose=0)
    np.testing.assert_allclose(model.predict(TOKENS, verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model(TOKENS), expected, rtol=1e-5, atol=1e-6)
    lines = []
    model.summary(print_fn=lines.append)
    assert any(line.startswith("table (Embedding, int8)") for line in lines)
    # a prediction reads weights that are assigned later
    half = model.get_layer("dense").kernel_scale
    bias = model.get_layer("dense").bias.value
    half.assign(half.value * 2)
    np.testing.assert_allclose(model.predict(TOKENS, verbose=0) - bias, (expected - bias) / 2, rtol=1e-4, atol=1e-5)
    # files
    path = tmp_path / "quantised.safetensors"
    model.save(path)
    loaded = saving.load_model(path)
    assert [(w.name, w.dtype) for w in loaded.weights] == [(w.name, w.dtype) for w in model.weights]
    np.testing.assert_array_equal(loaded.predict(TOKENS, verbose=0), model.predict(TOKENS, verbose=0))
    loaded.set_weights([0 * w for w in model.get_weights()])
    loaded.load_weights(path)
    np.testing.assert_array_equal(loaded.predict(TOKENS, verbose=0), model.predict(TOKENS, verbose=0))
    with pytest.raises(ValueError, match=r"has 12 weights.*Received: 18 weights"):
        reference.load_weights(path)
    kept = reference.get_layer("dense").get_weights()
    with pytest.warns(UserWarning, match="nothing that fits these weights of 'all_kinds': table/embeddings"):
        reference.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(reference.get_layer("dense").kernel.value, kept[0])


def test_files_are_a_quarter_as_large(tmp_path):
    model = jitnet.Sequential([layers.Input((400,)), layers.Dense(300)])
    sizes = []
    for mode in (None, "int8"):
        if mode:
            model.quantize(mode)
        model.save_weights(tmp_path / "weights.safetensors")
        sizes.append(os.path.getsize(tmp_path / "weights.safetensors"))
    assert sizes[1] < 0.26 * sizes[0]


def test_other_layers_are_trained_and_quantised_ones_are_not():
    x, y = data()
    model = perceptron()
    model.fit(x, y, verbose=0)
    model.quantize("int8", filters="hidden")
    assert [layer.quantization_mode for layer in model.layers[-2:]] == ["int8", None]
    with pytest.raises(ValueError, match=r"Layer 'hidden' \(Dense\): quantised weights are integers.*trainable=True"):
        model.fit(x, y, verbose=0)
    model.layers[-2].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(x, y, epochs=3, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert same == [True, True, True, False, False]


def test_gradients_go_through_a_quantised_layer():
    x, y = data()
    model = jitnet.Sequential([layers.Input((4,)), layers.Dense(5, name="first"), layers.Dense(3, name="second")])
    model.quantize("int8", filters=lambda layer: layer.name == "second")
    second = model.get_layer("second")
    second.trainable = False
    floats = jitnet.Sequential([layers.Input((4,)), layers.Dense(5, name="first"), layers.Dense(3, name="second")])
    bias, kernel, scale = second.get_weights()
    floats.set_weights([*model.get_layer("first").get_weights(), kernel / scale, bias])
    floats.get_layer("second").trainable = False
    target = np.eye(3, dtype=np.float32)[y]
    for net in (model, floats):
        net.compile("sgd", "mse")
        net.fit(x, target, epochs=2, verbose=0, shuffle=False)
    for w, other in zip(*(net.get_layer("first").get_weights() for net in (model, floats)), strict=True):
        np.testing.assert_allclose(w, other, rtol=1e-5, atol=1e-6)


def test_what_is_refused():
    model = perceptron()
    dense = model.layers[-1]
    for mode, reason in (("int4", "two weights in a byte"), ("gptq", "language models"), ("float8", "CPUs lack")):
        with pytest.raises(ValueError, match=rf"{reason}.*Received: mode='{mode}'"):
            model.quantize(mode)
    with pytest.raises(ValueError, match=r"Unknown quantisation mode 'int9'.*int8"):
        dense.quantize("int9")
    with pytest.raises(ValueError, match=r"config is None. Received: config='dict'"):
        model.quantize("int8", config={})
    with pytest.raises(ValueError, match=r"no layer to quantise.*Received: filters='nowhere'"):
        model.quantize("int8", filters="nowhere")
    with pytest.raises(ValueError, match="Received: filters=3"):
        model.quantize("int8", filters=3)
    with pytest.raises(TypeError, match="Received: mood='int8'"):
        model.quantize("int8", mood="int8")
    with pytest.raises(ValueError, match="is not built"):
        layers.Dense(2, name="new").quantize("int8")
    with pytest.raises(ValueError, match="is not built"):
        jitnet.Sequential([layers.Dense(2)]).quantize("int8")
    norm = layers.BatchNormalization(name="norm")
    with pytest.raises(NotImplementedError, match=r"Layer 'norm' \(BatchNormalization\) has no quantised form"):
        norm.quantize("int8")
    assert dense.quantization_mode is None
    dense.quantize("int8")
    with pytest.raises(ValueError, match="quantised already"):
        dense.quantize("int8")
    with pytest.raises(ValueError, match=re.escape("holds integers of 8 bits. Received: dtype='float64'")):
        dense.kernel.assign(np.zeros(dense.kernel.shape))

    class Own(layers.Dense):
        pass

    own = Own(2)
    own.build((None, 3))
    with pytest.raises(NotImplementedError):
        own.quantize("int8")
    own.quantize("int8", type_check=False)
    mixed = jitnet.Sequential([layers.Input((4, 3)), layers.LSTM(2, name="memory"), layers.Dense(2)])
    with pytest.warns(UserWarning, match="stay as they are: memory"):
        mixed.quantize("int8")


@pytest.mark.skipif(keras is None, reason="needs Keras with its torch backend")
@pytest.mark.filterwarnings("ignore")  # Keras's own, of arrays
def test_dense_has_the_weights_of_keras():
    theirs, ours = keras.layers.Dense(5), layers.Dense(5)
    for layer in (theirs, ours):
        layer.build((None, 7))
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    theirs.quantize("int8")
    ours.quantize("int8")
    for own, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert own.dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(own, np.asarray(other))
