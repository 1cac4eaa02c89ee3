"""A step for programs without Python: an object file, and the C header that says how it is called.

Weights, their prepared copies and constants lie in it; the memory that the step computes in is the caller's.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ... import __version__
from ...core.storage import aligned
from ...kernels.compiler import library, sections
from ...kernels.compiler.translation import status_of
from ...kernels.compiler.types import ArrayType, TranslationError, type_of
from ...kernels.cpu.runtime import pool, processor
from ...kernels.cpu.runtime.vectors import bfloat16_target
from ..base import Runner
from ..hoisting import HOISTED
from .header import Header
from .memory import Workspace, aligned_zeros


class Library(NamedTuple):
    """An object file and its header."""

    code: bytes
    header: str


def step_library(
    runner: Runner, name: str, title: str, names: dict, limits: dict, batch: int, given: dict, written: list[str],
    values: dict,
) -> Library:  # fmt: skip
    """A step for programs without Python, see ``Runner.library``."""
    _check(runner)
    arguments = _arguments(runner, batch, given, values)
    step, others = _translated(runner, arguments)
    states, state = _states(runner)
    workspace, size = {}, 0  # where in the caller's memory the step writes
    for argument in ("arena", "results"):
        if argument in runner.places:
            workspace[argument] = size
            size += aligned(arguments[runner.places[argument]].nbytes)
    numbers = {argument: number for number, argument in enumerate(given)}
    behind = len(given) + bool(states)  # the number of the argument ``workspace``
    constants = {f"{name}.numbers": np.array(step.numbers, np.int64)}
    record: list = [f"{name}.numbers"]
    for argument, value in zip(runner.source.arguments, arguments, strict=True):
        type_ = type_of(value)
        if not isinstance(type_, ArrayType):
            record.append(float(value) if type_ == "float64" else int(value))
            continue
        if argument in numbers:
            record.append(library.Argument(numbers[argument]))
        elif argument in states:
            record.append(library.Argument(len(given), states[argument]))
        elif argument in workspace:
            record.append(library.Argument(behind, workspace[argument]))
        else:
            record.append(f"{name}.{argument}")
            constants[record[-1]] = _read(runner, argument) if argument in runner.changes else value
        record += value.shape
    errors = {status: f"{kind}: {text}" for t in (step, *others) for status, (kind, text) in t.errors.items()}
    checks = []
    for argument, (least, largest, layer) in limits.items():
        who = f"The layer {layer!r}" if layer else "An operation"
        text = f"{who} takes {argument} as indices from {least} to {largest}."
        status = status_of(name, "ValueError", text)
        errors[status] = f"ValueError: {text}"
        dtype, shape = given[argument]
        checks.append(library.Limits(numbers[argument], dtype, prod(shape), least, largest, status))
    shown = [f"{name}_predict", f"{name}_error"]
    texts = [
        pool.text_without_threads(),
        *(library.constant(key, array.reshape(-1).view(np.uint8)) for key, array in constants.items()),
        library.function(shown[0], behind + 1, step.symbol, record, checks),
        library.messages(shown[1], {0: "no error", **errors}, "an unknown error"),
    ]
    if states:
        shown.append(f"{name}_reset")
        texts += [library.constant(f"{name}.state", state), library.copying(shown[2], f"{name}.state", len(state))]
    machine = processor.machine()
    code = library.library(step, others, texts, shown, machine)
    room = library.ALIGNMENT - 1  # to begin at a multiple of it
    origin = f"jitnet {__version__}, for {machine.name} and {machine.triple}"
    sizes = len(state) + room if states else 0, max(size, 1) + room
    return Library(code, Header(name, title, origin, given, written, names, *sizes).text())


def _check(runner: Runner) -> None:
    if runner.source.functions:
        names = ", ".join(runner.source.functions)
        raise ValueError(f"Operations of your own are compiled by Numba, for Python. Received: {names}")
    calls = runner.schedule.program.calls
    if any(call.attributes.get("bfloat16") for call in calls) and bfloat16_target().tiles:
        raise ValueError(
            "The model's mixed_bfloat16 uses AMX, which a process has to ask the system for: take float32, or "
            "JITNET_BFLOAT16=avx512_bf16."
        )


def _arguments(runner: Runner, batch: int, given: dict, values: dict) -> list:
    """The step's arguments, weights prepared."""
    for changes in runner.changes.values():
        changes.settle()
    arrays = {name: np.zeros(shape, dtype) for name, (dtype, shape) in given.items()}
    if runner.source.prepare_text:
        prepared = aligned_zeros(runner.schedule.memory.prepared, np.uint8)
        runner.compile_prepare(values["hyperparameters"])
        runner.prepare(prepared, values["hyperparameters"])
        arrays["prepared"] = prepared
    return runner.bind(Workspace(), batch, (1, 1), {**values, **arrays})


def _translated(runner: Runner, arguments: list):
    """The translations of the step, and of the kernels that it calls."""
    types_ = [type_of(value) for value in arguments]
    try:
        step = sections.translate_step(runner.python("step"), types_, processor.machine().triple)
        return step, library.with_calls(step)[1:]
    except TranslationError as error:
        raise ValueError(f"The step has something that only Numba compiles: {error}") from None


def _states(runner: Runner) -> tuple[dict[str, int], np.ndarray]:
    """What the step writes of the model's variables: where each storage of them begins, and all as they are now."""
    written = {root.source for call in runner.schedule.program.calls for root in call.writes if root.kind == "variable"}
    storages = {id(variable.storage) for variable in written}
    offsets, contents, size = {}, [np.zeros(0, np.uint8)], 0
    for name in runner.changes:
        if id(runner.fixed[name]) in storages:
            content = _read(runner, name).view(np.uint8)
            contents.append(np.pad(content, (0, aligned(len(content)) - len(content))))
            offsets[name] = size
            size += len(contents[-1])
    return offsets, np.concatenate(contents)


def _read(runner: Runner, name: str) -> np.ndarray:
    """A storage of variables with nothing in it but what the step reads: there may be other models' weights, too."""
    calls = [call for call in runner.schedule.program.calls if HOISTED not in call.attributes]
    variables = {root.source for call in calls for root in call.reads | call.writes if root.kind == "variable"}
    storage = runner.fixed[name]
    found = np.zeros_like(storage)
    for variable in variables:
        if variable.storage is storage:
            place = slice(variable.storage_offset, variable.storage_offset + variable.size)
            found[place] = storage[place]
    return found
