"""``fit``, ``evaluate`` and ``predict`` on batches that come one after the other: generators, iterables, PyDatasets."""

import warnings

import numpy as np

from . import _interrupts
from ._model_steps import read_logs
from ._structures import flatten, packed
from .core.errors import invalid
from .utils.py_dataset import PyDataset

ORDER_STREAM = 2**32 - 2  # the random stream of the order of a PyDataset's batches
_END = object()


def is_stream(x) -> bool:
    """Whether ``x`` gives batches, instead of being arrays."""
    arrays = isinstance(x, list | tuple | dict | str | bytes) or hasattr(x, "shape") or hasattr(x, "__array__")
    return isinstance(x, PyDataset) or (x is not None and not arrays and hasattr(x, "__iter__"))


class Stream:
    """The batches of ``source``, epoch after epoch.

    what: its name in messages.
    again: every epoch begins at the first batch, if that is possible.
    """

    def __init__(self, source, what: str = "x", again: bool = False):
        self.source, self.what, self.again = source, what, again
        self.is_dataset = isinstance(source, PyDataset)
        self.once = not self.is_dataset and iter(source) is source  # a generator can't begin again
        self._iterator, self._in_pass = None, 0

    def steps(self) -> int | None:
        """The number of batches of an epoch, None if nobody can tell."""
        if self.is_dataset:
            return self.source.num_batches
        return len(self.source) if hasattr(self.source, "__len__") else None

    def epoch(self, steps: int | None, order=None):
        """Yield (x, y, sample_weight) of up to so many batches; without ``steps`` of all that are left.

        order: a function of the number of a PyDataset's batches that returns their order in a pass.
        """
        if self.is_dataset:
            self.source.on_epoch_begin()
        if self._iterator is None or (not self.once and (self.again or steps is None)):
            self._begin(order)
        done = 0
        while steps is None or done < steps:
            batch = next(self._iterator, _END)
            if batch is not _END:
                done, self._in_pass = done + 1, self._in_pass + 1
                yield self._parts(batch)
            elif self.once or self.again or steps is None or not self._in_pass:
                break
            else:
                self._begin(order)
        if self.is_dataset:
            self.source.on_epoch_end()

    def _begin(self, order) -> None:
        count = self.steps() if self.is_dataset and order is not None else None
        self._iterator = iter(self.source) if count is None else self.source.batches(order(count))
        self._in_pass = 0

    def _parts(self, batch) -> tuple:
        parts = tuple(batch) if isinstance(batch, list | tuple) else (batch,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"{self.what} must give batches (x, y) or (x, y, sample_weight); several inputs are a list or a dict "
                f"in the place of x. Received: {len(parts)} parts"
            )
        return (*parts, None, None)[:3]


def refuse(what: str, x, **arguments) -> None:
    """Raise for arguments that are for arrays alone."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if given:
        raise ValueError(
            f"{what} gives batches with everything that belongs to them: {', '.join(given)} must be left out. "
            f"Received: {what}={type(x).__name__}, {', '.join(f'{n}={type(v).__name__}' for n, v in given.items())}"
        )


def _run_batch(model, mode: str, parts, results, class_weight=None, tell=None):
    """Run one batch, adding to ``results``, None for the first one; (step, results, samples)."""
    if parts[1] is None and not model._is_custom(mode):
        raise invalid("A batch lacks targets: batches are (x, y) or (x, y, sample_weight).", y=None)
    arrays, samples, shapes = model._prepare(*parts, class_weight, mode=mode)
    model._check_batches(samples, samples)
    step = model._step(mode, shapes, arrays=arrays)
    step.runner.tell = tell
    if results is None or len(results) != step.results:
        results = step.first_results.copy()
    model._run_batches(step, (mode, shapes), arrays, np.arange(samples), samples, results)
    return step, results, samples


def _ran_out(stream: Stream, wanted: int | None, done: int, consequence: str, stacklevel: int = 5) -> None:
    expected = "more" if wanted is None else f"{wanted} batches per epoch"
    warnings.warn(
        f"{stream.what} has no more data: {consequence}. A generator goes through once; make it endless, or pass an "
        f"iterable that can begin again. Expected: {expected}. Received: {done} batches",
        stacklevel=stacklevel,  # where fit or evaluate was called
    )


def fit(model, x, epochs, verbose, callbacks, validate, shuffle, class_weight, initial_epoch, steps_per_epoch):
    """``fit`` for data that come in batches.

    validate: a function of the callbacks and the epoch that returns logs.
    """
    stream = Stream(x)
    steps = stream.steps() if steps_per_epoch is None else steps_per_epoch
    model.stop_training = model._said_not_finite = False
    hooks = model._hooks(callbacks, verbose, steps, add_history=True, epochs=epochs)
    tell = hooks.progbar and hooks.progbar.compiling
    logs: dict = {}

    def order(count):
        return model._order(count, model._iteration(), ORDER_STREAM).tolist() if shuffle else range(count)

    with _interrupts.held():
        hooks.on_train_begin()
        try:
            for epoch in range(initial_epoch, epochs):
                hooks.on_epoch_begin(epoch)
                results, seen, done = None, 0, 0
                for parts in stream.epoch(steps_per_epoch, order):
                    if hooks.batch_hooks:
                        hooks.on_train_batch_begin(done)
                    step, results, samples = _run_batch(model, "train", parts, results, class_weight, tell)
                    seen, done = seen + samples, done + 1
                    logs = read_logs(step, results, seen)
                    model._check_loss(logs, epoch, done)
                    if hooks.batch_hooks:
                        hooks.on_train_batch_end(done - 1, logs)
                    if hooks.progbar is not None:
                        hooks.progbar.update(done, logs)
                    if model.stop_training:
                        break
                if not done and epoch == initial_epoch:
                    raise ValueError(f"x gives no batches. Received: x={type(x).__name__}")
                ended = not model.stop_training and (done == 0 or (steps is not None and done < steps))
                if ended:
                    _ran_out(stream, steps, done, f"the training ends in epoch {epoch + 1}", 6)
                if done:
                    logs.update(validate(hooks, epoch))
                    hooks.on_epoch_end(epoch, logs)
                if ended or model.stop_training:
                    break
        finally:
            hooks.on_train_end(logs)
    return hooks.history


def evaluate(model, stream: Stream, hooks, steps, progbar=None) -> dict:
    """The logs of an evaluation of up to so many batches."""
    results, seen, done, logs = None, 0, 0, {}
    hooks.on_test_begin()
    for parts in stream.epoch(steps):
        if hooks.batch_hooks:
            hooks.on_test_batch_begin(done)
        step, results, samples = _run_batch(model, "evaluate", parts, results)
        seen, done = seen + samples, done + 1
        logs = read_logs(step, results, seen)
        if hooks.batch_hooks:
            hooks.on_test_batch_end(done - 1, logs)
        if progbar is not None:
            progbar.update(done, logs)
    if steps is not None and done < steps:
        _ran_out(stream, steps, done, "the evaluation ends")
    elif not done:
        raise ValueError(f"{stream.what} gives no batches. Received: {stream.what}={type(stream.source).__name__}")
    hooks.on_test_end(logs)
    return logs


def predict(model, stream: Stream, hooks, steps):
    """The outputs for all batches, one after the other."""
    found = []
    hooks.on_predict_begin()
    for x, _, _ in stream.epoch(steps):
        hooks.on_predict_batch_begin(len(found))
        found.append(flatten(model._predict(x, model._samples_of(x), 0)[1]))
        hooks.on_predict_batch_end(len(found) - 1)
        if hooks.progbar is not None:
            hooks.progbar.update(len(found))
    if steps is not None and len(found) < steps:
        _ran_out(stream, steps, len(found), "the prediction ends")
    if not found:
        raise ValueError(f"x gives no batches. Received: x={type(stream.source).__name__}")
    hooks.on_predict_end()
    joined = stream.source.joined if stream.is_dataset else np.concatenate
    return packed(model._output_structure, [joined(list(parts)) for parts in zip(*found, strict=True)])
