"""Users' own ``@njit(cache=True)`` functions that call kernels and steps, in this process and in later ones."""

import ast
import os
import subprocess
import sys

import pytest

# prints {function: (whether its values are right, overloads from Numba's cache)}
PROGRAM = """
import gc, sys
import numba, numpy as np
from numba import njit
import jitnet
from jitnet import layers
from jitnet.kernels.cpu import dense, elementwise
from jitnet.kernels.cpu.runtime import dispatchers, generated, machine_code
from jitnet.targets.cpu.memory import Workspace

units, wanted = int(sys.argv[1]), sys.argv[2].split(",")
if "changed" in wanted:
    dispatchers.source_hash = lambda file: "0123456789abcdef"  # as if every kernel were another one


@njit
def double(x, y):
    y[...] = 2 * x


@njit
def double_backward(x, y, dy, dx):
    dx[...] = 2 * dy


def prediction_of(*parts):
    # the function that a step calls, its arguments for x, and what they receive
    jitnet.utils.set_random_seed(1)
    model = jitnet.Sequential([jitnet.Input((3,)), *parts])
    step = model._step("predict")
    y = np.zeros((4, 2), np.float32)
    values = dict(x=x, seed=0, t=0, results=np.zeros(step.results), predictions=y)
    arguments = tuple(step.runner.bind(Workspace(), 4, (1, 1), values))
    step.runner.compile(arguments)
    return model, step.runner.module.step_compiled, arguments, y


x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
if "step" in wanted:
    model, step, step_arguments, step_result = prediction_of(layers.Dense(units, activation="tanh"), layers.Dense(2))
if "own" in wanted:
    doubled = jitnet.ops.CustomOperation(double, double_backward, name="double")

    class Double(layers.Layer):
        def call(self, inputs):
            return doubled(inputs)

    own_model, own_step, own_arguments, own_result = prediction_of(layers.Dense(2), Double())


@njit(cache=True)
def product(x, kernel, y):
    dense.dense_forward(x, kernel, y)


@njit(cache=True)
def network(x, kernel, y):
    product(x, kernel, y)
    elementwise.tanh_forward(y, y)


specialised = generated.specialised_module(
    "from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes\\n\\n\\n"
    "@kernel\\ndef twice(x, y):\\n    kernel_attributes()\\n    for i in range(len(x)):\\n        y[i] = 2 * x[i]\\n"
)
twice = specialised.twice


@njit(cache=True)
def by_kernel(x, y):
    twice(x, y)


@njit(cache=True)
def by_step(arguments):
    step(*arguments)


@njit(cache=True)
def by_own_step(arguments):
    own_step(*arguments)


kernel = np.linspace(-1, 1, 3 * units, dtype=np.float32).reshape(3, units)
found = {}
if "product" in wanted:
    y = np.zeros((4, units), np.float32)
    product(x, kernel, y)
    found["product"] = np.allclose(y, x @ kernel, rtol=1e-5, atol=1e-6), sum(product.stats.cache_hits.values())
if "network" in wanted:
    y = np.zeros((4, units), np.float32)
    network(x, kernel, y)
    found["network"] = np.allclose(y, np.tanh(x @ kernel), rtol=1e-5), sum(network.stats.cache_hits.values())
    found["inner"] = True, sum(product.stats.cache_hits.values())
if "step" in wanted:
    by_step(step_arguments)
    same = (step_result == model.predict(x, verbose=0)).all() and step_result.any()
    found["step"] = bool(same), sum(by_step.stats.cache_hits.values())
if "own" in wanted:
    by_own_step(own_arguments)
    same = (own_result == own_model.predict(x, verbose=0)).all() and own_result.any()
    found["own"] = bool(same), sum(by_own_step.stats.cache_hits.values())


def modules():
    # generated modules of kernels that have not ended
    for _ in range(3):
        gc.collect()
        machine_code.free_what_ended()
    return sum(name.startswith("k_") for name in sys.modules)


if "ended" in wanted:
    # the models, their steps and a specialised kernel end for all but the functions that call them
    expected = step_result.copy(), own_result.copy()
    y = np.zeros(4, np.float32)
    by_kernel(x[0], y)
    generated._kept.clear()
    del model, step, own_model, own_step, specialised, twice
    modules()
    assert not any(name.startswith("jitnet_step_") for name in sys.modules)

    @njit
    def caller(arguments):
        by_step(arguments)

    step_result[...] = own_result[...] = y[...] = 0
    caller(step_arguments)
    cached = [sum(function.stats.cache_hits.values()) for function in (by_step, by_kernel)]
    del by_step
    modules()
    caller(step_arguments)
    by_own_step(own_arguments)
    by_kernel(x[0], y)
    same = (step_result == expected[0]).all() and (own_result == expected[1]).all() and (y[:3] == 2 * x[0]).all()
    held = modules()
    del caller, by_own_step, by_kernel
    found["ended"] = bool(same), cached, (held, modules())
print(found)
"""


@pytest.fixture
def run(tmp_path):
    """Runs the program in a process of its own, whose functions have a cache of their own."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(*wanted, units=5, cache=None):
        environment = {**os.environ, **({"JITNET_CACHE_DIR": str(cache)} if cache else {})}
        command = [sys.executable, str(program), str(units), ",".join(wanted)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr or done.returncode
        return ast.literal_eval(done.stdout)

    return run


def test_a_later_process_finds_functions_that_call_kernels_and_steps(run):
    first = run("product", "network", "step")
    assert first == {"product": (True, 0), "network": (True, 0), "inner": (True, 0), "step": (True, 0)}
    again = run("product", "network", "step")
    assert again == {"product": (True, 1), "network": (True, 1), "inner": (True, 1), "step": (True, 1)}
    # another model's step is not taken for it, though its arguments have the same types
    other = run("step", units=7)
    assert other == {"step": (True, 0)}


def test_the_kernels_need_not_be_in_the_cache_any_more(run, tmp_path):
    assert run("network") == {"network": (True, 0), "inner": (True, 0)}
    assert run("network", cache=tmp_path / "empty") == {"network": (True, 1), "inner": (True, 0)}


def test_a_function_that_calls_one_from_the_cache(run):
    assert run("product") == {"product": (True, 0)}
    assert run("network") == {"network": (True, 0), "inner": (True, 1)}
    assert run("network") == {"network": (True, 1), "inner": (True, 0)}


def test_kernels_that_have_changed_are_called_anew(run, tmp_path):
    assert run("product") == {"product": (True, 0)}
    for hits in (0, 1):
        assert run("product", "changed", cache=tmp_path / "changed") == {"product": (True, hits)}


def test_a_function_that_calls_a_users_own_kernels(run):
    for hits in (0, 1):
        assert run("own") == {"own": (True, hits)}


def test_kernels_live_as_long_as_what_calls_them(run):
    assert run("step", "own", "ended")["ended"] == (True, [0, 0], (2, 0))
    # the function that calls the kernel itself holds its module, too
    assert run("step", "own", "ended")["ended"] == (True, [1, 1], (3, 0))
