"""``fit``, ``evaluate`` and ``predict`` on batches that come one after the other: generators, iterables, PyDatasets."""

import warnings
from collections.abc import Iterator

import numpy as np

from .._structures import flatten, packed
from ..core.errors import invalid
from ..files import training_state
from ..utils.disk_batches import BlockBatches
from ..utils.py_dataset import ORDER_STREAM, PyDataset
from . import interrupts
from .course import Course
from .foreign import gives_samples
from .logs import read_logs

_END = object()


def is_stream(x) -> bool:
    """Whether ``x`` gives batches, instead of being arrays."""
    if x is None or isinstance(x, list | tuple | dict | str | bytes) or gives_samples(x):
        return False
    arrays = any(hasattr(x, name) for name in ("shape", "__array__", "__dlpack__"))
    return isinstance(x, PyDataset) or (not arrays and hasattr(x, "__iter__"))


class Stream:
    """The batches of ``source``, epoch after epoch.

    what: its name in messages.
    again: every epoch begins at the first batch, if that is possible.
    """

    def __init__(self, source, what: str = "x", again: bool = False):
        self.source, self.what, self.again = source, what, again
        self.is_dataset = isinstance(source, PyDataset)
        self.once = isinstance(source, Iterator) and not self.is_dataset  # a generator can't begin again
        self._together = isinstance(source, BlockBatches)  # whether it gives many batches at a time
        self._iterator, self._left, self._in_pass, self._given = None, None, 0, 0
        self._first, self._begun = 0, None  # steps taken when the pass began, and where generators stood
        self._epochs, self._ended = 0, False  # that have ended; whether the last one has
        self._waiting: dict | None = None  # the state that it goes on from

    def steps(self) -> int | None:
        """The number of batches of an epoch, None if nobody can tell."""
        if self.is_dataset:
            return self.source.num_batches
        try:
            return len(self.source)
        except TypeError:  # it has no method for that, or, as a DataLoader's, one that can't tell
            return None

    def state(self) -> dict:
        """Where it is, for ``set_state``."""
        if self._waiting is not None:
            return self._waiting
        return {
            "in_pass": None if self._iterator is None else self._in_pass, "first": self._first, "begun": self._begun,
            "epochs": self._epochs, "ended": self._ended,
        }  # fmt: skip

    def set_state(self, state: dict) -> None:
        """Go on from there with the next epoch."""
        self._waiting, self._ended = state, state["ended"]

    @property
    def has_ended(self) -> bool:
        """Whether the last epoch has given all its batches."""
        return self._ended

    def epoch(self, steps: int | None, order=None, taken=None, done: int = 0, limit=None):
        """Yield ((x, y, sample_weight), None) of up to so many batches; without ``steps`` of all that are left.

        Where many batches lie together, it yields them so, with their size; limit: a function that returns how many at
        most, or None.

        order: a function of the steps taken when a pass begins that returns what a PyDataset's ``ordered_batches``
            takes; taken: a function that returns the steps taken.
        done: how many batches of the epoch were given before, where the training goes on within it.
        """
        state, self._waiting = self._waiting, None
        if state is not None:
            self._replay_epochs(state["epochs"])
        if self.is_dataset:
            self.source.on_epoch_begin()
        self._ended = False
        anew = not self.once and (self.again or steps is None) and not done
        if state is not None and state["in_pass"] is not None and not anew:
            self._go_on(state, order)
        elif self._iterator is None or anew:
            self._begin(order, taken)
        while steps is None or done < steps:
            most = [n for n in (steps and steps - done, limit and limit()) if n is not None]
            parts, size, count = self._next(min(most, default=None))
            if count:
                done, self._in_pass, self._given = done + count, self._in_pass + count, count
                yield parts, size
            elif self.once or self.again or steps is None or not self._in_pass:
                break
            else:
                self._begin(order, taken)
        if self.is_dataset:
            self.source.on_epoch_end()
        self._epochs, self._ended = self._epochs + 1, True

    def ran(self, count: int) -> None:
        """So many of the batches that were given last have been run: where it is if the training stops there."""
        self._in_pass, self._given = self._in_pass - self._given + count, count

    def _next(self, most: int | None) -> tuple:
        """((x, y, sample_weight), batch size or None, number of batches), 0 of them at the end of a pass."""
        if not self._together:
            batch = next(self._iterator, _END)
            return (None, None, 0) if batch is _END else (self._parts(batch), None, 1)
        arrays = next(self._iterator, None) if self._left is None else self._left
        if arrays is None:
            return None, None, 0
        size = self.source.batch_size
        count = -(-len(arrays[0]) // size)
        self._left = None
        if most is not None and most < count:
            self._left, arrays, count = [a[most * size :] for a in arrays], [a[: most * size] for a in arrays], most
        return self._parts(self.source.as_batch(arrays)), size, count

    def _begin(self, order, taken) -> None:
        self._first, self._in_pass = 0 if taken is None else taken(), 0
        self._begun = None if self.is_dataset else training_state.generators()
        ordered = self.is_dataset and order is not None
        if ordered or self._together:
            self._iterator = self._ordered(order)
        else:
            self._iterator = self.source.one_pass() if self.is_dataset else iter(self.source)

    def _go_on(self, state: dict, order) -> None:
        """Go on within a pass, without its batches that were done; an iterable must make these before that."""
        self._first, self._in_pass, self._begun = state["first"], state["in_pass"], state["begun"]
        if self.is_dataset:
            self._iterator = self._ordered(order)
            return
        now = training_state.generators()
        training_state.set_generators(self._begun)
        self._iterator = iter(self.source)
        for _ in range(self._in_pass):
            if next(self._iterator, _END) is _END:
                break
        training_state.set_generators(now)

    def _replay_epochs(self, epochs: int) -> None:
        """Tell a PyDataset of epochs that have ended, by which it may choose the next one's batches."""
        for _ in range(epochs if self.is_dataset else 0):
            self.source.on_epoch_begin()
            self.source.on_epoch_end()
        self._epochs = epochs

    def _ordered(self, order):
        """A PyDataset's batches of the pass, from where it is on."""
        self._left, order = None, order and order(self._first)
        return iter((self.source.portions if self._together else self.source.ordered_batches)(order, self._in_pass))

    def close(self) -> None:
        """End the threads that make a PyDataset's batches."""
        if self.is_dataset and hasattr(self._iterator, "close"):
            self._iterator.close()

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


def _run_batches(model, mode: str, parts, size, results, progressed, class_weight=None, tell=None, of=""):
    """Run one batch, or several of ``size`` samples, adding to ``results``, None for the first one; the results.

    progressed(step, results, batches done, samples done) is called at least at the end; True from it ends the run.
    of: whose batches they are, for messages: "validation_data".
    """
    if parts[1] is None and not model._is_custom(mode):
        whose = f" of {of}" if of else ""
        expected = f"A batch{whose} lacks targets: batches are (x, y) or (x, y, sample_weight)."
        if isinstance(parts[0], dict):
            expected += " Of a dict of both, take them by their keys: collate_fn of a DataLoader does that."
            raise ValueError(f"{expected} Received: a dict with {', '.join(map(str, parts[0]))}")
        raise invalid(expected, y=None)
    arrays, samples, shapes = model._prepare(*parts, class_weight, mode, of, whole=False)
    size = samples if size is None else min(size, samples)
    model._check_batches(size, samples)
    step = model._step(mode, shapes, arrays=arrays)
    step.runner.tell = tell
    if results is None or len(results) != step.results:
        results = step.first_results.copy()

    def on_progress(done, seen):
        return progressed(step, results, done, seen)

    model._run_batches(step, (mode, shapes), arrays, np.arange(samples), size, results, on_progress)
    return results


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
    model._finite_until = None
    hooks = model._hooks(callbacks, verbose, steps, add_history=True, epochs=epochs)
    tell = hooks.progbar and hooks.progbar.compiling
    logs: dict = {}

    def order(taken):
        def numbers(count, which=ORDER_STREAM):
            return model._order(count, taken, which) if shuffle else np.arange(count)

        return numbers

    def limit():
        return 1 if hooks.batch_hooks else course.steps_left()

    course = Course(
        model, hooks, [stream, *validate.streams], data=type(x).__name__, steps=steps, shuffle=bool(shuffle)
    )
    with course.running():
        hooks.on_train_begin()
        try:
            following = course.resumed(initial_epoch)
            for epoch in range(following, epochs):
                course.begin(epoch)
                results, seen, done, logs = course.results, course.seen, course.done, dict(course.logs)
                # it may go on after the last batch, or where a callback had asked for the end
                ended = model.stop_training or (done and stream.has_ended)
                given = () if ended else stream.epoch(steps_per_epoch, order, model._iteration, done, limit)
                for parts, size in given:
                    if hooks.batch_hooks:
                        hooks.on_train_batch_begin(done)

                    def progressed(step, results, batches, samples, epoch=epoch, done=done, seen=seen):
                        stream.ran(batches)
                        batches, samples = done + batches, seen + samples
                        logs = read_logs(step, results, samples)
                        model._check_loss(logs, epoch, batches, 10)
                        if hooks.batch_hooks:
                            hooks.on_train_batch_end(batches - 1, logs)
                        if hooks.progbar is not None:
                            hooks.progbar.update(batches, logs, samples)
                        course.results, course.logs = results, logs
                        course.reached(batches, samples)
                        return model.stop_training

                    results = _run_batches(model, "train", parts, size, results, progressed, class_weight, tell)
                    done, seen, logs = course.done, course.seen, course.logs
                    if model.stop_training:
                        break
                if not done and epoch == following:
                    raise ValueError(f"x gives no batches. Received: x={type(x).__name__}")
                ended = not model.stop_training and (done == 0 or (steps is not None and done < steps))
                if ended:
                    _ran_out(stream, steps, done, f"the training ends in epoch {epoch + 1}", 6)
                if done:
                    logs = dict(logs)
                    with course.validating():
                        logs.update(validate(hooks, epoch))
                    hooks.on_epoch_end(epoch, logs)
                    course.epoch_ended(logs)
                if ended or model.stop_training:
                    break
            course.finished()
        except interrupts.STOPS:
            course.interrupted()
            raise
        finally:
            stream.close()
            hooks.on_train_end(logs)
    return hooks.history


def evaluate(model, stream: Stream, hooks, steps, progbar=None) -> dict:
    """The logs of an evaluation of up to so many batches."""
    results, seen, done, logs = None, 0, 0, {}
    hooks.on_test_begin()
    for parts, size in stream.epoch(steps, limit=lambda: 1 if hooks.batch_hooks else None):
        if hooks.batch_hooks:
            hooks.on_test_batch_begin(done)

        def progressed(step, results, batches, samples, before=done, others=seen):
            nonlocal done, seen, logs
            done, seen = before + batches, others + samples
            logs = read_logs(step, results, seen)
            if hooks.batch_hooks:
                hooks.on_test_batch_end(done - 1, logs)
            if progbar is not None:
                progbar.update(done, logs, seen)

        of = "" if stream.what == "x" else stream.what
        results = _run_batches(model, "evaluate", parts, size, results, progressed, of=of)
    if steps is not None and done < steps:
        _ran_out(stream, steps, done, "the evaluation ends")
    elif not done:
        raise ValueError(f"{stream.what} gives no batches. Received: {stream.what}={type(stream.source).__name__}")
    hooks.on_test_end(logs)
    return logs


def predict(model, stream: Stream, hooks, steps):
    """The outputs for all batches, one after the other."""
    found, seen = [], 0
    hooks.on_predict_begin()
    for (x, _, _), _ in stream.epoch(steps, limit=lambda: 1):
        hooks.on_predict_batch_begin(len(found))
        samples = model._samples_of(x)
        outputs = model._predict(x, samples, 0)[1]
        found.append(flatten(outputs))
        seen += samples
        hooks.on_predict_batch_end(len(found) - 1, {"outputs": outputs})
        if hooks.progbar is not None:
            hooks.progbar.update(len(found), samples=seen)
    if steps is not None and len(found) < steps:
        _ran_out(stream, steps, len(found), "the prediction ends")
    if not found:
        raise ValueError(f"x gives no batches. Received: x={type(stream.source).__name__}")
    hooks.on_predict_end()
    joined = stream.source.joined if stream.is_dataset else np.concatenate
    return packed(model._output_structure, [joined(list(parts)) for parts in zip(*found, strict=True)])
