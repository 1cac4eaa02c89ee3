"""The history of a training, and the progress bar."""

import importlib.util
import math
import operator
import shutil
import sys
import time

from jitnet.callbacks.base import Callback
from jitnet.pictures import history_plot

REFRESH_SECONDS = 0.1  # between two pictures of a bar
SHORT_SECONDS = 0.5  # epochs that take less share a bar


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
        self._epochs = {}  # {name: the numbers, from 1, of the epochs that had it}
        self._last = 0

    def on_train_begin(self, logs=None):
        """Start the list of epochs anew."""
        self.epoch = []

    def get_state(self) -> dict:
        """All that is recorded."""
        epochs, history = ({name: list(v) for name, v in found.items()} for found in (self._epochs, self.history))
        return {"epoch": list(self.epoch), "history": history, "epochs": epochs, "last": self._last}

    def set_state(self, state: dict) -> None:
        """Go on recording."""
        self.epoch, self._last = list(state["epoch"]), operator.index(state["last"])
        self.history, self._epochs = (
            {name: list(v) for name, v in found.items()} for found in (state["history"], state["epochs"])
        )

    def on_epoch_end(self, epoch, logs=None):
        """Record the epoch."""
        self.epoch.append(epoch)
        self._last = max(epoch, self._last) + 1  # another training goes on counting
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs.setdefault(name, []).append(self._last)

    def plot(self, path=None):
        """Draw losses, on a logarithmic scale, and metrics by epochs, with matplotlib; returns the figure.

        A dotted line stands where the learning rate changed, if it is in the history: schedules and the callbacks
        that change it write it there.  Where it changes more often than 8 times, it has a curve.

        Args:
            path: where to write the figure instead of leaving it to pyplot; the suffix says what it is: ".png",
                ".svg", ".pdf".

        Raises:
            ImportError: there is no matplotlib.
            ValueError: there was no epoch, or an unknown suffix.
        """
        return history_plot.plot(self.history, self._epochs, path)


class ProgbarLogger(Callback):
    """Shows progress on standard output: a bar with the loss and metrics, or one line per epoch.

    ``params["verbose"]`` is 0 (silent), 1 or "auto" (a bar; one line per epoch where the output is no terminal and no
    notebook) or 2 (one line per epoch).  ``params["steps"]`` is the number of batches, if known, ``params["epochs"]``
    of epochs.  The loop calls ``update`` as often as it likes; there is no batch-level hook.

    A bar shows the batches that are done, the time that has passed and that is left, images (or samples) per second,
    the loss and metrics so far and the learning rate.  Epochs of less than half a second share a bar.
    """

    def __init__(self):
        super().__init__()
        self._in_training = False
        self._title = ""
        self._bar = None
        self._started = 0.0
        self._shown = 0.0
        self._steps_done = 0
        self._samples, self._seconds, self._logs = 0, 0.0, None

    @property
    def on_screen(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def on_train_begin(self, logs=None):
        """Until the training ends, an evaluation is part of the epoch's progress."""
        self._in_training = True

    def on_epoch_begin(self, epoch, logs=None):
        """Start the epoch's bar."""
        self._start(f"Epoch {epoch + 1}/{self.params.get('epochs', '?')}")

    def update(self, step: int, logs: dict | None = None, samples: int | None = None, seconds=None) -> None:
        """Show that ``step`` batches of ``samples`` in all are done, with the ``logs`` so far.

        seconds: how long they took, by default the time since they began.
        """
        now = time.perf_counter()
        self._steps_done, self._samples, self._logs = step, samples, logs
        if seconds is not None:  # the loop ran several epochs at once
            self._started = now - seconds
        self._seconds = now - self._started
        if self._bar is not None and now - self._shown >= REFRESH_SECONDS:
            self._show(logs, now)

    def compiling(self, done: int, count: int) -> None:
        """Show how many kernels of a new step are compiled; the time that is left is counted from the last one on."""
        if self._bar is None:
            return
        if done < count:
            self._bar.set_description_str(f"compiling {done + 1} of {count} kernels, first run only")
        else:
            self._bar.set_description_str(self._title)
            self._started = time.perf_counter()
            self._bar.start_t = time.time()

    def on_epoch_end(self, epoch, logs=None):
        """Finish the epoch's bar, or print the epoch's line."""
        self._finish(logs, last=epoch + 1 == self.params.get("epochs"))

    def on_train_end(self, logs=None):
        """Close the bar of an epoch that was interrupted, or that was too short for a bar of its own."""
        if self._bar is not None:
            self._show(logs or self._logs, time.perf_counter(), refresh=False)
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
        self._title = title
        self._started = time.perf_counter()
        self._steps_done, self._samples, self._seconds, self._logs = 0, 0, 0.0, None
        if self._bar is not None:  # of epochs that were too short for bars of their own
            self._bar.desc, self._bar.n, self._bar.start_t = title, 0, time.time()
        elif self.params.get("verbose", "auto") in (1, "auto"):
            self._bar = _new_bar(title, self.params.get("steps"))
            self._shown = self._started

    def _show(self, logs, now, refresh=True):
        bar = self._bar
        bar.desc, bar.n, bar.speed = self._title, self._steps_done, ""
        speed = self._speed()
        if speed:
            bar.speed = f", {speed}"
        bar.set_postfix_str(_formatted(self._with_learning_rate(logs)), refresh=False)
        if refresh:
            bar.refresh()
        self._shown = now

    def _speed(self) -> str:
        if not self._samples or not self._seconds:
            return ""
        inputs = getattr(self.model, "_graph_inputs", None) or ()
        unit = "images" if any(len(x.shape) == 4 for x in inputs) else "samples"
        rate = self._samples / self._seconds
        return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.2g} {unit}/s"

    def _with_learning_rate(self, logs) -> dict:
        logs = logs or {}
        rate = getattr(getattr(self.model, "optimizer", None), "learning_rate", None) if self._in_training else None
        return logs if rate is None or "learning_rate" in logs else {**logs, "learning_rate": float(rate)}

    def _finish(self, logs, last=True):
        now = time.perf_counter()
        if self._bar is not None:
            short = not last and now - self._started < SHORT_SECONDS
            if short and now - self._shown < REFRESH_SECONDS:
                return
            self._steps_done = self._bar.total or self._steps_done
            self._show(logs, now, refresh=short)
            if not short:
                self._close()  # which shows it
        elif self.params.get("verbose", "auto"):
            parts = [self._title, f"{now - self._started:.1f}s", self._speed()]
            parts.append(_formatted(self._with_learning_rate(logs)))
            print(" - ".join(part for part in parts if part), flush=True)

    def _close(self):
        if self._bar is not None:
            self._bar.last_print_t = time.time()  # else it may take itself for one that was never shown
            self._bar.close()
            self._bar = None


def _new_bar(title: str, steps: int | None):
    """A bar on the terminal or in the notebook, None where there is neither."""
    if sys.stdout.isatty():
        from tqdm import tqdm
    elif _in_notebook():
        from tqdm.notebook import tqdm
    else:
        return None

    class Bar(tqdm):
        speed, monitor_interval = "", 0  # no thread

        @property
        def format_dict(self):
            return {**super().format_dict, "speed": self.speed}

    form = "{desc}: {n_fmt}{unit} [{elapsed}{postfix}{speed}]"
    if steps is not None:
        form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}{speed}]"
    # tqdm hides a bar where the terminal has no rows, and some say that they have none: there is but one bar
    return Bar(total=steps, desc=title, unit="step", file=sys.stdout, ncols=_columns(), nrows=24, bar_format=form)


def _in_notebook() -> bool:
    """Whether this runs in a notebook that can show widgets."""
    python = sys.modules.get("IPython")
    shell = None if python is None else python.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell" and importlib.util.find_spec("ipywidgets") is not None


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
