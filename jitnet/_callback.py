"""What callbacks are made of: the base class, the list that the loop calls, the history and the progress bar."""

import inspect
import math
import shutil
import sys
import time

from jitnet.core.errors import NamesArguments

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
)


class Callback(NamesArguments):
    """Base class; every hook does nothing.

    ``epoch`` and ``batch`` count from 0.  ``logs`` maps names of the loss and metrics to floats; at the end of an epoch
    it includes the validation's, with the prefix ``val_``.

    Attributes:
        model: the model that is trained, evaluated or used for prediction.
        params: what the loop was asked to do: ``verbose``, ``epochs``, ``steps``.
    """

    def __init__(self):
        self.model = None
        self.params = {}

    def set_params(self, params: dict) -> None:
        """Keep the parameters of the loop that begins."""
        self.params = params

    def set_model(self, model) -> None:
        """Keep the model."""
        self.model = model

    @property
    def batch_hooks(self) -> bool:
        """Whether some batch-level hook does something, so that the loop must stop after every batch."""
        return any(getattr(getattr(self, name), "__func__", None) is not vars(Callback)[name] for name in _BATCH_HOOKS)

    def on_train_begin(self, logs=None):
        """Called before training."""

    def on_train_end(self, logs=None):
        """Called after training, with the last epoch's logs."""

    def on_epoch_begin(self, epoch, logs=None):
        """Called before an epoch of training."""

    def on_epoch_end(self, epoch, logs=None):
        """Called after an epoch of training and its validation, with the logs of both."""

    def on_batch_begin(self, batch, logs=None):
        """An older name of ``on_train_batch_begin``, which calls it."""

    def on_batch_end(self, batch, logs=None):
        """An older name of ``on_train_batch_end``, which calls it."""

    def on_train_batch_begin(self, batch, logs=None):
        """Called before a batch of training."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """Called after a batch of training, with the epoch's logs so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs=None):
        """Called before an evaluation or validation."""

    def on_test_end(self, logs=None):
        """Called after an evaluation or validation, with its logs."""

    def on_test_batch_begin(self, batch, logs=None):
        """Called before a batch of evaluation."""

    def on_test_batch_end(self, batch, logs=None):
        """Called after a batch of evaluation, with the logs so far."""

    def on_predict_begin(self, logs=None):
        """Called before prediction."""

    def on_predict_end(self, logs=None):
        """Called after prediction."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Called before a batch of prediction."""

    def on_predict_batch_end(self, batch, logs=None):
        """Called after a batch of prediction."""


def _relay(hook: str):
    """The method of ``CallbackList`` that calls ``hook`` of every callback.

    All get the same dict of logs, so that what one adds to it the next ones see.
    """

    def relay(self, logs=None):
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, hook)(logs)

    def relay_counted(self, index, logs=None):
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, hook)(index, logs)

    return relay_counted if "epoch" in hook or "batch" in hook else relay


class CallbackList:
    """Calls every hook of several callbacks, in order: the given ones, the progress bar, the history.

    Args:
        callbacks: a callback, or a list of callbacks, or None.
        add_history: whether to add a ``History`` if there is none; it is ``history`` here and of the model.
        add_progbar: whether to add a ``ProgbarLogger`` if there is none; it is ``progbar`` here.
        model: the model, given to every callback.
        **params: the parameters of the loop, given to every callback.

    Raises:
        TypeError: something that is not a ``Callback``.
    """

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        if callbacks is None:
            callbacks = []
        self.callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = " Give an instance, not the class." if inspect.isclass(callback) else ""
                raise TypeError(f"`callbacks` must hold `Callback` objects.{hint} Received: {callback!r}")
        self.progbar = self._find(ProgbarLogger, add_progbar)
        self.history = self._find(History, add_history)
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def _find(self, kind, add):
        found = next((callback for callback in self.callbacks if isinstance(callback, kind)), None)
        if found is None and add:
            found = kind()
            self.callbacks.append(found)
        return found

    @property
    def batch_hooks(self) -> bool:
        """Whether any callback must be called at every batch; if not, a loop may run many batches in one go."""
        return any(callback.batch_hooks for callback in self.callbacks)

    def set_params(self, params: dict) -> None:
        """Give ``params`` to every callback."""
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model) -> None:
        """Give ``model`` to every callback, and the history to the model."""
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    on_train_begin = _relay("on_train_begin")
    on_train_end = _relay("on_train_end")
    on_epoch_begin = _relay("on_epoch_begin")
    on_epoch_end = _relay("on_epoch_end")
    on_train_batch_begin = _relay("on_train_batch_begin")
    on_train_batch_end = _relay("on_train_batch_end")
    on_test_begin = _relay("on_test_begin")
    on_test_end = _relay("on_test_end")
    on_test_batch_begin = _relay("on_test_batch_begin")
    on_test_batch_end = _relay("on_test_batch_end")
    on_predict_begin = _relay("on_predict_begin")
    on_predict_end = _relay("on_predict_end")
    on_predict_batch_begin = _relay("on_predict_batch_begin")
    on_predict_batch_end = _relay("on_predict_batch_end")


class History(Callback):
    """Records the logs of every epoch; ``fit`` returns one.

    Attributes:
        epoch: the epochs that were run, counted from 0.
        history: a list of values per name in the logs.
    """

    def __init__(self):
        super().__init__()
        self.epoch = []
        self.history = {}

    def on_train_begin(self, logs=None):
        """Start the list of epochs anew."""
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        """Record the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class ProgbarLogger(Callback):
    """Shows progress on standard output: a bar with the loss and metrics, or one line per epoch.

    ``params["verbose"]`` is 0 (silent), 1 or "auto" (a bar; one line per epoch where the output is no terminal) or 2
    (one line per epoch).  ``params["steps"]`` is the number of batches, if known, ``params["epochs"]`` of epochs.  The
    loop calls ``update`` as often as it likes; there is no batch-level hook.
    """

    def __init__(self):
        super().__init__()
        self._in_training = False
        self._title = ""
        self._bar = None
        self._started = 0.0
        self._steps_done = 0

    def on_train_begin(self, logs=None):
        """Until the training ends, an evaluation is part of the epoch's progress."""
        self._in_training = True

    def on_epoch_begin(self, epoch, logs=None):
        """Start the epoch's bar."""
        self._start(f"Epoch {epoch + 1}/{self.params.get('epochs', '?')}")

    def update(self, step: int, logs: dict | None = None) -> None:
        """Show that ``step`` batches are done, with the ``logs`` so far."""
        self._steps_done = step
        if self._bar is not None:
            self._bar.set_postfix_str(_formatted(logs), refresh=False)
            self._bar.update(step - self._bar.n)

    def compiling(self, done: int, count: int) -> None:
        """Show how many kernels of a new step are compiled; the time that is left is counted from the last one on."""
        if self._bar is None:
            return
        if done < count:
            self._bar.set_description_str(f"compiling {done + 1} of {count} kernels, first run only")
        else:
            self._bar.set_description_str(self._title)
            self._bar.unpause()

    def on_epoch_end(self, epoch, logs=None):
        """Finish the epoch's bar, or print the epoch's line."""
        self._finish(logs)

    def on_train_end(self, logs=None):
        """Close the bar of an epoch that was interrupted."""
        self._in_training = False
        self._close()

    def on_test_begin(self, logs=None):
        """Start a bar, unless this is the validation within a training."""
        if not self._in_training:
            self._start("Evaluation")

    def on_test_end(self, logs=None):
        """Finish the bar, unless this is the validation within a training."""
        if not self._in_training:
            self._finish(logs)

    def on_predict_begin(self, logs=None):
        """Start a bar, unless this happens within a training."""
        if not self._in_training:
            self._start("Prediction")

    def on_predict_end(self, logs=None):
        """Finish the bar, unless this happens within a training."""
        if not self._in_training:
            self._finish(logs)

    def _start(self, title):
        self._close()
        self._title = title
        self._started = time.perf_counter()
        self._steps_done = 0
        if self.params.get("verbose", "auto") in (1, "auto") and sys.stdout.isatty():
            from tqdm import tqdm

            steps = self.params.get("steps")
            # tqdm hides a bar where the terminal has no rows, and some say that they have none: there is but one bar
            self._bar = tqdm(total=steps, desc=title, unit="step", file=sys.stdout, ncols=_columns(), nrows=24)

    def _finish(self, logs):
        verbose = self.params.get("verbose", "auto")
        if self._bar is not None:
            total = self._bar.total or self._steps_done
            self._bar.set_postfix_str(_formatted(logs), refresh=False)
            self._bar.update(total - self._bar.n)
            self._bar.refresh()
        elif verbose:
            seconds = time.perf_counter() - self._started
            parts = [self._title, f"{seconds:.1f}s", _formatted(logs)]
            print(" - ".join(part for part in parts if part), flush=True)
        self._close()

    def _close(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _formatted(logs) -> str:
    """``loss: 0.2300 - accuracy: 0.9312``; small numbers in scientific notation, several in brackets."""
    return " - ".join(f"{name}: {_number(value)}" for name, value in (logs or {}).items())


def _number(value) -> str:
    if getattr(value, "ndim", 0):  # of a metric with a result for each class, say
        return f"[{' '.join(_number(part) for part in value)}]"
    return f"{value:.4f}" if value == 0 or abs(value) > 1e-3 or math.isnan(value) else f"{value:.4e}"


def _columns() -> int:
    """Width of the progress bar; some terminals say that they have none."""
    return shutil.get_terminal_size().columns or 80
