"""Scripts written for Keras run after ``import jitnet as keras``."""

import importlib
import struct
from pathlib import Path

import numpy as np
import pytest

import jitnet

# the example "Simple MNIST convnet" of Keras's documentation; two lines differ: the import, and one epoch instead of 15
SIMPLE_MNIST_CONVNET = '''
import numpy as np
import jitnet as keras
from jitnet import layers

# Model / data parameters
num_classes = 10
input_shape = (28, 28, 1)

# Load the data and split it between train and test sets
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()

# Scale images to the [0, 1] range
x_train = x_train.astype("float32") / 255
x_test = x_test.astype("float32") / 255
# Make sure images have shape (28, 28, 1)
x_train = np.expand_dims(x_train, -1)
x_test = np.expand_dims(x_test, -1)
print("x_train shape:", x_train.shape)
print(x_train.shape[0], "train samples")
print(x_test.shape[0], "test samples")


# convert class vectors to binary class matrices
y_train = keras.utils.to_categorical(y_train, num_classes)
y_test = keras.utils.to_categorical(y_test, num_classes)

model = keras.Sequential(
    [
        keras.Input(shape=input_shape),
        layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(num_classes, activation="softmax"),
    ]
)

model.summary()

batch_size = 128
epochs = 1

model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])

model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs, validation_split=0.1)

score = model.evaluate(x_test, y_test, verbose=0)
print("Test loss:", score[0])
print("Test accuracy:", score[1])
'''

TRAIN, TEST = 3000, 200


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype("uint8").tobytes())


def drawn_digits(samples):
    """Images (samples, 28, 28) of noise with a bar whose place tells the class; labels (samples,)."""
    generator = np.random.default_rng(samples)
    labels = generator.integers(0, 10, samples)
    digits = generator.integers(0, 60, (samples, 28, 28))
    for image, label in zip(digits, labels, strict=True):
        row = 3 + 5 * (label % 5)
        image[row : row + 3, 3:13] = 250
        if label >= 5:
            image[3:25, 20:23] = 250
    return digits, labels


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """``JITNET_DATA_DIR`` with the first images of MNIST where it lies beside the repository, else with drawn ones."""
    real = Path(jitnet.__file__).parents[2] / "shared" / "datasets"
    parts = [drawn_digits(TRAIN), drawn_digits(TEST)]
    if (real / "mnist").is_dir():
        monkeypatch.setenv("JITNET_DATA_DIR", str(real))
        parts = jitnet.datasets.mnist.load_data()
    (tmp_path / "mnist").mkdir()
    for (x, y), name, samples in zip(parts, ("train", "t10k"), (TRAIN, TEST), strict=True):
        write_idx(tmp_path / "mnist" / f"{name}-images-idx3-ubyte", x[:samples])
        write_idx(tmp_path / "mnist" / f"{name}-labels-idx1-ubyte", y[:samples])
    monkeypatch.setenv("JITNET_DATA_DIR", str(tmp_path))


def test_simple_mnist_convnet(small_mnist, capsys):
    names = {}
    exec(compile(SIMPLE_MNIST_CONVNET, "mnist_convnet.py", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["x_train shape: (3000, 28, 28, 1)", "3000 train samples", "200 test samples"]
    assert any("34,826" in line for line in lines)  # the parameters that Keras counts
    assert any(line.startswith("Epoch 1/1 - ") and "val_accuracy" in line for line in lines)
    assert [line.split(":")[0] for line in lines[-2:]] == ["Test loss", "Test accuracy"]
    # one epoch of 22 steps; guessing would give 0.1 and 2.3
    assert names["score"][1] > 0.4 and names["score"][0] < 2.2
    assert np.isclose(names["model"].predict(names["x_test"], verbose=0).sum(axis=1), 1).all()


def test_modules_have_keras_names():
    for name in (
        "activations", "callbacks", "config", "datasets", "initializers", "layers", "losses", "metrics", "models",
        "ops", "optimizers", "optimizers.schedules", "regularizers", "saving", "utils",
    ):  # fmt: skip
        module = importlib.import_module(f"jitnet.{name}")
        parent, _, last = f"jitnet.{name}".rpartition(".")
        assert getattr(importlib.import_module(parent), last) is module
    for name in ("Input", "KerasTensor", "Layer", "Model", "Sequential", "Variable", "Loss", "Metric", "Optimizer"):
        assert isinstance(getattr(jitnet, name), object)


def test_imports_as_keras_users_write_them():
    names = {}
    exec(
        "from jitnet.optimizers.schedules import ExponentialDecay\n"
        "from jitnet.optimizers import SGD, Adam\n"
        "from jitnet.models import Model, Sequential, load_model\n"
        "from jitnet.layers import Conv2D, Dense, Input\n"
        "from jitnet.callbacks import EarlyStopping, ModelCheckpoint\n"
        "from jitnet.utils import set_random_seed, to_categorical\n"
        "from jitnet.datasets import mnist\n"
        "import jitnet.optimizers.schedules as schedules\n",
        names,
    )
    assert names["ExponentialDecay"] is jitnet.optimizers.schedules.ExponentialDecay
    assert names["schedules"] is jitnet.optimizers.schedules
    assert names["load_model"] is jitnet.load_model


def test_a_functional_script_with_schedules_seeds_and_saving(tmp_path):
    keras = jitnet
    keras.utils.set_random_seed(812)
    inputs = keras.Input(shape=(4,), name="features")
    x = keras.layers.Dense(6, activation="relu", kernel_initializer="he_normal")(inputs)
    x = keras.layers.Dropout(0.1)(x)
    both = keras.layers.Concatenate()([x, inputs])
    outputs = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(1e-4))(both)
    model = keras.Model(inputs=inputs, outputs=outputs, name="regression")
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=20, decay_rate=0.9)
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=schedule, momentum=0.9, nesterov=True),
        loss=keras.losses.MeanSquaredError(),
        metrics=[keras.metrics.MeanAbsoluteError()],
    )
    data = np.random.default_rng(0).normal(size=(64, 4))
    target = data @ [1.0, -2.0, 0.5, 0.0]
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=50, restore_best_weights=True)
    history = model.fit(data, target, batch_size=16, epochs=40, validation_split=0.25, callbacks=[stop], verbose=0)
    logs = {"loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"}
    assert set(history.history) == {*logs, "learning_rate"}  # what a schedule governs is in the history, too
    assert history.history["val_loss"][-1] < 0.1 * history.history["val_loss"][0]
    model.save(tmp_path / "regression.safetensors")
    again = keras.models.load_model(tmp_path / "regression.safetensors")
    np.testing.assert_array_equal(model.predict(data, verbose=0), again.predict(data, verbose=0))
    assert again.evaluate(data, target, verbose=0) == model.evaluate(data, target, verbose=0)
