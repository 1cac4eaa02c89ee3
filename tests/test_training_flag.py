"""Whether layers behave as in training: the flag flows from callers to all that is in them; what is drawn differs."""

import numpy as np
import pytest
from small_networks import convolutional, digest, images

import jitnet
from jitnet import _seed, layers, models
from jitnet.core.operations.normalization import BatchNorm
from jitnet.core.operations.random import Dropout
from jitnet.core.trace import topological_order
from jitnet.core.values import placeholder


def modes(outputs) -> list[bool]:
    """Of every batch normalisation and dropout between inputs and ``outputs``: whether it behaves as in training."""
    outputs = outputs if isinstance(outputs, list) else [outputs]
    operations = [a.operation for a in topological_order(outputs)]
    return [
        operation.training if isinstance(operation, BatchNorm) else operation.rate != 0
        for operation in operations
        if isinstance(operation, BatchNorm | Dropout)
    ]


def both():
    return [layers.BatchNormalization(), layers.Dropout(0.5)]


class Block(layers.Layer):
    """Calls its parts without saying ``training``."""

    def __init__(self, parts=None, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts or both()

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


class OwnModel(models.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = Block()

    def call(self, inputs):
        return self.block(inputs)


def functional(layer):
    x = jitnet.Input((5,))
    return models.Model(x, layer(x))


KINDS = {
    "a layer with layers": Block,
    "layers in layers": lambda: Block([Block()]),
    "Sequential": lambda: models.Sequential(both()),
    "a functional model": lambda: functional(Block()),
    "a model in a model": lambda: functional(functional(models.Sequential([jitnet.Input((5,)), *both()]))),
    "a model with its own call": OwnModel,
    "a model with its own call in another": lambda: models.Sequential([OwnModel()]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_flag_flows_to_all_that_is_not_told_otherwise(kind):
    made = KINDS[kind]()
    x = placeholder("x", (5,))
    assert modes(made(x)) == [False, False]
    assert modes(made(x, training=True)) == [True, True]
    assert modes(made(x, training=False)) == [False, False]
    if isinstance(made, models.Model):
        if made._graph_inputs is None:
            made.build((None, 5)) if isinstance(made, models.Sequential) else made._build_from_tensors(x)
        assert modes(made._trace(True)[1]) == [True, True]
        assert modes(made._trace(False)[1]) == [False, False]


class Partly(layers.Layer):
    """One part is told, the next is not."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.told, self.untold = Block(), Block()

    def call(self, inputs):
        return self.untold(self.told(inputs, training=False))


class ByDefault(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = Block()

    def call(self, inputs, training=True):
        return self.block(inputs)


def test_who_is_told_and_who_has_a_default():
    x = placeholder("x", (5,))
    assert modes(Partly()(x, training=True)) == [False, False, True, True]
    assert modes(ByDefault()(x)) == [True, True]
    assert modes(ByDefault()(x, training=False)) == [False, False]
    assert modes(functional(ByDefault())._trace(False)[1]) == [False, False]
    frozen = layers.BatchNormalization(trainable=False)
    assert modes(frozen(x, training=True)) == [False]


def told_model():
    """A base that is told not to train, a normalisation that isn't told, and a dropout that always drops."""
    base = models.Sequential(
        [jitnet.Input((5,)), layers.Dense(4, name="inner"), layers.BatchNormalization(name="fixed")], name="base"
    )
    x = jitnet.Input((5,), name="x")
    y = layers.BatchNormalization(name="free")(base(x, training=False))
    y = layers.Dropout(0.5, name="always")(y, training=True)
    return models.Model(x, layers.Dense(2, name="last")(y), name="told")


def test_what_a_graph_says_stays_when_it_is_trained_saved_and_cloned(tmp_path):
    model = told_model()
    model.compile(jitnet.optimizers.SGD(0.1), "mse")
    assert modes(model._trace(True)[1]) == [False, True, True]
    assert modes(model._trace(False)[1]) == [False, False, True]
    before = {v.name: v.numpy() for v in model.weights}
    model.fit(np.random.default_rng(0).normal(size=(8, 5)), np.ones((8, 2)), batch_size=8, verbose=0)
    changed = {v.name for v in model.weights if not np.array_equal(v.value, before[v.name])}
    assert "inner/kernel" in changed and "fixed/gamma" in changed
    assert {n for n in before if "moving" in n} & changed == {"free/moving_mean", "free/moving_variance"}
    model.save(tmp_path / "model")
    for copy in (
        jitnet.load_model(tmp_path / "model"),
        models.Model.from_config(model.get_config()),
        models.clone_model(model),
    ):
        assert modes(copy._trace(True)[1]) == [False, True, True]
        assert modes(copy._trace(False)[1]) == [False, False, True]


def test_batch_normalization_called_in_training_mode_uses_the_batch():
    x = np.random.default_rng(1).normal(2, 3, (7, 5)).astype("float32")
    layer = layers.BatchNormalization(momentum=0.75)
    model = models.Sequential([jitnet.Input((5,)), layer])
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    np.testing.assert_allclose(model(x, training=True), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.25 * x.mean(0), rtol=1e-5)  # as in Keras
    np.testing.assert_allclose(layer(x), (x - 0.25 * x.mean(0)) / np.sqrt(layer.moving_variance.value + 1e-3), 1e-4)


# ---- random numbers of predictions

ONES = np.ones((8, 40), "float32")


@pytest.fixture(scope="module")
def dropping():
    """Drops always, with the seed of the run and with one of its own."""
    x = jitnet.Input((40,), name="x")
    y = layers.Dropout(0.5)(x, training=True)
    model = models.Model(x, [y, layers.Dropout(0.5, seed=3)(x, training=True)], name="dropping")
    model.compile("sgd", "mse", jit_compile=False)
    return model


def differ(a, b) -> bool:
    """Whether masks of rate 0.5 are as different as independent ones: half of their elements."""
    return 0.3 < ((a == 0) != (b == 0)).mean() < 0.7


CALLS = {
    "predict": lambda model: model.predict(ONES, batch_size=4, verbose=0),
    "predict_on_batch": lambda model: model.predict_on_batch(ONES),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_prediction_and_batch_draws_anew(dropping, call):
    def several():
        jitnet.utils.set_random_seed(5)
        return [CALLS[call](dropping) for _ in range(3)]

    results = several()
    for output in (0, 1):
        masks = [result[output] for result in results]
        assert differ(masks[0], masks[1]) and differ(masks[1], masks[2]) and differ(masks[0], masks[2])
        assert all(differ(mask[:4], mask[4:]) for mask in masks)  # the next batch, and other rows
        assert set(np.unique(masks)) == {0, 2}
        for again, mask in zip(several(), masks, strict=True):
            np.testing.assert_array_equal(again[output], mask)
    assert differ(results[0][0], results[0][1])
    jitnet.utils.set_random_seed(6)
    other = CALLS[call](dropping)
    assert differ(other[0], results[0][0])
    np.testing.assert_array_equal(other[1], results[0][1])  # has a seed of its own


def test_calls_on_arrays_draw_anew():
    layer = layers.Dropout(0.5)
    model = models.Sequential([jitnet.Input((40,)), layer])
    for called in (layer, model):
        jitnet.utils.set_random_seed(5)
        first, second = called(ONES, training=True), called(ONES, training=True)
        assert differ(first, second)
        jitnet.utils.set_random_seed(5)
        np.testing.assert_array_equal(called(ONES, training=True), first)
        np.testing.assert_array_equal(called(ONES), ONES)


def test_evaluation_draws_anew(dropping):
    targets = [np.zeros((8, 40))] * 2
    jitnet.utils.set_random_seed(5)
    found = [dropping.evaluate(ONES, targets, batch_size=4, verbose=0) for _ in range(3)]
    assert len({tuple(np.atleast_1d(losses)) for losses in found}) == 3
    jitnet.utils.set_random_seed(5)
    assert dropping.evaluate(ONES, targets, batch_size=4, verbose=0) == found[0]


def test_the_short_way_of_predictions_is_for_those_that_draw_nothing(dropping):
    x = dropping.inputs[0]
    one = models.Model(x, layers.Dropout(0.5)(x, training=True))
    first, second = one.predict_on_batch(ONES), one.predict_on_batch(ONES)
    assert differ(first, second) and one._quick is None
    plain = models.Model(x, layers.Dropout(0.5)(x))
    plain.predict_on_batch(ONES)
    assert plain._quick is not None


def test_training_draws_what_it_drew_without_predictions_between(dropping):
    assert _seed.next_draws(3) + 3 == _seed.next_draws() >= _seed.FIRST_DRAW
    x, y = images()
    digests = set()
    for between in (False, True):
        jitnet.utils.set_random_seed(0)
        model = convolutional()
        for _ in range(2):
            model.fit(x, y, batch_size=8, verbose=0)
            if between:
                dropping.predict(ONES, verbose=0)
        digests.add(digest(model))
    assert len(digests) == 1
