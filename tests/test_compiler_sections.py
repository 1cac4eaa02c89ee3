"""The functions of a step by this project's own compiler: the same bits, errors and floating-point mode."""

import inspect

import numpy as np
import pytest
import small_networks

from jitnet import set_num_threads
from jitnet.kernels import compiler
from jitnet.kernels.compiler import machine, objects, translation
from jitnet.kernels.cpu.runtime import workers
from jitnet.kernels.cpu.runtime.arrays import view
from jitnet.kernels.cpu.runtime.jit import compile_function, compile_part, kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.parallel import flush_denormals, parallel_for
from jitnet.kernels.cpu.training import scale
from jitnet.step import Step

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
    types = "int64", "int64", VECTOR, "int64", "float64"
    run, many = compiler.compile_sections([(some, types), (twice, ("int64", *types))])
    with workers.running(threads):
        for chunks in (1, 3, 8, 40):
            values = np.arange(103, dtype=np.float32)
            run(chunks, threads, values, chunks, 4.0)
            np.testing.assert_array_equal(values, (np.arange(103) + 1) * 2)
            many(2, chunks, threads, values, chunks, 4.0)
            np.testing.assert_array_equal(values, (((np.arange(103) + 1) * 2 + 1) * 2 + 1) * np.float32(2.5))
        values = np.zeros(100, np.float32)
        with pytest.raises(ValueError, match="a bad chunk") as caught:
            run(10, threads, values, 3, 2.0)
        assert caught.value.__notes__ == ["Raised by the kernel 'careful'."]
        np.testing.assert_array_equal(values, np.repeat([1.0, 0.0], [30, 70]))


def test_denormal_numbers():
    small = np.float32(1e-39)
    (run,) = compiler.compile_sections([(halved, (VECTOR, "int64"))])
    on_x86 = machine.host().triple.startswith("x86_64")
    values = np.full(20, small)
    run(values, 0)
    assert (values == (1 if on_x86 else 1 + small / 2)).all()
    with pytest.raises(ValueError, match="a bad chunk"):
        run(values, 1)
    # the mode is as before, also after an error
    assert np.full(2, small)[0] * np.float32(0.5) > 0
    text = translation.translate_sections([("one", halved, (VECTOR, "int64"))], "", "aarch64-linux").text
    assert "ldmxcsr" not in text


@compile_function
def late(values):
    scale(values, 0.5)
    if values.size > 3:
        flush_denormals()


def test_the_mode_changes_at_the_beginning():
    with pytest.raises(compiler.TranslationError, match="must be the first"):
        compiler.compile_sections([(late, (VECTOR,))])


def sections_of(step, scope):
    """What a step calls: [(function, types)]."""
    functions = [(getattr(step.module, name), names) for name, names in step._function_calls]
    run_steps = step.module.run_steps
    functions.append((run_steps, list(inspect.signature(run_steps.py_func).parameters)))
    found = []
    for function, names in functions:
        values = dict(scope)
        if function is run_steps:
            values |= {"count": 1, "steps_per_result": 1, "results": np.zeros((1, 1))}
            values |= {"hyperparameters": np.zeros((1, 1))}
        found.append((function, tuple(compiler.type_of(values[name]) for name in names)))
    return found


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_training(monkeypatch, jit_compile, threads):
    set_num_threads(threads)
    x, y = small_networks.data(20)

    def train():
        model = small_networks.perceptron("adam", jit_compile=jit_compile)
        history = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0).history
        return history, [weights.tobytes() for weights in model.get_weights()]

    right = train()
    called = []
    with monkeypatch.context() as patch:

        def compile_with_ours(step, arguments):
            one_step = {name: np.zeros(1) for name in ("hyperparameters", "results")}
            scope = dict(zip(step.arguments, arguments, strict=True)) | one_step
            for made in compiler.compile_sections(sections_of(step, scope)):
                monitored = lambda *given, made=made: (called.append(made.py_func.__name__), made(*given))  # noqa: E731
                patch.setattr(step.module, made.py_func.__name__, monitored)

        patch.setattr(Step, "_compile", compile_with_ours)
        assert train() == right
    assert set(called) == (
        {"run_steps"} if jit_compile else {"prepare_weights", "forward_backward", "sum_results", "update"}
    )


def test_sections_are_stored_as_one():
    class Store(dict):
        read, write = dict.get, dict.__setitem__

    store, types = Store(), ("int64", "int64", VECTOR, "int64", "float64")
    sections = [(some.py_func, types), (twice.py_func, ("int64", *types))]
    first = objects.obtain_sections(sections, machine.host(), store)
    assert objects.obtain_sections(sections, machine.host(), store) == first
    assert len(store) == 1
    assert {call[2] for call in first.calls} == {"careful", "scale"}
