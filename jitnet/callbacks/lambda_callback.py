"""Callbacks made of functions."""

from jitnet.callbacks.base import Callback
from jitnet.core.errors import unknown_name


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
