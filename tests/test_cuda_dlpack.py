"""DLPack: capsules that NumPy and PyTorch read, and arrays that come in them."""

import gc

import numpy as np
import pytest

from jitnet.targets.cuda import dlpack
from jitnet.targets.cuda.arrays import DeviceArray, is_on_device


class Given:
    """An array that is handed out by a capsule of jitnet's, as if of this device."""

    def __init__(self, array, device=(dlpack.CPU, 0), shape=None):
        self.array, self.device, self.shape = array, device, array.shape if shape is None else shape

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        return dlpack.capsule(self.array, self.array.ctypes.data, self.shape, self.array.dtype, self.device)


@pytest.fixture(autouse=True)
def nothing_is_kept():
    gc.collect()
    before = len(dlpack._given_out)
    yield
    gc.collect()
    assert len(dlpack._given_out) == before


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 5), (0, 4)])
def test_other_libraries_read_capsules(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    found = np.from_dlpack(Given(array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    if array.size:
        assert found.ctypes.data == array.ctypes.data
    torch = pytest.importorskip("torch")
    tensor = torch.from_dlpack(Given(array))
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_a_capsule_that_nobody_takes_is_freed():
    array = np.zeros(3)
    capsule = Given(array).__dlpack__()
    assert len(dlpack._given_out) == 1
    del capsule
    gc.collect()
    assert not dlpack._given_out


def test_memory_lives_as_long_as_the_taker():
    array = np.arange(4.0)
    found = np.from_dlpack(Given(array))
    del array
    gc.collect()
    assert len(dlpack._given_out) == 1
    np.testing.assert_array_equal(found, np.arange(4.0))


def test_capsules_of_other_libraries_are_read():
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    for given, strides in ((tensor, (3, 1)), (tensor.T, (1, 3)), (tensor[1:, 1:], (3, 1))):
        capsule = given.__dlpack__()
        pointer, shape, found, dtype = dlpack.contents(capsule)
        assert (pointer, shape, dtype) == (given.data_ptr(), tuple(given.shape), np.dtype("float32"))
        assert found in (strides, None)
    with pytest.raises(ValueError, match="code=4, bits=16"):
        dlpack.contents(torch.zeros(2, dtype=torch.bfloat16).__dlpack__())


def test_arrays_of_a_gpu_come_and_go():
    array = np.arange(6, dtype="float32").reshape(3, 2)
    there = Given(array, (dlpack.CUDA, 1))
    assert is_on_device(there) and is_on_device(DeviceArray(there))
    assert not is_on_device(array) and not is_on_device(Given(array)) and not is_on_device([1.0])
    found = DeviceArray(there)
    assert (found.shape, found.dtype, found.pointer, found.number) == (
        (3, 2), array.dtype, array.ctypes.data, 1,
    )  # fmt: skip
    assert found.__dlpack_device__() == found[1:].__dlpack_device__() == (dlpack.CUDA, 1)
    pointer, shape, strides, dtype = dlpack.contents(found[1:].__dlpack__())
    assert (pointer, shape, strides, dtype) == (array.ctypes.data + 8, (2, 2), None, array.dtype)
    with pytest.raises(BufferError, match="without a copy"):
        found.__dlpack__(copy=True)


def test_an_array_that_is_not_contiguous_is_refused():
    torch = pytest.importorskip("torch")

    class Turned:
        def __dlpack_device__(self):
            return dlpack.CUDA, 0

        def __dlpack__(self, **options):
            return torch.zeros(2, 3).T.__dlpack__()

    with pytest.raises(ValueError, match=r"x on a GPU is C-contiguous: .*Received: strides=\(4, 12\)"):
        DeviceArray(Turned())
