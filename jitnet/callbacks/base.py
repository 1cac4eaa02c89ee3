"""What callbacks are made of: the base class, and the list that the loop calls."""

import sys

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


def say(text: str) -> None:
    """Print a line, above the progress bar where there is one."""
    bars = sys.modules.get("tqdm")
    (print if bars is None else bars.tqdm.write)(text)


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

    def get_state(self) -> dict:
        """What a checkpoint of ``BackupAndRestore`` keeps of the callback; {} where the training needs nothing of it.

        A subclass that goes by what it has seen returns that, as None, truth values, numbers, strings, arrays, and
        lists and dicts (with strings as keys) of them.
        """
        return {}

    def set_state(self, state: dict) -> None:
        """Go on from what ``get_state`` returned; tuples have become lists.

        Called after ``on_train_begin``, and where the training goes on within an epoch after ``on_epoch_begin``, too.
        """

    def put_back(self) -> None:
        """Called where an evaluation or prediction raises: what took the place of weights for it gives them back."""

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
        """Called after a batch of prediction; logs: {"outputs": what was predicted}."""
