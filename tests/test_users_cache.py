"""A user's own ``@njit`` functions in the disk cache: found by later processes, and never after an edit."""

import math
import os
import subprocess
import sys
import types

import numba
import numpy as np
import pytest
from numba import njit

from jitnet.kernels.cpu import elementwise
from jitnet.kernels.cpu.runtime.users import identity_of

# prints the loss, and how often Numba has compiled
PROGRAM = """
import numpy as np
from numba import njit
from numba.core import event
import jitnet
from jitnet import layers, ops
import helpers

recorded = event.RecordingListener()
event.register("numba:compile", recorded)
{before}


@njit
def forward(x, y):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = helpers.cube(x[i, j])


@njit
def backward(x, y, dy, dx):
    dx[...] = 3 * x * x * dy


jitnet.utils.set_random_seed(1)
inputs = jitnet.Input((3,))
y = ops.CustomOperation(forward, backward, name="cube")(layers.Dense(2)(inputs))
model = jitnet.Model(inputs, y)
model.compile(optimizer="sgd", loss="mse")
x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
loss = model.train_on_batch(x, np.ones((4, 2), np.float32))
print(float(loss), sum(kind.is_start for _, kind in recorded.buffer))
"""
HELPERS = """
from numba import njit


@njit
def inner(x):
    return x * x * {factor}


@njit
def cube(x):
    return x * inner(x)
"""


def test_a_later_process_compiles_nothing_and_an_edit_anywhere_counts(tmp_path):
    def run(factor=1, before=""):
        (tmp_path / "helpers.py").write_text(HELPERS.format(factor=factor))
        (tmp_path / "program.py").write_text(PROGRAM.format(before=before))
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, str(tmp_path / "program.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        loss, compilations = done.stdout.split()
        return float(loss), int(compilations)

    loss, _ = run()  # perhaps an earlier run of the tests has compiled it
    assert run() == (loss, 0)
    # what the function doesn't depend on may change
    assert run(before="unused = 3") == (loss, 0)
    # a constant two calls away gives another model; that of an earlier test run is in the cache
    other, _ = run(factor=1.5 + os.getpid() / 2**22)
    assert other != loss
    assert run() == (loss, 0)


def function(text="y[...] = x", before="", options="", **scope):
    """An own function with this line, ``before`` in its module."""
    module = types.ModuleType("of_a_user")
    sys.modules["of_a_user"] = module
    vars(module).update(njit=njit, np=np, math=math, **scope)
    exec(f"{before}\n@njit{options}\ndef forward(x, y, by=1):\n    {text}\n", vars(module))
    return module.forward


HELPER = "@njit\ndef helper(x):\n    return x {}\n"
MIDDLE = "@njit\ndef middle(x):\n    return helper(x)\n"


def module(**contents):
    found = types.ModuleType("module_of_a_user")
    vars(found).update(contents)
    return found


DIFFERENT = {
    "a constant": [{"text": "y[...] = 2 * x"}, {"text": "y[...] = 3 * x"}, {"text": "y[...] = 2.0 * x"}],
    "an operator": [{"text": "y[...] = 2 * x"}, {"text": "y[...] = 2 + x"}],
    "an attribute": [{"text": "y[...] = np.sin(x)"}, {"text": "y[...] = np.cos(x)"}],
    "a global": [{"text": "y[...] = c * x", "c": c} for c in (1, 1.0, True, np.float32(1), np.float64(1), 2)],
    "a global array": [{"text": "y[...] = c[0] * x", "c": c} for c in (np.zeros(3000), np.eye(3000, 1)[:, 0])],
    "a dtype of a global array": [{"text": "y[...] = c[0] * x", "c": np.zeros(2, d)} for d in ("f4", "f8", "i4")],
    "a tuple": [{"text": "y[...] = c[0] * x", "c": c} for c in ((1, 2), (1, (2,)), (1, 2.0))],
    "a type": [{"text": "y[...] = c(x[0, 0])", "c": c} for c in (np.float32, numba.int32)],
    "a helper": [{"text": "y[...] = helper(x)", "before": HELPER.format(by)} for by in ("+ 1", "+ 2", "- 1")],
    "a helper's helper": [
        {"text": "y[...] = middle(x)", "before": HELPER.format(by) + MIDDLE} for by in ("+ 1", "+ 2")
    ],
    "a default": [{"text": "y[...] = by * x"}, {"text": "y[...] = by * x", "after": {"by": 2}}],
    "an option": [{"options": o} for o in ("", "(fastmath=True)", "(fastmath=False)", "(error_model='python')")],
    "a module's": [{"text": "y[...] = m.c * x", "m": module(c=c)} for c in (1, 2)],
    "a module's module's": [{"text": "y[...] = m.n.c * x", "m": module(n=module(c=c))} for c in (1, 2)],
    "a kernel": [{"text": f"e.{k}_forward(x, y)", "e": elementwise} for k in ("tanh", "relu")],
    "a lambda's constant": [{"text": f"y[...] = (lambda v: v + {c})(x)"} for c in (1, 2)],
    "a lambda's global": [{"text": "y[...] = (lambda v: v + c)(x)", "c": c} for c in (1, 2)],
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_other_machine_code_has_another_identity(what):
    def made(after=None, **arguments):
        found = function(**arguments)
        if after:
            found.py_func.__defaults__ = tuple(after.values())
        return identity_of(found)

    found = [made(**arguments) for arguments in DIFFERENT[what]]
    assert None not in found
    assert len(set(found)) == len(found)
    assert [made(**arguments) for arguments in DIFFERENT[what]] == found


def closure(value):
    @njit
    def forward(x, y):
        y[...] = value * x

    return forward


def test_closures():
    helpers = [njit(lambda x, c=c: x + c) for c in (1, 2)]
    found = [identity_of(closure(value)) for value in (1, 1.0, np.float32(1), *helpers)]
    assert len({*found, None}) == 6
    assert identity_of(closure(1)) == found[0]
    a_list = identity_of(closure([1]))
    assert a_list is None


class Something:
    """Has the same name as any other of its class."""

    def __repr__(self):
        return "Something"


def test_what_has_no_identity():
    @numba.vectorize
    def elementwise_function(x):
        return x + 1

    record = np.zeros(1, object)
    for value in (Something(), Something, record, elementwise_function, lambda x: x, [1], {"a": Something()}):
        assert identity_of(function(text="y[...] = c", c=value)) is None
    # nor has it if its module can't be imported again
    forward = function()
    assert identity_of(forward) is not None
    del sys.modules["of_a_user"]
    assert identity_of(forward) is None
