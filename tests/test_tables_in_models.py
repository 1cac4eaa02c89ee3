"""Lookups of words and numbers right after the inputs of a functional model: they work on arrays, before the step."""

import copy

import numpy as np
import pytest

import jitnet
from jitnet import layers

GENERATOR = np.random.default_rng(0)
SAMPLES = 30
TABLE = {
    "colour": np.array(["red", "green", "blue", "mauve"])[GENERATOR.integers(4, size=SAMPLES)],
    "size": GENERATOR.integers(10, 14, size=SAMPLES),
    "weight": GENERATOR.normal(size=SAMPLES).astype("float32"),
}
TARGETS = GENERATOR.normal(size=(SAMPLES, 1)).astype("float32")
COLOURS = layers.StringLookup(vocabulary=["red", "green", "blue"], output_mode="one_hot", name="colours")
SIZES = layers.IntegerLookup(vocabulary=[10, 11, 12], name="sizes")
BINS = layers.Discretization([-0.5, 0.5], name="bins")


def columns():
    return {
        "weight": jitnet.Input((1,), name="weight"),
        "size": jitnet.Input((1,), name="size", dtype="int64"),
        "colour": jitnet.Input((1,), name="colour", dtype="string"),
    }


def numbers(colours, sizes, bins, weight):
    """The same for what tables make of a column, whatever makes it."""
    encoded = layers.CategoryEncoding(4, "one_hot", name="encoded")(sizes)
    binned = layers.Flatten()(layers.Embedding(3, 2, name="of_bins")(bins))
    scaled = layers.Normalization(mean=0.5, variance=4.0)(weight)
    return layers.Dense(1, name="result")(layers.Concatenate()([colours, encoded, binned, scaled]))


def network():
    x = columns()
    result = numbers(COLOURS(x["colour"]), SIZES(x["size"]), BINS(x["weight"]), x["weight"])
    model = jitnet.Model(x, result, name="table")
    model.compile(jitnet.optimizers.SGD(0.1), "mse")
    return model


def plain():
    """The same network over arrays, with the tables before it."""
    x = [jitnet.Input((4,)), jitnet.Input((1,), dtype="int64"), jitnet.Input((1,), dtype="int64"), jitnet.Input((1,))]
    model = jitnet.Model(x, numbers(*x))
    model.compile(jitnet.optimizers.SGD(0.1), "mse")
    return model


def looked_up():
    colour, size, weight = (TABLE[name][:, None] for name in ("colour", "size", "weight"))
    return [COLOURS(colour), SIZES(size), BINS(weight), weight]


def test_training_and_predictions_are_those_of_tables_before_the_model(tmp_path):
    model, other = network(), plain()
    other.set_weights(model.get_weights())
    given = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False, "validation_split": 0.2}
    history = model.fit(TABLE, TARGETS, **given).history
    assert history == other.fit(looked_up(), TARGETS, **given).history
    expected = other.predict(looked_up(), verbose=0)
    columns_of_lists = {name: column.tolist() for name, column in TABLE.items()}
    for table in (TABLE, columns_of_lists, {name: column[:, None] for name, column in TABLE.items()}):
        np.testing.assert_array_equal(model.predict(table, verbose=0), expected)
        np.testing.assert_array_equal(model.predict_on_batch(table), expected)
    np.testing.assert_allclose(np.asarray(model(TABLE)), expected, rtol=1e-6)
    assert model.evaluate(TABLE, TARGETS, verbose=0) == other.evaluate(looked_up(), TARGETS, verbose=0)
    batches = [({name: column[i : i + 10] for name, column in TABLE.items()}, TARGETS[i : i + 10]) for i in (0, 10, 20)]
    assert np.isfinite(model.fit(iter(batches), steps_per_epoch=3, verbose=0).history["loss"][0])
    assert np.isclose(model.test_on_batch(TABLE, TARGETS), model.train_on_batch(TABLE, TARGETS), rtol=1e-6)
    expected = model.predict(TABLE, verbose=0)
    model.save(tmp_path / "model")
    for again in (jitnet.load_model(tmp_path / "model"), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.predict(TABLE, verbose=0), expected)
    clone = jitnet.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(TABLE, verbose=0), expected)


def test_a_column_of_a_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TABLE)
    model = network()
    np.testing.assert_array_equal(model.predict(dict(frame), verbose=0), model.predict(TABLE, verbose=0))


def test_what_a_model_says_of_itself(capsys):
    model = network()
    assert model.input_names == ["colour", "size", "weight"]
    assert model.input_shape == {"weight": (None, 1), "size": (None, 1), "colour": (None, 1)}
    assert [x.dtype for x in model.inputs] == ["string", "int64", "float32"]
    assert {"colours", "sizes", "bins", "colour"} < {layer.name for layer in model.layers}
    assert COLOURS.output.shape == (None, 4) and SIZES.output.dtype == "int64"
    model.summary()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["colours", "(StringLookup)", "(None,", "4)", "0", "0"] in [line[:6] for line in lines]


def test_texts_and_chains_of_tables():
    texts = np.array(["a b c", "c b", "d a a a"])
    x = jitnet.Input((1,), dtype="string")
    words = layers.TextVectorization(vocabulary=["a", "b", "c"], output_sequence_length=4)
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(5, 2)(words(x)))
    model = jitnet.Model(x, layers.Dense(2)(mean))
    found = model.predict(texts, verbose=0)
    np.testing.assert_array_equal(found, model.predict(texts.tolist(), verbose=0))
    y = tokens = jitnet.Input((4,), dtype="int64")
    for layer in model.layers[-3:]:
        y = layer(y)
    inner = jitnet.Model(tokens, y)
    np.testing.assert_allclose(inner.predict(words(texts), verbose=0), found, rtol=1e-6)
    chain = layers.IntegerLookup(vocabulary=[0, 3])(layers.Hashing(5)(x))
    model = jitnet.Model(x, layers.Embedding(3, 1)(chain))
    expected = layers.IntegerLookup(vocabulary=[0, 3])(layers.Hashing(5)(texts[:, None]))
    np.testing.assert_array_equal(model.predict(texts, verbose=0)[:, 0, 0], model.get_weights()[0][expected[:, 0], 0])


def test_a_train_step_is_given_what_tables_made():
    class Own(jitnet.Model):
        def train_step(self, data):
            x, y = data
            loss = jitnet.ops.mean(jitnet.ops.square(self(x, training=True) - y))
            return {"loss": loss}

    x = columns()
    model = Own(x, numbers(COLOURS(x["colour"]), SIZES(x["size"]), BINS(x["weight"]), x["weight"]))
    model.compile("sgd")
    expected = np.square(model.predict(TABLE, verbose=0) - TARGETS).mean()
    found = model.fit(TABLE, TARGETS, batch_size=SAMPLES, verbose=0).history["loss"][0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def after_a_dense(x):
    return BINS(layers.Dense(1)(x["weight"]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: after_a_dense(x), r"'bins' \(Discretization\) works on arrays.*nothing that the step computes"),
        (lambda x: BINS(x["weight"] * 2.0), "follows an Input, or layers of its kind"),
        (lambda x: layers.Dense(2)(x["colour"]), r"A model's step has no strings: StringLookup"),
        (lambda x: x["colour"] + 1.0, r"A model's step has no strings.*Received: add"),
        (lambda x: jitnet.Model(x, SIZES(x["size"])), "outputs are computed by its step"),
        (lambda x: jitnet.Input((1,), dtype="text"), r"Input.*dtype"),
        (lambda x: layers.StringLookup()(x["colour"]), "no vocabulary|vocabulary"),
        (lambda x: network()(x), "begins with .*can't be a part of another model"),
        (lambda x: network().predict({**TABLE, "colour": TABLE["size"]}, verbose=0), r"'colour' of .* takes strings"),
        (lambda x: network().predict({**TABLE, "size": TABLE["colour"]}, verbose=0), r"'size' of .* takes numbers"),
        (lambda x: network().predict({"size": TABLE["size"]}, verbose=0), "colour"),
        (lambda x: network().predict({**TABLE, "size": TABLE["size"][:4]}, verbose=0), "same number of samples"),
        (lambda x: network().predict({**TABLE, "size": np.ones((30, 2))}, verbose=0), r"shape \(None, 1\)"),
        (lambda x: jitnet.models.clone_model(network(), clone_function=lambda layer: layer), "cloned as it is"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(columns())
