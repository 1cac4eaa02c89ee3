"""What wrong configurations are told, before anything is read; what settings change."""

import re
import tomllib

import pytest
from test_configuration import DESCRIBED, failure, workplace  # noqa: F401

from jitnet import configuration


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("model.layers.0.filter=3", "'model.layers.0.filter'. Did you mean 'model.layers.0.filters'?"),
        ("model.layers.0.class=Conv2d", "model.layers.0.class: Unknown layer 'Conv2d'. Did you mean 'Conv2D'?"),
        ("model.layers.0.filters=many", "model.layers.0: Conv2D expects filters to be a positive integer. "
         "Received: filters='many'"),
        ("model.layers.0.filters=-3", "Conv2D expects filters to be a positive integer. Received: filters=-3"),
        ("model.layers.0.use_bias=1", "model.layers.0.use_bias must be true or false. Received: model.layers.0"),
        ("model.layers.9.filters=3", "model.layers has 4 entries, from 0. Received: set='model.layers.9.filters'"),
        ("model.layers.x=3", "model.layers has 4 entries, from 0"),
        ("model.layers.0.kernel_regularizer.class=L3", "model.layers.0.kernel_regularizer.class: Unknown regularizer"),
        ("model.layers.0.kernel_regularizer.l1=2", "Did you mean 'model.layers.0.kernel_regularizer.l2'?"),
        ("model.layers.0.kernel_initializer=he_norml", "model.layers.0: Unknown initializer 'he_norml'. Did you mean"),
        ("model.layers.2.rate.decay_steps=3", "takes decay_steps or decay_epochs, not both"),
        ("model.layers.2.rate=2", "Dropout expects rate to be"),
        ("model.layers.1.class=Lambda", "model.layers.1.class: Unknown layer 'Lambda'"),
        ("model.layers.1.class=Normalization", "must be the first layer"),
        ("model.layers.1=3", "model.layers must be a list of tables"),
        ("model.layers=[]", "model.layers must list at least one layer"),
        ("model.name=a/b", "model.name must be a name without '/'"),
        ("model.layer=3", "'model.layer'. Did you mean 'model.layers'?"),
        ("optimizer.class=AdamV", "Unknown optimizer 'AdamV'. Did you mean 'Adam'?"),
        ("optimizer.beta_3=0.5", "Did you mean 'optimizer.beta_2'?"),
        ("optimizer.beta_2=-1", "optimizer: AdamW expects beta_2"),
        ("optimizer.learning_rate=fast", "optimizer.learning_rate must be a number. Received"),
        ("optimizer.learning_rate.decay_epoch=3", "Did you mean 'optimizer.learning_rate.decay_epochs'?"),
        ("optimizer.learning_rate={decay_epochs = 3}", "optimizer.learning_rate has no class, the name of"),
        ("loss=mean_squared_eror", "Unknown loss 'mean_squared_eror'. Did you mean 'mean_squared_error'?"),
        ("loss.class=Mse", "loss.class: Unknown loss 'Mse'"),
        ("metrics=accuracy", "metrics must be a list"),
        ('metrics=["acuracy"]', "Unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ("callbacks.0.class=EarlyStoping", "Did you mean 'EarlyStopping'?"),
        ("callbacks.0.class=LambdaCallback", "Unknown callback 'LambdaCallback'"),
        ("callbacks.0.patience=long", "callbacks.0.patience must be a number. Received: callbacks.0.patience='long'"),
        ("callbacks.0.mode=best", "callbacks.0: `mode` must be 'auto', 'min' or 'max'. Received: mode='best'"),
        ("validation_split=0", "EarlyStopping watches the validation, which there is none of"),
        ("callbacks.1.filepath=/tmp/x.safetensors", "callbacks.1.filepath must be a path within the run's folder"),
        ("callbacks.1.filepath=a/../../x.safetensors", "must be a path within the run's folder"),
        ("callbacks.1.filepath=C:x", "must be a path within the run's folder"),
        ("callbacks.1.filepath=model.safetensors", "must be none of the run's own files"),
        ("callbacks.1.filepath={epoch!s:.>2.0}/x.safetensors", "may name values alone, with formats such as"),
        ("callbacks.1.filepath={epoch.real}.safetensors", "may name values alone"),
        ("callbacks.1.filepath={epoch", "is no path with names in braces"),
        ("callbacks.0.monitor=3", "EarlyStopping expects monitor to be a string"),
        ("callbacks.0.baseline=best", "EarlyStopping expects baseline to be a finite number. Received: baseline"),
        ("callbacks.2.filename=3", "callbacks.2.filename must be a string"),
        ("augmentation.0.class=Conv2D", "augmentation.0.class: Unknown augmentation 'Conv2D'"),
        ("augmentation.0.class=MixUp", "MixUp mixes labels, too"),
        ("augmentation.0.height_factor=high", "augmentation.0"),
        ("data.images=x", "dataset = 'digits' leaves no room for files"),
        ("model.layers.0.kernel_size=2024-01-01", "model.layers.0.kernel_size must be a number, a string"),
        ("epoch=3", "Unknown configuration key 'epoch'. Did you mean 'epochs'?"),
        ("callbacks=[{class = \"ReduceLROnPlateau\"}]", "which a schedule governs already"),
        ("model.layers.0.seed.x.y=1", "Unknown configuration key 'model.layers.0.seed'"),
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_mistakes_are_told_before_anything_is_read(setting, expected, workplace, capsys, monkeypatch):  # noqa: F811
    def load(config):
        raise AssertionError("data were loaded")

    monkeypatch.setattr(configuration, "load_data", load)
    (workplace / "asked.toml").write_text(DESCRIBED)
    said = failure(capsys, ["train", "asked.toml", "--set", setting])
    assert expected in said
    assert [path.name for path in workplace.iterdir()] == ["asked.toml"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[data]\ntarget = 'x'", "[data] no files: give x and y (.npy), csv, or images"),
        ("[data]\nx = 'x.npy'", "data.y is missing"),
        ("[data]\nx = 'x.npy'\ny = 'y.npy'\ntest_x = 'x.npy'", "data.test_y is missing"),
        ("[data]\ncsv = 'x.csv'", "data.target is missing"),
        ("[data]\ncsv = 'x.csv'\ntarget = 'a'\nseparator = ';;'", "data.separator must be one character"),
        ("[data]\ncsv = 'x.csv'\ntarget = 'a'\ncolums = ['b']", "Did you mean 'data.columns'?"),
        ("[data]\ncsv = 'x.csv'\ntarget = 'a'\ncolumns = ['b', 'b']", "must name each only once"),
        ("dataset = 'digits'\n[model]\nlayers = [{class = 'Flatten'}]", "The configuration has no loss"),
        ("dataset = 'imdb'\nshift = true\n[model]\nlayers = [{class = 'Flatten'}]", "shift is for pictures"),
        ("dataset = 'imdb'", "The recipes' models are for pictures: describe the model by [[model.layers]]"),
        ("dataset = 'imdb'\n[data]\nnum_words = 0", "data.num_words must be a whole number from 1 up"),
        ("dataset = 'digits'\n[model]\nlayers = [{units = 3}]", "model.layers.0 has no class, the name of its layer"),
        ("dataset = 'digits'\n[model]\nlayers = [{class = 'Dense'}]", "model.layers.0 lacks units, which Dense needs"),
        (
            "dataset = 'digits'\nloss = 'mse'\n[model]\nlayers = [{class = 'Flatten'}]\n"
            "[optimizer]\nlearning_rate = {class = 'CosineDecay', initial_learning_rate = 1}",
            "optimizer.learning_rate lacks decay_steps or decay_epochs, which CosineDecay needs",
        ),
    ],
)
def test_what_a_configuration_lacks(text, expected):
    with pytest.raises(ValueError, match=re.escape(expected)):
        configuration.resolve(tomllib.loads(text), {})


def test_settings_replace_what_has_another_class():
    given = tomllib.loads(DESCRIBED)
    config = configuration.resolve(given, {"optimizer.class": "SGD", "optimizer.momentum": 0.9})
    assert config["optimizer"]["learning_rate"] == 0.01 and config["optimizer"]["momentum"] == 0.9
    config = configuration.resolve(given, {"model.layers.3.class": "Dense", "optimizer.learning_rate": 0.5})
    assert config["model"]["layers"][3]["units"] == 10 and config["optimizer"]["learning_rate"] == 0.5
    config = configuration.resolve(given, {"model.layers.1.class": "GlobalAveragePooling2D"})
    assert config["model"]["layers"][1]["class"] == "GlobalAveragePooling2D"
    config = configuration.resolve(given, {"model.name": "mlp", "optimizer.name": "sgd"})
    assert config["model"]["units"] == [128, 64] and config["optimizer"]["schedule"] == "cosine"
    assert configuration.resolve(given, {"model.name": "mine"})["model"]["name"] == "mine"
    assert given == tomllib.loads(DESCRIBED)
    recipe = configuration.resolve({"dataset": "digits"}, {})
    config = configuration.resolve(recipe, {"optimizer.class": "Lion"})
    assert config["optimizer"]["class"] == "Lion" and "schedule" not in config["optimizer"]
    assert configuration.resolve(config, {"optimizer.name": "adam"}) == recipe


def test_odd_texts_are_written_and_read_again():
    odd = {"a b.c": ['"\\\n\x7f\x01é', {"x": 1.5, "y.z": [True]}], "t": [{"n": {"m": float("inf")}}], "e": []}
    assert tomllib.loads(configuration.to_toml(odd)) == odd


