"""Where NaN or infinity begins: a step, call by call, on the reference target."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._places import paths_in_steps
from ..core.program import Buffer, Out
from ..targets.reference import Memory, Reference

_PHASES = {
    "input": "the batch is fetched", "forward": "forward", "result": "the loss and metrics are added up",
    "backward": "backward", "gradients": "gradients are added up", "update": "the optimizer's update",
}  # fmt: skip


class FoundArray(NamedTuple):
    """An array that a kernel read or wrote: its name in the unfused step, and what was in it.

    low, high: of what is finite; NaN if nothing is.
    """

    name: str
    shape: tuple
    nan: int
    inf: int
    low: float
    high: float

    def __str__(self):
        size, bad = int(np.prod(self.shape)), []
        bad += [f"{self.nan} NaN"] if self.nan else []
        bad += [f"{self.inf} infinite"] if self.inf else []
        finite = "" if self.nan + self.inf == size else f"from {self.low:.6g} to {self.high:.6g}"
        found = f"{' and '.join(bad)} of {size}{', the others ' if finite else ''}{finite}" if bad else finite
        return f"{self.name} {self.shape}: {found or 'nothing'}"


@dataclass
class NotFinite:
    """Where NaN or infinity begins, of all that reaches the loss, a gradient or a weight.

    step: its number among the training steps, from 1 on.
    layer: with the models that it is in, as ``outer/inner/dense``; "" of what is no layer's: a loss, the update.
    phase: "input", "forward", "result", "backward", "gradients" or "update"; "given": an array holds it already, a
        weight or data, which is the only one of ``read``.
    kernel: the one that first wrote it, as ``jitnet inspect`` takes it; written, read: its arrays.
    """

    step: int
    layer: str
    phase: str
    kernel: str
    written: list[FoundArray]
    read: list[FoundArray]

    def __str__(self):
        if self.phase == "given":
            return f"In training step {self.step} it was there before: {self.read[0]}"
        whose = f" of the layer {self.layer!r}" if self.layer else ", outside of the layers"
        return "\n".join(
            [
                f"In training step {self.step} it begins in the kernel {self.kernel}{whose} ({_PHASES[self.phase]}):",
                *(f"  writes {array}" for array in self.written),
                *(f"  reads {array}" for array in self.read),
            ]
        )


class _Record(NamedTuple):
    """A call that wrote NaN or infinity: to which roots, and which of those that it read held it before."""

    call: object
    wrote: list[Buffer]
    had: dict[Buffer, FoundArray]
    written: list[FoundArray]
    read: list[FoundArray]
    is_loss: bool


class _Zeroed(Memory):
    """Memory in which nothing is NaN that no kernel has made so."""

    @staticmethod
    def unwritten(dtype: str):
        return 0


class Watching(Reference):
    """Runs a program call by call, and notes which calls write what is not finite.

    zeros: the memory of the machine that the model's other steps run on.
    """

    def __init__(self, zeros):
        self.records: list[_Record] = []
        self.zeros = zeros
        self._bad: dict[Buffer, bool] = {}

    def memory(self, batch: int, arrays: dict, slots: dict) -> Memory:
        self.records, self._bad = [], {}
        return _Zeroed(batch, arrays, slots)

    def run_call(self, call, memory, names):
        outs = [a for a in call.arguments.values() if isinstance(a, Out)]
        inputs = [a for a in call.arguments.values() if isinstance(a, Buffer)]
        read = [*inputs, *(out.buffer for out in outs if out.accumulate)]
        had = {b.root: _found(b, memory, names) for b in read if b.kind != "constant" and self._holds(b.root, memory)}
        super().run_call(call, memory, names)
        wrote = []
        for root in dict.fromkeys(out.buffer.root for out in outs):
            self._bad.pop(root, None)
            if self._holds(root, memory):
                wrote.append(root)
        if wrote:
            arrays = [[_found(b, memory, names) for b in some] for some in ([o.buffer for o in outs], inputs)]
            is_loss = any(root.name == "results" and not np.isfinite(memory.array(root, {})[0]) for root in wrote)
            self.records.append(_Record(call, wrote, had, *arrays, is_loss))

    def _holds(self, root: Buffer, memory: Memory) -> bool:
        """Whether NaN or infinity is in the memory of a root."""
        if root not in self._bad:
            self._bad[root] = not _finite(memory.array(root, {}))
        return self._bad[root]


def _finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _found(buffer: Buffer, memory: Memory, names: dict) -> FoundArray:
    array = memory.array(buffer, names)
    values = array[np.isfinite(array)]
    low, high = (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)
    nan, inf = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    return FoundArray(buffer.name, array.shape, nan, inf, low, high)


def first_not_finite(model, watching: Watching, step: int) -> NotFinite | None:
    """What the last run of ``watching`` has found; None if nothing of it reached the loss, a gradient or a weight.

    Masks may hold infinity that no softmax lets through: it starts at what must be finite, and goes back from there.
    """
    records = watching.records
    ends = _ends(records)
    if not ends:
        return None
    pending, seen, origins = [ends[0]], set(), []
    while pending:
        number = pending.pop()
        if number in seen:
            continue
        seen.add(number)
        record = records[number]
        writers = {root: _writer(records, root, number) for root in record.had}
        pending += [writer for writer in writers.values() if writer is not None]
        given = [root for root, writer in writers.items() if writer is None]
        if given or not record.had:
            origins.append((number, given))
    number, given = min(origins, key=lambda origin: (not origin[1], origin[0]))
    record = records[number]
    if given:
        return NotFinite(step, "", "given", "", [], [record.had[given[0]]])
    layers, call = paths_in_steps(model), record.call
    kernel = call.opcode if "function" not in call.attributes else call.attributes["function"].__name__
    return NotFinite(step, layers.get(call.layer, call.layer), call.phase, kernel, record.written, record.read)


def _ends(records: list[_Record]) -> list[int]:
    """Where what must be finite is not: in the loss, else in gradients, weights and slots, else in other results."""
    kinds = (
        lambda r: r.is_loss,
        lambda r: any(root.kind == "gradient" for root in r.wrote),
        lambda r: any(root.kind in ("variable", "slot") for root in r.wrote),
        lambda r: any(root.kind in ("argument", "external") for root in r.wrote),
    )
    for kind in kinds:
        found = [number for number, record in enumerate(records) if kind(record)]
        if found:
            return found
    return []


def _writer(records: list[_Record], root: Buffer, before: int) -> int | None:
    """The last call before another one that wrote NaN or infinity to a root."""
    return next((n for n in range(before - 1, -1, -1) if root in records[n].wrote), None)
