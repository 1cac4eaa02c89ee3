"""Models as C libraries: the same bits as ``predict``, in programs without Python."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import saved_models
from at_once import at_once
from numba import njit
from small_networks import convolutional, images

import jitnet
from jitnet import data, layers
from jitnet.files import c_library
from jitnet.kernels.compiler import machine
from jitnet.targets.cpu.header import Header
from jitnet.targets.cpu.run import StepRunner

needs_compiler = pytest.mark.skipif(c_library._compiler() is None, reason="needs a C compiler")


class Exported:
    """A model's object file, loaded without a linker.

    sizes: the constants of its header.
    """

    def __init__(self, model, folder, name="exported", batch_size=1):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(c_library, "_compiler", lambda: None)
            model.export(folder / name, verbose=False, batch_size=batch_size)
        self.header = (folder / f"{name}.h").read_text()
        self.sizes = {key: int(value) for key, value in re.findall(r"#define \w+?_(\w+) (\d+)", self.header)}
        self._code = machine.Code((folder / f"{name}.o").read_bytes(), f"{name}_predict", machine.host())
        self._functions = {f: self._code.publish(f"{name}_{f}") for f in ("predict", "reset", "error")}
        self.workspace = np.full(self.sizes["WORKSPACE_BYTES"] + 1, 255, np.uint8)[1:]  # no floats, and not aligned

    def predict(self, *arrays) -> int:
        """Its status; arrays: inputs, outputs and a state, if there is one."""
        return self._call("predict", ctypes.c_int32, *arrays, self.workspace)

    def reset(self, state) -> None:
        self._call("reset", None, state)

    def error(self, status: int) -> str:
        function = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_int32)(self._functions["error"])
        return function(status).decode()

    def _call(self, name, result, *arrays):
        function = ctypes.CFUNCTYPE(result, *[ctypes.c_void_p] * len(arrays))(self._functions[name])
        return function(*(array.ctypes.data for array in arrays))


@pytest.fixture(autouse=True)
def samples_in_one_thread(monkeypatch):
    """Predictions of few samples that take much work round where their parts for several threads meet."""
    monkeypatch.setattr(StepRunner, "suits_few", lambda self, batch: False)


def outputs_like(arrays):
    return [np.full_like(array, 7) for array in arrays]


def test_it_is_predict(tmp_path):
    model = convolutional()
    x, _ = images(6)
    for batch in (1, 3):
        exported, found = Exported(model, tmp_path, batch_size=batch), np.empty((6, *model.output_shape[1:]), "float32")
        for _ in range(2):
            for begin in range(0, 6, batch):
                part = slice(begin, begin + batch)
                assert exported.predict(np.ascontiguousarray(x[part]), found[part]) == 0
            np.testing.assert_array_equal(found, model.predict(x, batch_size=batch, verbose=0))
            found[:] = 7


def every_layer_and_operation():
    """One model of all models that are saved in tests, but those that draw random numbers or read strings."""
    inputs, outputs = [], []
    for model in saved_models.models().values():
        given = model.inputs
        if any(x.dtype == "string" for x in given) or model._front is not None:
            continue
        fresh = [jitnet.Input(x.shape[1:], dtype=x.dtype, batch_size=2) for x in given]
        new = dict(zip(given, fresh, strict=True))
        found = model(jitnet.tree.map_structure(new.get, data.single(model._input_structure)))
        step = jitnet.Model(fresh, found)._step("predict")
        if step.random or not step.output_arguments:
            continue
        inputs += fresh
        outputs += jitnet.tree.flatten(found)
    return jitnet.Model(inputs, outputs)


def test_every_layer_and_operation(tmp_path):
    model = every_layer_and_operation()
    assert len(model.outputs) > 150
    generator = np.random.default_rng(0)
    given = [
        generator.random((2, *x.shape[1:])).astype(x.dtype) if x.dtype.startswith("float")
        else generator.integers(0, 2, (2, *x.shape[1:])).astype(x.dtype)
        for x in model.inputs
    ]  # fmt: skip
    exported = Exported(model, tmp_path, batch_size=2)
    expected = model.predict(given, batch_size=2, verbose=0)
    found = outputs_like(expected)
    assert exported.predict(*given, *found) == 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def block(x, filters, dtype=None):
    found = layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype=dtype)(x)
    found = layers.ReLU()(layers.BatchNormalization()(found))
    return layers.Add()([found, layers.Conv2D(filters, 1, dtype=dtype)(x)])


def residual(dtype=None):
    x = jitnet.Input((16, 16, 8))
    hidden = layers.MaxPooling2D()(block(block(x, 32, dtype), 32, dtype))
    return jitnet.Model(x, layers.Dense(10, "softmax", dtype=dtype)(layers.Flatten()(hidden)))


def quantized():
    model = residual()
    model.quantize("int8")
    return model


def double():
    jitnet.set_floatx("float64")
    return residual()


def sequences():
    x = jitnet.Input((16, 24))
    hidden = layers.TransformerEncoder(48, 2)(layers.LSTM(24, return_sequences=True)(x))
    return jitnet.Model(x, layers.GRU(32)(hidden))


@pytest.mark.parametrize("make", [residual, quantized, double, sequences])
def test_kernels_for_the_machine(tmp_path, make):
    model = make()
    generator = np.random.default_rng(0)
    for weight in model.weights:  # moving statistics, too
        if weight.dtype.startswith("float"):
            weight.assign(weight.numpy() + 0.1 * generator.random(weight.shape))
    x = generator.standard_normal((5, *model.input_shape[1:])).astype(model.inputs[0].dtype)
    exported = Exported(model, tmp_path, batch_size=5)
    expected = model.predict(x, batch_size=5, verbose=0)
    (found,) = outputs_like([expected])
    assert exported.predict(x, found) == 0
    np.testing.assert_array_equal(found, expected)


def test_bfloat16(tmp_path, monkeypatch):
    for name, refused in (("emulated", False), ("emulated_amx", False), ("amx", True)):
        monkeypatch.setenv("JITNET_BFLOAT16", name)
        model = residual("mixed_bfloat16")
        x = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:])).astype("float32")
        if refused:
            with pytest.raises(ValueError, match="uses AMX, which a process has to ask the system for"):
                model.export(tmp_path / "refused")
            continue
        exported, expected = Exported(model, tmp_path, batch_size=2), model.predict(x, batch_size=2, verbose=0)
        assert any(call.attributes.get("bfloat16") for call in model._step("predict").program.calls)
        (found,) = outputs_like([expected])
        assert exported.predict(x, found) == 0
        np.testing.assert_array_equal(found, expected)


def test_a_state_is_the_callers(tmp_path):
    x = np.random.default_rng(0).random((2, 1, 3), "float32")
    model = jitnet.Sequential(
        [
            jitnet.Input((1, 3), batch_size=2), layers.BatchNormalization(), layers.LSTM(4, stateful=True),
            layers.Dense(2),
        ]
    )  # fmt: skip
    model.predict(x, batch_size=2, verbose=0)  # the state that is exported is none of zeros
    exported = Exported(model, tmp_path, batch_size=2)
    expected = [model.predict(x + i, batch_size=2, verbose=0) for i in range(4)]
    assert not (expected[0] == expected[1]).all()
    states = [np.full(exported.sizes["STATE_BYTES"], 255, np.uint8) for _ in range(2)]
    for state in states:
        exported.reset(state)
    for i, wanted in enumerate(expected):
        for state in states:  # two sequences by turns
            (found,) = outputs_like([wanted])
            assert exported.predict(x + np.float32(i), found, state) == 0
            np.testing.assert_array_equal(found, wanted)
    assert "void exported_reset(void *state);" in exported.header


def test_settings_and_weights_are_those_of_the_export(tmp_path):
    model = jitnet.Sequential([jitnet.Input((3,)), layers.ReLU(negative_slope=0.5)])
    x, y = -np.ones((1, 3), "float32"), np.empty((1, 3), "float32")
    before = Exported(model, tmp_path, "before")
    model.layers[-1].negative_slope = 0.25
    after = Exported(model, tmp_path, "after")
    for exported, expected in ((before, -0.5), (after, -0.25)):
        assert exported.predict(x, y) == 0
        assert (y == expected).all()


def test_several_inputs_and_outputs_have_their_names(tmp_path):
    age, words = jitnet.Input((1,), name="age"), jitnet.Input((4,), dtype="int32", name="the * words")
    hidden = layers.Concatenate()([age, layers.GlobalAveragePooling1D()(layers.Embedding(5, 3)(words))])
    outputs = [layers.Dense(2, name="a")(hidden), layers.Dense(1, "sigmoid", name="b")(hidden)]
    model = jitnet.Model([age, words], outputs)
    exported = Exported(model, tmp_path)
    declared = "(const float *x_1, const int32_t *x_2, float *predictions, float *predictions_2, void *workspace);"
    assert declared in " ".join(exported.header.split())
    assert "EXPORTED_X_2_SIZE 4 /* elements of int32_t[1][4], 'the * words' */" in exported.header
    given = [np.float32([[2]]), np.int32([[1, 2, 3, 4]])]
    expected = model.predict(given, verbose=0)
    found = outputs_like(expected)
    assert exported.predict(*given, *found) == 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32", "int64"])
def test_indices_that_are_outside_are_a_status(tmp_path, dtype):
    x = jitnet.Input((4,), dtype=dtype)
    model = jitnet.Model(x, layers.Embedding(5, 3, name="table")(x))
    exported = Exported(model, tmp_path)
    given = np.array([[0, 1, 2, 4]], dtype)
    expected = model.predict(given, verbose=0)
    (found,) = outputs_like([expected])
    assert exported.predict(given, found) == 0
    np.testing.assert_array_equal(found, expected)
    wrong = [5] + ([-1] if dtype != "uint8" else []) + ([np.nan, np.inf] if dtype.startswith("float") else [])
    for place, value in enumerate(wrong):
        spoilt = given.copy()
        spoilt[0, place] = value
        untouched = found.copy()
        status = exported.predict(spoilt, found)
        assert status > 0
        np.testing.assert_array_equal(found, untouched)
        assert exported.error(status) == "ValueError: The layer 'table' takes x as indices from 0 to 4."
        with pytest.raises(ValueError, match=r"as indices from 0 to 4|x contains"):  # as in Python
            model.predict(spoilt, verbose=0)
    assert (exported.error(0), exported.error(status + 1)) == ("no error", "an unknown error")


def test_no_text_ends_a_comment():
    text = Header("a", "é\n */", "of */ and */ /* '??/", {}, [], {}, 0, 1).text()
    first = re.match(r"/\*.*?\*/", text, re.DOTALL)[0]
    assert first == "/* Written by of * / and * / / * '?? /.\n * \\xe9\\n * / */"


def test_threads_have_a_workspace_each(tmp_path):
    model = convolutional()
    x, _ = images(32)
    exported = Exported(model, tmp_path, batch_size=8)
    expected = model.predict(x, 8, verbose=0)
    found = np.empty_like(expected)

    def run(i):
        workspace = np.zeros_like(exported.workspace)
        for _ in range(200):
            part = slice(8 * i, 8 * i + 8)
            assert exported._call("predict", ctypes.c_int32, x[part], found[part], workspace) == 0

    at_once(run, range(4))
    np.testing.assert_array_equal(found, expected)


def test_weights_of_other_models_are_not_in_it(tmp_path):
    """Those that are trained together lie side by side."""
    x = jitnet.Input((3,))
    hidden = layers.Dense(2, kernel_initializer=lambda shape, dtype: np.full(shape, 1.5, dtype))(x)
    first = jitnet.Model(x, hidden)
    secret = np.float32(12345.678)
    both = jitnet.Model(x, layers.Dense(2, kernel_initializer=lambda shape, dtype: np.full(shape, secret))(hidden))
    both.compile("sgd", "mse")
    both.fit(np.zeros((2, 3)), np.zeros((2, 2)), verbose=0)
    for model, expected in ((both, True), (first, False)):
        Exported(model, tmp_path)
        assert (secret.tobytes() in (tmp_path / "exported.o").read_bytes()) is expected


def test_what_can_not_be_exported(tmp_path):
    small = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2)])
    for path in ("digits.so", "1st", "a-b", "é", ""):
        with pytest.raises(ValueError, match=r"(?s)last part can begin names in C.*Received: filepath="):
            small.export(tmp_path / path if path else "")
    with pytest.raises(ValueError, match=r'format="c"\. Received: format=\'onnx\''):
        small.export(tmp_path / "small", format="onnx")
    with pytest.raises(ValueError, match=r"Received: batch_size=0"):
        small.export(tmp_path / "small", batch_size=0)
    (tmp_path / "mine.h").write_text("/* mine */")
    with pytest.raises(FileExistsError, match=r"mine\.h, which jitnet has not written"):
        small.export(tmp_path / "mine")

    class Noise(layers.Layer):
        def call(self, inputs):
            return inputs + jitnet.random.normal((3,))

    with pytest.raises(ValueError, match="draws random numbers in predictions"):
        jitnet.Sequential([jitnet.Input((3,)), Noise()]).export(tmp_path / "small")
    with pytest.raises(ValueError, match="is not built"):
        jitnet.Sequential([layers.Dense(2)]).export(tmp_path / "small")
    with pytest.raises(ValueError, match="export needs a model whose inputs have known sizes"):
        jitnet.Sequential([jitnet.Input((None, 3)), layers.LSTM(2)]).export(tmp_path / "small")
    words = layers.TextVectorization(vocabulary=["a", "b"])
    with pytest.raises(ValueError, match="begins with layers that work on arrays before its step"):
        jitnet.Sequential([words, layers.Embedding(4, 2)]).export(tmp_path / "small")

    @njit
    def double(x, y):
        y[...] = 2 * x

    doubled, x = jitnet.ops.CustomOperation(double, name="double"), jitnet.Input((3,))
    with pytest.raises(ValueError, match=r"own are compiled by Numba, for Python\. Received: double_forward"):
        jitnet.Model(x, doubled(x)).export(tmp_path / "small")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.h"]


PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include "exported.h"

int main(void)
{
    static float x[EXPORTED_X_SIZE], predictions[EXPORTED_PREDICTIONS_SIZE];
    void *workspace = malloc(EXPORTED_WORKSPACE_BYTES);
    int32_t status;
    if (fread(x, sizeof *x, EXPORTED_X_SIZE, stdin) != EXPORTED_X_SIZE || workspace == NULL)
        return 2;
    status = exported_predict(x, predictions, workspace);
    if (status != 0) {
        fprintf(stderr, "%s\\n", exported_error(status));
        return 1;
    }
    fwrite(predictions, sizeof *predictions, EXPORTED_PREDICTIONS_SIZE, stdout);
    free(workspace);
    return 0;
}
"""


@needs_compiler
def test_programs_in_c(tmp_path, capsys):
    model = convolutional()
    x, _ = images(2)
    model.export(tmp_path / "exported", batch_size=2)
    printed = capsys.readouterr().out
    names = ("exported.h", "exported.o", "libexported.so")
    assert printed.startswith("Exported: ")
    assert all(str(tmp_path / name) in printed for name in names)
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "program.cpp").write_text(PROGRAM)
    command = [*c_library._compiler(), "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    static, shared = ["exported.o", "-lm"], ["-L.", "-lexported", "-Wl,-rpath,$ORIGIN"]
    for arguments in (["-std=c99", "program.c", *static], ["-std=c99", "program.c", *shared], ["program.cpp", *static]):
        subprocess.run([*command, *arguments, "-o", "program"], cwd=tmp_path, check=True)
        done = subprocess.run([tmp_path / "program"], input=x.tobytes(), capture_output=True, check=True)
        found = np.frombuffer(done.stdout, "float32").reshape(2, -1)
        np.testing.assert_array_equal(found, model.predict(x, batch_size=2, verbose=0))


@needs_compiler
def test_the_readme(tmp_path):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (text,) = re.findall(r"```c\n(.*?)```", readme, re.DOTALL)
    includes, body = re.fullmatch(r"((?:#include [^\n]*\n)+)(.*)", text, re.DOTALL).groups()
    (tmp_path / "program.c").write_text(f"{includes}int main(void) {{\n{body}\nreturn status; }}\n")
    model = jitnet.Sequential([jitnet.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])
    model.export(tmp_path / "digits", verbose=False)
    command = [*c_library._compiler(), "-o", "program", "program.c", "digits.o", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "program"]).returncode == 0


OF_ANOTHER_PROCESSOR = """
import jitnet
model = jitnet.Sequential([jitnet.Input((8, 8, 16)), jitnet.layers.Conv2D(16, 3, activation="relu")])
model.export("exported")
"""


@pytest.mark.skipif(platform.machine() != "x86_64" or shutil.which("objdump") is None, reason="reads x86-64")
def test_processors_of_other_features(tmp_path):
    for name, expected in (("x86-64-v3", "ymm"), ("x86-64-v4", "zmm")):
        settings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": "", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", OF_ANOTHER_PROCESSOR]
        subprocess.run(command, env={**os.environ, **settings}, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        command = ["objdump", "-d", "exported.o"]
        code = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert max(re.findall(r"[xyz]mm", code)) == expected
        assert f"for {name} and x86_64" in (tmp_path / "exported.h").read_text()


@needs_compiler
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks ldd")
def test_the_shared_library_needs_nothing_but_c(tmp_path):
    model = every_layer_and_operation()
    model.export(tmp_path / "exported", batch_size=2, verbose=False)
    library = tmp_path / "libexported.so"
    needed = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"NEEDED.*\[(\w+)", needed)) <= {"libc", "libm"}
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    assert sorted(symbols.split()[2::3]) == ["exported_error", "exported_predict"]


def test_a_compiler_that_fails_costs_nothing(tmp_path, monkeypatch):
    model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2)])
    (tmp_path / "libsmall.so").write_bytes(b"earlier")
    for command, expected in (("no-such-compiler", "can't be run"), (f"{sys.executable} -c 1/0", "-lm failed:\n")):
        monkeypatch.setenv("CC", command)
        with pytest.raises(OSError, match=expected):
            model.export(tmp_path / "small")
        assert (tmp_path / "libsmall.so").read_bytes() == b"earlier"
        assert (tmp_path / "small.o").exists()
