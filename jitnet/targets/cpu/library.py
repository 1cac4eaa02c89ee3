"""A step for programs without Python: an object file, and the C header that says how it is called.

Weights, their prepared copies and constants lie in it; the memory that the step computes in is the caller's.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ... import __version__
from ...core.operations.indexed import indices_of
from ...core.storage import aligned
from ...kernels.compiler import library, sections
from ...kernels.compiler.translation import status_of
from ...kernels.compiler.types import ArrayType, TranslationError, type_of
from ...kernels.cpu.runtime import pool, processor
from ...kernels.cpu.runtime.vectors import bfloat16_target
from ...kernels.literals import name as checked_name
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
        if argument in arguments:
            workspace[argument] = size
            size += aligned(arguments[argument].nbytes)
    last = len(given) + bool(states)  # the number of the argument ``workspace``
    places = {argument: library.Argument(number) for number, argument in enumerate(given)}
    places |= {argument: library.Argument(len(given), offset) for argument, offset in states.items()}
    places |= {argument: library.Argument(last, offset) for argument, offset in workspace.items()}
    constants = {
        argument: _read(runner, argument) if argument in runner.changes else value
        for argument, value in arguments.items()
        if argument not in places and isinstance(value, np.ndarray)
    }
    constants["numbers"] = np.array(step.numbers, np.int64)
    places |= {argument: f"{name}.{argument}" for argument in constants}
    checks, errors = _checks(name, limits, given)
    for translation in (step, *others):
        errors |= {status: f"{kind}: {text}" for status, (kind, text) in translation.errors.items()}
    predict, error, reset = (checked_name(f"{name}_{function}") for function in ("predict", "error", "reset"))
    texts = [
        pool.text_without_threads(),
        *(library.constant(places[key], value.reshape(-1).view(np.uint8)) for key, value in constants.items()),
        library.function(predict, last + 1, step.symbol, _record(arguments, places), checks),
        library.messages(error, {0: "no error", **errors}, "an unknown error"),
    ]
    if states:
        texts += [library.constant(f"{name}.state", state), library.copying(reset, f"{name}.state", len(state))]
    machine = processor.machine()
    code = library.object_file(step, others, texts, [predict, error, reset], machine)
    room = library.ALIGNMENT - 1  # to begin at a multiple of it
    origin = f"jitnet {__version__}, for {machine.name} and {machine.triple}"
    sizes = len(state) + room if states else 0, max(size, 1) + room
    return Library(code, Header(name, title, origin, given, written, names, *sizes).text())


def _record(arguments: dict, places: dict) -> list:
    """What the step is called with, see ``library.function``; places: of its arrays."""
    record = [places["numbers"]]
    for argument, value in arguments.items():
        type_ = type_of(value)
        if isinstance(type_, ArrayType):
            record += [places[argument], *value.shape]
        else:
            record.append(float(value) if type_ == "float64" else int(value))
    return record


def _checks(name: str, limits: dict, given: dict) -> tuple[list[library.Limits], dict[int, str]]:
    """What is looked at before the step runs, and what the status of each says."""
    checks, texts, numbers = [], {}, list(given)
    for argument, (least, largest, layer) in limits.items():
        text = indices_of(argument, least, largest, layer)
        status = status_of(name, "ValueError", text)
        texts[status] = f"ValueError: {text}"
        dtype, shape = given[argument]
        checks.append(library.Limits(numbers.index(argument), dtype, prod(shape), least, largest, status))
    return checks, texts


def _check(runner: Runner) -> None:
    if runner.source.functions:
        names = ", ".join(runner.source.functions)
        raise ValueError(f"Operations of your own are compiled by Numba, for Python. Received: {names}")
    calls = runner.schedule.program.calls
    if any(call.attributes.get("bfloat16") for call in calls) and bfloat16_target().name == "amx":
        raise ValueError(
            "The model's mixed_bfloat16 uses AMX, which a process has to ask the system for: take float32, or "
            "JITNET_BFLOAT16=avx512_bf16."
        )


def _arguments(runner: Runner, batch: int, given: dict, values: dict) -> dict:
    """The step's arguments by their names, weights prepared."""
    for changes in runner.changes.values():
        changes.settle()
    arrays = {name: np.zeros(shape, dtype) for name, (dtype, shape) in given.items()}
    if runner.source.prepare_text:
        prepared = aligned_zeros(runner.schedule.memory.prepared, np.uint8)
        runner.compile_prepare(values["hyperparameters"])
        runner.prepare(prepared, values["hyperparameters"])
        arrays["prepared"] = prepared
    bound = runner.bind(Workspace(), batch, (1, 1), {**values, **arrays})
    return dict(zip(runner.source.arguments, bound, strict=True))


def _translated(runner: Runner, arguments: dict):
    """The translations of the step, and of the kernels that it calls."""
    types_ = [type_of(value) for value in arguments.values()]
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
