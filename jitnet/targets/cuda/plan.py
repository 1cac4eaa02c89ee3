"""A program for batches of one size: where its buffers lie on the device, and what is launched over them."""

import importlib
import itertools
from dataclasses import dataclass, field

import numpy as np

from ...core.liveness import place
from ...core.program import Block, Buffer, Call, Loop, Out, Program, Scalar, calls_of
from ...core.storage import Layout, aligned
from ...core.values import ITEMSIZE
from ..base import Signature
from ..hoisting import HOISTED
from ..parameters import Flat

# parameters that are fixed when a step is recorded; every other number is read from the device's memory
_FIXED = {
    "a_strides", "accumulate", "axis_size", "b_strides", "batch", "begin", "classes", "columns", "count", "depth",
    "dilation_h", "dilation_w", "fill_mode", "first", "groups", "height", "ignored", "index", "inner", "k", "last",
    "left", "offset", "out_height", "out_width", "pad_left", "pad_top", "padding", "positions", "row", "rows", "shape",
    "side", "size", "stream", "stride_h", "stride_w", "strides", "taken", "top", "top_k", "weight_columns", "width",
    "window_h", "window_w", "x_width", "y_width",
}  # fmt: skip
_INTEGERS = {"seed": np.uint64, "step": np.uint64, "t": np.int64}  # other numbers are float64
NUMBER = 8  # bytes of one


def function_of(call: Call):
    """The public function of ``kernels.cuda`` that a call means.

    Raises:
        NotImplementedError: there is none.
    """
    if call.kernel is not None:
        return call.kernel
    family, _, name = call.opcode.rpartition(".")
    try:
        found = getattr(importlib.import_module(f"...kernels.cuda.{family}", __package__), name)
    except (ImportError, AttributeError):
        known = "a function of your own" if "function" in call.attributes else repr(call.opcode)
        raise NotImplementedError(
            f"CUDA has no kernel for {known} of {call.layer or 'the step'}. Run this model with device='cpu'."
        ) from None
    if call.epilogue is None:
        return found
    from ...kernels.cuda._epilogues import with_epilogue

    return with_epilogue(found, call.epilogue)


EPILOGUES = "bias", "residual", "mask"  # arguments of them, which stand last


@dataclass
class Numbers:
    """The numbers of a step that the device reads: expressions of names that change from step to step.

    entries: {(expression or literal, dtype): place}.
    """

    entries: dict = field(default_factory=dict)

    def place(self, value, dtype) -> int:
        key = (value if isinstance(value, Scalar) else float(value)), dtype
        return self.entries.setdefault(key, len(self.entries))

    def table(self, count: int, names: dict) -> np.ndarray:
        """int64 (count, numbers): the bits of each number in each step; names: values, or one for each step."""
        table = np.zeros((count, max(1, len(self.entries))), np.int64)
        for (value, dtype), place_of in self.entries.items():
            numbers = value.value(names) if isinstance(value, Scalar) else value
            column = np.broadcast_to(np.asarray(numbers).astype(dtype), (count,))
            table[:, place_of] = np.ascontiguousarray(column).view(np.int64)
        return table


@dataclass
class Placement:
    """Where temporaries lie in the arena: byte offsets by root, and the size of all."""

    offsets: dict[Buffer, int]
    nbytes: int


class Layouts:
    """What is the same for all batch sizes.

    blocks: [(block, its calls)] of every step; prepares: calls for which weights and the size of the batch suffice.
    numbers: what is read from the device's memory.
    """

    def __init__(self, program: Program, layout: Layout):
        self.program, self.layout = program, layout
        self._flat = Flat(layout, program)
        self.blocks = [self._launched(block) for block in program.blocks]
        self.prepares = [call for _, calls in self.blocks for call in calls if _is_early(call)]
        self.blocks = [(block, [c for c in calls if not _is_early(c)]) for block, calls in self.blocks]
        self.numbers = Numbers()
        for calls in (self.prepares, *(calls for _, calls in self.blocks)):
            for call in calls:
                for name, argument in call.arguments.items():
                    if is_number(name, argument):
                        self.numbers.place(argument, _INTEGERS.get(name, np.float64))
            if calls is self.prepares:
                self.prepared_numbers = slice(0, len(self.numbers.entries))  # those that they read come first

    def _launched(self, block: Block) -> tuple:
        if isinstance(block, Loop):
            return block, block.calls
        calls = [call for call in block.calls if call.opcode != "training.count_step"]  # which the host does
        # an update is one launch for all neighbouring variables
        parts = itertools.groupby(calls, key=lambda call: call.phase == "update" and self._flat.takes(call))
        joined = (self._joined(list(together)) if flat else together for flat, together in parts)
        return block, list(itertools.chain.from_iterable(joined))

    def _joined(self, calls: list[Call]) -> list[Call]:
        return [call for _, together in self._flat.parts(calls) for call in together]

    def placement(self, batch: int) -> Placement:
        """Temporaries of a batch in one arena, which share memory where they do not live at once."""
        offsets, kept = {}, 0  # what was prepared outlives a step
        for call in self.prepares:
            for root in call.writes:
                offsets[root] = kept
                kept += aligned(max(1, root.nbytes))
        items = [item for block, calls in self.blocks for item in ([block] if isinstance(block, Loop) else calls)]
        roots = dict.fromkeys(buffer.root for call in calls_of(items) for buffer in call.buffers)
        temporary = [r for r in roots if r.kind in ("batch", "partial", "whole") and r not in offsets]

        def nbytes(root):
            return aligned(max(ITEMSIZE[root.dtype], root.nbytes * (batch if root.batched else 1)))

        places, total = place(items, temporary, nbytes)
        offsets.update((root, kept + offset) for root, offset in places.items())
        return Placement(offsets, kept + total)


def _is_early(call: Call) -> bool:
    """Whether a call needs no more than weights and the size of the batch."""
    return HOISTED in call.attributes or call.opcode == "training.chunk_counts"


def is_number(name: str, argument) -> bool:
    """Whether an argument is read from the device's memory."""
    return not isinstance(argument, Buffer | Out | tuple | bool) and name not in _FIXED


class Memory:
    """The arrays of a device for a plan.

    given: {name: array} of what is no temporary.  Storages, slots, gradients and constants are bytes; data and results
    are arrays of their own type.
    """

    def __init__(
        self, backend, layouts: Layouts, signature: Signature, batch: int, arena, placement: Placement, numbers,
        given: dict,
    ):  # fmt: skip
        self._backend, self._layouts, self._signature = backend, layouts, signature
        self._placement = placement
        self._batch, self._arena, self._numbers, self._given = batch, arena, numbers, given

    def launches(self, block: Block, calls: list[Call]) -> list[tuple]:
        """What is launched for a block, a loop turn after turn."""
        return [self.launch(call, names) for names in block.turns() for call in calls]

    def launch(self, call: Call, names: dict | None = None) -> tuple:
        """(function, arguments, named arguments, whether its products may be of bfloat16) of a call.

        names: the index of the loop that it is in.
        """
        names = {"batch": self._batch, "begin": 0, "chunk": 0, "chunks": 1, **(names or {})}
        given = {name: self._argument(call, name, names) for name in call.arguments}
        named = {name: given.pop(name) for name in EPILOGUES if call.epilogue and name in given}
        return function_of(call), tuple(given.values()), named, call.attributes.get("bfloat16", False)

    def _argument(self, call: Call, name: str, names: dict):
        argument = call.arguments[name]
        if isinstance(argument, Buffer | Out):
            buffer = argument.buffer if isinstance(argument, Out) else argument
            return self._array(buffer, call.batched, names)
        if is_number(name, argument):
            dtype = _INTEGERS.get(name, np.float64)
            place_of = self._layouts.numbers.place(argument, dtype)
            return self._backend.view(self._numbers, place_of * NUMBER, (1,), dtype)
        if isinstance(argument, Scalar):
            return int(argument.value(names))
        return argument

    def _array(self, buffer: Buffer, batched: bool, names: dict):
        root = buffer.root
        leading = (self._batch * buffer.batches * buffer.rows,) if buffer.batched else ()
        shape = (*leading, *buffer.shape) or (1,)  # kernels take arrays of an axis
        array = self._flat(root) if buffer.step is None else self._step(buffer, names)
        if root.kind == "partial" and not batched:
            shape = (1, *buffer.shape)
        if root.kind == "argument" and buffer.shape and buffer.shape[0] == 0:  # a data set of any length
            return array
        return array.reshape(shape)

    def _step(self, buffer: Buffer, names: dict):
        """All elements of the steps that a view has of a sequence, of which temporaries alone have steps."""
        root = buffer.root
        step = buffer.step.value(names) if isinstance(buffer.step, Scalar) else buffer.step
        size = root.size // root.steps * (self._batch * root.batches if root.batched else 1)
        offset = self._placement.offsets[root] + step * size * ITEMSIZE[root.dtype]
        return self._view(self._arena, offset, size * buffer.viewed_steps, root.dtype)

    def _flat(self, root: Buffer):
        """All elements of a root; of a data set the array itself."""
        size = root.size * (self._batch * root.batches if root.batched else 1)
        if root in self._placement.offsets:
            return self._view(self._arena, self._placement.offsets[root], size, root.dtype)
        itemsize = ITEMSIZE[root.dtype]
        if root.kind == "variable":
            variable = root.source
            storage = self._given[self._signature.storages[id(variable.storage)]]
            return self._view(storage, variable.storage_offset * itemsize, size, root.dtype)
        if root.kind in ("slot", "gradient"):
            flat = self._given[root.name if root.kind == "slot" else "gradients"]
            return self._view(flat, self._layouts.layout.offsets[root.source] * itemsize, size, root.dtype)
        if root.kind == "flat":
            return self._view(self._given[root.source.argument], root.source.start * itemsize, size, root.dtype)
        if root.kind == "constant":
            return self._view(self._given["constants"], self._signature.constants[root.source], size, root.dtype)
        return self._given[root.name]

    def _view(self, raw, offset: int, size: int, dtype: str):
        return self._backend.view(raw, offset, (size,), dtype)
