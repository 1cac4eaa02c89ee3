"""A loss that is NaN or infinite ends the training."""

import math

from jitnet.callbacks.base import Callback, say


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
            say(f"Batch {batch}: the loss is {loss}, training stops")
            self.model.stop_training = True
