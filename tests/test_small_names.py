"""Names of Keras that scripts use here and there: of utils, random and config; and what is refused, with the reason."""

import numpy as np
import pytest

import jitnet
from jitnet import config, layers, ops, optimizers, random, utils


def test_batches():
    x, y, w = np.ones(2), np.zeros(2), np.full(2, 0.5)
    for data in (x, (x, y), (x, y, w)):
        parts = utils.unpack_x_y_sample_weight(data)
        assert len(parts) == 3
        packed = utils.pack_x_y_sample_weight(*parts)
        assert packed is x if data is x else packed == data
    assert utils.unpack_x_y_sample_weight([x, y])[1] is y and utils.pack_x_y_sample_weight([x, y]) == ([x, y],)
    with pytest.raises(ValueError, match="Received: parts=4"):
        utils.unpack_x_y_sample_weight((x,) * 4)


def test_tensors_and_dtypes():
    a, b = layers.Input((3,)), layers.Input((3,))
    y = layers.Dense(2)(layers.add([a, b]))
    assert utils.get_source_inputs(y) == [a, b] and utils.get_source_inputs(a) == [a]
    assert utils.is_keras_tensor(y) and not utils.is_keras_tensor(np.ones(2))
    with pytest.raises(ValueError, match="symbolic tensor"):
        utils.get_source_inputs(np.ones(2))
    found = [utils.standardize_dtype(given) for given in (None, "int", "float", np.float64, np.dtype("uint8"), "bool")]
    assert found == ["float32", "int64", "float32", "float64", "uint8", "bool"]
    with pytest.raises(ValueError, match="expects a dtype"):
        utils.standardize_dtype("floating")


def test_registered_objects():
    @utils.register_keras_serializable("names")
    class Mine(layers.Layer):
        def call(self, inputs):
            return inputs

    assert utils.get_registered_name(Mine) == "names>Mine" and utils.get_registered_object("names>Mine") is Mine
    described = utils.serialize_keras_object(Mine(name="one"))
    assert utils.deserialize_keras_object(described).name == "one"
    with utils.CustomObjectScope({"Other": Mine}):
        assert utils.get_registered_object("Other") is Mine
    assert isinstance(utils.get_custom_objects(), dict)
    with pytest.raises(ImportError, match=r"Normalization, StringLookup.*Received: name='FeatureSpace'"):
        from jitnet.utils import FeatureSpace  # noqa: F401


def test_random_numbers_of_arrays():
    draws = {
        "gamma": (random.gamma((4000,), 2.5, seed=3), 2.5, 2.5),
        "beta": (random.beta((4000,), 2.0, 3.0, seed=3), 0.4, 0.04),
        "binomial": (random.binomial((4000,), 10, 0.3, seed=3), 3, 2.1),
    }
    for name, (found, mean, variance) in draws.items():
        assert found.dtype == np.float32
        assert abs(found.mean() - mean) < 4 * (variance / 4000) ** 0.5, name
        assert abs(found.var() / variance - 1) < 0.15, name
    again = random.gamma((4000,), 2.5, seed=3)
    np.testing.assert_array_equal(again, draws["gamma"][0])
    utils.set_random_seed(5)
    one, two = random.gamma((3,), np.float32([1, 2, 3])), random.gamma((3,), 1.0)
    utils.set_random_seed(5)
    np.testing.assert_array_equal(random.gamma((3,), [1, 2, 3]), one)
    assert (one != two).all()
    generator = random.SeedGenerator(1)
    assert (random.beta(2, 1, 1, seed=generator) != random.beta(2, 1, 1, seed=generator)).all()
    with pytest.raises(ValueError, match=r"outside of models.*Received: shape=\(None, 3\)"):
        random.gamma((None, 3), 1.0)


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        (config, "set_max_epochs", "Give epochs"),
        (config, "set_backend", "There is one"),
        (config, "enable_unsafe_deserialization", "holds no code"),
        (utils, "disable_interactive_logging", "Give verbose"),
        (utils, "audio_dataset_from_directory", "scipy.io.wavfile"),
        (layers, "AutoContrast", "RandAugment"),
        (optimizers, "MultiOptimizer", "train_step"),
        (ops, "erfinv", "no kernel"),
        (ops.image, "elastic_transform", "affine_transform"),
        (ops.linalg, "svd", "LAPACK"),
    ],
)
def test_what_is_refused_says_why(module, name, reason):
    with pytest.raises(AttributeError, match=rf"{reason}.*Received: name='{name}'"):
        getattr(module, name)


def test_input_specs():
    class Needy(layers.Layer):
        def __init__(self, spec, **kwargs):
            super().__init__(**kwargs)
            self.input_spec = spec

        def call(self, inputs):
            return inputs[0] + inputs[1] if isinstance(inputs, list) else inputs * 2.0

    spec = layers.InputSpec
    good = [
        (spec(ndim=2), (3,)), (spec(min_ndim=2, axes={-1: 3}), (4, 3)), (spec(shape=(None, 4, 3)), (4, 3)),
        (spec(shape=(None, 4, 1), allow_last_axis_squeeze=True), (4,)), (spec(dtype="float32", max_ndim=3), (1, 2)),
        (spec(axes={1: None, 2: 3}), (4, 3)),
    ]  # fmt: skip
    bad = [
        (spec(ndim=3), (3,)), (spec(min_ndim=3), (3,)), (spec(max_ndim=2), (3, 3)), (spec(axes={-1: 4}), (4, 3)),
        (spec(shape=(None, 4, 3)), (4, 2)), (spec(shape=(None, 4)), (4, 1)), (spec(dtype="int32"), (3,)),
        (spec(axes={3: 2}), (3,)), ([spec(ndim=2), spec(ndim=2)], (3,)),
    ]  # fmt: skip
    for given, shape in good:
        assert Needy(given)(layers.Input(shape)).shape == (None, *shape)
        assert spec.from_config(given.get_config()).get_config() == given.get_config()
    for given, shape in bad:
        with pytest.raises(ValueError, match=r"Layer 'needy.*input_spec.*Received: "):
            Needy(given)(layers.Input(shape))
    pair = Needy([spec(ndim=2), spec(axes={-1: 3})])
    assert pair([layers.Input((3,)), layers.Input((3,))]).shape == (None, 3)
    with pytest.raises(ValueError, match=r"expects an input of \{'axes': \{-1: 3\}\}\. Received: shape=\(None, 1\)"):
        pair([layers.Input((3,)), layers.Input((1,))])
    assert repr(spec(ndim=2, axes={1: 3})) == "InputSpec(ndim=2, axes={1: 3})"


def test_constraint_of_an_embedding():
    embedding = layers.Embedding(5, 2, embeddings_constraint=jitnet.constraints.UnitNorm(axis=1))
    model = jitnet.Sequential([layers.Input((3,), dtype="int32"), embedding, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.array([[0, 1, 2], [2, 1, 0], [4, 4, 4]])
    model.train_on_batch(x, np.ones(3))
    np.testing.assert_allclose(np.linalg.norm(embedding.get_weights()[0], axis=1), 1, rtol=1e-5)
    config = embedding.get_config()
    assert layers.Embedding.from_config(config).get_config() == config and "UnitNorm" in str(config)


def test_equations_of_einsum_dense_that_are_refused():
    x = layers.Input((3, 5))
    for arguments in (("abc,cd", 4), ("abc->abd", 4), ("ab,bc->ac", 4), ("abc,cd->abd", (2, 4)),
                      ("abc,cd->abd", 4, None, "z"), ("abc,cde->abde", (None, 4))):  # fmt: skip
        with pytest.raises(ValueError, match=r"EinsumDense.*Received: "):
            layers.EinsumDense(*arguments)(x)
