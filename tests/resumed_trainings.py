"""Trainings that tests of resuming end early, and what must be equal of one that went on and one that never ended."""

import hashlib
import itertools
import json
import os
import random
import signal
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
import small_networks

import jitnet
from jitnet import callbacks, layers, optimizers
from jitnet.files import checkpoints

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
X, Y = small_networks.data(41)
BATCH, EPOCHS = 8, 4  # six batches an epoch, the last one of one sample


class Batches(jitnet.utils.PyDataset):
    """Batches of noise of their own, made with NumPy's global generator, and in an order that every epoch changes."""

    def __init__(self):
        super().__init__()
        self.numbers = np.arange(5)

    def __len__(self):
        return 5

    def __getitem__(self, index):
        at = 8 * self.numbers[index]
        return X[at : at + 8] + 0.1 * np.random.normal(size=(8, X.shape[1])), Y[at : at + 8]

    def on_epoch_end(self):
        self.numbers = self.numbers[::-1]


def endless():
    """A generator whose passes are in random orders of Python's and NumPy's generators."""
    while True:
        order = list(range(5))
        random.shuffle(order)
        for number in order:
            at = 8 * number
            yield X[at : at + 8] * np.float32(np.random.uniform(0.9, 1.1)), Y[at : at + 8]


def one_by_one():
    """A generator that goes on where the validation before has stopped."""
    for number in itertools.count():
        at = 8 * (number % 5)
        yield X[at : at + 8], Y[at : at + 8]


class Unbatched:
    """An iterable that begins again, shuffled by NumPy's generator."""

    def __iter__(self):
        for number in np.random.permutation(5):
            yield X[8 * number : 8 * number + 8], Y[8 * number : 8 * number + 8]


class Rates(callbacks.Callback):
    """Changes what a callback may change: a number of a layer, the learning rate, step by step; it counts."""

    batch_hooks = True

    def __init__(self):
        super().__init__()
        self.count = 0

    def get_state(self):
        return {"count": self.count, "nothing": None, "parts": [np.arange(self.count), {"a": np.float32(1)}]}

    def set_state(self, state):
        assert len(state["parts"][0]) == state["count"] and state["parts"][1] == {"a": 1.0}
        self.count = state["count"]

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        self.model.optimizer.learning_rate = 0.05 / (1 + 0.1 * self.count)
        for layer in self.model.layers:
            if isinstance(layer, layers.Dropout):
                layer.rate = 0.25 + 0.01 * (self.count % 3)


class Press(callbacks.Callback):
    """Sends this process a signal: after so many batches of training, or of validation."""

    def __init__(self, number, train=None, test=None):
        super().__init__()
        self.number, self.train, self.test, self.trained, self.tested = number, train, test, 0, 0

    def on_train_batch_end(self, batch, logs=None):
        self.trained += 1
        if self.trained == self.train:
            signal.raise_signal(self.number)

    def on_test_batch_end(self, batch, logs=None):
        self.tested += 1
        if self.tested == self.test:
            signal.raise_signal(self.number)


def watching(folder=None):
    """Callbacks with a memory."""
    found = [
        callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05),
    ]
    return found if folder is None else [*found, callbacks.CSVLogger(Path(folder) / "history.csv")]


def perceptron(**arguments):
    return small_networks.perceptron("adam", **{"jit_compile": True, **arguments})


def state_of(model, history=None) -> dict:
    """Everything that must be equal, as hashes and JSON values."""
    slots = hashlib.sha256()
    for name, optimizer in sorted((k, v) for k, v in vars(model).items() if isinstance(v, optimizers.Optimizer)):
        slots.update(f"{name} {optimizer.iterations} {float(optimizer.learning_rate)}".encode())
        numbers = {variable: number for number, variable in enumerate(model.weights)}
        placed = {(slot, numbers[variable]): value for (slot, variable), value in optimizer.state().items()}
        for key, value in sorted(placed.items()):
            slots.update(str(key).encode() + value.tobytes())
    found = {"weights": small_networks.digest(model), "optimizer": slots.hexdigest()}
    if history is not None:
        found |= {"history": history.history, "epoch": history.epoch}
    return json.loads(json.dumps(found, default=float))


KINDS = ("arrays", "steps", "dataset", "part of a dataset", "generator", "iterable")


def fit(kind, folder, extra=(), threads=2, save_freq=2, jit_compile=True, **backup):
    """A training of one of ``KINDS``, from its first line on; what must be equal of it."""
    jitnet.set_num_threads(threads)
    jitnet.utils.set_random_seed(5)
    x, y, options = X, Y, {"validation_data": (X[:20], Y[:20])}
    if kind == "steps":  # one call of kernels after another, epochs that end early
        options |= {"batch_size": BATCH, "steps_per_epoch": 4, "shuffle": True}
    elif kind == "arrays":
        options |= {"batch_size": BATCH}
    else:
        x, y = {"generator": endless, "iterable": Unbatched}.get(kind, Batches)(), None
        options |= {"steps_per_epoch": 3} if kind == "part of a dataset" else {}
        if kind == "generator":
            options = {"steps_per_epoch": 4, "validation_data": one_by_one(), "validation_steps": 2}
    model = perceptron(jit_compile=jit_compile)
    used = [*watching(folder), *extra]
    if save_freq is not None:
        used.append(callbacks.BackupAndRestore(Path(folder) / "backup", save_freq, **backup))
    history = model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=used, **options)
    return state_of(model, history) | {"csv": (Path(folder) / "history.csv").read_text()}


def forked(work) -> int:
    """A copy of this process that does ``work()``: its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of copies of processes with threads
        child = os.fork()
    if child:
        return child
    status = 70
    try:
        status = work() or 0
    except SystemExit as error:
        status = error.code
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """The status of a copy that has ended; of one that was killed the signal's number, negative."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def interrupted(folder, save_freq=2, steps=11, **backup):
    """A training that has ended by Ctrl-C after so many steps: its checkpoints."""
    with pytest.raises(KeyboardInterrupt):
        fit("arrays", folder, [Press(signal.SIGINT, steps)], save_freq=save_freq, **backup)
    return [Path(checkpoints.path_of(folder / "backup", step)) for step in checkpoints.steps_in(folder / "backup")]
