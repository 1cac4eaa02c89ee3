"""What scripts ask of Keras besides layers and losses: the session, data formats, objects by name, models from JSON."""

import re

import numpy as np
import pytest

import jitnet
from jitnet import backend, config, layers, losses, models, optimizers, saving, utils


def test_settings_that_have_one_value():
    assert config.backend() == "jitnet"
    assert config.epsilon() == backend.epsilon() == 1e-7
    assert config.image_data_format() == "channels_last"
    config.set_epsilon(1e-7)
    config.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match=r"Received: value=0\.1$"):
        config.set_epsilon(0.1)
    with pytest.raises(ValueError, match=r"Received: data_format='channels_first'$"):
        config.set_image_data_format("channels_first")


def test_names_of_keras_itself_that_are_absent_or_elsewhere():
    for name, way in {
        "name_scope": "give names to layers", "remat": 'compile(memory="low")', "InputSpec": "layers.InputSpec",
        "Regularizer": "regularizers.Regularizer",
    }.items():  # fmt: skip
        with pytest.raises(AttributeError, match=rf"jitnet has no '{name}'\. .*{re.escape(way)}"):
            getattr(jitnet, name)
    assert jitnet.layers.InputSpec and jitnet.regularizers.Regularizer


def test_a_cleared_session_names_layers_anew():
    backend.clear_session()
    first = layers.Dense(1).name
    assert layers.Dense(1).name == "dense_1"
    utils.clear_session()
    assert layers.Dense(1).name == first == "dense"
    assert backend.is_keras_tensor(jitnet.Input((1,))) and not backend.is_keras_tensor(np.zeros(1))


@pytest.mark.parametrize(
    "obj",
    [layers.Dense(3, "tanh", name="one"), losses.MeanSquaredError(), optimizers.Adam(0.1),
     jitnet.initializers.HeNormal(1), jitnet.regularizers.L2(0.1), jitnet.metrics.MeanSquaredError()],
    ids=lambda obj: type(obj).__name__,
)  # fmt: skip
def test_objects_by_name(obj):
    description = saving.serialize_keras_object(obj)
    other = saving.deserialize_keras_object(description)
    assert type(other) is type(obj)
    assert other.get_config() == obj.get_config()


def test_functions_and_none_by_name():
    assert saving.deserialize_keras_object(saving.serialize_keras_object(jitnet.activations.tanh)).__name__ == "tanh"
    assert saving.deserialize_keras_object(None) is None
    with pytest.raises(ValueError, match="nowhere"):
        saving.deserialize_keras_object({"class_name": "nowhere", "config": {}})


def test_custom_objects_of_the_process():
    class Twice(layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    description = saving.serialize_keras_object(Twice(name="twice"))
    with pytest.raises(ValueError, match="unknown"):
        saving.deserialize_keras_object(description)
    assert saving.get_registered_object("Twice") is None
    assert saving.get_registered_name(Twice) == "Twice"
    saving.get_custom_objects()["Twice"] = Twice
    try:
        assert type(saving.deserialize_keras_object(description)) is Twice
        assert saving.get_registered_object("Twice") is Twice
    finally:
        del saving.get_custom_objects()["Twice"]
    with saving.CustomObjectScope({"Twice": Twice}):
        assert saving.get_registered_object("Twice") is Twice


def test_model_from_json():
    model = jitnet.Sequential([jitnet.Input((2,)), layers.Dense(3, "relu"), layers.Dense(1)])
    other = models.model_from_json(model.to_json())
    assert other.get_config() == model.get_config()
    other.set_weights(model.get_weights())
    x = np.ones((2, 2), "float32")
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(ValueError, match="to_json"):
        models.model_from_json("{")
    with pytest.raises(ValueError, match="a model"):
        models.model_from_json('{"class_name": "Dense", "config": {"units": 1}}')
