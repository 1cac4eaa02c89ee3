"""A pytest plugin (``-p both_compilers``): both compilers compile kernels that tests call; their bits must agree.

Each call is made by this project's own compiler on copies of its arrays, then by Numba on those of the test.  Object
files are made for other processors, too, which nothing runs here.  The environment variable ``BOTH_REPORT`` names a
file that gets what was found: kernel -> "equal", or what is wrong.
"""

import json
import os
import time
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
from guard_pages import _place

from jitnet.kernels import compiler
from jitnet.kernels.compiler.machine import Machine, object_code
from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.jit import Function

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
OTHERS = [
    Machine("haswell", "", "x86_64-unknown-linux-gnu"), Machine("x86-64", "", "x86_64-unknown-linux-gnu"),
    Machine("apple-m1", "", "arm64-apple-darwin"), Machine("neoverse-n1", "", "aarch64-unknown-linux-gnu"),
]  # fmt: skip

found: dict[str, str] = {}
seconds: dict[str, float] = {}  # CPU time of this compiler
_plans: dict[int, str] = {}
_compiled: dict = {}
_kernel = GeneratedKernel.kernel


def _name(dispatcher, types) -> str:
    function = dispatcher.py_func
    generated = _plans.get(id(dispatcher))
    where = function.__module__.removeprefix("jitnet.kernels.cpu.")
    return f"{f'{generated}: ' if generated else f'{where}.'}{function.__name__}{list(types)}"


def _call_both(kernel, *arguments, **named):
    function = kernel.py_func
    ours = id(kernel) in _plans or function.__module__.startswith("jitnet.kernels.cpu.")
    if not ours or named or not hasattr(function, "compiled_with"):
        return kernel.dispatcher(*arguments, **named)
    try:
        types = tuple(compiler.type_of(argument) for argument in arguments)
    except TypeError:
        return kernel.dispatcher(*arguments)
    name, key = _name(kernel, types), (function, types)
    if key not in _compiled:
        start = time.thread_time()
        try:
            _compiled[key] = compiler.compile(kernel, types)
            translated = compiler.translate(kernel, types)
            # instructions that some processors alone have
            if not any("llvm.x86." in text for text in translated.tiles.values()):
                for other in OTHERS:
                    object_code(translated, other)
        except compiler.TranslationError as error:
            found[name], _compiled[key] = f"not translated: {error}", None
        seconds[name] = time.thread_time() - start
    if _compiled[key] is None:
        return kernel.dispatcher(*arguments)
    arrays = {_place(a): a for a in arguments if isinstance(a, np.ndarray)}
    copies = {place: array.copy() for place, array in arrays.items()}
    others = [copies[_place(a)] if isinstance(a, np.ndarray) else a for a in arguments]
    raised = []
    for call, given in ((_compiled[key], others), (lambda *a: kernel.dispatcher(*a), arguments)):
        try:
            call(*given)
            raised.append(None)
        except Exception as error:
            raised.append(error)
    if [type(error) for error in raised] != [type(raised[1])] * 2:
        found[name] = f"raises {raised[0]!r} instead of {raised[1]!r}"
    elif raised[0] is not None:
        raise raised[1]
    for place, array in arrays.items():
        mine, right = copies[place].reshape(-1).view(np.uint8), array.reshape(-1).view(np.uint8)
        if not np.array_equal(mine, right):
            a, b = copies[place].astype(np.float64), array.astype(np.float64)
            with np.errstate(all="ignore"):
                difference = np.nanmax(np.abs(a - b), initial=0) / max(np.nanmax(np.abs(b), initial=0), 1e-300)
            at = [index for index, argument in enumerate(arguments) if argument is array]
            count = np.count_nonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))
            found[name] = f"differs in argument {at}: {count} of {a.size} elements, by {difference:.1e}"
    found.setdefault(name, "equal")


def _remembered_kernel(plan):
    dispatcher = _kernel(plan)
    _plans[id(dispatcher)] = type(plan).__name__
    return dispatcher


def pytest_configure(config):
    Function.__call__ = _call_both
    GeneratedKernel.kernel = _remembered_kernel


def pytest_sessionfinish(session):
    if "BOTH_REPORT" in os.environ:
        Path(os.environ["BOTH_REPORT"]).write_text(json.dumps([found, seconds], indent=1))
