"""Trainings that were killed, interrupted or hindered go on, and end with the bits of the one that was not."""

import errno
import itertools
import json
import os
import random
import re
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import small_networks
from faulty_files import FaultyFiles, die, failing
from resumed_trainings import (
    BATCH,
    EPOCHS,
    KINDS,
    Batches,
    Press,
    Rates,
    X,
    Y,
    ended,
    fit,
    forked,
    interrupted,
    needs_fork,
    perceptron,
    state_of,
    watching,
)
from test_train_step import two_networks

import jitnet
from jitnet import callbacks, layers, optimizers, schedules
from jitnet.files import checkpoints, folder_lock, training_state

KILLS = int(os.environ.get("JITNET_TEST_KILLS", "50"))
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_goes_on_where_a_signal_has_ended_it(kind, tmp_path):
    plain = fit(kind, tmp_path, [Rates()], save_freq=None)
    assert len(plain["epoch"]) > 2
    both = itertools.cycle([(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
    for place in ({"train": 1}, {"train": 6}, {"train": 11}, {"test": 2}, {"test": 1}):
        number, raised = next(both)
        with pytest.raises(raised) as error:
            fit(kind, tmp_path, [Rates(), Press(number, **place)], save_freq="epoch")
        assert raised is KeyboardInterrupt or error.value.code == 143
        assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
        assert len(checkpoints.steps_in(tmp_path / "backup")) == 1
        # what remembers nothing may come or go
        assert fit(kind, tmp_path, [Rates(), callbacks.LambdaCallback()], threads=1) == plain
        assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_callback_that_raises_leaves_what_was_saved(jit_compile, tmp_path):
    plain = fit("arrays", tmp_path, save_freq=None)
    for save_freq, left in (("epoch", 6), (1, 9), (4, 8)):

        class Breaks(callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if self.model.optimizer.iterations == 10:
                    raise ZeroDivisionError("by a callback")

        with pytest.raises(ZeroDivisionError):
            fit("arrays", tmp_path, [Breaks()], save_freq=save_freq, jit_compile=jit_compile)
        assert checkpoints.steps_in(tmp_path / "backup") == [left]
        assert len((tmp_path / "history.csv").read_text().splitlines()) == 2
        assert fit("arrays", tmp_path, save_freq=save_freq, jit_compile=jit_compile) == plain


def test_saving_does_not_shorten_calls_needlessly(tmp_path, monkeypatch):
    counts = []
    run = jitnet.step.Step.run

    def counting(self, batch, count, *arguments, **keywords):
        counts.append(count)
        return run(self, batch, count, *arguments, **keywords)

    monkeypatch.setattr(jitnet.step.Step, "run", counting)
    monkeypatch.setattr(jitnet.training, "PROGRESS_SECONDS", 1e6)
    model = perceptron()
    for save_freq, expected in (("epoch", [5, 1]), (4, [4, 1, 1]), (100, [5, 1])):
        counts.clear()
        backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq)
        model.fit(X, Y, BATCH, epochs=1, verbose=0, callbacks=backup)
        assert counts == expected


# ---- kills


def convolutional(folder, threads, save_freq):
    """A training with dropout, moving statistics, a schedule, validation and all callbacks with a memory."""
    jitnet.set_num_threads(threads)
    jitnet.utils.set_random_seed(7)
    x, y = small_networks.images()
    rate = schedules.CosineDecay(0.05, 60)
    model = small_networks.convolutional(optimizer=optimizers.Adam(rate), jit_compile=True)
    used = [callbacks.EarlyStopping("loss", patience=30, restore_best_weights=True)]
    used.append(callbacks.CSVLogger(folder / "history.csv"))
    used.append(callbacks.BackupAndRestore(folder / "backup", save_freq, keep=2))
    history = model.fit(x, y, 4, epochs=10, verbose=0, callbacks=used, validation_data=(x[:8], y[:8]))
    return state_of(model, history) | {"csv": (folder / "history.csv").read_text()}


def trained(folder, threads=2, save_freq=4, faults=None):
    """In a copy of the process: train, and write down what came of it."""
    if faults is not None:
        faults.install()
    result = convolutional(folder, threads, save_freq)
    (folder / "result.json").write_text(json.dumps(result | {"operations": faults.count if faults else 0}))


@needs_fork
def test_killed_at_random_moments(tmp_path):
    """By another process, at random moments; and in the midst of saving, before any operation on files."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convolutional(tmp_path, 2, 4)  # compiled, once for all copies

    def result(folder):
        found = json.loads((folder / "result.json").read_text())
        return found.pop("operations"), found

    def never(name):
        raise AssertionError(name)

    begin = time.monotonic()
    assert ended(forked(lambda: trained(tmp_path, faults=FaultyFiles(never, at=10**9)))) == 0
    seconds = time.monotonic() - begin
    operations, expected = result(tmp_path)
    assert operations > 50 and len(expected["epoch"]) == 10
    generator = random.Random(KILLS)
    killed, equal, within = 0, 0, 0
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_freq, threads = generator.choice([4, 5, "epoch"]), generator.choice([1, 2])
        for _ in range(generator.choice([1, 1, 2])):
            if generator.random() < 0.6:
                faults = FaultyFiles(die, at=generator.randrange(1, operations))
                child = forked(lambda f=folder, t=threads, s=save_freq, faults=faults: trained(f, t, s, faults))
            else:
                child = forked(lambda f=folder, t=threads, s=save_freq: trained(f, t, s))
                time.sleep(generator.uniform(0, seconds))
                os.kill(child, signal.SIGKILL)
            status = ended(child)
            assert status in (0, -signal.SIGKILL)  # 0: it was quicker
            killed += status != 0
        within += any(step % 6 for step in checkpoints.steps_in(folder / "backup"))
        assert ended(forked(lambda f=folder, t=3 - threads, s=save_freq: trained(f, t, s))) == 0
        equal += result(folder)[1] == expected
        assert not (folder / "backup").exists()
    assert equal == KILLS
    assert killed > 0.6 * KILLS and within > 0.2 * KILLS, "most were to be killed, many within an epoch"


# ---- damaged files, full disks


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def alter(path):
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def exchange(path):
    path.write_bytes(Path(path.parent / "step-000000008.safetensors").read_bytes())


def other_kind(path):
    perceptron().save(path)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, alter, exchange, other_kind, empty])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(damage, tmp_path):
    plain = fit("arrays", tmp_path, save_freq=None)
    last, *others = interrupted(tmp_path, keep=3)
    assert [path.name for path in (last, *others)] == [f"step-{n:09d}.safetensors" for n in (11, 10, 8)]
    damage(last)
    said = "training goes on from .*step-000000010"
    with pytest.warns(UserWarning, match=rf"step-000000011\.safetensors is .*{said}"):
        assert fit("arrays", tmp_path, keep=3) == plain
    first = interrupted(tmp_path, keep=3)
    for path in first:
        cut(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"None of the checkpoints in .*backup can be used\. Remove them to begin"):
            fit("arrays", tmp_path)
    assert [path for path in first if path.exists()] == first


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_is_said_once_and_the_training_goes_on(number, tmp_path, monkeypatch):
    plain = fit("arrays", tmp_path, save_freq=None)
    first = interrupted(tmp_path, steps=3)
    with monkeypatch.context() as patched:
        FaultyFiles(failing(number), names=("write",)).install(patched)
        with pytest.warns(UserWarning) as said, pytest.raises(KeyboardInterrupt):
            fit("arrays", tmp_path, [Press(signal.SIGINT, 6)])
        assert len(said) == 1
        assert re.search(r"checkpoint after step 4 cannot be written.* training goes on, .*once", str(said[0].message))
        assert [path for path in (tmp_path / "backup").iterdir() if path.suffix] == first
        # one failure, then there is room again
        FaultyFiles(failing(number), at=3, names=("fsync",)).install(patched)
        with pytest.warns(UserWarning, match="after step 6"), pytest.raises(KeyboardInterrupt):
            fit("arrays", tmp_path, [Press(signal.SIGINT, 6)])
        assert checkpoints.steps_in(tmp_path / "backup") == [9]
    assert fit("arrays", tmp_path) == plain


class Full:
    """A file on a full disk: it takes half of what it is given, then nothing."""

    def __init__(self, file):
        self._file = file

    def write(self, content):
        if len(content) > 4:
            return self._file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_logs_and_models_on_a_full_disk(tmp_path, monkeypatch):
    plain = fit("arrays", tmp_path, save_freq=None)

    class Fills(callbacks.Callback):
        """The disk is full in the second epoch."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                logger._file = Full(logger._file)
                FaultyFiles(failing(errno.EDQUOT), names=("write",)).install(monkeypatch)
            elif epoch == 2:
                monkeypatch.undo()
                logger._file = logger._file._file

    logger = callbacks.CSVLogger(tmp_path / "again.csv")
    saver = callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors", "val_loss", keep=1)
    with pytest.warns(UserWarning) as said:
        fit("arrays", tmp_path, [Fills(), logger, saver], save_freq=None)
    first, second = sorted(str(warning.message) for warning in said)
    assert first.endswith("again.csv cannot be written: No space left on device. The training goes on, and the lines "
                          "that are missing are written as soon as possible; this is said once.")  # fmt: skip
    assert "no space is left in" in second and second.endswith("The training goes on; this is said once.")
    assert (tmp_path / "again.csv").read_text() == plain["csv"]
    # the last one and the best one
    values = plain["history"]["val_loss"]
    best = min((value, number) for number, value in enumerate(values, 1) if number != 2)[1]
    found = {path.name for path in tmp_path.glob("*.safetensors")}
    assert found == {f"{best}.safetensors", f"{len(values)}.safetensors"}


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    values = [3.0, 1.0, 2.0, 4.0, 2.5]

    class Says(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["quality"] = values[epoch]

    backup = callbacks.BackupAndRestore(
        tmp_path, 5, delete_checkpoint=False, keep=2, monitor="quality", mode="min"
    )  # fmt: skip
    perceptron().fit(X, Y, BATCH, epochs=5, verbose=0, callbacks=[backup, Says()])
    assert checkpoints.steps_in(tmp_path) == [30, 25, 12]
    found = checkpoints.read(tmp_path, 12)[2]["training"]
    assert found["position"]["epoch"] == 2 and backup.best == 1.0
    # a model takes its weights from a checkpoint
    perceptron().load_weights(tmp_path / "step-000000012.safetensors")
    with pytest.raises(ValueError, match="holds weights alone"):
        jitnet.load_model(tmp_path / "step-000000012.safetensors")
    # a finished training trains on if more epochs are asked for, as if they had been asked for at once
    resumed, straight = perceptron(), perceptron()
    values += [1.0, 5.0]
    history = resumed.fit(X, Y, BATCH, epochs=7, verbose=0, callbacks=[backup, Says()])
    jitnet.utils.set_random_seed(0)
    assert state_of(resumed, history) == state_of(
        straight, straight.fit(X, Y, BATCH, epochs=7, verbose=0, callbacks=Says())
    )


# ---- one process at a time


@needs_fork
def test_one_process_at_a_time(tmp_path):
    first = interrupted(tmp_path)
    (tmp_path / "history.csv").write_text("as it was")
    reader, writer = os.pipe()

    class Waits(callbacks.Callback):
        def on_train_begin(self, logs=None):
            os.write(writer, b".")
            time.sleep(600)

    child = forked(lambda: fit("arrays", tmp_path, [Waits()]))
    try:
        assert os.read(reader, 1) == b"."
        before = (tmp_path / "history.csv").read_text()
        with pytest.raises(BlockingIOError, match=r"Another process is training there.*backup'"):
            fit("arrays", tmp_path)
        assert (tmp_path / "history.csv").read_text() == before
    finally:
        os.kill(child, signal.SIGKILL)
        ended(child)
        os.close(reader)
        os.close(writer)
    assert (tmp_path / "backup" / ".lock").exists()  # what it leaves does not count
    assert [path for path in first if path.exists()] == first
    assert fit("arrays", tmp_path)
    # a copy of the process does not keep the lock
    with folder_lock.held(str(tmp_path)):
        child = forked(lambda: time.sleep(600))
    with folder_lock.held(str(tmp_path)), pytest.raises(BlockingIOError), folder_lock.held(str(tmp_path)):
        pass
    os.kill(child, signal.SIGKILL)
    ended(child)
    assert not (tmp_path / ".lock").exists()


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", lambda *_: failing(errno.ENOTSUP)("flock"))
    with pytest.warns(UserWarning, match="has no locks"), folder_lock.held(str(tmp_path)):
        pass


# ---- other models, other trainings


def test_optimizers_and_states_of_all_kinds(tmp_path):
    """Two networks with an optimizer each; a recurrent layer that keeps its states; averages, frozen layers."""
    generator = np.random.default_rng(6)
    latent, real = (generator.standard_normal((20, size), np.float32) for size in (3, 2))

    def adversaries(extra=()):
        model = two_networks(True)
        return state_of(model, model.fit(latent, real, 8, epochs=3, verbose=0, callbacks=list(extra)))

    def recurrent(extra=()):
        jitnet.utils.set_random_seed(2)
        parts = [jitnet.Input((3, 2), batch_size=3), layers.SimpleRNN(4, stateful=True, name="steps")]
        model = jitnet.Sequential([*parts, layers.Dense(1, name="last")])
        model.compile("sgd", "mse", jit_compile=True)
        x = np.random.default_rng(0).standard_normal((12, 3, 2)).astype("float32")
        history = model.fit(x, x[:, 0, :1], batch_size=3, epochs=3, verbose=0, callbacks=list(extra))
        states = [state.numpy().tolist() for state in model.layers[0].states]
        return state_of(model, history) | {"states": states}

    class Freezes(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.loss_weights = 0.9 * self.model.loss_weights
            if epoch == 1:
                self.model.layers[0].trainable = False

    class Exchanges(callbacks.Callback):
        """Evaluates other weights than those that are trained."""

        def on_test_begin(self, logs=None):
            self.weights = self.model.get_weights()
            self.model.set_weights([0.5 * w for w in self.weights])

        def on_test_end(self, logs=None):
            self.model.set_weights(self.weights)

    def exchanged(extra=()):
        jitnet.utils.set_random_seed(2)
        model, data = perceptron(), (X[:20], Y[:20])
        used = [Exchanges(), *extra]
        return state_of(model, model.fit(X, Y, BATCH, epochs=3, verbose=0, callbacks=used, validation_data=data))

    plain = exchanged()
    for batches in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            exchanged([Press(signal.SIGINT, test=batches), callbacks.BackupAndRestore(tmp_path / "exchanged")])
        assert exchanged([callbacks.BackupAndRestore(tmp_path / "exchanged")]) == plain

    def averaged(extra=()):
        jitnet.utils.set_random_seed(2)
        optimizer = optimizers.SGD(0.3, use_ema=True, ema_momentum=0.6, weight_decay=0.01)
        model = small_networks.perceptron(optimizer, jit_compile=True, loss_weights=0.5)
        used = [Freezes(), callbacks.LearningRateScheduler(lambda epoch, rate: 0.9 * rate), *extra]
        return state_of(model, model.fit(X, Y, BATCH, epochs=3, verbose=0, callbacks=used))

    def swapped(extra=(), swap_on_epoch=True):
        jitnet.utils.set_random_seed(2)
        model = small_networks.perceptron(optimizers.SGD(0.3, use_ema=True, ema_momentum=0.6), jit_compile=True)
        used = [callbacks.SwapEMAWeights(swap_on_epoch), *extra]
        options = {"verbose": 0, "callbacks": used, "validation_data": (X[:20], Y[:20])}
        return state_of(model, model.fit(X, Y, BATCH, epochs=3, **options))

    # a finished training, whose process was killed before it had used the model
    backup = callbacks.BackupAndRestore(tmp_path / "swapped", delete_checkpoint=False)
    assert swapped() == swapped([backup]) == swapped([backup])
    backup = callbacks.BackupAndRestore(tmp_path / "swapped in validations", delete_checkpoint=False)
    for batches in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            swapped([Press(signal.SIGINT, test=batches), backup], False)
    assert swapped([backup], False) == swapped(swap_on_epoch=False)

    for train, stops in ((adversaries, (1, 8)), (recurrent, (3, 4)), (averaged, (5, 8, 14))):
        plain = train()
        for steps in stops:
            folder = tmp_path / train.__name__
            with pytest.raises(KeyboardInterrupt):
                train([Press(signal.SIGINT, steps), callbacks.BackupAndRestore(folder)])
            # layers that were made before take other random streams; the checkpoint knows
            layers.Dropout(0.5)
            assert train([callbacks.BackupAndRestore(folder)]) == plain


def test_random_streams_are_the_checkpoints(tmp_path):
    x, y = small_networks.images()

    def train(*used, before=0, seed=7):
        jitnet.utils.set_random_seed(seed)
        for _ in range(before):
            layers.Dropout(0.5)
        model = small_networks.convolutional(jit_compile=True)
        return state_of(model, model.fit(x, y, 4, epochs=2, verbose=0, callbacks=[Rates(), *used]))

    plain = train()
    assert train(before=3) != plain and train(seed=8) != plain
    for before, seed in ((3, 7), (0, 8)):
        with pytest.raises(KeyboardInterrupt):
            train(Press(signal.SIGINT, 5), callbacks.BackupAndRestore(tmp_path / "backup"))
        assert train(callbacks.BackupAndRestore(tmp_path / "backup"), before=before, seed=seed) == plain


def test_what_does_not_fit_the_checkpoint(tmp_path):
    folder = tmp_path / "backup"
    first = interrupted(tmp_path)
    backup = callbacks.BackupAndRestore(folder)
    memory = [*watching(tmp_path), backup]
    history = (tmp_path / "history.csv").read_text()

    def refused(match, model, used=memory, x=X, y=Y, batch=BATCH, **options):
        before = small_networks.digest(model)
        with pytest.raises(ValueError, match=match):
            model.fit(x, y, batch, epochs=EPOCHS, verbose=0, callbacks=used, validation_data=(X, Y), **options)
        assert [path for path in first if path.exists()] == first
        assert not (folder / ".lock").exists()
        assert small_networks.digest(model) == before and model.optimizer.iterations == 0
        assert (tmp_path / "history.csv").read_text() == history

    other = r"is of a training with batch_size=8, steps=6\. Go on .* Received: batch_size=9, steps=5$"
    refused(other, perceptron(), batch=9)
    refused(r"with samples=41\. .* Received: samples=42$", perceptron(), x=np.resize(X, (42, 4)), y=np.resize(Y, 42))
    refused(r"with shuffle=True\. .* Received: shuffle=False", perceptron(), shuffle=False)
    plain = small_networks.perceptron(jit_compile=True)
    refused(r"another optimizer, with \['beta_1', .*Expected SGD, with slots", plain)
    refused(r"the state of a ReduceLROnPlateau, which is not among", perceptron(), [*watching()[:1], backup])
    other = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(3, "softmax")])
    other.compile("adam", "sparse_categorical_crossentropy")
    refused(r"The weights in .*step-000000011\.safetensors are not those of the model", other)
    unbuilt = jitnet.Sequential([layers.Dense(3, "softmax")])
    unbuilt.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="must be built before its training goes on"):
        unbuilt.fit(Batches(), verbose=0, callbacks=[backup])
    assert [path for path in first if path.exists()] == first


def test_arguments_and_states_that_are_refused(tmp_path):
    for bad in (0, 1.5, "batch", True, False):
        with pytest.raises(ValueError, match=r"'epoch' or a positive integer\. Received: save_freq="):
            callbacks.BackupAndRestore("x", bad)
    for kind in (callbacks.BackupAndRestore, callbacks.ModelCheckpoint):
        with pytest.raises(ValueError, match=r"positive integer or None\. Received: keep=0"):
            kind("x", keep=0)
    with pytest.raises(ValueError, match=r"Received: backup_dir=''"):
        callbacks.BackupAndRestore("")
    assert [callbacks.BackupAndRestore("x", double_checkpoint=d).kept for d in (False, True)] == [1, 2]
    two = [callbacks.BackupAndRestore(tmp_path / name) for name in "ab"]
    with pytest.raises(ValueError, match=r"one BackupAndRestore\. Received: backup_dir="):
        perceptron().fit(X, Y, verbose=0, callbacks=two)

    class Odd(callbacks.Callback):
        state: object = None

        def get_state(self):
            return {"it": self.state}

    for state in ({1: 2}, object(), np.array(["a"]), {"__array__": 1}, {1}):
        odd = Odd()
        odd.state = state
        with pytest.raises(TypeError, match=r"A state consists of None, .* Received: callbacks/0/state/it="):
            model = perceptron()
            model.fit(X, Y, verbose=0, callbacks=[odd, two[0]])
        assert model.optimizer.iterations == 0
    odd.state = {"a/b": np.ones(2), "a": {"b": np.zeros(2)}}
    backup = callbacks.BackupAndRestore(tmp_path / "c", delete_checkpoint=False)
    perceptron().fit(X, Y, verbose=0, callbacks=[odd, backup])
    _, tensors, description = checkpoints.read(tmp_path / "c", 2)
    kept = [c["state"] for c in training_state.decoded(description["training"], tensors)["callbacks"]]
    np.testing.assert_equal(kept[0], {"it": odd.state})
    assert checkpoints.steps_in(tmp_path / "a") == []


def test_states_in_files_are_checked(tmp_path):
    """A file with the right checksum and other content says what is wrong with it, instead of whatever may come."""
    interrupted(tmp_path, keep=2)
    _, tensors, description = checkpoints.read(tmp_path / "backup", 11)
    training = description["training"]

    def changed(**parts):
        return {**description, "training": {**training, **parts}}

    wrong = [
        changed(position={**training["position"], "epoch": -1}),
        changed(position={}),
        changed(seed={**training["seed"], "seed": 2**40}),
        changed(generators={**training["generators"], "numpy": {**training["generators"]["numpy"], "position": 10**6}}),
        changed(callbacks=[{"kind": 1, "state": {}}]),
        changed(callbacks=[{"kind": "History", "state": {"x": {"__array__": "weights/none"}}}]),
        changed(optimizers={"optimizer": {}}),
        changed(optimizers={"optimizer": {**training["optimizers"]["optimizer"], "slots": [["velocity", "hidden"]]}}),
        changed(optimizers={"optimizer": {"iterations": 1, "hyperparameters": {}, "slots": [["m", 3, {"x": 1}]]}}),
        changed(optimizers={"optimizer": {"iterations": 1, "hyperparameters": {}, "slots": [["m"]]}}),
        changed(variables=[1]),
        changed(data=[{}]),
        changed(data=[{"in_pass": 0, "first": 0, "begun": None, "epochs": 10**9, "ended": False}]),
        {**description, "arrays": []},
        {**description, "arrays": ["training/none"]},
    ]
    for bad in wrong:
        checkpoints.write(tmp_path / "backup", 11, tensors, bad)
        with pytest.raises(ValueError, match=r"step-000000011\.safetensors is (no checkpoint as|damaged)"):
            checkpoints.read(tmp_path / "backup", 11)
    right = next(part["state"] for part in training["callbacks"] if part["kind"] == "EarlyStopping")
    for state in ({}, {**right, "best": "1.5"}, {**right, "wait": None}, {**right, "best_weights": 1.5}):
        other = changed(callbacks=[{"kind": "EarlyStopping", "state": state}])
        checkpoints.write(tmp_path / "backup", 11, tensors, other)
        with pytest.raises(ValueError, match="has a state of EarlyStopping that it does not take"):
            fit("arrays", tmp_path)
    (name,) = training["optimizers"]
    optimizer = training["optimizers"][name]
    slot, _, array = optimizer["slots"][0]
    rates = {**optimizer["hyperparameters"], "learning_rate": [1.0]}
    strange = [
        changed(optimizers={name: {**optimizer, "slots": [[slot, "none", array], *optimizer["slots"][1:]]}}),
        changed(optimizers={name: {**optimizer, "hyperparameters": rates}}),
        changed(loss_weights=[]),
    ]
    for bad in strange:
        checkpoints.write(tmp_path / "backup", 11, tensors, bad)
        with pytest.raises(ValueError, match="step-000000011"):
            fit("arrays", tmp_path)


def test_the_readme_names_tests_that_there_are():
    section = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    section = section.partition("## When a training is stopped")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(test_[a-z_]+)`", section))
    assert len(named) >= 6 and named <= set(globals())
