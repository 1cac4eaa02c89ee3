"""The functions of a step by this project's own compiler: the same bits, errors and floating-point mode."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import small_networks

from jitnet import Input, Model, Sequential, layers, ops, set_num_threads, utils
from jitnet.cli import main
from jitnet.kernels import compiler
from jitnet.kernels.compiler import machine, sections
from jitnet.kernels.cpu.runtime import native, workers
from jitnet.kernels.cpu.runtime.arrays import view
from jitnet.kernels.cpu.runtime.jit import compile_function, compile_part, kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.parallel import flush_denormals, parallel_for
from jitnet.kernels.cpu.training import scale

VECTOR = compiler.ArrayType("float32", 1)


@kernel
def careful(values, bad):
    kernel_attributes()
    if bad:
        raise ValueError("a bad chunk")
    for i in range(values.size):
        values[i] += 1


@compile_part
def some_chunk(chunk, chunks, values, first_bad, factor):
    begin = values.size * chunk // chunks
    n = values.size * (chunk + 1) // chunks - begin
    part = view(values, 4 * begin, (n,), np.float32)
    careful(part, chunk >= first_bad)
    scale(part, factor / 2)


@compile_function
def some(chunks, threads, values, first_bad, factor):
    parallel_for(some_chunk, chunks, threads, (values, first_bad, factor))


@compile_function
def halved(values, flushed):
    flush_denormals()
    scale(values, 0.5)
    careful(values, flushed > 0)


@compile_function
def twice(count, chunks, threads, values, first_bad, factor):
    for i in range(count):
        some(chunks, threads, values, first_bad, factor + i)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_chunks(threads):
    with workers.running(threads):
        for chunks in (1, 3, 8, 40):
            values = np.arange(103, dtype=np.float32)
            some(chunks, threads, values, chunks, 4.0)
            np.testing.assert_array_equal(values, (np.arange(103) + 1) * 2)
            twice(2, chunks, threads, values, chunks, 4.0)
            np.testing.assert_array_equal(values, (((np.arange(103) + 1) * 2 + 1) * 2 + 1) * np.float32(2.5))
        values = np.zeros(100, np.float32)
        with pytest.raises(ValueError, match="a bad chunk") as caught:
            some(10, threads, values, 3, 2.0)
        assert caught.value.__notes__ == ["Raised by the kernel 'careful'."]
        np.testing.assert_array_equal(values, np.repeat([1.0, 0.0], [30, 70]))


def test_denormal_numbers():
    small = np.float32(1e-39)
    on_x86 = machine.host().triple.startswith("x86_64")
    values = np.full(20, small)
    halved(values, 0)
    assert (values == (1 if on_x86 else 1 + small / 2)).all()
    with pytest.raises(ValueError, match="a bad chunk"):
        halved(values, 1)
    # the mode is as before, also after an error
    assert np.full(2, small)[0] * np.float32(0.5) > 0
    text = sections.translate_step(halved.py_func, [VECTOR, "int64"], "aarch64-linux").text
    assert "ldmxcsr" not in text


@compile_function
def late(values):
    scale(values, 0.5)
    if values.size > 3:
        flush_denormals()


def test_the_mode_changes_at_the_beginning():
    with pytest.raises(compiler.TranslationError, match="must be the first"):
        sections.translate_step(late.py_func, [VECTOR], "x86_64-linux")


@kernel
def unusual(values):
    kernel_attributes()
    if values.size in (2, 3):
        values[0] = 2


def lenet5(jit_compile):
    parts = [layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(2)]
    parts += [layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()]
    parts += [layers.Dense(120, "relu"), layers.Dense(84, "relu"), layers.Dense(10, "softmax")]
    model = Sequential([Input((28, 28, 1)), *parts])
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    return model


@pytest.mark.parametrize(
    ("network", "jit_compile", "threads"),
    [("perceptron", False, 1), ("perceptron", True, 2), ("LeNet-5", False, 2)],
)
def test_a_training(monkeypatch, network, jit_compile, threads):
    """Numba is the reference."""
    set_num_threads(threads)
    x, y = small_networks.data(20)
    if network == "LeNet-5":
        x = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)

    def train():
        utils.set_random_seed(3)
        perceptron = network == "perceptron"
        model = small_networks.perceptron("adam", jit_compile=jit_compile) if perceptron else lenet5(jit_compile)
        history = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0).history
        entries = [entry for step in model._steps.values() for entry in step.runner._entries.values()]
        predictions = [model.predict_on_batch(x[:3]).tobytes() for _ in range(3)]
        return entries, [history, predictions, [weights.tobytes() for weights in model.get_weights()]]

    entries, found = train()
    assert entries and None not in entries
    monkeypatch.setenv("JITNET_COMPILER", "numba")
    entries, right = train()
    assert entries == [None] * len(entries)
    assert found == right
    monkeypatch.setenv("JITNET_COMPILER", "gcc")
    with pytest.raises(ValueError, match=r"JITNET_COMPILER is one of jitnet, numba\. Received: JITNET_COMPILER=gcc"):
        train()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_booleans_between_kernels(monkeypatch, jit_compile):
    x = Input((6, 2))
    later = ops.logical_or(ops.less(x, ops.cumsum(x, 1)), ops.isnan(x))
    model = Model(x, layers.Dense(2)(ops.cumsum(ops.cast(later, "float32"), 1)))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    data = np.random.default_rng(0).normal(size=(8, 6, 2)).astype("float32")
    right = model.evaluate(data, data, batch_size=4, verbose=0)
    monkeypatch.setenv("JITNET_COMPILER", "numba")
    model.compile("sgd", "mse", jit_compile=jit_compile)
    assert model.evaluate(data, data, batch_size=4, verbose=0) == right


def test_what_is_not_translated_is_compiled_by_numba(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(native, "FALLBACKS", {})
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path))
    values = np.full(2, np.float32(4))
    unusual(values)
    unusual(values)
    assert values.tolist() == [2, 4] and len(unusual.signatures) == 1
    assert [re.sub(".*/", "", text).partition(":")[0] for text in native.FALLBACKS] == ["test_compiler_sections.py"]
    assert main(["cache", "info"]) == 0
    (reason,) = native.FALLBACKS
    assert f"because jitnet's own compiler doesn't take it:\n  {reason}" in capsys.readouterr().out


WITHOUT_NUMBA = """
import sys
import numpy as np
import small_networks
import jitnet

x, y = small_networks.images()
model = small_networks.convolutional("auto")
model.fit(x, y, 8, epochs=2, validation_split=0.3, verbose=0)
model.evaluate(x, y, verbose=0)
model.predict(x, verbose=0)
for _ in range(3):
    model.predict_on_batch(x[:1])
jitnet.warmup(model)
model.profile(x, y, print_fn=lambda text: None)
model.step_source()
model.save(sys.argv[1])
jitnet.load_model(sys.argv[1]).predict(x, verbose=0)
assert jitnet.ops.relu(np.float32([-1, 2])).tolist() == [0, 2]
assert not [name for name in sys.modules if name.partition(".")[0] == "numba"]
"""


def test_networks_of_our_own_layers_run_without_numba(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    command = [sys.executable, "-c", WITHOUT_NUMBA, str(tmp_path / "model.safetensors")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
