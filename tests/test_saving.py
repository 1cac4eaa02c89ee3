"""Saving and loading: what comes back is what was saved, and a failure leaves the earlier file alone."""

import errno
import json
import os
import re
import stat
import sys
import time
import zipfile
import zlib

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import jitnet
from jitnet import layers, models, ops, saving
from jitnet.files import atomic
from jitnet.layers.base import clear_names

GENERATOR = np.random.default_rng(5)
X = GENERATOR.normal(size=(11, 5)).astype("float32")
Y = GENERATOR.integers(0, 3, 11)


@pytest.fixture(autouse=True)
def start_anew():
    # the same names and random streams everywhere: the same generated source, compiled once
    clear_names()
    jitnet.utils.set_random_seed(7)


def small_model():
    return models.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(4, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax"),
        ]
    )


def compiled_model(jit_compile=False):
    model = small_model()
    model.compile(
        jitnet.optimizers.Adam(jitnet.optimizers.schedules.ExponentialDecay(0.05, 3, 0.5), beta_1=0.8),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def keys(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        return sorted(file.keys())


def description(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["jitnet"])


def assert_same_weights(first, second):
    pairs = list(zip(first.get_weights(), second.get_weights(), strict=True))
    assert pairs
    for a, b in pairs:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# ---- training goes on


@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_goes_on_with_the_same_bits(tmp_path, jit_compile):
    path = tmp_path / "model.safetensors"
    whole = compiled_model(jit_compile)
    whole.fit(X, Y, batch_size=4, epochs=4, verbose=0)

    clear_names()
    jitnet.utils.set_random_seed(7)
    part = compiled_model(jit_compile)
    part.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    part.save(path)
    jitnet.layers.Dropout(0.5)  # takes a random stream, as other work in the same process would
    resumed = jitnet.load_model(path)
    assert_same_weights(part, resumed)
    assert resumed.optimizer.iterations == 6
    resumed.fit(X, Y, batch_size=4, epochs=4, initial_epoch=2, verbose=0)

    assert not np.array_equal(part.get_weights()[0], resumed.get_weights()[0])
    assert_same_weights(whole, resumed)
    np.testing.assert_array_equal(whole.predict(X), resumed.predict(X))
    assert resumed.optimizer.iterations == whole.optimizer.iterations == 12


def test_optimizer_state_that_no_step_used_is_saved_again(tmp_path):
    model = compiled_model()
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "first")
    jitnet.load_model(tmp_path / "first").save(tmp_path / "second")
    first, second = (safetensors.numpy.load_file(tmp_path / name) for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert np.abs(first["optimizer/m/dense/kernel"]).max() > 0
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_optimizer_state_of_frozen_weights_waits_for_them():
    model = compiled_model()
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    kernel = model.layers[0].kernel
    before = model.optimizer.state()["m", kernel]
    optimizer = model.optimizer
    model.layers[0].trainable = False
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    np.testing.assert_array_equal(optimizer.state()["m", kernel], before)


def test_arguments_of_compile_come_back(tmp_path):
    model = small_model()
    model.compile(
        jitnet.optimizers.SGD(0.5, momentum=0.75, nesterov=True),
        jitnet.losses.CategoricalCrossentropy(label_smoothing=0.25),
        [0.5],
        ["accuracy", jitnet.metrics.BinaryAccuracy(threshold=0.25), jitnet.losses.MeanSquaredError()],
        jit_compile=True,
    )
    model.save(tmp_path / "model")
    loaded = jitnet.models.load_model(tmp_path / "model")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert loaded.loss.get_config() == model.loss.get_config()
    accuracy, binary, squared = loaded._compiled["metrics"]
    assert accuracy == "accuracy"
    assert binary.get_config() == {"name": "binary_accuracy", "threshold": 0.25}
    assert squared.name == "mean_squared_error"
    assert loaded._compiled["loss_weights"] == [0.5]
    assert loaded._compiled["jit_compile"] is True
    assert jitnet.load_model(tmp_path / "model", compile=False).optimizer is None


def test_a_schedule_comes_back(tmp_path):
    compiled_model().save(tmp_path / "model")
    optimizer = jitnet.load_model(tmp_path / "model").optimizer
    optimizer.iterations = 3
    assert optimizer.learning_rate == pytest.approx(0.025)
    assert optimizer.beta_1 == 0.8


def test_a_model_that_was_not_compiled(tmp_path):
    model = small_model()
    model.save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model")
    assert loaded.optimizer is None
    assert_same_weights(model, loaded)
    with pytest.raises(ValueError, match="compile"):
        loaded.fit(X, Y)


# ---- kinds of models


def test_names_of_tensors(tmp_path):
    model = small_model()
    model.save(tmp_path / "model")
    assert keys(tmp_path / "model") == sorted(
        f"weights/{name}"
        for name in (
            "dense/kernel", "dense/bias", "batch_normalization/gamma", "batch_normalization/beta",
            "batch_normalization/moving_mean", "batch_normalization/moving_variance", "dense_1/kernel", "dense_1/bias",
        )
    )  # fmt: skip
    assert description(tmp_path / "model")["weights"][4:] == [
        "batch_normalization/moving_mean", "batch_normalization/moving_variance", "dense_1/kernel", "dense_1/bias",
    ]  # fmt: skip


def test_layers_of_the_same_name_in_nested_models(tmp_path):
    def part(name):
        return models.Sequential([layers.Input((5,)), layers.Dense(5, name="dense")], name=name)

    model = models.Sequential([layers.Input((5,)), part("first"), part("second"), layers.Dense(5, name="dense")])
    for number, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, number))
    model.save(tmp_path / "model")
    assert set(keys(tmp_path / "model")) == {
        f"weights/dense/{name}" for name in ("kernel", "bias", "kernel_2", "bias_2", "kernel_3", "bias_3")
    }
    assert_same_weights(model, jitnet.load_model(tmp_path / "model"))


def test_a_name_that_looks_like_a_numbered_one(tmp_path):
    class Twice(layers.Layer):
        def build(self, input_shape):
            self.weights_of_mine = [self.add_weight((2,), "ones", name=name) for name in ("a", "a", "a_2", "a")]

        def call(self, inputs):
            return inputs * 1.0

    model = models.Sequential([layers.Input((2,)), Twice(name="twice")])
    for number, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, number))
    model.save(tmp_path / "model")
    assert len(keys(tmp_path / "model")) == 4
    assert_same_weights(model, jitnet.load_model(tmp_path / "model", {"Twice": Twice}))


def test_branches_shared_layers_and_operations_between(tmp_path):
    a, b = layers.Input((5,), name="a"), layers.Input((5,), name="b")
    shared = layers.Dense(3, name="shared")
    nested = models.Sequential([layers.Input((3,)), layers.Dense(3, activation="relu")])
    joined = shared(a) * 2.0 + nested(shared(b))
    model = models.Model([a, b], [joined, layers.Dense(2)(joined)])
    model.save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model")
    assert_same_weights(model, loaded)
    assert len(loaded.weights) == 6
    for ours, theirs in zip(model.predict([X, X + 1]), loaded.predict([X, X + 1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_sequential_without_input_shape(tmp_path):
    models.Sequential([layers.Dense(3, name="first"), layers.Dense(2)]).save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model")
    assert [layer.name for layer in loaded.layers] == ["first", "dense"]
    assert loaded.weights == []
    loaded.build((None, 5))
    assert [w.shape for w in loaded.weights] == [(5, 3), (3,), (3, 2), (2,)]


def test_a_float64_model_stays_one(tmp_path):
    jitnet.set_floatx("float64")
    try:
        model = small_model()
        model.save(tmp_path / "model")
    finally:
        jitnet.set_floatx("float32")
    loaded = jitnet.load_model(tmp_path / "model")
    assert jitnet.floatx() == "float32"
    assert {w.dtype for w in loaded.weights} == {"float64"}
    assert_same_weights(model, loaded)


def test_what_is_frozen_stays_frozen(tmp_path):
    model = small_model()
    model.trainable = False
    model.layers[3].trainable = True
    model.save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model")
    assert loaded.trainable is False
    assert [layer.trainable for layer in loaded.layers] == [False, False, False, True]
    assert [v.trainable for v in loaded.weights] == [v.trainable for v in model.weights]


# ---- parts of users


class Scale(layers.Layer):
    """x * factor * weight."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.weight = self.add_weight((input_shape[-1],), "uniform", name="weight")

    def call(self, inputs):
        return inputs * self.weight * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def distance(y_true, y_pred):
    return ops.mean(ops.absolute(y_true - y_pred), axis=-1)


def test_custom_objects(tmp_path):
    model = models.Sequential([layers.Input((5,)), layers.Dense(5, activation=ops.tanh), Scale(2.0)])
    model.compile("sgd", distance, metrics=[distance])
    model.fit(X, X, verbose=0)
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"custom_objects={'Scale': Scale}"):
        jitnet.load_model(tmp_path / "model")
    with pytest.raises(ValueError, match=r"custom_objects={'distance': distance}"):
        jitnet.load_model(tmp_path / "model", {"Scale": Scale})
    loaded = jitnet.load_model(tmp_path / "model", custom_objects={"Scale": Scale, "distance": distance})
    assert loaded.layers[1].factor == 2.0
    assert_same_weights(model, loaded)
    assert loaded.evaluate(X, X, return_dict=True) == model.evaluate(X, X, return_dict=True)
    with saving.custom_object_scope({"Scale": Scale, "distance": distance}):
        assert_same_weights(model, jitnet.load_model(tmp_path / "model"))


def test_registered_objects(tmp_path):
    @saving.register_keras_serializable(package="SavingTest")
    class Offset(Scale):
        def call(self, inputs):
            return inputs + self.weight * self.factor

    model = models.Sequential([layers.Input((5,)), Offset(np.float32(0.5))])
    model.save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model")
    assert type(loaded.layers[0]) is Offset
    assert loaded.layers[0].factor == 0.5
    assert_same_weights(model, loaded)


class Pair(models.Model):
    """Its own call, with layers in attributes."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = [layers.Dense(units, activation="tanh"), layers.Dropout(0.5)]
        self.last = layers.Dense(1)

    def call(self, inputs):
        for layer in self.hidden:
            inputs = layer(inputs)
        return self.last(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_a_model_with_its_own_call(tmp_path):
    model = Pair(4)
    model.compile(jitnet.optimizers.SGD(0.1, momentum=0.5), "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model", {"Pair": Pair})
    assert len(loaded.weights) == 4
    assert_same_weights(model, loaded)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    # the layers' automatic names differ, their optimizer state and their random streams don't
    for trained in (model, loaded):
        trained.fit(X, Y, verbose=0)
    assert_same_weights(model, loaded)


def test_a_lambda_is_refused_before_anything_is_written(tmp_path):
    model = small_model()
    model.compile("sgd", lambda y_true, y_pred: distance(y_true, y_pred))
    with pytest.raises(ValueError, match="save_weights"):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_config_that_cannot_make_the_layer_again_is_refused(tmp_path):
    class Forgetful(Scale):
        get_config = layers.Layer.get_config

    class Closed(Scale):
        def __init__(self, factor=1.0):
            super().__init__(factor)

    class Tagged(Scale):
        def __init__(self, tag, **kwargs):
            super().__init__(1.0, **kwargs)
            self.tag = tag

        def get_config(self):
            return {**layers.Layer.get_config(self), "tag": self.tag}

    for layer in (Forgetful(np.float32(1)), Closed()):
        model = models.Sequential([layers.Input((5,)), models.Sequential([layer])])
        with pytest.raises(ValueError, match=f"{type(layer).__name__} could not be made again.*get_config"):
            model.save(tmp_path / "model")
    model = models.Sequential([layers.Input((5,)), Tagged(object())])
    with pytest.raises(ValueError, match=r"numbers, strings, lists and dicts.*object"):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# ---- writing


def test_overwrite(tmp_path):
    path = tmp_path / "model"
    model = small_model()
    model.save(path, overwrite=False)
    before = path.read_bytes()
    for save in (model.save, model.save_weights):
        with pytest.raises(FileExistsError, match="overwrite=True") as raised:
            save(path, overwrite=False)
        assert raised.value.filename == str(path)
    assert path.read_bytes() == before
    model.layers[0].bias.assign(np.ones(4))
    model.save(path)
    assert path.read_bytes() != before
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OSError, "no space is left in .*unchanged"),
        (OSError(errno.EROFS, "Read-only file system"), OSError, "cannot be written to: change its permissions"),
        (OSError(errno.EIO, "Input/output error"), OSError, "Input/output error"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_the_old_file_survives(tmp_path, monkeypatch, function, error, expected, message):
    path = tmp_path / "model"
    model = small_model()
    model.save(path)
    before = path.read_bytes()

    def fail(*arguments):
        raise error

    model.layers[0].bias.assign(np.ones(4))
    with monkeypatch.context() as patched:
        patched.setattr(os, function, fail)
        with pytest.raises(expected, match=message) as raised:
            model.save(path)
    if expected is OSError:
        assert raised.value.errno == error.errno
        assert raised.value.filename == str(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_a_file_that_cannot_grow(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "model"
    model = small_model()
    model.save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="no space is left") as raised:
            model.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_a_directory_that_cannot_be_written_to(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(atomic, "open", refuse, raising=False)
    with pytest.raises(PermissionError, match="change its permissions") as raised:
        small_model().save(tmp_path / "model")
    assert raised.value.filename == str(tmp_path / "model")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_file_keeps_its_permissions_and_a_link_its_place(tmp_path):
    model, path, link = small_model(), tmp_path / "model", tmp_path / "link"
    model.save(path)
    path.chmod(0o640)
    link.symlink_to(path)
    model.save(link)
    atomic.write(str(link), path.read_bytes())
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
    jitnet.load_model(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_gets_the_file_and_is_not_replaced(tmp_path):
    model, path, pipe = small_model(), tmp_path / "model", tmp_path / "pipe"
    os.mkfifo(pipe)
    # open for both, so that nobody waits for the other end; what is written has room in the pipe
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        model.save(pipe)
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        path.write_bytes(os.read(descriptor, 1 << 16))
    finally:
        os.close(descriptor)
    for found, expected in zip(jitnet.load_model(path).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@jitnet.utils.register_keras_serializable("tests")
class Shrinks(layers.Layer):
    """Has no get_config, and a constructor without the arguments of Layer."""

    def __init__(self, factor, shifts=(0.5, 1.0)):
        super().__init__()
        self.factor, self.shifts = factor, shifts

    def call(self, inputs):
        return inputs * self.factor + self.shifts[1]


@jitnet.utils.register_keras_serializable("tests")
class Named(Shrinks):
    def __init__(self, factor, *, half=None, **kwargs):
        layers.Layer.__init__(self, **kwargs)
        self.factor, self.shifts = factor, (0.0, half or 0.25)


def test_layers_without_get_config_are_made_of_what_their_constructors_were_given(tmp_path):
    parts = [layers.Input((3,)), Shrinks(0.5, shifts=[1.0, 2.0]), Named(3, name="mine", trainable=False), Named(2)]
    assert parts[1].get_config() == {"factor": 0.5, "shifts": [1.0, 2.0]}
    assert parts[2].get_config() == {"name": "mine", "trainable": False, "factor": 3}
    model = jitnet.Sequential(parts)
    model.save(tmp_path / "model")
    x = np.float32([[1, 2, 3]])
    np.testing.assert_array_equal(jitnet.load_model(tmp_path / "model").predict(x), model.predict(x))
    assert jitnet.models.clone_model(model).layers[1].name == "mine"
    # what no file can hold is named
    model = jitnet.Sequential([layers.Input((3,)), Shrinks(np.float32(0.5))])
    with pytest.raises(ValueError, match="Shrinks could not be made again"):
        model.save(tmp_path / "other")


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "M.HDF5"])
def test_suffixes_of_other_formats_are_warned_of(tmp_path, name):
    model = small_model()
    path = tmp_path / name
    stem = name.rpartition(".")[0]
    warning = rf"is {re.escape(stem)}\.safetensors\. Received: filepath="
    with pytest.warns(UserWarning, match=warning) as warned:
        model.save_weights(path)
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match=warning):
        model.save(path)
    assert jitnet.load_model(path).count_params() == model.count_params()


def test_files_of_keras_are_told_from_damaged_ones(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match=r"a zip archive, as Keras's own files .*set_weights"):
        jitnet.load_model(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ValueError, match=r"an HDF5 file.*set_weights"):
        small_model().load_weights(path)

def refusing(times, waits):
    """``os.replace`` as on Windows while another process has the file open: refused so many times."""
    replace = os.replace

    def refuse(source, target):
        if len(waits) < times:
            raise PermissionError(errno.EACCES, "Access is denied", source, None, target)
        replace(source, target)

    return refuse


def test_a_file_that_another_process_has_open(tmp_path, monkeypatch):
    path, waits = tmp_path / "model", []
    model = small_model()
    model.save(path)
    before = path.read_bytes()
    model.layers[0].bias.assign(np.ones(4))
    monkeypatch.setattr(time, "sleep", waits.append)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refusing(10**9, waits))
        with pytest.raises(PermissionError, match=r"close the program that has it open.*unchanged") as raised:
            model.save(path)
    assert raised.value.filename == str(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]
    assert len(waits) > 3 and 0.5 < sum(waits) < 5
    waits.clear()
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refusing(3, waits))
        model.save(path)
    assert path.read_bytes() != before
    assert os.listdir(tmp_path) == ["model"]


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    names = [".jitnet-0123456789abcdef.tmp", ".jitnet-fedcba9876543210.tmp", ".jitnet-mine.tmp", "other.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"part of a model")
    for name in (names[0], *names[2:]):
        os.utime(tmp_path / name, (0, time.time() - 2 * 24 * 3600))
    small_model().save(tmp_path / "model")
    # of the others one may still be written, and two have names of somebody else's
    assert sorted(os.listdir(tmp_path)) == sorted([*names[1:], "model"])


def test_places_that_are_no_files(tmp_path):
    model = small_model()
    with pytest.raises(FileNotFoundError, match="missing does not exist: make it first"):
        model.save(tmp_path / "missing" / "model")
    with pytest.raises(IsADirectoryError, match="add a name"):
        model.save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="does not exist"):
        model.save(tmp_path / "file" / "model")


@pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")
def test_links_and_modes(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "model")
    before = os.umask(0o027)
    try:
        small_model().save(tmp_path / "link")
    finally:
        os.umask(before)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o640
    jitnet.load_model(tmp_path / "link")


# ---- files that are not right


def test_a_missing_file(tmp_path):
    for load in (jitnet.load_model, small_model().load_weights):
        with pytest.raises(FileNotFoundError, match=r"model\.save") as raised:
            load(tmp_path / "nothing")
        assert raised.value.filename == str(tmp_path / "nothing")


def changed(path, **changes):
    """The bytes of a file with other entries in its metadata."""
    tensors = safetensors.numpy.load_file(path)
    metadata = {**description(path), **changes}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    return safetensors.numpy.save(tensors, metadata={"jitnet": json.dumps(metadata)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: b"", "damaged or of another format.* 0 bytes"),
        (lambda path: b"neither a model nor anything else", "damaged or of another format"),
        (lambda path: path.read_bytes()[:7], "damaged or of another format"),
        (lambda path: path.read_bytes()[:300], "damaged or of another format"),
        (lambda path: path.read_bytes()[:-1], "damaged or of another format"),
        (lambda path: path.read_bytes()[:-1] + b"\x55", "checksum"),
        (lambda path: safetensors.numpy.save({"weights/a": X}), "not from jitnet"),
        (lambda path: safetensors.numpy.save({"a": X}, {"format": "pt"}), "not from jitnet"),
        (lambda path: safetensors.numpy.save({"a": X}, {"jitnet": "{"}), "damaged"),
        (lambda path: safetensors.numpy.save({"a": X}, {"jitnet": "[]"}), "damaged"),
        (lambda path: changed(path, format_version=None), "damaged"),
        (lambda path: changed(path, weights=["dense/other"]), "damaged"),
        (lambda path: changed(path, format_version=99, jitnet_version="7.0"), "jitnet 7.0 in format 99.*Upgrade"),
    ],
)
def test_damaged_and_foreign_files(tmp_path, damage, message):
    path = tmp_path / "model"
    model = small_model()
    model.save(path)
    path.write_bytes(damage(path))
    before = model.get_weights()
    for load in (jitnet.load_model, model.load_weights):
        with pytest.raises(ValueError, match=message) as raised:
            load(path)
        assert str(path) in str(raised.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_loading_a_directory(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        jitnet.load_model(tmp_path)


# ---- weights alone


def test_weights_alone(tmp_path):
    path = tmp_path / "weights"
    model = small_model()
    model.save_weights(path)
    with pytest.raises(ValueError, match=r"weights alone.*load_weights"):
        jitnet.load_model(path)
    other = small_model()  # its layers are called dense_2, ...
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])
    other.load_weights(path)
    assert_same_weights(model, other)


def test_weights_from_a_whole_model(tmp_path):
    model = compiled_model()
    model.save(tmp_path / "model")
    other = small_model()
    other.load_weights(tmp_path / "model")
    assert_same_weights(model, other)
    assert other.optimizer is None


def test_names_that_agree_count_more_than_the_order(tmp_path):
    def made(*names):
        return models.Sequential([layers.Input((5,)), *(layers.Dense(5, name=name) for name in names)])

    first, second = made("a", "b"), made("b", "a")
    first.save_weights(tmp_path / "weights")
    second.load_weights(tmp_path / "weights")
    np.testing.assert_array_equal(second.get_layer("a").kernel.numpy(), first.get_layer("a").kernel.numpy())


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "weights"
    small_model().save_weights(path)
    other = models.Sequential([layers.Input((5,)), layers.Dense(4)])
    with pytest.raises(ValueError, match=r"has 2 weights.*only in the file: .*Received: 8 weights"):
        other.load_weights(path)
    # the same names, another shape in the last layer: nothing is changed
    clear_names()
    other = models.Sequential([*small_model().layers[:3], layers.Dense(2)])
    other.build((None, 5))
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"dense_2/kernel .* expects shape \(4, 2\).*dense_1/kernel .*shape=\(4, 3\)"):
        other.load_weights(path)
    for a, b in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_a_model_that_is_not_built(tmp_path):
    path = tmp_path / "weights"
    unbuilt = models.Sequential([layers.Dense(4)])
    with pytest.raises(ValueError, match="not built"):
        unbuilt.save_weights(path)
    assert not path.exists()
    small_model().save_weights(path)
    with pytest.raises(ValueError, match=r"not built.*Input\(shape"):
        unbuilt.load_weights(path)


class Normalised(layers.Layer):
    """Makes its own layers, whose automatic names are others every time."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [layers.BatchNormalization(), layers.Dense(5)]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


@pytest.mark.parametrize("version", [1, 2])
def test_the_order_of_weights_of_earlier_files(tmp_path, version):
    model, other = (models.Sequential([layers.Input((5,)), Normalised()]) for _ in range(2))
    model.set_weights([GENERATOR.normal(size=w.shape) for w in model.get_weights()])
    assert not {v.name for v in model.weights} & {v.name for v in other.weights}
    path = tmp_path / "weights"
    model.save_weights(path)
    if version == 1:  # what can be trained came first
        tensors, described = safetensors.numpy.load_file(path), description(path)
        names = described["weights"]
        assert "moving" in names[2] and "dense" in names[4]
        described["weights"] = [names[i] for i in (0, 1, 4, 5, 2, 3)]
        described["format_version"] = 1
        described["checksum"] = 0
        for name in sorted(tensors):
            described["checksum"] = zlib.crc32(tensors[name].tobytes(), described["checksum"])
        safetensors.numpy.save_file(tensors, path, metadata={"jitnet": json.dumps(described)})
    other.load_weights(path)
    assert_same_weights(other, model)


def test_a_model_without_an_optimizer(tmp_path):
    model = small_model()
    model.compile(None, "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.safetensors")
    loaded = jitnet.load_model(tmp_path / "model.safetensors")
    assert loaded.optimizer is None and loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_weights_that_do_not_fit_are_skipped(tmp_path):
    def network(classes, last):
        parts = [layers.Dense(3, name="hidden"), layers.Dense(classes, name=last)]
        return jitnet.Sequential([jitnet.Input((2,)), *parts])

    source, target, other = network(4, "top"), network(5, "top"), network(4, "new")
    source.save_weights(tmp_path / "w.safetensors")
    for model in (target, other):
        before = model.get_weights()
        with pytest.warns(UserWarning, match=r"nothing that fits .*(top|new)/kernel, (top|new)/bias\.$"):
            model.load_weights(tmp_path / "w.safetensors", skip_mismatch=True)
        for loaded, expected in zip(
            model.get_weights(), [*source.get_weights()[:2], *before[2:]], strict=True
        ):  # fmt: skip
            np.testing.assert_array_equal(loaded, expected)
    with pytest.raises(ValueError, match="expects shape"):
        target.load_weights(tmp_path / "w.safetensors")
