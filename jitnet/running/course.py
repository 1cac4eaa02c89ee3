"""Where a training is, from its first step to its last; what its checkpoints hold, and where it goes on from one."""

import contextlib
import os
import warnings

import numpy as np

from .. import _seed
from ..core.errors import invalid
from ..files import atomic, checkpoints, folder_lock, training_state
from . import interrupts


class Course:
    """The place of a training: ``epoch``, ``done`` steps and ``seen`` samples in it, ``steps`` in all.

    first: the steps that the optimizer had taken when the epoch began, from which its order follows; None: not known.
    results: the sums of the epoch's results so far, None before there are any; logs: what they say, for streams.

    hooks: the callbacks, whose ``backup`` says what is written and where; None: nothing is.
    streams: ``Stream``s that the training draws batches from.
    run: what must be the same where it goes on.
    """

    def __init__(self, model, hooks, streams=(), **run):
        self._model, self._hooks, self._streams, self._run = model, hooks, list(streams), run
        self._backup = hooks.backup
        self.epoch = self.done = self.seen = self.steps = 0
        self.first = self.results = None
        self.logs: dict = {}
        self._file = None  # that it goes on from
        self._within = False  # whether it goes on within an epoch that has begun
        self._before = None  # what a checkpoint has of the state before the validation that is running
        self._saved = None  # the place that was saved last
        self._failed = self._finished = False

    @contextlib.contextmanager
    def running(self):
        """The training: signals wait for the end of a step, and no other process writes the same folder."""
        if self._backup is None:
            with interrupts.held():
                yield
            return
        folder = self._backup.backup_dir
        os.makedirs(folder, exist_ok=True)
        with folder_lock.held(folder), interrupts.held(terminates=True):
            atomic.clear(folder)
            self._random_streams = _seed.streams()
            self._file = checkpoints.newest(folder)
            if self._file is not None:
                self._check(*self._file)
            yield
            if self._finished and self._backup.delete_checkpoint:
                checkpoints.keep(folder, ())
        if self._finished and self._backup.delete_checkpoint:
            with contextlib.suppress(OSError):  # something else is in it
                os.rmdir(folder)

    def _check(self, path, tensors, description) -> None:
        """Raise ValueError if the checkpoint is of another training."""
        if not self._model.built and not self._model.weights:
            raise ValueError(
                f"The model {self._model.name!r} must be built before its training goes on from {path}: start it with "
                "Input(shape=...), or call it on data once."
            )
        saved = description["training"]["run"]
        other = sorted(name for name in {*saved, *self._run} if saved.get(name) != self._run.get(name))
        if other:
            raise invalid(
                f"{path} is of a training with {', '.join(f'{name}={saved.get(name)}' for name in other)}. Go on with "
                "the same arguments and data, or choose another backup_dir.",
                **{name: self._run.get(name) for name in other},
            )
        training_state.check_fits(self._model, self._hooks.callbacks, path, tensors, description)

    # ---- going on

    def resumed(self, initial_epoch: int) -> int:
        """The epoch to begin with, or to go on with: that of the checkpoint, if there is one."""
        if self._backup is not None:
            training_state.check_kept(self._model, self._rest())
        if self._file is None:
            return initial_epoch
        place = training_state.decoded(self._file[2]["training"]["position"], self._file[1])
        self._apply()
        self._random_streams = self._file[2]["training"]["seed"]["streams"]
        for stream, state in zip(self._streams, self._states_of_data(), strict=True):
            stream.set_state(state)
        self.epoch, self.done, self.seen, self.steps = (place[key] for key in ("epoch", "done", "seen", "steps"))
        self.first, self.results, self.logs = place["first"], place["results"], place["logs"]
        self._within = self.done > 0
        self._saved = self._place()
        if not self._within:
            self._file = None
        self._model.stop_training = place["stopped"]
        return 2**62 if place["stopped"] and not self._within else self.epoch  # past any number of epochs

    def _apply(self) -> None:
        try:
            training_state.restore(self._model, self._hooks.callbacks, *self._file)
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            path = str(self._file[0])
            if path in str(error):
                raise
            kind = type(error).__name__
            raise ValueError(f"{path} has a state that nothing can go on from. {kind}: {error}") from error

    def _states_of_data(self) -> list:
        states = training_state.decoded(self._file[2]["training"]["data"], self._file[1])
        if len(states) != len(self._streams):
            raise ValueError(f"{self._file[0]} is of a training on other data, or with other validation data.")
        return states

    # ---- the loop's places

    def begin(self, epoch: int) -> None:
        """An epoch begins; where it goes on within one, what its beginning does was done."""
        self._hooks.on_epoch_begin(epoch)
        if self._within:
            stopped = self._model.stop_training
            self._apply()
            self._model.stop_training = stopped
            self._file, self._within = None, False
        else:
            self.epoch, self.done, self.seen, self.first, self.results, self.logs = epoch, 0, 0, None, None, {}

    def counting(self, step, taken: int) -> np.ndarray:
        """Where the step adds the epoch's results; taken: the steps that its optimizer has taken."""
        if self.results is None:
            self.first, self.results = taken, step.first_results.copy()
        elif len(self.results) != step.results:
            raise ValueError("The checkpoint is of a training with other losses or metrics.")
        return self.results

    def steps_left(self) -> int | None:
        """How many steps may be run until the next checkpoint is due; None: as many as one likes."""
        return None if self._backup is None else self._backup.steps_left(self.steps)

    def reached(self, done: int, seen: int) -> None:
        """So many steps of the epoch are done, and their callbacks called."""
        self.steps += done - self.done
        self.done, self.seen = done, seen
        # where the training stops, the epoch's end comes at once
        if self._backup is not None and self._backup.due(self.steps) and not self._model.stop_training:
            self._save()

    @contextlib.contextmanager
    def validating(self):
        """Within the block, the state is what it was before: that of the last step."""
        if self._backup is not None:
            rest = self._rest()
            # a callback may exchange the weights for others meanwhile
            whole = self._captured(rest, {}) if self._hooks.test_hooks else None
            variables = {v: v.numpy() for v in self._model.weights if not v.trainable}
            self._before = lambda: whole or self._captured(rest, variables)
        with self._hooks.put_back():
            yield
        self._before = None

    def epoch_ended(self, logs: dict) -> None:
        """The callbacks know of the epoch's end."""
        self.epoch, self.done, self.seen, self.first, self.results, self.logs = self.epoch + 1, 0, 0, None, None, {}
        if self._backup is not None and self._backup.due_at_epoch_end(self.steps, logs):
            self._save()

    def finished(self) -> None:
        """The last epoch has ended."""
        self._finished = True
        if self._backup is not None and not self._backup.delete_checkpoint:
            self._save()

    def interrupted(self) -> None:
        """A signal ends the training after this step."""
        if self._backup is not None:
            self._save()

    # ---- writing

    def _place(self) -> tuple:
        return self.epoch, self.done, self._finished

    def _rest(self) -> dict:
        state = training_state.rest(self._model, self._hooks.callbacks, self._random_streams)
        return {**state, "data": [stream.state() for stream in self._streams]}

    def _captured(self, rest: dict, overriding: dict) -> tuple[dict, dict]:
        position = {
            "epoch": self.epoch, "done": self.done, "seen": self.seen, "first": self.first, "steps": self.steps,
            "results": self.results, "logs": self.logs, "stopped": bool(self._model.stop_training),
            "finished": self._finished,
        }  # fmt: skip
        return training_state.captured(self._model, rest, overriding, position=position, run=self._run)

    def _save(self) -> None:
        if self._saved == self._place():
            return
        captured = self._captured(self._rest(), {}) if self._before is None else self._before()
        folder, backup = self._backup.backup_dir, self._backup
        try:
            checkpoints.write(folder, self.steps, *captured)
        except OSError as error:
            if not self._failed:
                self._failed = True
                warnings.warn(
                    f"The checkpoint after step {self.steps} cannot be written. {error.strerror or error}. The "
                    "training goes on, with earlier checkpoints kept; this is said once.",
                    stacklevel=5,  # where fit was called
                )
            return
        self._saved = self._place()
        # later ones are damaged, or it would have gone on from them
        steps = [step for step in checkpoints.steps_in(folder) if step <= self.steps]
        checkpoints.keep(folder, backup.to_keep(steps))
