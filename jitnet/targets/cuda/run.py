"""A step on a device: its memory, recorded launches, and what passes between host and device."""

import contextlib
import threading

import numpy as np

from ...core.values import Changes
from ..base import Run, Runner, unchanged_data
from .arrays import DeviceArray
from .mirror import mirror_of
from .plan import NUMBER, Memory
from .staging import Staging, needs_staging

KEPT_PLANS = 2  # of batches of one size: over two parts of a data set, say


class CudaRunner(Runner):
    """Runs a step's launches on the stream of its own, for one thread at a time.

    fixed: arguments that are the same in every run: storages and constants; changes: of the variables in them.
    """

    always_many = own_memory = True

    def __init__(self, source, backend, fixed: dict[str, np.ndarray], changes: dict[str, Changes]):
        self.source, self.backend = source, backend
        self.layouts, self.signature = source.layouts, source.signature
        self.has_run = False
        self._fixed, self._changes = fixed, changes
        self._stream = None
        self._arena = None
        self._plans: dict[tuple, Recorded] = {}
        self._gradients = None
        self._constants = None
        self._adopted: dict[str, tuple] = {}  # {name of data: (what is there already, which that is)}
        roots = {b.root for _, calls in self.layouts.blocks for call in calls for b in call.buffers}
        self._batches = {root.name for root in roots if root.kind == "external"}  # data that are a batch
        gathers = [c for _, calls in self.layouts.blocks for c in calls if c.opcode == "memory.gather"]
        self.data_sets = list(dict.fromkeys(call["source"].root.name for call in gathers))
        self._staged: dict[tuple, bool] = {}
        self._stagings: dict[tuple, Staging] = {}
        self._prepared: tuple | None = None  # what the prepared memory was made of
        self._rows: dict[tuple, tuple] = {}  # of results of several epochs: {(rows, size, dtype): (array, its rows)}
        self._buffers: dict[str, object] = {}  # {name of data: the array on the device for it}
        self._lock = threading.RLock()

    @property
    def gradients(self) -> np.ndarray:
        layout = self.layouts.layout
        if self._gradients is None:
            return np.zeros(layout.size, layout.dtype)
        return self.backend.to_host(self._gradients, self._stream).view(layout.dtype)

    def work(self, batch: int) -> float:
        return sum(c.work * (batch if c.batched else 1) for _, calls in self.layouts.blocks for c in calls)

    @contextlib.contextmanager
    def running(self, batch: int, compiled: bool, arrays: dict, changes: dict[str, Changes]):
        from ...kernels.cuda import _api

        with self._lock:
            if self._stream is None:
                self._stream = self.backend.new_stream()
            with _api.using(self.backend, self._stream):
                yield CudaRun(self, batch, arrays, self._mirrors(arrays, changes))

    def _mirrors(self, arrays: dict, slot_changes: dict) -> dict:
        """Copies on the device of storages and slots, as new as they are, by name."""
        found = {}
        for name, array in self._fixed.items():
            if name != "constants":
                found[name] = mirror_of(self.backend, array, self._changes[name])
        for name in self.signature.slots:
            found[name] = mirror_of(self.backend, arrays[name], slot_changes[name])
        for mirror in found.values():
            mirror.upload(self._stream)
        return found

    def outside_array(self, shape: tuple, dtype) -> DeviceArray:
        return DeviceArray(self.backend.empty(shape, dtype), number=self.backend.number)

    def constants(self):
        """The constants on the device."""
        if self._constants is None:
            self._constants = self.backend.to_device(self._fixed["constants"].view(np.uint8), self._stream)
        return self._constants

    def device_gradients(self):
        """Bytes for the gradients of all trainable variables, zero where nothing writes."""
        if self._gradients is None:
            layout = self.layouts.layout
            nbytes = max(1, layout.size) * np.dtype(layout.dtype).itemsize
            self._gradients = self.backend.empty((nbytes,), np.uint8)
            self.backend.memset(self._gradients, 0, self._stream)
        return self._gradients

    def buffer_for(self, name: str, array: np.ndarray):
        """An array of the device like ``array``: the same one for as long as the shape stays the same."""
        found = self._buffers.get(name)
        if found is None or (tuple(found.shape), found.dtype) != (array.shape, array.dtype):
            found = self._buffers[name] = self.backend.empty(array.shape, array.dtype)
        return found

    def all_results(self, results: np.ndarray):
        """An array of the device for all rows of results."""
        return self._result_rows(results)[0]

    def rows_of(self, results: np.ndarray) -> list:
        """The rows of ``all_results``, which become what ``results`` has."""
        table, rows = self._result_rows(results)
        self.backend.copy(table, results.reshape(-1), self._stream)
        return rows

    def _result_rows(self, results: np.ndarray) -> tuple:
        (count, size), dtype = results.shape, results.dtype
        if (count, size, dtype) not in self._rows:
            raw, nbytes = self.backend.empty((max(1, results.nbytes),), np.uint8), size * dtype.itemsize
            rows = [self.backend.view(raw, row * nbytes, (size,), dtype) for row in range(count)]
            self._rows = {(count, size, dtype): (self.backend.view(raw, 0, (count * size,), dtype), rows)}
        return self._rows[count, size, dtype]

    def uploaded(self, name: str, array: np.ndarray | DeviceArray):
        """Data on the device; a data set that is there stays where it is."""
        if isinstance(array, DeviceArray):
            key = array.pointer, array.shape, array.dtype
            found, known = self._adopted.get(name, (None, None))
            if known != key:
                found = self.backend.adopt(array)
                if name in self._batches:  # each one elsewhere, and recorded but once
                    buffer = self.buffer_for(name, array)
                    self.backend.copy(buffer, found, self._stream)
                    return buffer
                self._adopted[name] = found, key
            return found
        found, scope = self.buffer_for(name, array), unchanged_data()
        key = id(self), name
        if scope is None or scope.get(key) is not array:
            self.backend.copy(found, np.ascontiguousarray(array), self._stream)
            if scope is not None:
                scope[key] = array
        return found

    def arena(self, nbytes: int):
        """At least so many bytes; whatever was recorded over less is forgotten."""
        if self._arena is None or self._arena.size < nbytes:
            self._plans.clear()
            self._arena = None
            self._arena = self.backend.empty((nbytes,), np.uint8)
        return self._arena

    def prepare(self, recorded: "Recorded", values: np.ndarray) -> None:
        """Make what is made of weights, unless they and the numbers are those of last time."""
        if self.layouts.prepares:
            numbers = tuple(changes.number[0] for changes in self._changes.values())
            key = id(self._arena), recorded.batch, numbers, values[self.layouts.prepared_numbers].tobytes()
            if key != self._prepared:
                recorded.prepare(values)
                self._prepared = key

    def needs_staging(self, data: dict) -> bool:
        """Whether data sets are too large to be on the device as a whole."""
        host = {name: array for name, array in data.items() if not isinstance(array, DeviceArray)}
        known = tuple((name, array.shape) for name, array in host.items())
        if known not in self._staged:
            self._staged = {known: needs_staging(self.backend, host)}
        return self._staged[known]

    def staging(self, data: dict, batch: int) -> Staging:
        """What brings batches of these data sets to the device."""
        key = batch, tuple((name, array.shape[1:]) for name, array in data.items())
        if key not in self._stagings:
            self._stagings = {key: Staging(self.backend, data, batch)}
        return self._stagings[key]

    def recorded(self, batch: int, given: dict, steps: int) -> "Recorded":
        """What is launched for a batch, over these arrays.  steps: for which there is room in its tables."""
        rows = 1 << max(0, steps - 1).bit_length()
        key = batch, tuple(sorted((name, id(array)) for name, array in given.items()))
        found = self._plans.get(key)
        if found is None or found.rows < rows:
            others = [k for k in self._plans if k[0] == batch]
            for old in others[: len(others) + 1 - KEPT_PLANS]:
                del self._plans[old]
            placement = self.layouts.placement(batch)
            arena = self.arena(max(1, placement.nbytes))
            found = self._plans[key] = Recorded(self, batch, arena, placement, given, rows)
        return found


class Recorded:
    """The launches of a step for batches of one size: as arguments, and as graphs, by which conditions hold.

    table, orders: numbers and samples of the next steps; numbers, order: of the present one.
    """

    def __init__(self, runner: CudaRunner, batch: int, arena, placement, given: dict, rows: int):
        backend, signature = runner.backend, runner.signature
        self.runner, self.batch, self.rows, self.given = runner, batch, rows, given
        count = max(1, len(runner.layouts.numbers.entries))
        self.table = backend.empty((rows * count,), np.int64)
        self.orders = backend.empty((rows * batch,), np.int64)
        self._counter = backend.empty((1,), np.int64)
        numbers = backend.empty((count * NUMBER,), np.uint8)
        self.numbers = backend.view(numbers, 0, (count,), np.int64)
        self.order = backend.empty((batch,), np.int64)
        own = {**given, "order": self.order}
        memory = Memory(backend, runner.layouts, signature, batch, arena, placement, numbers, own)
        self._prepares = [memory.launch(call) for call in runner.layouts.prepares]
        self._launches = [memory.launches(block, calls) for block, calls in runner.layouts.blocks]
        self._graphs: dict[tuple, object] = {}

    def prepare(self, values: np.ndarray) -> None:
        """Make anew what is made of weights.  values: a row of the table of numbers, as they are now."""
        backend, stream = self.runner.backend, self.runner._stream
        backend.copy(self.numbers, values, stream)
        self._launch_all(self._prepares)

    def begin(self, table: np.ndarray, orders: np.ndarray) -> None:
        """Let the next steps have these numbers and samples."""
        backend, stream = self.runner.backend, self.runner._stream
        whole = np.zeros(self.table.shape[0], np.int64)
        whole[: table.size] = table.reshape(-1)
        backend.copy(self.table, whole, stream)
        if orders.size:
            whole = np.zeros(self.orders.shape[0], np.int64)
            whole[: orders.size] = orders
            backend.copy(self.orders, whole, stream)
        else:
            backend.memset(self.orders, 0, stream)
        backend.memset(self._counter, 0, stream)

    def step(self, conditions: tuple[bool, ...]) -> None:
        """One step, of which the blocks with these conditions hold."""
        if conditions not in self._graphs:
            self._graphs[conditions] = self.runner.backend.record(lambda: self._launch(conditions), self.runner._stream)
        self._graphs[conditions]()

    def _launch(self, conditions: tuple[bool, ...]) -> None:
        from ...kernels.cuda._steps import begin_step

        begin_step(self.table, self.orders, self._counter, self.numbers, self.order)
        for holds, launches in zip(conditions, self._launches, strict=True):
            if holds:
                self._launch_all(launches)

    def _launch_all(self, launches: list[tuple]) -> None:
        from ...kernels.cuda._api import using

        runner = self.runner
        for function, arguments, named, bfloat16 in launches:
            with using(runner.backend, runner._stream, "medium" if bfloat16 else runner.source.precision):
                function(*arguments, **named)


class CudaRun(Run):
    """A step with its arrays."""

    def __init__(self, runner: CudaRunner, batch: int, arrays: dict, mirrors: dict):
        self._runner, self._batch, self._arrays, self._mirrors = runner, batch, dict(arrays), mirrors

    def once(self, **changed) -> None:
        self._arrays.update(changed)
        arrays, signature = self._arrays, self._runner.signature
        hyperparameters = np.atleast_2d(arrays["hyperparameters"])[:1]
        orders = np.asarray(arrays["order"], np.int64) if signature.gathered else np.zeros(0, np.int64)
        self._run(1, hyperparameters, orders, np.atleast_2d(arrays["results"]), 1)

    def many(self, count: int, steps_per_result: int) -> None:
        arrays = self._arrays
        self._run(count, arrays["hyperparameters"], arrays["order"], np.atleast_2d(arrays["results"]), steps_per_result)

    def _run(self, count: int, hyperparameters, orders, results: np.ndarray, steps_per_result: int) -> None:
        runner, batch = self._runner, self._batch
        backend, stream, signature = runner.backend, runner._stream, runner.signature
        names = {"t": self._arrays["t"] + np.arange(count), "seed": np.uint64(self._arrays["seed"]), "batch": batch}
        names |= dict(zip(signature.hyperparameters, np.asarray(hyperparameters).T, strict=True))
        table, conditions = runner.layouts.numbers.table(count, names), self._conditions(count, names)
        counted = results.shape[1] > 0
        sums = runner.buffer_for("results", results[0] if counted else np.zeros(1))
        rows = runner.rows_of(results) if len(results) > 1 else results
        given, outputs = self._given()
        given["results"] = sums
        done = 0
        try:
            for first, last, data, order in self._pieces(count, np.asarray(orders, np.int64)):
                recorded = runner.recorded(batch, {**given, **data}, last - first)
                if first == 0:
                    runner.prepare(recorded, table[0])
                recorded.begin(table[first:last], order)
                for step in range(first, last):
                    row, place = divmod(step, steps_per_result)
                    if counted and place == 0:
                        backend.copy(sums, rows[row], stream)
                    recorded.step(conditions[step])
                    done += 1
                    if counted and len(rows) > 1 and (place == steps_per_result - 1 or step == count - 1):
                        backend.copy(rows[row], sums, stream)
            if counted:  # all at once: until here the host waits for nothing
                found = runner.all_results(results) if len(rows) > 1 else sums
                results[...] = backend.to_host(found, stream).reshape(results.shape)
            self._fetch(given, outputs)
        finally:  # whatever interrupts it, the weights belong to the steps that are counted
            backend.synchronize(stream)
            self._finish(done)

    def _fetch(self, given: dict, outputs: list[str]) -> None:
        """Bring outputs where the caller wants them."""
        backend, stream = self._runner.backend, self._runner._stream
        for name in outputs:
            if isinstance(self._arrays[name], DeviceArray):
                backend.copy(backend.adopt(self._arrays[name]), given[name], stream)
            else:
                self._arrays[name][...] = backend.to_host(given[name], stream)

    def _pieces(self, count: int, orders: np.ndarray):
        """(first step, last, {name: data set on the device}, order of the samples there), one after the other."""
        runner = self._runner
        data = {name: self._arrays[name] for name in runner.data_sets}
        if runner.needs_staging(data):
            yield from runner.staging(data, self._batch).pieces(count, self._batch, data, orders, runner._stream)
        else:
            yield 0, count, {name: runner.uploaded(name, array) for name, array in data.items()}, orders

    def _conditions(self, count: int, names: dict) -> list[tuple[bool, ...]]:
        """For each step, which blocks are run."""
        columns = []
        for block, _ in self._runner.layouts.blocks:
            holds = True if block.condition is None else block.condition.value(names)
            columns.append(np.broadcast_to(np.asarray(holds, bool), (count,)))
        return [tuple(map(bool, row)) for row in zip(*columns, strict=True)]

    def _given(self) -> tuple[dict, list[str]]:
        """What the step is given, on the device, by name; and which of it are results to be fetched."""
        runner, arrays = self._runner, self._arrays
        given = {name: mirror.copy for name, mirror in self._mirrors.items()}
        given["gradients"] = runner.device_gradients()
        if "constants" in runner._fixed:
            given["constants"] = runner.constants()
        outputs = []
        written = {root.name for _, calls in runner.layouts.blocks for c in calls for root in c.writes}
        for name in runner.signature.data:
            if name == "order" or name in runner.data_sets:
                continue
            if name in written:
                outputs.append(name)
                given[name] = runner.buffer_for(name, arrays[name])
            else:
                given[name] = runner.uploaded(name, arrays[name])
        return given, outputs

    def _finish(self, count: int) -> None:
        """Note what the device has written, and count the steps."""
        runner = self._runner
        runner.has_run = True
        if count == 0:
            return
        written = {root for _, calls in runner.layouts.blocks for c in calls for root in c.writes}
        names = {runner.signature.storages[id(r.source.storage)] for r in written if r.kind == "variable"}
        names |= {r.name for r in written if r.kind == "slot"}
        names |= {r.source.argument for r in written if r.kind == "flat"}
        for name in names & self._mirrors.keys():
            self._mirrors[name].is_written()
        for name in runner.signature.iterations:
            self._arrays[name][0] += count
