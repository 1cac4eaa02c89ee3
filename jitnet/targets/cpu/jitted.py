"""A step for callers' own compiled functions: its arrays in one tuple, and a function that takes that."""

import hashlib

import numpy as np

from ...kernels.cpu.runtime.generated import generated_module
from ...kernels.literals import docstring, literal
from ...kernels.literals import name as checked_name
from ..base import Runner
from . import thresholds
from .memory import Workspace, aligned_zeros

_given_out: dict = {}  # {(module of a step, digest): module}: they can be called for ever, as kernels can


def jitted(runner: Runner, batch: int, given: dict[str, tuple[str, tuple]], written: list[str], values: dict):
    """``(function, state)``: in compiled code, ``function(state, *arrays)`` runs a step in the caller's thread.

    given: {argument: (dtype, shape)} of the caller's arrays, in their order; written: those that the step writes.
    values: the other arrays and numbers of a run, by name.
    """
    source = runner.source
    module = runner.module
    arrays = {name: np.zeros(shape, dtype) for name, (dtype, shape) in given.items()}
    prepared = {"prepared": aligned_zeros(runner.schedule.memory.prepared, np.uint8)}  # this state's own
    arguments = runner.bind(Workspace(), batch, (1, 1), {**values, **arrays, **prepared})
    runner.compile(arguments)
    kept = [a for a in source.arguments if a not in given]
    text = _source(module.__name__, source, given, written, kept, len(runner.changes_of_prepared()))
    # Numba takes a global function for a constant: a caller may meet a state that is not this function's
    digest = hashlib.sha256(text.encode()).hexdigest()
    identity = int(digest[:15], 16)
    caller = _given_out.get((module, digest))
    if caller is None:
        caller = generated_module(f"jitnet_jitted_{digest[:20]}", text.replace("IDENTITY", str(identity)))
        _given_out[module, digest] = caller
    state = (identity, *(arguments[runner.places[name]] for name in kept))
    if source.prepare_text:
        changes = runner.changes_of_prepared()
        temporaries = aligned_zeros(runner.schedule.memory.preparing, np.uint8)
        state += (thresholds.PREPARED_PORTIONS, temporaries)
        state += (np.full(len(changes), -1), *(c.memory for c in changes))
    return caller.predict, state


def _prepared(source, values: dict, place: int, changes: int) -> list[str]:
    """Weights are prepared where they have changed, by numbers in ``state``, from ``place`` on: see ``jitted``."""
    # no literal, for which Numba would compile it anew
    arguments = {**values, "portions": f"state[{place}]", "preparing": f"state[{place + 1}]"}
    pairs = [(f"state[{place + 2}][{i}]", f"state[{place + 3 + i}][0]") for i in range(changes)]
    return [
        f"    if {' or '.join(f'{before} != {now}' for before, now in pairs)}:",
        *(f"        {before} = {now}" for before, now in pairs),
        f"        prepare({', '.join(arguments[name] for name in source.prepare_arguments)})",
    ]


def _source(step: str, source, given: dict, written: list[str], kept: list[str], changes: int) -> str:
    dtypes = sorted({checked_name(dtype) for dtype, _ in given.values()})
    lines = [
        docstring("A step for callers' own compiled functions."),
        f"from numpy import {', '.join(dtypes)}",
        "",
        "from jitnet.kernels.cpu.runtime.callers import expect_input, expect_output",
        f"from jitnet.kernels.cpu.runtime.jit import {source.decorator}",
        f"from {checked_name(step)} import {'prepare, ' if source.prepare_text else ''}step_compiled",
        "",
        "",
        "@compile_function",
        f"def predict(state, {', '.join(map(checked_name, given))}):",
        "    if state[0] != IDENTITY:",
        '        raise ValueError("This state belongs to another function: pass the one that came with this one.")',
    ]
    for name, (dtype, shape) in given.items():
        sizes = ", ".join(map(literal, shape))
        sizes = f"({sizes},)" if len(shape) == 1 else f"({sizes})"
        lines += [
            f"    {name} = {'expect_output' if name in written else 'expect_input'}({name}, {dtype}, {sizes})",
            f"    if {name}.shape != {sizes}:",
            f'        raise ValueError("{name} has another shape than the {sizes} that the function was made for.")',
        ]
    values = {name: f"state[{number}]" for number, name in enumerate(kept, 1)}
    if source.prepare_text:
        lines += _prepared(source, values, len(kept) + 1, changes)
    call = ", ".join(values.get(name, name) for name in source.arguments)
    return "\n".join([*lines, f"    step_compiled({call})", ""])
