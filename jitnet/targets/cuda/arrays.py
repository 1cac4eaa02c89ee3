"""Data that lie on a GPU already, as PyTorch and CuPy have them: used where they are."""

import math

import numpy as np

from ...core.errors import invalid


class DeviceArray:
    """A C-contiguous array of a GPU, of any library's, by the CUDA array interface (version 3).

    owner: what has the memory, which is kept alive; its values are not looked at.

    Raises:
        ValueError: it is not contiguous.
    """

    def __init__(self, owner, what: str = "x"):
        interface = owner.__cuda_array_interface__
        self._set(owner, tuple(interface["shape"]), np.dtype(interface["typestr"]), interface["data"][0])
        strides = interface.get("strides")
        if strides is not None and tuple(strides) != self._strides() and self.size:
            raise invalid(f"{what} on a GPU is C-contiguous: call contiguous() of it.", strides=tuple(strides))

    def _set(self, owner, shape: tuple, dtype: np.dtype, pointer: int) -> None:
        self.owner, self.shape, self.dtype, self.pointer = owner, shape, dtype, pointer
        self.ndim, self.size = len(shape), math.prod(shape)

    def _strides(self) -> tuple:
        return tuple(self.dtype.itemsize * math.prod(self.shape[i + 1 :]) for i in range(self.ndim))

    @property
    def __cuda_array_interface__(self) -> dict:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (self.pointer, False), "strides": None,
            "version": 3,
        }  # fmt: skip

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, samples: slice) -> "DeviceArray":
        """Some neighbouring samples: the same memory."""
        first, last, step = samples.indices(len(self))
        if step != 1:
            raise invalid("Of an array on a GPU, neighbouring samples can be taken.", step=step)
        part = object.__new__(DeviceArray)
        pointer = self.pointer + first * (self._strides()[0] if self.ndim else 0)
        part._set(self.owner, (max(0, last - first), *self.shape[1:]), self.dtype, pointer)
        return part

    def of_type(self, dtype, what: str) -> "DeviceArray":
        """Itself; ValueError if its type is another one."""
        if self.dtype != np.dtype(dtype):
            raise invalid(f"{what} on a GPU is used as it is, and must be {np.dtype(dtype)}.", dtype=str(self.dtype))
        return self


def is_on_device(x) -> bool:
    """Whether ``x`` is an array of a GPU."""
    # PyTorch's tensors of the CPU raise where they are asked for the interface, so that hasattr says no
    return hasattr(x, "__cuda_array_interface__") and not isinstance(x, np.ndarray)
