"""Callbacks that watch a quantity: is it better than it was at best?"""

import math
import numbers
import warnings

from jitnet.callbacks.base import Callback, say
from jitnet.core import checks
from jitnet.core.errors import invalid

# parts of names of metrics from which mode="auto" tells what is better
_HIGHER_IS_BETTER = ("acc", "auc", "precision", "recall", "iou", "io_u", "f1", "fbeta", "r2", "similarity")
_LOWER_IS_BETTER = ("error", "entropy", "mse", "mae", "mape", "msle", "hinge", "divergence", "perplexity")


def is_positive(value) -> bool:
    """Whether it is a whole number above 0."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value > 0


def check_saving(save_freq, keep) -> None:
    """Raise ValueError unless they say when a callback saves, and how many of its files it keeps."""
    if save_freq != "epoch" and not is_positive(save_freq):
        raise invalid("`save_freq` must be 'epoch' or a positive integer.", save_freq=save_freq)
    if keep is not None and not is_positive(keep):
        raise invalid("`keep` must be a positive integer or None.", keep=keep)


def higher_is_better(monitor: str) -> bool | None:
    """Whether more of a quantity is better, by its name; None where that doesn't tell."""
    a_loss = monitor.endswith("loss")
    higher = not a_loss and any(part in monitor for part in _HIGHER_IS_BETTER)
    lower = a_loss or any(part in monitor for part in _LOWER_IS_BETTER)
    return None if higher == lower else higher


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Monitor(Callback):
    """A callback that asks after every epoch whether ``monitor`` is better than it was at best."""

    _state: tuple = ("best",)  # names of attributes that a training goes on with

    def __init__(self, monitor, mode, min_delta=0.0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise invalid("`mode` must be 'auto', 'min' or 'max'.", mode=mode)
        self.monitor = checks.text(type(self).__name__, "monitor", monitor)
        self.mode = mode
        self.min_delta = abs(checks.number(type(self).__name__, "min_delta", min_delta))
        self._higher_is_better = mode == "max"
        if mode == "auto":
            higher = higher_is_better(monitor)
            if higher is None:
                raise invalid(
                    "Whether more of the monitored quantity is better can't be told from its name: pass mode='min' or "
                    "mode='max'.",
                    monitor=monitor,
                )
            self._higher_is_better = higher
        self.best = self._worst

    def get_state(self) -> dict:
        """What it goes by."""
        return {name: getattr(self, name) for name in self._state}

    def set_state(self, state: dict) -> None:
        """Go on with that."""
        for name in self._state:
            value = state[name]
            if isinstance(getattr(self, name), int | float) and not _is_number(value):
                raise TypeError(f"{name} is a number")
            if name == "best_weights" and not isinstance(value, list | None):
                raise TypeError(f"{name} is a list")
            setattr(self, name, value)

    @property
    def _worst(self):
        return -math.inf if self._higher_is_better else math.inf

    def _improves(self, value, reference):
        if self._higher_is_better:
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def _monitored(self, logs):
        """The monitored value, or None with a warning."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            available = ", ".join(logs or {}) or "nothing"
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which is not in the logs. Available: {available}",
                stacklevel=3,
            )
        return value


class EarlyStopping(Monitor):
    """Stops training when a quantity has stopped improving.

    Args:
        monitor: name of the quantity in the logs.
        min_delta: by how much it must improve to count.
        patience: number of epochs without improvement after which training stops.
        verbose: 1 prints what is done, 0 doesn't.
        mode: ``"min"`` or ``"max"``: what is better; ``"auto"`` tells it from the name.
        baseline: a value that must be improved on as well, or None.
        restore_best_weights: whether the model ends with the weights of the epoch with the best value (whether or not
            it improves on ``baseline``), instead of the last ones.
        start_from_epoch: number of epochs at the start that are ignored.

    Raises:
        ValueError: another ``mode``, or ``"auto"`` with a name that doesn't tell; no number where one belongs.
    """

    _state = ("best", "wait", "stopped_epoch", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor="val_loss",
        min_delta=0,
        patience=0,
        verbose=0,
        mode="auto",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
    ):
        super().__init__(monitor, mode, min_delta)
        owner = type(self).__name__
        self.patience = checks.number(owner, "patience", patience, finite=False)
        self.verbose = verbose
        self.baseline = checks.optional(checks.number)(owner, "baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = checks.integer(owner, "start_from_epoch", start_from_epoch)
        self._reset()

    def _reset(self):
        self.best = self._worst
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights = None

    def on_train_begin(self, logs=None):
        """Forget what an earlier training left."""
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        """Compare, remember the best weights, and stop the model's training if patience is over."""
        current = self._monitored(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        improved = self._improves(current, self.best)
        if improved or (self.restore_best_weights and self.best_weights is None):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        self.wait += 1
        if improved:
            self.best = current
            if self.baseline is None or self._improves(current, self.baseline):
                self.wait = 0
        # as in Keras, an epoch that is the best so far never stops the training, nor does the first one
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Restore the best weights."""
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                say(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Monitor):
    """Reduces the learning rate when a quantity has stopped improving.

    Args:
        monitor: name of the quantity in the logs.
        factor: the learning rate is multiplied by it; below 1.
        patience: number of epochs without improvement after which this is done.
        verbose: 1 prints what is done, 0 doesn't.
        mode: ``"min"`` or ``"max"``: what is better; ``"auto"`` tells it from the name.
        min_delta: by how much the quantity must improve to count.
        cooldown: number of epochs after a reduction in which patience is not counted.
        min_lr: the learning rate is never set below it.

    Raises:
        ValueError: a ``factor`` of 1 or more, another ``mode``, or ``"auto"`` with a name that doesn't tell; no number
            where one belongs.
    """

    _state = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor="val_loss",
        factor=0.1,
        patience=10,
        verbose=0,
        mode="auto",
        min_delta=1e-4,
        cooldown=0,
        min_lr=0.0,
    ):
        super().__init__(monitor, mode, min_delta)
        owner = type(self).__name__
        self.factor = checks.number(owner, "factor", factor)
        if not 0 < self.factor < 1:
            raise invalid("`factor` must be above 0 and below 1.", factor=factor)
        self.patience = checks.number(owner, "patience", patience, finite=False)
        self.verbose = verbose
        self.cooldown = checks.integer(owner, "cooldown", cooldown)
        self.min_lr = checks.number(owner, "min_lr", min_lr)
        self._reset()

    def _reset(self):
        self.best = self._worst
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs=None):
        """Forget what an earlier training left.

        Raises:
            TypeError: a schedule governs the optimizer's learning rate.
        """
        self._reset()
        optimizer = self.model.optimizer
        optimizer.learning_rate = float(optimizer.learning_rate)  # raises now rather than after hours

    def on_epoch_end(self, epoch, logs=None):
        """Compare, reduce the learning rate if patience is over, and add it (as it was) to the logs."""
        learning_rate = float(self.model.optimizer.learning_rate)
        current = self._monitored(logs)
        if logs is not None:
            logs["learning_rate"] = learning_rate
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and learning_rate > self.min_lr:
                reduced = max(learning_rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = reduced
                self.cooldown_counter = self.cooldown
                self.wait = 0
                if self.verbose:
                    say(f"Epoch {epoch + 1}: learning rate reduced to {reduced}")

    def in_cooldown(self) -> bool:
        """Whether patience is not counted, after a reduction."""
        return self.cooldown_counter > 0
