"""The list of callbacks that the training loop calls."""

import contextlib
import inspect

from jitnet.callbacks.backup_and_restore import BackupAndRestore
from jitnet.callbacks.base import Callback
from jitnet.callbacks.progress import History, ProgbarLogger
from jitnet.core.errors import invalid


def _relay(hook: str):
    """The method of ``CallbackList`` that calls ``hook`` of every callback.

    All get the same dict of logs, so that what one adds to it the next ones see.
    """

    def relay(self, logs=None):
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, hook)(logs)

    def relay_counted(self, index, logs=None):
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, hook)(index, logs)

    return relay_counted if "epoch" in hook or "batch" in hook else relay


def _end(callbacks, logs) -> None:
    """Call ``on_train_end`` of all of them, then raise the first error, if there was any."""
    first = None
    for callback in callbacks:
        try:
            callback.on_train_end(logs)
        except Exception as error:
            if first is None:
                first = error
            else:
                first.add_note(f"{type(callback).__name__}.on_train_end failed, too: {error!r}")
    if first is not None:
        raise first


class CallbackList:
    """Calls every hook of several callbacks, in order: the given ones, the progress bar, the history.

    Args:
        callbacks: a callback, or a list of callbacks, or None.
        add_history: whether to add a ``History`` if there is none; it is ``history`` here and of the model.
        add_progbar: whether to add a ``ProgbarLogger`` if there is none; it is ``progbar`` here.
        model: the model, given to every callback.
        **params: the parameters of the loop, given to every callback.

    ``backup`` is the ``BackupAndRestore`` among them, or None.

    Raises:
        TypeError: something that is not a ``Callback``.
        ValueError: several ``BackupAndRestore``.
    """

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        if callbacks is None:
            callbacks = []
        self.callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = " Give an instance, not the class." if inspect.isclass(callback) else ""
                raise TypeError(f"`callbacks` must hold `Callback` objects.{hint} Received: {callback!r}")
        self.progbar = self._find(ProgbarLogger, add_progbar)
        self.history = self._find(History, add_history)
        self.backup = self._find(BackupAndRestore, False)
        several = [c for c in self.callbacks if isinstance(c, BackupAndRestore)]
        if len(several) > 1:
            raise invalid("A training has one BackupAndRestore.", backup_dir=[c.backup_dir for c in several])
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def _find(self, kind, add):
        found = next((callback for callback in self.callbacks if isinstance(callback, kind)), None)
        if found is None and add:
            found = kind()
            self.callbacks.append(found)
        return found

    @property
    def batch_hooks(self) -> bool:
        """Whether any callback must be called at every batch; if not, a loop may run many batches in one go."""
        return any(callback.batch_hooks for callback in self.callbacks)

    @property
    def test_hooks(self) -> bool:
        """Whether any callback, but for the progress bar, does something when an evaluation begins."""
        own = (callback.on_test_begin for callback in self.callbacks if callback is not self.progbar)
        return any(getattr(hook, "__func__", None) is not Callback.on_test_begin for hook in own)

    def set_params(self, params: dict) -> None:
        """Give ``params`` to every callback."""
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model) -> None:
        """Give ``model`` to every callback, and the history to the model."""
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    @contextlib.contextmanager
    def put_back(self):
        """An evaluation or prediction: if it raises, callbacks put back what they have put in weights' place."""
        try:
            yield
        except BaseException:
            for callback in self.callbacks:
                callback.put_back()
            raise

    def on_train_begin(self, logs=None):
        """Begin with all callbacks; if one of them raises, those that have begun get ``on_train_end``."""
        logs = {} if logs is None else logs
        for number, callback in enumerate(self.callbacks):
            try:
                callback.on_train_begin(logs)
            except BaseException:
                _end(self.callbacks[:number], logs)
                raise

    def on_train_end(self, logs=None):
        """End with all callbacks, also after one that raises."""
        _end(self.callbacks, {} if logs is None else logs)

    on_epoch_begin = _relay("on_epoch_begin")
    on_epoch_end = _relay("on_epoch_end")
    on_train_batch_begin = _relay("on_train_batch_begin")
    on_train_batch_end = _relay("on_train_batch_end")
    on_test_begin = _relay("on_test_begin")
    on_test_end = _relay("on_test_end")
    on_test_batch_begin = _relay("on_test_batch_begin")
    on_test_batch_end = _relay("on_test_batch_end")
    on_predict_begin = _relay("on_predict_begin")
    on_predict_end = _relay("on_predict_end")
    on_predict_batch_begin = _relay("on_predict_batch_begin")
    on_predict_batch_end = _relay("on_predict_batch_end")
