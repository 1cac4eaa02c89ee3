"""One thread trains a model at a time: two would overwrite each other's updates of its weights."""

import contextlib
import functools
import os
import threading

from ..kernels.locks import across_forks

_trained: dict = {}  # a model, an optimizer or a variable -> (thread that trains it, name of the model)
_lock = across_forks(threading.Lock())


@contextlib.contextmanager
def trained_here(model, variables):
    """This thread alone changes the model, its optimizer and ``variables`` meanwhile; it may say so again.

    Raises:
        RuntimeError: another thread is training one of them.
    """
    thread, taken = threading.get_ident(), []
    wanted = [part for part in (model, model.optimizer, *variables) if part is not None]
    try:
        with _lock:
            for part in wanted:
                owner, name = _trained.get(part, (thread, ""))
                if owner != thread:
                    raise RuntimeError(_occupied(model, part, name))
            for part in wanted:
                if part not in _trained:
                    taken.append(part)
                    _trained[part] = thread, model.name
        yield
    finally:
        for part in taken:
            _trained.pop(part, None)


def trains(method):
    """Decorator of a method that trains its model."""

    @functools.wraps(method)
    def train(self, *arguments, **keywords):
        with trained_here(self, self.trainable_weights):
            return method(self, *arguments, **keywords)

    return train


def _occupied(model, part, name: str) -> str:
    if part is model:
        return f"Another thread is training the model {model.name!r}: wait until it has ended."
    shared = "the optimizer" if part is model.optimizer else f"the weight {part.name!r}"
    return (
        f"The model {model.name!r} cannot be trained now: another thread is training the model {name!r}, which shares "
        f"{shared}. Wait until it has ended."
    )


def _forget() -> None:
    """In a copy of the process no other thread trains."""
    thread = threading.get_ident()
    for part in [part for part, (owner, _) in _trained.items() if owner != thread]:
        del _trained[part]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
