"""Callbacks that save the model."""

import contextlib
import os
import warnings
from pathlib import Path

from jitnet.callbacks.base import say
from jitnet.callbacks.monitors import Monitor, check_saving
from jitnet.core.errors import invalid
from jitnet.files.atomic import FULL


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, after epochs or every so many batches.

    A disk that is full, or fails, is said once in a warning, and the training goes on.  ``BackupAndRestore`` keeps what
    a training needs to go on.

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
        keep: how many of the files that it has written under different names are kept: the last ones, and the one with
            the best value of ``monitor``, if the logs have it; None: all.

    Raises:
        ValueError: another ``mode``, ``save_freq`` or ``keep``, ``"auto"`` with a name that doesn't tell, or a suffix
            that ``model.save`` refuses.
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
        *,
        keep=None,
    ):
        # what is better matters only where it is asked
        super().__init__(monitor, mode if save_best_only or keep is not None or mode != "auto" else "min")
        check_saving(save_freq, keep)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        if initial_value_threshold is not None:
            self.best = initial_value_threshold
        self.keep = keep
        self._epoch = 0
        self._batches_since_save = 0
        self._files: list = []  # with ``keep``: [path, monitored value or None] of those that are there
        self._failed = False

    _state = ("best", "_epoch", "_batches_since_save", "_files")

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
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if self.save_weights_only:
                self.model.save_weights(path)
            else:
                self.model.save(path)
        except OSError as error:
            if error.errno not in FULL:
                raise
            if not self._failed:
                self._failed = True
                warnings.warn(f"{error.strerror}. The training goes on; this is said once.", stacklevel=6)
            return
        if self.verbose:
            say(f"Epoch {self._epoch + 1}: saved {path}")
        if self.keep is not None:
            self._remove_others(path, (logs or {}).get(self.monitor))

    def _remove_others(self, path: str, value) -> None:
        self._files = [file for file in self._files if file[0] != path] + [[path, value]]
        known = [file for file in self._files if file[1] is not None]
        best = None
        for file in known:
            best = file if best is None or self._improves(file[1], best[1]) else best
        for file in self._files[: -self.keep]:
            if file is not best:
                self._files.remove(file)
                with contextlib.suppress(OSError):  # then it is there for longer
                    os.remove(file[0])
