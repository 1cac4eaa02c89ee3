"""Masks: which layers pass them on, who is given them, and how losses and metrics count."""

import re
import warnings

import keras_cases as cases
import numpy as np
import pytest
from graphs import Draw, Suite, normal

import jitnet
from jitnet import layers, ops
from jitnet.core.values import placeholder

STEPS, FEATURES = 4, 3
WORDS = np.array([[1, 2, 0, 0], [3, 0, 1, 0], [0, 0, 0, 0], [1, 1, 2, 1]])
COUNTS = WORDS != 0
LABELS = np.array([[0, 1, 2, 2], [1, 0, 2, 0], [0, 1, 2, 0], [1, 1, 0, 2]])
keras = cases.load_keras()
needs_keras = pytest.mark.skipif(keras is None, reason="needs Keras with its torch backend")


def tagger(*more, **options):
    """Words with a mask to a label for each step."""
    jitnet.utils.set_random_seed(5)
    table = layers.Embedding(5, FEATURES, mask_zero=True, name="words")
    last = layers.Dense(3, activation="softmax", name="last")
    model = jitnet.Sequential([jitnet.Input((STEPS,), dtype="int64"), table, *more, last])
    model.compile("sgd", options.pop("loss", "sparse_categorical_crossentropy"), **options)
    return model


# ---- the way from layer to layer

ARGUMENTS = {  # of layers that need some, or inputs of other kinds
    "Activation": {"activation": "tanh"}, "AdaptiveAveragePooling1D": {"output_size": 2},
    "AdaptiveMaxPooling1D": {"output_size": 2},
    "AlphaDropout": {"rate": 0.5}, "AveragePooling1D": {"pool_size": 2},
    "Concatenate": {"axis": 1},
    "Conv1D": {"filters": 2, "kernel_size": 1}, "Cropping1D": {}, "Dense": {"units": 2}, "Dot": {"axes": 2},
    "Dropout": {"rate": 0.5}, "GRU": {"units": 2, "return_sequences": True}, "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5}, "GroupNormalization": {"groups": 1}, "LSTM": {"units": 2},
    "Permute": {"dims": (2, 1)}, "Rescaling": {"scale": 0.5}, "Reshape": {"target_shape": (STEPS * FEATURES,)},
    "SeparableConv1D": {"filters": 2, "kernel_size": 1}, "SimpleRNN": {"units": 2, "return_state": True},
    "SpatialDropout1D": {"rate": 0.5},
}  # fmt: skip
# EinsumDense passes masks on here: attention is made of it
SEQUENCES = [n for n in cases.LAYERS if not re.search("2D|Conv1DT|DepthwiseC|Einsum|RepeatV|^Softmax$", n)]


def passes(library, name: str) -> list:
    """Whether each output has a mask, and whether the layer says that it ends there."""
    x = library.layers.Masking()(library.Input((STEPS, FEATURES)))
    several = name in ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = getattr(library.layers, name)(**ARGUMENTS.get(name, {}))([x, x] if several else x)
    masks = [getattr(y, "mask" if library is jitnet else "_keras_mask", None) for y in
             (found if isinstance(found, list | tuple) else [found])]  # fmt: skip
    return [*((None if m is None else tuple(m.shape)) for m in masks), any("mask" in str(w.message) for w in said)]


@needs_keras
@pytest.mark.parametrize("name", SEQUENCES)
def test_masks_go_on_and_end_where_they_do_in_keras(name):
    assert passes(jitnet, name) == passes(keras, name)


def test_a_layer_that_ends_masks_says_so():
    x = layers.Masking()(jitnet.Input((STEPS, FEATURES)))
    with pytest.warns(UserWarning, match=r"^Layer 'flat' \(Flatten\) supports no masks: .*supports_masking = True"):
        assert layers.Flatten(name="flat")(x).mask is None


class Weighed(layers.Layer):
    """Makes all steps that don't count 7; remembers the masks that it was given."""

    given = ()

    def call(self, inputs, mask=None):
        Weighed.given = (*Weighed.given, mask)
        return inputs if mask is None else ops.where(ops.expand_dims(mask, -1), inputs, 7.0)


class TwoInputs(layers.Layer):
    def call(self, query, value, query_mask=None, value_mask=None, mask=None):
        return query + 10.0 * ops.cast(ops.expand_dims(value_mask, -1), "float32") + 0.0 * ops.sum(query_mask * 1.0)


class Shifted(layers.Layer):
    """Its output's mask is that of the input, turned around."""

    def call(self, inputs):
        return inputs * 1.0

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else ops.logical_not(mask)


def test_who_is_given_masks():
    x = np.ones((4, STEPS, FEATURES), "float32") * COUNTS[..., None]
    first, second = jitnet.Input((STEPS, FEATURES)), jitnet.Input((STEPS,), dtype="int64")
    masked = layers.Masking()(first)
    passing = Weighed()
    passing.supports_masking = True
    automatic, without = passing(masked), passing(first)
    explicit = passing(masked, mask=ops.equal(second, 0))
    assert automatic.mask is masked.mask and without.mask is None and Weighed.given[1] is None
    assert explicit.mask is Weighed.given[2] is not masked.mask
    turned = Shifted()(masked)
    assert turned.mask is not None and Shifted.supports_masking and not Weighed.supports_masking
    later = passing(turned)
    both = TwoInputs()(first, masked, query_mask=ops.not_equal(second, 0))
    model = jitnet.Model([first, second], [automatic, explicit, later, both])
    found = model.predict([x, WORDS], verbose=0)
    # a mask that is given is that of the output, too; others are found anew when the model is run
    for result, counts in zip(found, (COUNTS, ~COUNTS, ~COUNTS), strict=False):
        np.testing.assert_array_equal(result, np.where(counts[..., None], x, 7))
    np.testing.assert_array_equal(found[3], x + 10 * COUNTS[..., None])
    np.testing.assert_array_equal(passing(x, mask=COUNTS), np.where(COUNTS[..., None], x, 7))
    with pytest.raises(TypeError, match="compute_mask returns tensors or None"):
        wrong = Shifted()
        wrong.compute_mask = lambda inputs, mask=None: 3
        wrong(masked)


def test_masks_of_arrays():
    np.testing.assert_array_equal(layers.Embedding(5, 2, mask_zero=True).compute_mask(WORDS), COUNTS)
    assert layers.Embedding(5, 2).compute_mask(WORDS) is None
    x = np.array([[[1.0, 2], [2, 2], [0, 0]]], "float32")
    np.testing.assert_array_equal(layers.Masking(2.0).compute_mask(x), [[True, False, True]])
    np.testing.assert_array_equal(layers.Masking(2.0)(x), [[[1.0, 2], [0, 0], [0, 0]]])


def test_lambda_and_masks():
    x = layers.Masking()(jitnet.Input((STEPS, FEATURES)))
    with pytest.warns(UserWarning, match="supports no masks"):
        assert layers.Lambda(ops.tanh)(x).mask is None
    kept = layers.Lambda(lambda x, mask: ops.where(ops.expand_dims(mask, -1), x, 9.0), mask=lambda inputs, mask: mask)
    y = kept(x)
    assert y.mask is x.mask
    data = np.ones((4, STEPS, FEATURES), "float32") * COUNTS[..., None]
    model = jitnet.Model(x.history.inputs, y)
    np.testing.assert_array_equal(model.predict(data, verbose=0), np.where(COUNTS[..., None], data, 9))
    with pytest.raises(ValueError, match="Received: function="):
        layers.Lambda(ops.tanh, mask=3)


# ---- models within models, files, copies


class Reader(jitnet.Model):
    """A model of its own call; one with a mask of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words = layers.Embedding(5, FEATURES, mask_zero=True, name="words")
        self.steps = layers.GRU(2, return_sequences=True, name="steps")

    def call(self, inputs):
        return self.steps(self.words(inputs)) * 1.0

    def compute_mask(self, inputs, mask=None):
        return self.words.compute_mask(inputs)


def test_models_pass_masks_on(tmp_path):
    inner = jitnet.Sequential([layers.Embedding(5, FEATURES, mask_zero=True), layers.Dense(2)])
    x = jitnet.Input((STEPS,), dtype="int64")
    last = layers.LSTM(2)
    model = jitnet.Model(x, last(inner(x)))
    words, dense = inner.layers
    expected = np.stack([last(dense(words(row[None, np.flatnonzero(row)])))[0] for row in WORDS[[0, 1, 3]]])
    found = model.predict(WORDS, verbose=0)
    np.testing.assert_allclose(found[[0, 1, 3]], expected, rtol=1e-6)
    np.testing.assert_array_equal(found[2], 0)  # of a row without a step that counts
    model.save(tmp_path / "model.safetensors")
    loaded = jitnet.load_model(tmp_path / "model.safetensors")
    copied = jitnet.models.clone_model(model)
    copied.set_weights(model.get_weights())
    for other in (loaded, copied):
        np.testing.assert_array_equal(other.predict(WORDS, verbose=0), found)
    # a mask that is given to a model is that of its input
    pooled = jitnet.Sequential([jitnet.Input((STEPS, FEATURES)), layers.GlobalAveragePooling1D()])
    steps = np.arange(4.0 * STEPS * FEATURES, dtype="float32").reshape(4, STEPS, FEATURES)
    kept = COUNTS | (np.arange(4)[:, None] == 2)
    right = [row[c].mean(0) for row, c in zip(steps, kept, strict=True)]
    np.testing.assert_allclose(pooled(steps, mask=kept), right, rtol=1e-6)


@pytest.mark.parametrize("custom", [False, True])
def test_the_mask_of_a_model_with_its_own_call_counts_in_its_loss(custom):
    class Stepping(Reader):
        def train_step(self, data):
            return super().train_step(data) if custom else None

    model = (Stepping if custom else Reader)(name="reader")
    model.compile("sgd", "mse", metrics=["mae"])
    y = np.ones((4, STEPS, 2), "float32")
    p = model.predict(WORDS, verbose=0)
    errors = np.abs(y - p).mean(-1)
    logs = model.train_on_batch(WORDS, y, return_dict=True)
    right = {"loss": ((y - p) ** 2).mean(-1)[COUNTS].mean(), "mae": errors[COUNTS].mean()}
    assert logs == pytest.approx(right, rel=1e-5)


# ---- losses and metrics


@pytest.mark.parametrize(
    ("reduction", "ignored"), [("mean", None), ("sum", None), ("mean_with_sample_weight", None), ("mean", 1)]
)
def test_losses_and_metrics_count_what_the_mask_leaves(reduction, ignored):
    loss = jitnet.losses.SparseCategoricalCrossentropy(ignore_class=ignored, reduction=reduction)
    model = tagger(loss=loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    p = model.predict(WORDS, verbose=0)
    values = -np.log(np.take_along_axis(p, LABELS[..., None], 2)[..., 0])
    counts = COUNTS if ignored is None else COUNTS & (ignored != LABELS)
    for weights in (None, np.linspace(0.5, 2, 16).reshape(4, STEPS), np.array([0.5, 1, 2, 3])):
        given = np.ones((4, STEPS)) if weights is None else np.broadcast_to(weights.reshape(4, -1), (4, STEPS))
        total = (values * given)[counts].sum()
        right = {"sum": total, "mean": total / counts.sum()}.get(reduction, total / given[counts].sum())
        logs = model.evaluate(WORDS, LABELS, sample_weight=weights, verbose=0, return_dict=True)
        assert logs["loss"] == pytest.approx(right, rel=1e-5)
        if ignored is None:
            hits = (p.argmax(-1) == LABELS) * COUNTS
            assert logs["accuracy"] == pytest.approx(hits.sum() / COUNTS.sum())
            assert logs["weighted_accuracy"] == pytest.approx((hits * given).sum() / (COUNTS * given).sum())


def test_a_batch_in_which_nothing_counts_changes_nothing():
    model = tagger()
    before = model.get_weights()
    assert model.train_on_batch(np.zeros((4, STEPS), "int64"), LABELS) == 0
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masked_steps_have_no_gradient():
    model = tagger()
    twin = tagger()
    other = np.where(COUNTS, LABELS, 2 - LABELS)
    model.fit(WORDS, LABELS, epochs=2, verbose=0)
    twin.fit(WORDS, other, epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_threads_and_modes_give_the_same_bits():
    found, before = set(), jitnet.get_num_threads()
    words = np.random.default_rng(0).integers(0, 5, (70, STEPS))
    for threads, mode in ((1, False), (2, False), (1, True), (2, True)):
        jitnet.set_num_threads(threads)
        model = tagger(layers.GRU(4, return_sequences=True, name="steps"), jit_compile=mode)
        model.fit(words, words % 3, batch_size=35, epochs=2, verbose=0)
        found.add(b"".join(w.tobytes() for w in model.get_weights()))
    jitnet.set_num_threads(before)
    assert len(found) == 1


def test_without_masks_nothing_is_computed():
    model = jitnet.Sequential([jitnet.Input((STEPS, FEATURES)), layers.GRU(2, return_sequences=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert "where" not in model.step_source() and "select" not in model.step_source()


# ---- gradients, in float64

suite = Suite()


def masked(kind, states: int, **options):
    """A recurrent layer of given weights; steps whose first number is low don't count."""

    def function(x, h, *weights):
        layer = layers.Bidirectional(kind(2, **options)) if states > 2 else kind(2, **options)
        layer(placeholder("x", x.shape[1:]))
        cells = [getattr(layer, p).cell for p in ("forward_layer", "backward_layer")] if states > 2 else [layer.cell]
        remaining = iter(weights)
        for cell in cells:
            cell.kernel, cell.recurrent_kernel, cell.bias = (next(remaining) for _ in range(3))
        found = layer(x, initial_state=[h] * states, mask=ops.greater(x[:, :, 0], -0.5))
        parts = found if isinstance(found, list) else [found]
        return ops.concatenate([ops.reshape(p, (-1, int(np.prod(p.shape[1:])))) for p in parts], axis=-1)

    return function


INPUTS = (normal(3, 2), normal(2))
LSTM, GRU = [Draw((2, 8)), Draw((2, 8)), Draw((8,))], [Draw((2, 6)), Draw((2, 6)), Draw((2, 6))]
suite.add("masks", "lstm", masked(layers.LSTM, 2, return_sequences=True, return_state=True), INPUTS, tuple(LSTM))
suite.add("masks", "gru", masked(layers.GRU, 1, zero_output_for_mask=True), INPUTS, tuple(GRU))
RESET_FIRST = (*GRU[:2], Draw((6,)))
suite.add("masks", "gru, reset first", masked(layers.GRU, 1, reset_after=False, go_backwards=True), INPUTS, RESET_FIRST)
suite.add("masks", "both ways", masked(layers.LSTM, 4, return_sequences=True), INPUTS, tuple(LSTM * 2))


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("case", suite.cases, ids=repr)
def test_central_differences(case, batch):
    suite.check_differences(case, batch)


@pytest.mark.parametrize(("axis", "shape"), [(1, (3, 5)), (1, (3, 2, 4)), (2, (3, 2, 4)), (-1, (3, 5))])
def test_statistics_of_channels_in_front(axis, shape):
    """A mask lies over the axes of the inputs but the last, whichever of them the channels are."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((6, *shape)).astype("float32")
    mask = generator.random(x.shape[:-1]) < 0.6
    layer = layers.BatchNormalization(axis=axis, momentum=0.0)
    y = layer(x, mask=mask, training=True)
    counts = np.broadcast_to(mask[..., None], x.shape)
    others = tuple(a for a in range(x.ndim) if a != axis % x.ndim)
    mean = x.mean(others, where=counts, keepdims=True)
    variance = x.var(others, where=counts, keepdims=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean.reshape(-1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance.reshape(-1), rtol=1e-5)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-5, atol=1e-5)


# ---- bad input


def test_masks_of_other_shapes_are_refused():
    x = np.ones((2, STEPS, FEATURES), "float32")
    for layer in (layers.LSTM(2), layers.Bidirectional(layers.GRU(2)), layers.GlobalAveragePooling1D()):
        with pytest.raises(ValueError, match=r"expects a mask \(batch, steps\) of shape \(None, 4\).*'\(None, 3\)'"):
            layer(x, mask=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match=r"mask that begins with \(None, 4\).*mask='\(None, 5\)'"):
        layers.TimeDistributed(layers.Dense(2))(x, mask=np.ones((2, 5), bool))
    with pytest.raises(ValueError, match=r"BatchNormalization expects a mask of shape \(None, 4\).*mask='\(None,\)'"):
        layers.BatchNormalization()(x, mask=np.ones(2, bool))
    with pytest.raises(ValueError, match=r"Softmax expects a mask that broadcasts .*\(None, 4, 3\)"):
        layers.Softmax()(x, mask=np.ones((2, STEPS), bool))
    with pytest.raises(ValueError, match=r"Masking expects mask_value to be.*Received: mask_value='a'"):
        layers.Masking("a")
    model = jitnet.Sequential([jitnet.Input((STEPS, FEATURES)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"has 1 inputs\. Received: 2 masks"):
        model(x, mask=[np.ones((2, STEPS)), np.ones((2, STEPS))])


def test_words_that_are_none_are_named():
    model = tagger()
    for batch_size in (1, 32):
        with pytest.raises(ValueError, match=r"'words' takes 'x' as indices from 0 to 4.*index=7, place=\(1, 2\)$"):
            model.predict(np.array([[1, 2, 3, 0], [1, 2, 7, 0]]), batch_size, verbose=0)


@needs_keras
@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize("name", ["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"])
def test_merging_what_has_masks_with_what_has_none(name):
    rows = np.random.default_rng(1).standard_normal((2, 4, STEPS, FEATURES)).astype("float32")
    rows[0] *= COUNTS[..., None]
    rows[1, :, 1] = 0
    for masked in ((True, False), (False, True), (True, True)):
        found = []
        for library in (jitnet, keras):
            first, second = (library.Input((STEPS, FEATURES)) for _ in range(2))
            parts = [library.layers.Masking()(x) if m else x for x, m in zip((first, second), masked, strict=True)]
            merged = getattr(library.layers, name)(**({"axis": 1} if name == "Concatenate" else {}))(parts)
            pooled = library.layers.GlobalAveragePooling1D()(merged)
            model = library.Model([first, second], [merged, pooled])
            found.append(model.predict_on_batch(list(rows)))
        for ours, theirs in zip(*found, strict=True):
            assert cases.difference(ours, theirs) < 1e-6


@needs_keras
@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize("name", ["LSTM", "BatchNormalization", "Conv1D", "GlobalAveragePooling1D", "Sequential"])
def test_layers_in_time_distributed(name):
    x = np.random.default_rng(2).standard_normal((4, STEPS, 3, 2)).astype("float32")
    x[1, 2:, 1:] = 0
    found, weights = [], None
    for library in (jitnet, keras):
        inner = {
            "LSTM": lambda layers: layers.LSTM(2), "BatchNormalization": lambda layers: layers.BatchNormalization(),
            "Conv1D": lambda layers: layers.Conv1D(2, 2),
            "GlobalAveragePooling1D": lambda layers: layers.GlobalAveragePooling1D(),
            "Sequential": lambda layers, models=library: models.Sequential([layers.Flatten(), layers.Dense(3, "tanh")]),
        }[name](library.layers)  # fmt: skip
        parts = [library.Input((STEPS, 3, 2)), library.layers.TimeDistributed(inner), library.layers.Flatten()]
        if name in ("LSTM", "GlobalAveragePooling1D"):
            parts.insert(1, library.layers.Masking())
        model = library.Sequential([*parts, library.layers.Dense(1)])
        weights = weights or [np.abs(w) + 0.1 for w in model.get_weights()]
        model.set_weights(weights)
        model.compile(library.optimizers.SGD(0.1), "mse")
        results = [model.predict_on_batch(x)]
        results += [[float(model.train_on_batch(x, np.ones((4, 1))))] for _ in range(2)]
        found.append(results + model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        assert cases.difference(ours, theirs) < 1e-5
