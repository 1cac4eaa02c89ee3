"""Machine code that is kept, on the driver of fake_cuda_driver.c; see test_cuda_machine_code.py.

``python cuda_kept_code.py CHECK`` runs the function of this name, in a process that finds that driver, and prints what
it has to say as JSON.
"""

import ctypes
import json
import logging
import sys

import numpy as np

import jitnet
from jitnet import layers
from jitnet.kernels.cuda import _api, _machine_code
from jitnet.kernels.cuda._api import cuda

DRIVER = ctypes.CDLL("libcuda.so.1")


def count(name):
    return DRIVER.fake_cuda_count(name.encode())


def epoch():
    """The first epoch of a small network: what was compiled, loaded and launched, and of Numba's compiler imported."""
    compiled, compile_it = [], _api._compiled_code

    def counted(kernel, kinds):
        compiled.append(kernel.name)
        return compile_it(kernel, kinds)

    _api._compiled_code = counted
    jitnet.set_device("cuda")
    parts = [layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()]
    model = jitnet.Sequential([jitnet.Input((6, 6, 3)), *parts, layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = np.zeros((20, 6, 6, 3), np.float32), np.arange(20) % 3
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    counts = {name: count(name) for name in ("loads", "launches", "graphs", "graph_launches", "refused")}
    return {"compiled": compiled, "dispatchers": _api._compiled.cache_info().currsize, **counts}


class Store(dict):
    """A store of its own; read: the names that were asked for."""

    def read(self, name):
        return self.get(name)

    write = dict.__setitem__


@_api.kernel
def fill(values, given, flag, sizes):
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        values[i] = given if flag else sizes[1]


def parameters():
    """They are those that numba-cuda itself hands over, for arguments of every type."""
    from numba.cuda.dispatcher import _Kernel
    from numba.cuda.typing.typeof import typeof

    device = _api.Device(0)
    there = device.to_device(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    raw = device.to_device(np.zeros(64, np.uint8))
    flags = device.to_device(np.zeros((2, 0), bool))
    single = device.to_device(np.zeros(()))
    viewed = device.view(raw, 16, (3, 1), np.int64)
    strided = device.adopt(device.to_device(np.zeros((1, 5, 2), np.float64)))
    kernel = _Kernel.__new__(_Kernel)
    kernel.extensions = ()
    arguments = there, viewed, flags, single, strided, 7, np.int32(-3), True, np.bool_(False), (1, 2), (3, True), ()
    expected = []
    for kind, argument in zip(_api.types_of(arguments), arguments, strict=True):
        kind = _api._numba_type(kind)
        if not isinstance(argument, np.generic):  # which numba.cuda gives types of their own
            assert typeof(argument) == kind, (argument, kind)
        kernel._prepare_args(kind, argument, 0, [], expected)
    expected = [getattr(value, "value", value) for value in expected]
    found = _machine_code._flat(arguments)
    assert found == expected, (found, expected)
    assert [type(value) is bool for value in found] == [isinstance(value, bool | np.bool_) for value in expected]


def stores():
    """A device compiles for types and devices that are new, and asks its store before; without one it compiles."""
    store, kept = Store(), []
    for number, device in enumerate([_api.Device(0, store), _api.Device(0, store), _api.Device(0)]):
        values = device.to_device(np.zeros(5, np.float32)), device.to_device(np.zeros(5, np.int64))
        before = count("launches"), count("loads")
        with _api.using(device):
            for array in (*values, *values):
                _api.launch(fill, 1, 32, array, 1, True, (2, 3))
        assert (count("launches"), count("loads")) == (before[0] + 4, before[1] + 2), (
            number,
            before,
            count("launches"),
            count("loads"),
        )
        kept.append(dict(store))
    assert len(kept[0]) == 2 and kept[0] == kept[1] == kept[2]
    for name, content in store.items():
        code = _machine_code.Code.decoded(content)
        assert name.startswith("objects/fill_") and code.cubin[:4] == b"\x7fELF"
        assert code.entry.encode() in code.cubin


def without_a_key():
    """What can't be told from one process to the next is compiled all the same, and a log says why."""
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logging.getLogger("jitnet").addHandler(handler)
    logging.getLogger("jitnet").setLevel(logging.DEBUG)

    @_api.kernel
    def reads(values):
        values[0] = _api.WARP

    store = Store()
    device = _api.Device(0, store)
    with _api.using(device):
        _api.launch(reads, 1, 32, device.to_device(np.zeros(5, np.float32)))
    assert not store and count("launches") == 1
    assert len(heard) == 1 and "reads is not kept: it reads <module 'jitnet.kernels.cuda._api'" in heard[0], heard


def strides():
    """Kernels are compiled for arrays without gaps, so others are refused."""
    device = _api.Device(0)
    whole = device.to_device(np.zeros((4, 6), np.float32))
    for array in (whole[:, ::2], whole[1:, 1:]):
        try:
            with _api.using(device):
                _api.launch(fill, 1, 32, array, 1, True, (2, 3))
        except _api.CudaError as error:
            assert "C-contiguous" in str(error) and str(array.strides) in str(error)
        else:
            raise AssertionError("nothing was raised")
    assert count("launches") == 0


def main():
    found = globals()[sys.argv[1]]()
    assert count("refused") == 0
    print(json.dumps(found))


if __name__ == "__main__":
    main()
