"""Data that stay in files: memory-mapped arrays, and files that are read ahead in shuffled blocks."""

import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from small_networks import data, digest, perceptron

import jitnet
from jitnet import callbacks, utils
from jitnet.running import stored
from jitnet.utils import disk_batches

X, Y = data(21)
FIT = {"batch_size": 4, "epochs": 3, "verbose": 0}


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """x and y, memory-mapped, of which two batches are read together."""
    monkeypatch.setattr(stored, "PORTION", 250)
    found = []
    for name, array in (("x", X.astype("float64")), ("y", Y.astype("int16"))):
        np.save(tmp_path / f"mapped_{name}", array)
        found.append(np.load(tmp_path / f"mapped_{name}.npy", mmap_mode="r"))
    return found


def trained(*arguments, jit_compile=False, **options):
    model = perceptron("adam", jit_compile=jit_compile)
    history = model.fit(*arguments, **{**FIT, **options}).history
    return digest(model), history


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
def test_memory_maps_train_as_arrays_do(mapped, jit_compile):
    for options in (
        {},
        {"validation_split": 0.3, "class_weight": {0: 2.0}, "sample_weight": np.linspace(0.5, 2, 21)},
        {"steps_per_epoch": 3, "validation_data": "given"},
    ):
        given = {**options, **({"validation_data": tuple(mapped)} if "validation_data" in options else {})}
        arrays = {**options, **({"validation_data": (X, Y)} if "validation_data" in options else {})}
        expected = trained(X, Y, jit_compile=jit_compile, **arrays)
        assert trained(*mapped, jit_compile=jit_compile, **given) == expected
        assert trained(mapped[0], Y, jit_compile=jit_compile, **given) == expected
    stopped = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    assert trained(*mapped, callbacks=[stopped]) == trained(X, Y)
    model = perceptron(jit_compile=jit_compile)
    np.testing.assert_array_equal(model.predict(mapped[0], 4, verbose=0), model.predict(X, 4, verbose=0))
    assert model.evaluate(*mapped, 4, verbose=0) == model.evaluate(X, Y, 4, verbose=0)
    assert model.train_on_batch(mapped[0][3:8], mapped[1][3:8]) == perceptron().train_on_batch(X[3:8], Y[3:8])


def test_maps_that_are_views(mapped, tmp_path):
    x, y = mapped
    before = threading.active_count()
    turned = np.lib.format.open_memmap(tmp_path / "turned", "w+", x.dtype, (4, 21))
    turned[:] = X.T
    expected = trained(X[1::2], Y[1::2])
    assert trained(turned.T[1::2], y[1::2]) == expected
    assert trained(np.asarray(X)[1::2], y[1::2]) == expected
    assert threading.active_count() == before


def test_a_map_is_not_read_as_a_whole(tmp_path, monkeypatch):
    """Neither converted: 32 MB of float64, of which a quarter of a megabyte is in memory."""
    samples = 1 << 20
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float64", (samples, 4))
    y = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", "int64", (samples,))
    monkeypatch.setattr(stored, "PORTION", 1 << 18)
    model = perceptron()
    model.train_on_batch(x[:512], y[:512])
    tracemalloc.start()
    model.fit(x, y, 512, steps_per_epoch=20, verbose=0)
    model.evaluate(x, y, 512, steps=20, verbose=0)
    model.predict(x, 512, steps=20, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6  # the order of the samples and their weights are 12 MB


def test_what_is_wrong_in_a_map(mapped, tmp_path):
    x, y = mapped
    model = perceptron()
    with pytest.raises(ValueError, match=r"'features' of the model 'perceptron' expects.*Received: shape=\(21, 3\)"):
        model.fit(x[:, :3], y)
    with pytest.raises(ValueError, match=r"y needs 21 samples, as its x has\. Received: shape=\(20,\)"):
        model.fit(x, y[:20])
    with pytest.raises(ValueError, match=r"expects y of shape.*Received: shape=\(21, 2\)"):
        model.fit(x, np.lib.format.open_memmap(tmp_path / "2", "w+", "int64", (21, 2)))
    bad = np.lib.format.open_memmap(tmp_path / "3", "w+", "float32", (21, 4))
    bad[17, 2] = np.nan
    with pytest.raises(ValueError, match=r"x contains nan at index \(17, 2\).*Received: shape=\(\d+, 4\)"):
        model.fit(bad, y, 4)
    labels = np.lib.format.open_memmap(tmp_path / "4", "w+", "int64", (21,))
    labels[13] = 3
    with pytest.raises(ValueError, match=r"expects labels from 0 to 2.*Received: y with labels from 0 to 3"):
        model.fit(x, labels, 4)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jitnet-ahead")]


def test_a_loss_that_is_not_finite_is_said_where_fit_was_called(mapped):
    disk = utils.DiskBatches(X, Y, batch_size=4)
    for given in ((X, Y, 4), (*mapped, 4), (disk,), (iter(list(disk)),)):
        model = perceptron()
        model.get_layer("hidden").set_weights([np.full((4, 5), np.nan), np.zeros(5)])
        with pytest.warns(RuntimeWarning, match=r"The loss became nan in epoch 1") as noticed:
            model.fit(*given, verbose=0)
        assert [warning.filename for warning in noticed] == [__file__]


# ---- DiskBatches


@pytest.fixture
def shards(tmp_path):
    """x in two files, 42 samples, and their labels."""
    np.save(tmp_path / "x", X)
    np.save(tmp_path / "more", X + 1)
    return [tmp_path / "x.npy", str(tmp_path / "more.npy")], [Y, Y]


def seeded(count, stream=7):
    return np.random.default_rng(stream % 1000).permutation(count)


def test_disk_batches_begin_anywhere(shards):
    """Blocks of 4 samples, of which 1, 2 or all are shuffled together; batches of 7 and 3 samples."""
    everything = np.concatenate([X, X + 1])
    for size in (7, 3):
        orders = set()
        for memory in (3 * 4 * 24, 3 * 8 * 24, 3 * 24 * 100):
            for workers in (1, 3):
                made = utils.DiskBatches(*shards, batch_size=size, memory=memory, block_size=4, workers=workers)
                plain = list(made)
                assert len(plain) == len(made) == 42 // size
                np.testing.assert_array_equal(np.concatenate([x for x, _ in plain]), everything)
                np.testing.assert_array_equal(np.concatenate([y for _, y in plain]), [*Y, *Y])
                np.testing.assert_array_equal(made[len(made) - 1][0], plain[-1][0])
                batches = list(made.ordered_batches(seeded))
                found = np.concatenate([x for x, _ in batches])
                orders.add(found.tobytes())
                places = [int(np.flatnonzero((everything == row).all(axis=1))[0]) for row in found]
                assert sorted(places) == list(range(42)) and places != list(range(42))
                np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), np.tile(Y, 2)[places])
                for start in range(len(made) + 1):
                    rest = list(made.ordered_batches(seeded, start))
                    assert len(rest) == len(made) - start
                    for (x, y), (others, labels) in zip(batches[start:], rest, strict=True):
                        np.testing.assert_array_equal(x, others)
                        np.testing.assert_array_equal(y, labels)
        assert len(orders) == 3  # of the three sizes of pools, not of threads


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
def test_disk_batches_train(shards, jit_compile, monkeypatch):
    x, y = np.concatenate([X, X + 1]), np.tile(Y, 2)
    # blocks of which none ends with a batch
    made = utils.DiskBatches(*shards, batch_size=4, block_size=5, memory=3 * 3 * 5 * 24)
    expected = trained(x, y, shuffle=False, jit_compile=jit_compile, validation_data=(x, y))
    assert trained(made, None, shuffle=False, jit_compile=jit_compile, validation_data=made) == expected
    jitnet.utils.set_random_seed(3)
    shuffled = trained(made, jit_compile=jit_compile)
    assert shuffled[0] != expected[0]
    watching = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    monkeypatch.setattr(disk_batches, "PORTION", 100)  # one batch at a time
    again = utils.DiskBatches(*shards, batch_size=4, block_size=5, memory=3 * 3 * 5 * 24, workers=3)
    assert trained(again, jit_compile=jit_compile) == shuffled
    assert trained(again, jit_compile=jit_compile, callbacks=[watching]) == shuffled
    # 11 batches in a pass: an epoch goes on where the one before stopped
    model = perceptron("adam", jit_compile=jit_compile)
    model.fit(again, epochs=4, steps_per_epoch=4, verbose=0)
    assert model.optimizer.iterations == 16
    np.testing.assert_array_equal(model.predict(made, verbose=0), model.predict(x, 4, verbose=0))
    assert model.evaluate(made, verbose=0) == pytest.approx(model.evaluate(x, y, 4, verbose=0), rel=1e-6)


class Killed(Exception):
    pass


@pytest.mark.parametrize("kind", ["map", "disk"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
def test_a_training_on_files_goes_on_within_an_epoch(shards, mapped, kind, jit_compile, tmp_path):
    """The same bits as of a training that was not stopped, whichever step it is stopped at."""
    memory = 3 * 3 * 4 * 24
    given = mapped if kind == "map" else (utils.DiskBatches(*shards, batch_size=4, block_size=4, memory=memory), None)
    expected = trained(*given, jit_compile=jit_compile)
    for number, stop in enumerate((2, 8, 13)):
        backup = callbacks.BackupAndRestore(tmp_path / str(number), save_freq=1)
        steps = []

        def end(batch, logs, steps=steps, stop=stop):
            steps.append(batch)
            if len(steps) == stop:
                raise Killed

        with pytest.raises(Killed):
            kill = callbacks.LambdaCallback(on_train_batch_end=end)
            trained(*given, jit_compile=jit_compile, callbacks=[backup, kill])
        backup = callbacks.BackupAndRestore(tmp_path / str(number), save_freq=3)
        assert trained(*given, jit_compile=jit_compile, callbacks=[backup])[0] == expected[0]


def test_errors_of_the_reading_thread(shards, tmp_path):
    bad = np.load(shards[0][0])
    bad[18, 1] = np.inf
    np.save(tmp_path / "bad", bad)
    for workers in (1, 2):
        made = utils.DiskBatches([tmp_path / "bad.npy"], Y, batch_size=4, block_size=4, workers=workers)
        with pytest.raises(ValueError, match=r"x contains inf at index \(18, 1\)"):
            perceptron().fit(made, verbose=0)
    made = utils.DiskBatches(shards[0], shards[1], batch_size=4, block_size=4)
    os.truncate(shards[0][1], 300)
    with pytest.raises(ValueError, match=r"more\.npy has been cut off\. Received: \d+ of 64 bytes"):
        perceptron().fit(made, verbose=0)
    given = made.ordered_batches(seeded)
    with pytest.raises(ValueError, match="cut off"):
        list(given)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jitnet-ahead")]
    with pytest.raises(ValueError, match=r"more\.npy is incomplete: it needs 464 bytes\. Received: 300 bytes"):
        utils.DiskBatches(shards[0], shards[1])


def test_closing_ends_the_reading_thread(shards):
    def reading():
        return [thread for thread in threading.enumerate() if thread.name.startswith("jitnet-ahead")]

    batches = utils.DiskBatches(*shards, batch_size=4, block_size=4, memory=3 * 4 * 24).ordered_batches(seeded)
    next(batches)
    assert reading()
    batches.close()
    assert not reading()

    class Stops(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    made = utils.DiskBatches(*shards, batch_size=4, block_size=4, memory=3 * 4 * 24)
    perceptron().fit(made, verbose=0, callbacks=[Stops()])
    assert not reading()


def test_several_inputs_of_disk_batches():
    made = utils.DiskBatches({"a": X, "b": [X[:9], X[9:]]}, (Y, X), Y, batch_size=8)
    (x, (labels, copies), weights), *_ = made
    assert set(x) == {"a", "b"} and weights.shape == labels.shape == (8,)
    np.testing.assert_array_equal(x["b"], copies)
    ((x, others),), *_ = utils.DiskBatches((X, Y), batch_size=8)
    assert x.shape == (8, 4) and others.shape == (8,)
    assert [x.shape for x in utils.DiskBatches(X, batch_size=12)] == [(12, 4), (9, 4)]


def test_what_disk_batches_do_not_take(tmp_path):
    def saved(name, array):
        np.save(tmp_path / name, array)
        return tmp_path / f"{name}.npy"

    (tmp_path / "text.npy").write_text("1,2")
    np.savez(tmp_path / "several.npz", X)
    for given, message in (
        (saved("turned", np.asfortranarray(X)), r"turned\.npy has the order of Fortran.*Received: fortran_order=True"),
        (saved("texts", np.array(["a"])), r"texts\.npy must be an array of numbers.*dtype=dtype\('<U1'\)"),
        (tmp_path / "text.npy", r"text\.npy is no \.npy file, which numpy\.save writes"),
        (tmp_path / "several.npz", r"several\.npz is no \.npy file"),
        ([X, X[:, :2]], r"shape and type: the first has \(4,\), float32, not so number 1\. Received: shape=\(2,\)"),
        ([X, X.astype("float64")], r"not so number 1\. Received: .*dtype=dtype\('float64'\)"),
        ([], r"needs samples in x\. Received: arrays=0"),
        ([3], "takes paths of .npy files and arrays as x"),
    ):
        with pytest.raises(ValueError, match=message):
            utils.DiskBatches(given)
    with pytest.raises(ValueError, match=r"arrays of one number of samples\. Received: samples={'x': 21, 'y': 20}"):
        utils.DiskBatches(X, Y[:20])
    with pytest.raises(ValueError, match=r"holds 3 blocks, each of 64 bytes.*Received: memory=100"):
        utils.DiskBatches(X, block_size=4, memory=100)
    for name in ("batch_size", "block_size", "workers", "memory"):
        with pytest.raises(ValueError, match=rf"DiskBatches expects {name} to be.*Received: {name}=0"):
            utils.DiskBatches(X, **{name: 0})
    with pytest.raises(IndexError, match=r"There are 1 batches\. Received: index=1"):
        utils.DiskBatches(X)[1]


LIMITED = """
import resource, sys
import numpy as np
from small_networks import data, perceptron
from jitnet.utils import DiskBatches

folder, samples = sys.argv[1], 1 << 21
for name, dtype, shape in (("x", "float32", (samples, 4)), ("y", "uint8", (samples,))):
    np.lib.format.open_memmap(f"{folder}/{name}.npy", "w+", dtype, shape)[::1000] = 1
x, y = data(8192)
model = perceptron(jit_compile=True)
small = DiskBatches(x, y, batch_size=4096, memory=3 << 20)
model.fit(small, verbose=0)
model.evaluate(small, verbose=0)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20),) * 2)
for mode in (None, "r"):
    try:
        np.load(f"{folder}/x.npy", mmap_mode=mode)
    except (MemoryError, OSError):
        pass
    else:
        raise SystemExit("the limit is none")
made = DiskBatches(f"{folder}/x.npy", f"{folder}/y.npy", batch_size=4096, memory=3 << 20)
model.fit(made, epochs=2, verbose=0)
print(model.optimizer.iterations, model.evaluate(made, verbose=0)[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux says how much is mapped, and limits it")
def test_data_of_ten_times_the_memory(tmp_path):
    """34 MiB of data, of which 3 are held, in a process that may have 16 MiB more than it has: too few to map them."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps, accuracy = done.stdout.split()
    assert int(steps) == 2 + 2 * 512
    assert float(accuracy) == 1  # the labels that are 1 are of features that are 1
