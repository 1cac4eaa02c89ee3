"""The history of a training, and the progress bar."""

import math
import shutil
import sys
import time

from jitnet.callbacks.base import Callback


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

    def get_state(self) -> dict:
        """All that is recorded."""
        return {"epoch": list(self.epoch), "history": {name: list(values) for name, values in self.history.items()}}

    def set_state(self, state: dict) -> None:
        """Go on recording."""
        self.epoch, self.history = list(state["epoch"]), {name: list(v) for name, v in state["history"].items()}

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
