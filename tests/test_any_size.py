"""Models with axes of unknown length: one compilation serves all sizes."""

import gc

import numpy as np
import pytest

import jitnet
from jitnet import Input, Model, Sequential, layers, ops, utils
from jitnet.kernels.compiler import machine
from jitnet.losses import SparseCategoricalCrossentropy


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The symbols that were compiled, from an empty cache on."""
    gc.collect()  # models of other tests, whose machine code would be used
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path))
    symbols = []
    compiled = machine.object_code

    def object_code(translation, *arguments):
        symbols.append(translation.symbol)
        return compiled(translation, *arguments)

    monkeypatch.setattr(machine, "object_code", object_code)
    return symbols


def images(shape=(None, None, 3), seed=1):
    """Convolutions on every kind of kernel, with what lies between them."""
    jitnet.utils.set_random_seed(seed)
    parts = [
        layers.Conv2D(8, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, strides=2), layers.BatchNormalization(), layers.ReLU(),
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.AveragePooling2D(2, padding="same"),
        layers.MaxPooling2D(2, padding="same"), layers.DepthwiseConv2D(3, padding="same"), layers.Dropout(0.2),
        layers.Conv2D(32, 1), layers.GlobalAveragePooling2D(), layers.Dense(4),
    ]  # fmt: skip
    return compiled(Sequential([Input(shape), *parts]))


def resized(shape=(None, None, 3), seed=1):
    """Upsampling, transposed and separable convolutions, cropping and padding."""
    jitnet.utils.set_random_seed(seed)
    parts = [
        layers.SeparableConv2D(8, 3, padding="same", activation="relu"), layers.ZeroPadding2D(1),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        layers.Cropping2D(((1, 0), (0, 2))),
        layers.Conv2DTranspose(8, 2, strides=(2, 1)), layers.UpSampling2D((1, 2)),
        layers.UpSampling2D(2, interpolation="bilinear"), layers.Conv2D(4, 3, strides=2), layers.Resizing(5, 7),
        layers.GlobalMaxPooling2D(), layers.Dense(4),
    ]  # fmt: skip
    return compiled(Sequential([Input(shape), *parts]))


def signals(shape=(None, 5), seed=1):
    """Convolutions along an axis of time, with what lies between them."""
    jitnet.utils.set_random_seed(seed)
    parts = [
        layers.Conv1D(20, 3, padding="causal", activation="relu"), layers.MaxPooling1D(2), layers.BatchNormalization(),
        layers.Conv1D(16, 3, strides=2, padding="same", activation="relu"), layers.UpSampling1D(3),
        layers.SeparableConv1D(8, 3), layers.Conv1DTranspose(8, 3, strides=2), layers.AveragePooling1D(2),
        layers.DepthwiseConv1D(3, padding="same"), layers.ZeroPadding1D(1), layers.Cropping1D(2),
        layers.GlobalAveragePooling1D(), layers.Dense(4),
    ]  # fmt: skip
    return compiled(Sequential([Input(shape), *parts]))


def spectrograms(shape=(None, 33, 1), seed=1):
    """A window of so many columns that the weights of one row leave no registers for a second pixel."""
    jitnet.utils.set_random_seed(seed)
    window = layers.Conv2D(32, (3, 41), strides=2, padding="same", use_bias=False)
    return compiled(Sequential([Input(shape), window, layers.GlobalAveragePooling2D(), layers.Dense(4)]))


def sequences(shape=(None, 6), seed=1):
    """A dense layer along an axis of time."""
    jitnet.utils.set_random_seed(seed)
    return compiled(Sequential([Input(shape), layers.Dense(20, "tanh"), layers.Dense(4)]))


def attending(shape=(None, 6), seed=1):
    """Attention of steps to those before them, and to those near them."""
    jitnet.utils.set_random_seed(seed)
    x = inputs = Input(shape)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 5, dropout=0.1)(x, x, use_causal_mask=True)])
    x = layers.GroupQueryAttention(3, 4, 2, sliding_window=3)(x, x)
    return compiled(Model(inputs, layers.Dense(4)(x)))


def compiled(model):
    model.compile("adam", SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def run(model, size, targets=()):
    generator = np.random.default_rng(0)
    x = generator.random((10, *size), np.float32)
    y = generator.integers(0, 4, (10, *targets))
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0).history
    return history["loss"], model.evaluate(x, y, verbose=0), model.predict(x, verbose=0), model.predict_on_batch(x[:1])


def test_images_of_other_sizes_compile_nothing(made):
    model = images()
    run(model, (20, 20, 3))
    assert any(symbol.startswith("conv2d_forward_3x3_3_8_any_width") for symbol in made)  # others' kernels may live on
    made.clear()
    for size in ((17, 31), (32, 26), (70, 9), (100, 110)):
        found = run(model, (*size, 3))
        assert found[2].shape == (10, 4)
    assert made == []


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (resized, [(9, 9, 3), (6, 13, 3), (31, 8, 3)]),
        (signals, [(20, 5), (17, 5), (66, 5)]),
    ],
)
def test_other_sizes_of_what_changes_them_compile_nothing(make, sizes, made):
    model = make()
    run(model, sizes[0])
    assert made
    made.clear()
    for size in sizes[1:]:
        assert run(model, size)[2].shape == (10, 4)
    assert made == []


@pytest.mark.parametrize("make", [sequences, attending])
def test_sequences_of_other_lengths_compile_nothing(make, made, monkeypatch):
    monkeypatch.setattr("jitnet.targets.cpu.thresholds.ATTENTION_WORK", 1e6)  # of long sequences
    model = make()
    run(model, (5, 6), (5,))
    assert made
    made.clear()
    for length in (9, 1, 300, 310):
        assert run(model, (length, 6), (length,))[2].shape == (10, length, 4)
        shared_out = "def multi_head_attention_attention_forward_chunk(" in model.step_source()
        assert shared_out == (make is attending and length >= 300)
        if make is attending and length == 300:  # the first whose heads are shared out: another step, and a sum
            others = [symbol for symbol in made if not symbol.startswith(("step_", "run_steps_"))]
            assert all(symbol.startswith("add_key_groups_") for symbol in others)
            made.clear()
    assert made == []


class Leaky(layers.Layer):
    """A cell of a user's own."""

    state_size = 6

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 6), name="kernel")
        self.recurrent = self.add_weight((6, 6), name="recurrent")

    def call(self, inputs, states):
        h = 0.5 * states[0] + ops.tanh(inputs @ self.kernel + states[0] @ self.recurrent)
        return h, [h]


def test_other_numbers_of_turns_compile_nothing(made):
    """Of a loop whose sums come after it, and whose sequences are short where they can be: also for few samples."""
    parts = [layers.RNN(Leaky(), return_sequences=True), layers.RNN(Leaky(), go_backwards=True), layers.Dense(4)]
    model = compiled(Sequential([Input((None, 5)), *parts]))
    run(model, (4, 5))
    model.predict(np.ones((2, 4, 5), np.float32), verbose=0)
    assert made
    made.clear()
    for length in (7, 1, 2, 9, 300):
        assert run(model, (length, 5))[2].shape == (10, 4)
        model.predict(np.ones((2, length, 5), np.float32), verbose=0)
    assert made == []


def test_batches_of_sequences_compile_nothing_for_a_new_length(made):
    generator = np.random.default_rng(3)

    def batches(lengths):
        x = [generator.integers(1, 9, length) for length in lengths]
        return utils.SequenceBatches(x, [sequence % 4 for sequence in x], batch_size=4, seed=5)

    jitnet.utils.set_random_seed(1)
    parts = [layers.Embedding(9, 6), layers.LSTM(5, return_sequences=True), layers.Dense(4)]
    model = compiled(Sequential([Input((None,), dtype="int64"), *parts]))

    def use(data):
        model.fit(data, epochs=2, verbose=0)
        return model.evaluate(data, verbose=0), model.predict(data, verbose=0)

    use(batches([3, 5, 4, 2, 3, 5, 4, 2]))
    assert made
    made.clear()
    for longest in (1, 7, 40):
        lengths = [*generator.integers(1, longest + 1, 9), longest]
        data = batches(lengths)
        (loss, _), found = use(data)
        assert np.isfinite(loss) and found.shape == (10, longest, 4)
        for row, length in zip(found, lengths, strict=True):
            assert row[:length].any(axis=-1).all()
    assert made == []


@pytest.mark.parametrize(
    ("make", "size", "targets"),
    [
        (images, (17, 31, 3), ()), (images, (24, 20, 3), ()), (sequences, (7, 6), (7,)), (resized, (7, 9, 3), ()),
        (signals, (19, 5), ()), (attending, (7, 6), (7,)), (spectrograms, (21, 33, 1), ()),
    ],
)
def test_the_same_as_with_known_sizes(make, size, targets):
    """Other kernels may be chosen for known sizes: the sums are the same but for rounding."""
    for found, right in zip(run(make(), size, targets), run(make(size), size, targets), strict=True):
        np.testing.assert_allclose(found, right, rtol=2e-3, atol=2e-4)


def test_layers_and_networks_share_the_code_of_steps(made):
    def train(widths):
        parts = [layers.Dense(width, "relu") for width in widths]
        model = Sequential([Input((20,)), *parts, layers.Dense(3)])
        model.compile("sgd", SparseCategoricalCrossentropy(from_logits=True))
        model.train_on_batch(np.ones((4, 20), np.float32), np.zeros(4, int))

    train([32] * 3)
    train([32] * 30)
    train([48, 64, 40])
    assert sum(symbol.startswith("step_") for symbol in made) == 1


def test_shapes_show_none(tmp_path, capsys):
    model = images()
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape == (None, 4)
    assert model.layers[0].compute_output_shape((None, None, None, 3)) == (None, None, None, 8)
    assert str(model.layers[0].output.shape) == "(None, None, None, 8)"
    model.summary()
    assert "(None, None, None, 16)" in capsys.readouterr().out
    x = np.random.default_rng(0).random((3, 12, 15, 3), np.float32)
    right = model.predict(x, verbose=0)
    model.save(tmp_path / "model.safetensors")
    nested = Sequential([Input((None, None, 3)), model])
    for other in (jitnet.load_model(tmp_path / "model.safetensors"), nested):
        assert other.input_shape == (None, None, None, 3)
        np.testing.assert_array_equal(other.predict(x, verbose=0), right)
    clone = jitnet.models.clone_model(model)
    assert clone.input_shape == model.input_shape
    assert clone.predict(x[:, 1:], verbose=0).shape == (3, 4)
    assert Model.from_config(Model(model.inputs, model.outputs).get_config()).input_shape == model.input_shape
    # with known sizes again
    known = Model(i := Input((12, 15, 3)), model(i))
    np.testing.assert_allclose(known.predict(x, verbose=0), right, rtol=1e-5, atol=1e-6)


def test_branches_and_operations_between_layers():
    x = Input((None, None, 4))
    small = layers.Conv2D(4, 3, padding="same")(layers.MaxPooling2D(2)(x))
    large = layers.Conv2D(4, 2, strides=2)(x)
    model = Model(x, layers.GlobalAveragePooling2D()(small * 2.0 + large))
    for size in ((4, 6), (10, 2)):
        assert model.predict(np.ones((2, *size, 4), np.float32), verbose=0).shape == (2, 4)


def test_only_the_last_sizes_are_kept():
    model = sequences()
    for length in range(1, 13):
        model.predict(np.ones((2, length, 6), np.float32), verbose=0)
    assert [key[-1] for key in model._steps] == [((length, 6),) for length in range(5, 13)]
    assert "input (None, 12, 6)" in model.step_source("infer")


def test_what_depends_on_an_unknown_length_is_refused():
    with pytest.raises(ValueError, match=r"The layer 'head' cannot make its weight 'kernel'.*shape=\(None, 4\)"):
        Sequential([Input((None, None, 3)), layers.Flatten(), layers.Dense(4, name="head")])
    x = Input((None, 6))
    y = jitnet.ops.reshape(x, (-1, x.shape[1] * 2, 3))
    with pytest.raises(ValueError, match=r"'reshape' between layers.*Give -1 for it.*Received: shape=\(None, 3\)"):
        Model(x, y)
    model = sequences()
    with pytest.raises(ValueError, match=r"Call fit or predict first\. Received: input_shape=\(None, None, 6\)"):
        model.step_source("infer")
    for use in (model.jitted_predict, lambda: jitnet.warmup(model)):
        with pytest.raises(ValueError, match=r"give Input a shape without None\. Received: input_shape=\(None, None"):
            use()
    with pytest.raises(ValueError, match=r"expects shape \(None, None, 6\).*Received: shape=\(2, 5, 7\)"):
        model.predict(np.ones((2, 5, 7)))
    with pytest.raises(ValueError, match=r"expects shape \(None, None, 6\).*Received: shape=\(2, 0, 6\)"):
        model.predict(np.ones((2, 0, 6)))
    with pytest.raises(ValueError, match=r"expects .*shape \(None, 5\) .*Received: shape=\(2, 4\)"):
        model.fit(np.ones((2, 5, 6)), np.zeros((2, 4), int), verbose=0)
    with pytest.raises(ValueError, match=r"Input expects shape to be a sequence of integers|a positive integer"):
        Input((None, "3"))
    with pytest.raises(ValueError, match="conv2d"):
        images().predict(np.ones((2, 2, 2, 3)))


def test_large_gradients_of_any_size():
    """Those of direct convolutions, whose kernels take any width."""
    parts = [layers.Conv2D(256, 3, strides=2), layers.Conv2D(512, 3, strides=2), layers.GlobalAveragePooling2D()]
    model = compiled(Sequential([Input((None, None, 8)), *parts, layers.Dense(4)]))
    for size in (9, 12):
        assert np.isfinite(model.train_on_batch(np.ones((2, size, size, 8), np.float32), np.zeros(2, int))[0])
    assert "_pieces(" in model.step_source()


class Positions(layers.Layer):
    """Embeddings of tokens and of their places, of which there are fewer than a stand-in for a length."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = layers.Embedding(9, 4), layers.Embedding(7, 4)

    def call(self, x):
        length = ops.shape(x)[-1]
        near = ops.arange(length)[:, None] >= ops.arange(0, length, 1)
        pairs = ops.matmul(ops.cast(near, "float32"), self.places(ops.arange(1, length + 1, dtype="int32")))
        return self.tokens(x) + pairs + self.places(ops.arange(0, length - 1 + 1))


def test_numbers_up_to_a_length_that_is_not_known():
    x = jitnet.Input((None,), dtype="int32")
    layer = Positions()
    model = jitnet.Model(x, layer(x))
    assert model.output_shape == (None, None, 4)
    tokens, places = (embedding.get_weights()[0] for embedding in (layer.tokens, layer.places))
    for length in (3, 6):
        given = np.arange(2 * length).reshape(2, length) % 9
        expected = tokens[given] + np.cumsum(places[1 : length + 1], 0) + places[:length]
        np.testing.assert_allclose(model.predict(given, verbose=0), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"take expects indices from -7 to 6\. Received: index=7"):
        model.predict(np.zeros((2, 8), "int32"), verbose=0)


class Tagger(Model):
    """A model with a call of its own, and with a part that finds its input's shape when it is first used."""

    def __init__(self):
        super().__init__()
        self.tokens = layers.Embedding(50, 8)
        self.attention = layers.MultiHeadAttention(2, 4)
        self.between = Sequential([layers.Dense(8, "relu"), layers.Dense(8)])
        self.kinds = layers.Dense(4)

    def call(self, x):
        x = self.tokens(x)
        return self.kinds(self.between(x + self.attention(x, x)))


def tokens(length, samples=6):
    generator = np.random.default_rng(length)
    return generator.integers(0, 50, (samples, length)), generator.integers(0, 4, (samples, length))


def test_a_model_of_its_own_call_takes_other_lengths_than_its_first():
    model, fixed = compiled(Tagger()), compiled(Tagger())
    losses = [model.train_on_batch(*tokens(length))[0] for length in (20, 7, 20, 5)]
    assert np.isfinite(losses).all() and model.input_shape == (None, None) and model.output_shape == (None, None, 4)
    x, y = tokens(9)
    fixed.predict(x, verbose=0)
    assert fixed.input_shape == (None, 9)
    fixed.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(x, verbose=0), fixed.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), fixed.evaluate(x, y, verbose=0), rtol=1e-5)
    assert fixed(tokens(4)[0]).shape == (6, 4, 4)


def test_a_sequential_without_an_input_takes_other_lengths_than_its_first():
    model = Sequential([layers.Embedding(50, 8), layers.LSTM(5), layers.Dense(3)])
    model.compile("adam", "mse")
    model.fit(tokens(6)[0], np.ones((6, 3)), verbose=0)
    weights = model.get_weights()
    found = model.predict(tokens(9)[0], verbose=0)
    given = Sequential([Input((9,), dtype="int64"), layers.Embedding(50, 8), layers.LSTM(5), layers.Dense(3)])
    given.set_weights(weights)
    np.testing.assert_allclose(found, given.predict(tokens(9)[0], verbose=0), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"expects shape \(None, 9\)\. Received: shape=\(6, 8\)"):
        given.predict(tokens(8)[0], verbose=0)  # whose length was given


@pytest.mark.parametrize("parts", [[layers.Flatten(), layers.Dense(3)], [layers.Dense(3), layers.Reshape((12,))]])
def test_lengths_that_weights_or_shapes_depend_on_stay(parts):
    model = Sequential(parts)
    before = model.predict(np.ones((2, 4, 5)), verbose=0)
    for shape in ((2, 6, 5), (2, 4, 6), (2, 5)):
        with pytest.raises(ValueError, match=r"Received: shape="):
            model.predict(np.ones(shape), verbose=0)
    np.testing.assert_array_equal(model.predict(np.ones((2, 4, 5)), verbose=0), before)
