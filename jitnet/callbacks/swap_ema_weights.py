"""The averages of the weights, in their place while the model is evaluated."""

import numpy as np

from jitnet.callbacks.base import Callback
from jitnet.core import checks
from jitnet.core.errors import invalid


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the moving averages of the weights, which an optimizer with ``use_ema=True`` keeps.

    Weights and averages change places before every evaluation and prediction, and again after it.  A training that
    ends after a whole epoch leaves the averages in the model, one that is interrupted leaves the trained weights.

    Args:
        swap_on_epoch: whether they also change places at the end of an epoch, until the next one begins: callbacks
            that come after this one in the list, a ``ModelCheckpoint`` say, then find the averages in the model, those
            before it the trained weights.

    Raises:
        ValueError: in ``fit``, ``evaluate`` or ``predict``, for an optimizer without ``use_ema``.

    Source: ``keras.callbacks.SwapEMAWeights``; Polyak and Juditsky 1992.
    """

    def __init__(self, swap_on_epoch=False):
        super().__init__()
        self.swap_on_epoch = checks.boolean(type(self).__name__, "swap_on_epoch", swap_on_epoch)
        self._swapped = False  # whether the averages are in the model
        self._whole_epoch = False

    def get_state(self) -> dict:
        """Whether the averages are in the model, and whether its last epoch is a whole one."""
        return {"swapped": self._swapped, "whole_epoch": self._whole_epoch}

    def set_state(self, state: dict) -> None:
        """Go on with a model that has them, or not."""
        self._swapped, self._whole_epoch = state["swapped"], state["whole_epoch"]

    def put_back(self) -> None:
        """Put the weights back."""
        self._swap(False)

    def on_train_begin(self, logs=None):
        """See that there are averages."""
        self._check()
        self._whole_epoch = False

    def on_train_end(self, logs=None):
        """Leave the averages in the model, and also as the averages; of an interrupted training its weights."""
        self._swap(self._whole_epoch)
        if self._whole_epoch:
            optimizer = self.model.optimizer
            averaged = {key: key[1].numpy() for key in optimizer.state() if key[0] == "average"}
            optimizer.set_state(averaged)
        self._swapped = False

    def on_epoch_begin(self, epoch, logs=None):
        """Go on with the trained weights."""
        self._swap(False)
        self._whole_epoch = False

    def on_epoch_end(self, epoch, logs=None):
        """Put the averages in the model if ``swap_on_epoch``."""
        self._whole_epoch = True
        if self.swap_on_epoch:
            self._swap(True)

    def on_test_begin(self, logs=None):
        """Put the averages in the model."""
        self._swap(True)

    def on_test_end(self, logs=None):
        """Put the weights back."""
        self._swap(False)

    def on_predict_begin(self, logs=None):
        """Put the averages in the model."""
        self._swap(True)

    def on_predict_end(self, logs=None):
        """Put the weights back."""
        self._swap(False)

    def _check(self) -> None:
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.averages:
            raise invalid(
                "SwapEMAWeights needs an optimizer that keeps averages: make it with use_ema=True.",
                use_ema=None if optimizer is None else False,
            )

    def _swap(self, averages_in_model: bool) -> None:
        """Let weights and averages change places unless the model has the ones that are wanted already."""
        if self._swapped == averages_in_model:
            return
        self._check()
        self._swapped = averages_in_model
        optimizer, kept = self.model.optimizer, {}
        for (slot, variable), average in optimizer.state().items():
            if slot == "average":  # before the first step there is none
                kept[slot, variable] = np.array(variable.numpy())
                variable.assign(average)
        optimizer.set_state(kept)
