"""DLPack, how libraries hand arrays to each other: https://dmlc.github.io/dlpack/latest/c_api.html, version 0.8."""

import ctypes

import numpy as np

CPU, CUDA, CUDA_MANAGED = 1, 2, 13  # DLDeviceType
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}  # DLDataTypeCode, by NumPy's kinds
_KINDS = {code: kind for kind, code in _CODES.items()}


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


_NAME = b"dltensor"
_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_api.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

_given_out: dict[int, tuple] = {}  # {address of a managed tensor: what must live as long as it}


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete(address) -> None:
    _given_out.pop(address, None)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _destroy(capsule) -> None:
    """What becomes of a capsule: nobody took the tensor if it still has its first name."""
    if _api.PyCapsule_IsValid(capsule, _NAME):
        _given_out.pop(_api.PyCapsule_GetPointer(capsule, _NAME), None)


def capsule(owner, pointer: int, shape: tuple, dtype: np.dtype, device: tuple[int, int]):
    """A capsule "dltensor" of C-contiguous memory, whose owner is kept alive until the taker is done with it."""
    shape = (ctypes.c_int64 * len(shape))(*shape)
    data_type = _DataType(_CODES[dtype.kind], 8 * dtype.itemsize, 1)
    tensor = _Tensor(pointer, _Device(*device), len(shape), data_type, shape, None, 0)
    managed = _Managed(tensor, None, ctypes.cast(_delete, ctypes.c_void_p))
    address = ctypes.addressof(managed)
    _given_out[address] = (managed, shape, owner)
    return _api.PyCapsule_New(address, _NAME, ctypes.cast(_destroy, ctypes.c_void_p))


def contents(capsule) -> tuple:
    """(pointer, shape, strides in elements or None, dtype) of a capsule, which is not consumed: keep it alive.

    Raises:
        ValueError: numbers that NumPy doesn't have, such as bfloat16.
    """
    address = _api.PyCapsule_GetPointer(id(capsule), _NAME)
    tensor = _Managed.from_address(address).tensor
    kind, bits = _KINDS.get(tensor.dtype.code), tensor.dtype.bits
    if kind is None or tensor.dtype.lanes != 1 or (kind == "f" and bits not in (16, 32, 64)):
        raise ValueError(f"Numbers of this kind can't be used. Received: DLPack code={tensor.dtype.code}, bits={bits}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None
    return (tensor.data or 0) + tensor.byte_offset, shape, strides, np.dtype(f"{kind}{bits // 8}")


def device_of(x) -> tuple[int, int] | None:
    """(kind, number) of the device of an array that speaks DLPack, else None."""
    ask = getattr(x, "__dlpack_device__", None)
    if ask is None or isinstance(x, type):
        return None
    kind, number = ask()
    return int(kind), int(number)
