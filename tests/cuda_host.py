"""What the host does for CUDA, on the driver of fake_cuda_driver.c: kernels compute nothing, so no result is looked at.

``python cuda_host.py CHECK`` runs the function of this name, in a process that finds that driver.
"""

import concurrent.futures
import ctypes
import functools
import gc
import sys
import tempfile
import warnings

import numpy as np

import jitnet
from jitnet import callbacks, layers
from jitnet.kernels.cuda import _api
from jitnet.losses import SparseCategoricalCrossentropy
from jitnet.targets.cuda import devices, dlpack, staging
from jitnet.targets.cuda.arrays import DeviceArray

DRIVER = ctypes.CDLL("libcuda.so.1")
SAMPLES, BATCH = 20, 8
STEPS = 3


def count(name):
    found = DRIVER.fake_cuda_count(name.encode())
    assert found >= 0, name
    return found


def set_memory(nbytes):
    DRIVER.fake_cuda_set_memory(ctypes.c_size_t(nbytes))


def same(device, array, there, stream=None):
    found = device.to_host(there, stream)
    assert found.shape == array.shape and found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def raises(expected, function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # of jitnet, numba-cuda or cuda.core
        assert expected in str(error), f"{expected!r} is not in {str(error)!r}"
    else:
        raise AssertionError(f"nothing was raised: {expected}")


# ---- the driver itself: it sees the faults that the other checks rely on


def faults():
    from cuda.bindings import driver

    device = devices.backend("cuda:0")
    array = device.to_device(np.zeros(100, np.float32))
    start, stream = device.address(array), device.new_stream()
    handle = driver.CUstream(int(stream.handle))

    def says(name, result):
        status, *values = result if isinstance(result, tuple) else (result,)
        assert status.name == f"CUDA_ERROR_{name}", (name, status)
        return values

    with device._current():
        says("INVALID_VALUE", driver.cuMemsetD8(start + 1, 0, 400))
        says("INVALID_VALUE", driver.cuMemcpyDtoD(start, start + 200, 201))
        says("INVALID_VALUE", driver.cuMemcpyHtoD(start - 4, np.zeros(1).ctypes.data, 4))
        says("INVALID_VALUE", driver.cuMemAlloc(0))
        (other,) = driver.cuMemAlloc(8)[1:]
        assert driver.cuMemFree(other)[0] == 0
        says("INVALID_VALUE", driver.cuMemFree(other))
        refused = count("refused")
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        pageable = np.zeros(4)
        forbidden = (
            lambda: driver.cuMemAlloc(8),
            lambda: driver.cuMemFree(start),
            lambda: driver.cuStreamSynchronize(handle),
            lambda: driver.cuCtxSynchronize(),
            lambda: driver.cuMemcpyHtoDAsync(start, pageable.ctypes.data, 32, handle),
        )
        for number, call in enumerate(forbidden):
            assert driver.cuStreamBeginCapture(handle, mode)[0] == 0
            says("STREAM_CAPTURE_UNSUPPORTED", call())
            says("STREAM_CAPTURE_INVALIDATED", driver.cuStreamEndCapture(handle))
            assert count("refused") == refused + number + 1

    raises("cuMemAllocManaged", driver.cuMemAllocManaged, 8, 1)  # isn't there


def launches():
    """Blocks and grids that no GPU takes."""
    device = devices.backend("cuda:0")
    there = device.to_device(np.zeros(8, np.float32))
    with _api.using(device):
        for grid, block in ((1, 1025), (1, (1, 1, 65)), ((1, 65536), 1), ((1, 1, 65536), 1)):
            raises("INVALID_VALUE", _api.launch, fill, grid, block, there)
        before = count("launches")
        _api.launch(fill, (2, 65535, 2), (32, 8, 4), there)
        _api.launch(fill, (0, 3), 32, there)
        assert count("launches") == before + 1


@_api.kernel
def fill(values):
    values[0] = 1


# ---- arrays


def arrays():
    device = devices.backend("cuda:0")
    assert "compute capability 9.0" in device.description and device.tensor_cores
    assert devices.description() == device.description
    base = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    odd = [base[:, 1:2], base[::2, :, ::-1], base.T, base[:1], np.asfortranarray(base)]
    odd += [np.broadcast_to(base[0], (2, 4, 5)), base.reshape(60, 1).T]  # the last: contiguous, with strides (4, 4)
    small = np.array(3.0), np.zeros(()), np.zeros((0, 3), np.float32), np.zeros((2, 0), np.int64), np.zeros(0, bool)
    for stream in (None, device.new_stream()):
        for array in (*odd, *small):
            there = device.to_device(array, stream)
            same(device, array, there, stream)
            assert not array.size or there.strides == np.zeros(array.shape, array.dtype).strides
            other = device.empty(array.shape, array.dtype)
            device.copy(other, there, stream)
            same(device, array, other, stream)
            device.copy(other, np.ascontiguousarray(array), stream)
            device.memset(other, 0, stream)
            same(device, np.zeros_like(array), other, stream)
    raw = device.to_device(numbers := np.arange(64, dtype=np.uint8))
    same(device, numbers[16:40].view(np.int64).reshape(3, 1), device.view(raw, 16, (3, 1), np.int64))
    same(device, np.zeros((0, 2)), device.view(raw, 64, (0, 2), np.float64))
    assert device.address(device.view(raw, 16, (2,), np.int64)) == device.address(raw) + 16
    raises("There are 1 CUDA devices", devices.backend, "cuda:1")


def streams():
    """Pinned memory is read when the copy runs, so an event is waited for before it is written again."""
    device = devices.backend("cuda:0")
    one, two = device.new_stream(), device.new_stream()
    host, there, done = device.pinned((5,), np.float32), device.empty((5,), np.float32), device.event()
    host[:] = 1
    device.copy(there, host, one)
    host[:] = 2  # too early
    same(device, np.full(5, 2, np.float32), there, one)
    host[:] = 3
    device.copy(there, host, one)
    done.record(one)
    done.synchronize()
    host[:] = 4
    same(device, np.full(5, 3, np.float32), there, two)
    device.copy(there, host, one)
    done.record(one)
    done.wait(two)
    same(device, np.full(5, 4, np.float32), there, two)


def parts_of_data():
    """Each step of staged data finds its samples, although the host writes the parts over and over."""
    device = devices.backend("cuda:0")
    generator = np.random.default_rng(0)
    data = {"x": generator.standard_normal((50, 3)).astype(np.float32), "y": np.arange(50)}
    staging.BYTES = 2 * BATCH * (3 * 4 + 8)  # two steps to a part
    order, stream = generator.permutation(50)[:48], device.new_stream()
    staged = staging.Staging(device, data, BATCH)
    assert staged.steps == 2
    seen = []
    for _ in range(2):
        for first, last, part, places in staged.pieces(6, BATCH, data, order, stream):
            samples = order[first * BATCH : last * BATCH]
            kept = {name: device.empty(array.shape, array.dtype) for name, array in part.items()}
            for name, array in part.items():
                device.copy(kept[name], array, stream)
            seen.append((samples, places, kept))
    for samples, places, kept in seen:
        for name, array in kept.items():
            np.testing.assert_array_equal(device.to_host(array, stream)[places], data[name][samples])
    assert len(seen) == 6


class Foreign:
    """Memory of the device that another library has."""

    def __init__(self, array, by_dlpack):
        self.array = array
        if not by_dlpack:
            self.__cuda_array_interface__ = array.__cuda_array_interface__

    def __dlpack_device__(self):
        return dlpack.CUDA, 0

    def __dlpack__(self, **options):
        return DeviceArray(self.array).__dlpack__()


def arrays_of_others():
    device = devices.backend("cuda:0")
    x, y = np.random.default_rng(0).standard_normal((SAMPLES, 5)).astype(np.float32), np.arange(SAMPLES) % 3
    for by_dlpack in (False, True):
        there = [Foreign(device.to_device(array), by_dlpack) for array in (x, y)]
        found = DeviceArray(there[0])
        assert (found.shape, found.dtype, found.number) == (x.shape, x.dtype, 0)
        same(device, x, device.adopt(found))
        same(device, x[3:7], device.adopt(found[3:7]))
        model = perceptron()
        model.fit(*there, batch_size=BATCH, epochs=2, verbose=0)
        model.evaluate(*there, batch_size=BATCH, verbose=0)
        model.train_on_batch(*(DeviceArray(array)[:BATCH] for array in there))
        out = model.predict(there[0], batch_size=BATCH, verbose=0, as_numpy=False)
        assert isinstance(out, DeviceArray) and out.shape == (SAMPLES, 3)
        pointer, shape, strides, dtype = dlpack.contents(capsule := out.__dlpack__())
        assert (pointer, shape, strides, dtype) == (out.pointer, (SAMPLES, 3), None, np.float32)
        same(device, device.to_host(device.adopt(out)), device.adopt(DeviceArray(Foreign(device.adopt(out), True))))
        del capsule, there, found, out, model
        gc.collect()
        assert not dlpack._given_out


# ---- models


def perceptron():
    model = jitnet.Sequential([jitnet.Input((5,)), layers.Dense(7, "relu"), layers.Dropout(0.25), layers.Dense(3)])
    model.compile("adam", SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def convolutions():
    parts = [layers.Conv2D(4, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    parts += [layers.MaxPooling2D(), layers.Dropout(0.5), layers.Flatten(), layers.Dense(3)]
    model = jitnet.Sequential([jitnet.Input((6, 6, 3)), *parts])
    model.compile(jitnet.optimizers.SGD(0.1, momentum=0.9), SparseCategoricalCrossentropy(from_logits=True))
    return model


def lstm():
    model = jitnet.Sequential([jitnet.Input((4, 5)), layers.LSTM(6), layers.Dense(3, "softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    return model


def transformer():
    tokens = jitnet.Input((6,), dtype="int32")
    x = layers.TokenAndPositionEmbedding(11, 6, 8)(tokens)
    x = layers.GlobalAveragePooling1D()(layers.TransformerEncoder(16, 2, dropout=0.1)(x))
    model = jitnet.Model(tokens, layers.Dense(3)(x))
    model.compile("adamw", SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


class Counts(callbacks.Callback):
    """What the driver did in each epoch."""

    NAMES = "allocations", "frees", "loads", "launches", "graphs", "graph_launches"

    def __init__(self):
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.before = [count(name) for name in self.NAMES]

    def on_epoch_end(self, epoch, logs=None):
        now = [count(name) for name in self.NAMES]
        self.epochs.append({name: b - a for name, a, b in zip(self.NAMES, self.before, now, strict=True)})


def train(make, data):
    """All that is asked of a model; a step after the first epoch is one launch of a graph, and nothing else."""
    y = np.arange(SAMPLES) % 3
    counts, model = Counts(), make()
    model.fit(data, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[counts])
    first, *others = counts.epochs
    assert first["graphs"] == 2 and first["graph_launches"] == STEPS, first  # whole batches, and the last one
    for epoch in others:
        quiet = dict.fromkeys(Counts.NAMES, 0)
        assert epoch == quiet | {"graph_launches": STEPS}, epoch
    model.evaluate(data, y, batch_size=BATCH, verbose=0)
    found = model.predict(data, batch_size=BATCH, verbose=0)
    there = model.predict(data, batch_size=BATCH, verbose=0, as_numpy=False)
    assert there.shape == found.shape == (SAMPLES, 3)
    model.train_on_batch(data[:5], y[:5])
    with tempfile.TemporaryDirectory() as folder:
        backup = [callbacks.BackupAndRestore(f"{folder}/backup", save_freq="epoch", delete_checkpoint=False)]
        model = make()
        model.fit(data, y, batch_size=BATCH, epochs=2, verbose=0, callbacks=backup)
        model = make()
        history = model.fit(data, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=backup)
        assert history.epoch[-1] == 2 and model.optimizer.iterations == 3 * STEPS
        model.save(f"{folder}/model.safetensors")
        jitnet.models.load_model(f"{folder}/model.safetensors").predict(data, verbose=0)
        model.save_weights(f"{folder}/weights.safetensors")
        model.load_weights(f"{folder}/weights.safetensors")
        model.evaluate(data, y, verbose=0)


def train_otherwise():
    """Batches from a generator, blocks with conditions and validation leave the later epochs as quiet."""
    x, y = draw(5), np.arange(SAMPLES) % 3

    def batches():
        while True:
            for first in range(0, SAMPLES - BATCH + 1, BATCH):
                yield x[first : first + BATCH].copy(), y[first : first + BATCH].copy()

    model, counts = perceptron(), Counts()
    options = dict(gradient_accumulation_steps=2, use_ema=True, ema_overwrite_frequency=4)
    model.compile(jitnet.optimizers.Adam(0.01, **options), SparseCategoricalCrossentropy(from_logits=True))
    data = dict(validation_data=(x, y), validation_batch_size=5)
    model.fit(batches(), steps_per_epoch=4, epochs=4, verbose=0, callbacks=[counts], **data)
    for epoch in counts.epochs[2:]:
        quiet = dict.fromkeys(Counts.NAMES, 0)
        assert epoch == quiet | {"graph_launches": 4 + SAMPLES // 5}, epoch


def other_threads():
    """No context is current in a thread that is new."""
    model, x = perceptron(), draw(5)

    def predict():
        for _ in range(5):
            assert model.predict(x, batch_size=BATCH, verbose=0).shape == (SAMPLES, 3)
            model.get_weights()

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        pool.submit(model.fit, x, np.arange(SAMPLES) % 3, batch_size=BATCH, verbose=0).result()
        for done in [pool.submit(predict) for _ in range(3)]:
            done.result()


def draw(*shape):
    return np.random.default_rng(0).standard_normal((SAMPLES, *shape)).astype(np.float32)


def train_perceptron():
    train(perceptron, draw(5))


def train_convolutions():
    train(convolutions, draw(6, 6, 3))


def train_lstm():
    train(lstm, draw(4, 5))


def train_transformer():
    train(transformer, np.random.default_rng(0).integers(0, 11, (SAMPLES, 6)).astype(np.int32))


def too_little_memory():
    device = devices.backend("cuda:0")
    set_memory(1 << 20)
    raises("too little memory: 2 MiB more are needed, and 1 of 1 MiB are free", device.empty, (1 << 19,), np.float32)
    set_memory(1000)
    raises(
        "too little memory: 0 MiB more are needed", lambda: perceptron().fit(draw(5), np.arange(SAMPLES) % 3, verbose=0)
    )
    set_memory(1 << 30)
    model = perceptron()
    model.fit(draw(5), np.arange(SAMPLES) % 3, verbose=0)
    # a data set that is larger than what is free is brought part by part
    set_memory(200 << 20)
    staging.BYTES = 1 << 20
    x, y = np.zeros((8 << 20, 5), np.float32), np.zeros(8 << 20, np.int64)
    model.evaluate(x, y, batch_size=1 << 18, verbose=0)


def free_now(device):
    """Free what numba-cuda keeps to free it later."""
    gc.collect()
    with device._current():
        device._cuda.current_context().memory_manager.deallocations.clear()


def memory_of_graphs():
    """A graph finds the workspace that it was recorded with, although another one has asked for more since."""
    device = devices.backend("cuda:0")
    stream, replays = device.new_stream(), []

    def launch(elements):
        _api.launch(fill, 1, 32, _api.workspace(elements, np.float32))

    with _api.using(device, stream):
        for elements in (1 << 19, 1 << 20):
            replays.append(device.record(functools.partial(launch, elements), stream))
    free_now(device)
    for replay in replays:
        replay()
    # and the driver sees what nobody has kept
    lost = [device.to_device(np.zeros(8, np.float32))]
    with _api.using(device, stream):
        replay = device.record(lambda: _api.launch(fill, 1, 32, *lost), stream)
    replay()
    lost.clear()
    free_now(device)
    raises("CUDA_ERROR_ILLEGAL_ADDRESS", replay)


def rubbish_while_recording():
    """Arrays that only the garbage collector frees don't spoil the graph that is recorded meanwhile."""
    device = devices.backend("cuda:0")
    stream, before = device.new_stream(), count("graphs")
    kept = device.to_device(np.zeros(8, np.float32))
    for _ in range(30):
        circle = [device.empty((4,), np.float32)]
        circle.append(circle)
    del circle

    def launch():
        _api.launch(fill, 1, 32, kept)
        if not getattr(_api._force, "loads", False):
            gc.collect()

    gc.disable()
    try:
        with _api.using(device, stream):
            replay = device.record(launch, stream)
    finally:
        gc.enable()
    replay()
    assert count("graphs") == before + 1


def main():
    check = globals()[sys.argv[1]]
    jitnet.set_device("cuda")
    refused = count("refused")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check()
    if check is not faults:
        assert count("refused") == refused, "something was done that a graph can't hold"


if __name__ == "__main__":
    main()
