"""Callbacks: objects whose hooks the training loop calls, with Keras 3's names and arguments."""

import csv
import inspect
import math
import numbers
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from jitnet._callback import Callback, CallbackList, History, ProgbarLogger
from jitnet.core.errors import invalid, module_dir, module_getattr, unknown_name

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

# parts of names of metrics from which mode="auto" tells what is better
_HIGHER_IS_BETTER = ("acc", "auc", "precision", "recall", "iou", "io_u", "f1", "fbeta", "r2", "similarity")
_LOWER_IS_BETTER = ("error", "entropy", "mse", "mae", "mape", "msle", "hinge", "divergence", "perplexity")


class _Monitor(Callback):
    """A callback that asks after every epoch whether ``monitor`` is better than it was at best."""

    def __init__(self, monitor, mode, min_delta=0.0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise invalid("`mode` must be 'auto', 'min' or 'max'.", mode=mode)
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self._higher_is_better = mode == "max"
        if mode == "auto":
            a_loss = monitor.endswith("loss")
            higher = not a_loss and any(part in monitor for part in _HIGHER_IS_BETTER)
            lower = a_loss or any(part in monitor for part in _LOWER_IS_BETTER)
            if higher == lower:
                raise invalid(
                    "Whether more of the monitored quantity is better can't be told from its name: pass mode='min' or "
                    "mode='max'.",
                    monitor=monitor,
                )
            self._higher_is_better = higher
        self.best = self._worst

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


class EarlyStopping(_Monitor):
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
        ValueError: another ``mode``, or ``"auto"`` with a name that doesn't tell.
    """

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
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
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
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Saves the model, or its weights, after epochs or every so many batches.

    Args:
        filepath: where to; ``{epoch}``, ``{batch}`` (both counted from 1) and the names in the logs are filled in, with
            formats as in ``"{epoch:02d}-{val_loss:.2f}.safetensors"``.  Missing folders are made.
        monitor: name of the quantity that ``save_best_only`` goes by.
        verbose: 1 prints what is done, 0 doesn't.
        save_best_only: whether to save only when the quantity is better than ever.
        save_weights_only: whether to call ``model.save_weights`` instead of ``model.save``.
        mode: ``"min"`` or ``"max"``: what is better; ``"auto"`` tells it from the name.
        save_freq: ``"epoch"``, or a number of batches (they are counted on from epoch to epoch).
        initial_value_threshold: a value that the first save must improve on, or None.

    Raises:
        ValueError: another ``mode`` or ``save_freq``, ``"auto"`` with a name that doesn't tell, or a suffix that
            ``model.save`` refuses.
    """

    def __init__(
        self,
        filepath,
        monitor="val_loss",
        verbose=0,
        save_best_only=False,
        save_weights_only=False,
        mode="auto",
        save_freq="epoch",
        initial_value_threshold=None,
    ):
        # what is better matters only where it is asked
        super().__init__(monitor, mode if save_best_only or mode != "auto" else "min")
        whole = isinstance(save_freq, numbers.Integral) and not isinstance(save_freq, bool) and save_freq > 0
        if save_freq != "epoch" and not whole:
            raise invalid("`save_freq` must be 'epoch' or a positive integer.", save_freq=save_freq)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        if initial_value_threshold is not None:
            self.best = initial_value_threshold
        self._epoch = 0
        self._batches_since_save = 0

    @property
    def batch_hooks(self) -> bool:
        """Whether it saves after batches."""
        return self.save_freq != "epoch"

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the epoch, for the names of files."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Save if ``save_freq`` batches have passed."""
        if self.save_freq == "epoch":
            return
        self._batches_since_save += 1
        if self._batches_since_save >= self.save_freq:
            self._batches_since_save = 0
            self._save(logs, batch=batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        """Save if ``save_freq`` is ``"epoch"``."""
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs)

    def _save(self, logs, **batch):
        if self.save_best_only:
            # a model whose quality is unknown is saved: better one too many than none
            current = self._monitored(logs)
            if current is not None:
                if not self._improves(current, self.best):
                    return
                self.best = current
        names = {"epoch": self._epoch + 1, **batch, **(logs or {})}
        try:
            path = self.filepath.format(**names)
        except KeyError as error:
            raise invalid(
                f"`filepath` names {error}, which is not in the logs. Available: {', '.join(names)}.",
                filepath=self.filepath,
            ) from error
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved {path}")


class CSVLogger(Callback):
    """Writes the logs of every epoch to a CSV file, one line each, under the names of the first epoch's logs.

    Args:
        filename: the file.
        separator: what stands between the values.
        append: whether to add to a file that exists, under its header, instead of replacing it.
    """

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file = None
        self._names = None

    def on_train_begin(self, logs=None):
        """Open the file.

        Raises:
            ValueError: the file to append to is no CSV file.
        """
        self._names = None
        if self.append and os.path.exists(self.filename):
            try:
                with open(self.filename, newline="", encoding="utf-8") as file:
                    header = next(csv.reader(file, delimiter=self.separator), None)
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{self.filename} is not a CSV file that could be added to: {error}") from None
            self._names = header[1:] if header else None
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch, logs=None):
        """Write the epoch's line; "NA" stands for a value that is not in the logs."""
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._names is None:
            self._names = list(logs)
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *(logs.get(name, "NA") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs=None):
        """Close the file."""
        self._file.close()


class LearningRateScheduler(Callback):
    """Sets the optimizer's learning rate at the beginning of every epoch.

    Args:
        schedule: a function of the epoch (from 0) and the current learning rate, or of the epoch alone, that returns a
            number.
        verbose: 1 prints every learning rate, 0 doesn't.
    """

    def __init__(self, schedule: Callable, verbose=0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch, logs=None):
        """Set the learning rate.

        Raises:
            ValueError: the schedule returns something else than a number.
        """
        arguments = (epoch, float(self.model.optimizer.learning_rate))
        try:
            inspect.signature(self.schedule).bind(*arguments)
        except TypeError:
            arguments = (epoch,)
        learning_rate = self.schedule(*arguments)
        if not isinstance(learning_rate, numbers.Real) or isinstance(learning_rate, bool):
            raise invalid("The schedule of `LearningRateScheduler` must return a number.", learning_rate=learning_rate)
        self.model.optimizer.learning_rate = float(learning_rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {float(learning_rate)}")

    def on_epoch_end(self, epoch, logs=None):
        """Add the learning rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ReduceLROnPlateau(_Monitor):
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
        ValueError: a ``factor`` of 1 or more, another ``mode``, or ``"auto"`` with a name that doesn't tell.
    """

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
        if not 0 < factor < 1:
            raise invalid("`factor` must be above 0 and below 1.", factor=factor)
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
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
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(current, self.best):
            self.best = current
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and learning_rate > self.min_lr:
                reduced = max(learning_rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = reduced
                self.cooldown_counter = self.cooldown
                self.wait = 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate reduced to {reduced}")


class TerminateOnNaN(Callback):
    """Stops training after a batch at which the loss is NaN or infinite.

    Args:
        raise_error: whether to raise ``RuntimeError`` instead.
    """

    def __init__(self, raise_error=False):
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch, logs=None):
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(f"Batch {batch}: the loss is {loss}")
            print(f"Batch {batch}: the loss is {loss}, training stops")
            self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin, on_epoch_end, ..., **hooks: functions by the names of hooks, with the hooks' arguments:
            ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))``.

    Raises:
        ValueError: a name that no hook has.
    """

    def __init__(
        self,
        on_epoch_begin=None,
        on_epoch_end=None,
        on_train_begin=None,
        on_train_end=None,
        on_train_batch_begin=None,
        on_train_batch_end=None,
        **hooks,
    ):
        super().__init__()
        hooks.update(
            on_epoch_begin=on_epoch_begin,
            on_epoch_end=on_epoch_end,
            on_train_begin=on_train_begin,
            on_train_end=on_train_end,
            on_train_batch_begin=on_train_batch_begin,
            on_train_batch_end=on_train_batch_end,
        )
        known = [name for name in vars(Callback) if name.startswith("on_")]
        for name, function in hooks.items():
            if name not in known:
                raise unknown_name("hook", name, known)
            if function is not None:
                setattr(self, name, function)


__getattr__ = module_getattr(__name__, "callback")
__dir__ = module_dir(__name__)
