"""The learning rate as a function of the epoch."""

import inspect
import numbers
from collections.abc import Callable

from jitnet.callbacks.base import Callback, say
from jitnet.core.errors import invalid


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
            say(f"Epoch {epoch + 1}: learning rate {float(learning_rate)}")

    def on_epoch_end(self, epoch, logs=None):
        """Add the learning rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
