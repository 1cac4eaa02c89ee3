"""A loss that is NaN or infinite ends the training."""

import math

import numpy as np

from jitnet.callbacks.base import Callback, say
from jitnet.core import checks
from jitnet.optimizers import Optimizer
from jitnet.running.kept import Kept


class TerminateOnNaN(Callback):
    """Stops training after a batch at which the loss is NaN or infinite.

    Args:
        raise_error: whether to raise ``RuntimeError`` instead.
        debug: find out where it begins: weights are looked at after every batch, too, and the batch at which they or
            the loss are not finite runs again from the weights before it, kernel by kernel (see
            ``model.find_not_finite``).  Needs time for that, and memory for a copy of weights and slots.

    Attributes:
        found: with ``debug``, the ``NotFinite`` that says where, once there was one.
    """

    def __init__(self, raise_error=False, *, debug=False):
        super().__init__()
        self.raise_error = raise_error
        self.debug = checks.boolean(type(self).__name__, "debug", debug)
        self.found = None
        self._epoch, self._before = 0, None

    def on_train_begin(self, logs=None):
        """Have batches kept, if they may be wanted again."""
        self.found = self._before = None
        if self.debug:
            self.model._kept_batch = []

    def on_train_end(self, logs=None):
        """Let go of what was kept."""
        if self.debug:
            self._before = self.model._kept_batch = None

    def on_epoch_begin(self, epoch, logs=None):
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        """Keep what the step changes."""
        if self.debug:
            self._before = self._kept()

    def on_train_batch_end(self, batch, logs=None):
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        finite = loss is None or math.isfinite(loss)
        if finite and not (self.debug and not all(np.isfinite(w.value).all() for w in self.model.weights)):
            return
        taken = getattr(self.model.optimizer, "iterations", None)
        steps = "" if taken is None else f", training step {taken}"
        what = f"the loss is {loss}" if not finite else "a weight is no longer finite"
        text = f"Batch {batch} of epoch {self._epoch + 1}{steps}: {what}"
        if not self.raise_error:
            text += ", training stops"
        if self.debug:
            self.found = self._run_again()
            text += f"\n{self.found or 'Kernel by kernel, unfused, the step stays finite.'}"
        if self.raise_error:
            raise RuntimeError(text)
        say(text)
        self.model.stop_training = True

    def _kept(self) -> Kept:
        return Kept(self.model.weights, [value for value in vars(self.model).values() if isinstance(value, Optimizer)])

    def _run_again(self):
        """What ``find_not_finite`` says of the batch that ran last."""
        after, which, batch, values = self._kept(), *self.model._kept_batch
        self._before.restore()
        try:
            return self.model._first_not_finite(which, batch, values)
        finally:
            after.restore()
