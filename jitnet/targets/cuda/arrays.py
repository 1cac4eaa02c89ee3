"""Data that lie on a GPU already, as PyTorch and CuPy have them: used where they are."""

import math

import numpy as np

from ...core.errors import invalid
from . import devices, dlpack


class DeviceArray:
    """A C-contiguous array of a GPU, of any library's, by the CUDA array interface (version 3) or DLPack.

    owner: what has the memory, which is kept alive; indices, weights of samples and classes are read on the host too.
    number: of the GPU, where the owner doesn't say it.

    Raises:
        ValueError: it is not contiguous, or of numbers that NumPy doesn't have.
    """

    def __init__(self, owner, what: str = "x", number: int = 0):
        device = dlpack.device_of(owner)
        number = number if device is None else device[1]
        interface = getattr(owner, "__cuda_array_interface__", None)
        if interface is not None:
            shape, strides = tuple(interface["shape"]), interface.get("strides")
            self._set(owner, shape, np.dtype(interface["typestr"]), interface["data"][0], number)
        else:
            capsule = owner.__dlpack__()
            pointer, shape, strides, dtype = dlpack.contents(capsule)
            self._set(capsule, shape, dtype, pointer, number)
            strides = strides and tuple(step * dtype.itemsize for step in strides)
        if strides is not None and tuple(strides) != self._strides() and self.size:
            raise invalid(f"{what} on a GPU is C-contiguous: call contiguous() of it.", strides=tuple(strides))

    def _set(self, owner, shape: tuple, dtype: np.dtype, pointer: int, number: int) -> None:
        self.owner, self.shape, self.dtype, self.pointer, self.number = owner, shape, dtype, pointer, number
        self.ndim, self.size = len(shape), math.prod(shape)

    def _strides(self) -> tuple:
        return tuple(self.dtype.itemsize * math.prod(self.shape[i + 1 :]) for i in range(self.ndim))

    @property
    def __cuda_array_interface__(self) -> dict:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (self.pointer, False), "strides": None,
            "version": 3,
        }  # fmt: skip

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self.number

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A capsule for another library: the same memory, of which all that was computed is there."""
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("An array on a GPU is given out where it is, without a copy.")
        return dlpack.capsule(self, self.pointer, self.shape, self.dtype, self.__dlpack_device__())

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """A copy on the host."""
        if copy is False:
            raise ValueError("An array on a GPU is copied to become one of NumPy. Received: copy=False")
        backend = devices.backend(f"cuda:{self.number}")
        return backend.to_host(backend.adopt(self)).astype(dtype or self.dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, samples: slice) -> "DeviceArray":
        """Some neighbouring samples: the same memory."""
        if not isinstance(samples, slice):
            raise invalid("Of an array on a GPU, slices can be taken; numpy.asarray copies it.", index=samples)
        first, last, step = samples.indices(len(self))
        if step != 1:
            raise invalid("Of an array on a GPU, neighbouring samples can be taken.", step=step)
        part = object.__new__(DeviceArray)
        pointer = self.pointer + first * (self._strides()[0] if self.ndim else 0)
        part._set(self.owner, (max(0, last - first), *self.shape[1:]), self.dtype, pointer, self.number)
        return part

    def of_type(self, dtype, what: str) -> "DeviceArray":
        """Itself; ValueError if its type is another one."""
        if self.dtype != np.dtype(dtype):
            raise invalid(f"{what} on a GPU is used as it is, and must be {np.dtype(dtype)}.", dtype=str(self.dtype))
        return self


def is_on_device(x) -> bool:
    """Whether ``x`` is an array of a GPU."""
    if isinstance(x, np.ndarray):
        return False
    # PyTorch's tensors of the CPU raise where they are asked for the interface, so that hasattr says no
    if hasattr(x, "__cuda_array_interface__"):
        return True
    device = dlpack.device_of(x)
    return device is not None and device[0] in (dlpack.CUDA, dlpack.CUDA_MANAGED)
