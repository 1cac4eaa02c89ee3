"""CUDA kernels beside their CPU twins: the same call of both, emulated, and what each leaves in its arguments."""

import importlib
import inspect
import os

import numpy as np

from jitnet.kernels.cuda import _api
from jitnet.targets.cuda import devices

SEEDS = (0, 1)  # of the order in which blocks and threads run


def one_element(name: str, value):
    """What may change from one replay of a step to the next, as the array of one element that a CUDA kernel takes."""
    if isinstance(value, float | np.floating):
        return np.array([value], np.float64)
    if name in ("seed", "step", "t"):
        return np.array([value], np.int64 if name == "t" else np.uint64)
    return None


def cuda_function(family: str, name: str):
    return getattr(importlib.import_module(f"jitnet.kernels.cuda.{family}"), name)


def cpu_function(family: str, name: str):
    return getattr(importlib.import_module(f"jitnet.kernels.cpu.{family}"), name)


def parameters(family: str, name: str) -> list[str]:
    return list(inspect.signature(cpu_function(family, name).py_func).parameters)


def run_cpu(family: str, name: str, *arguments):
    """The call of the CPU kernel on copies of the arrays, which are returned; those that are one array stay one."""
    copies = {id(a): a.copy() for a in arguments if isinstance(a, np.ndarray)}
    cpu_function(family, name)(*(copies.get(id(a), a) for a in arguments))
    return [copies[id(a)] for a in arguments if isinstance(a, np.ndarray)]


def run_cuda(function, names, *arguments, backend, unwritten=(), precision="highest"):
    """The call of a CUDA function with the arguments of its CPU twin; the arrays afterwards.

    unwritten: names of arrays that the kernel writes without reading; they come without a defined content.
    """
    on_device, given = {}, []
    for name, argument in zip(names, arguments, strict=True):
        number = one_element(name, argument)
        if number is not None:
            given.append(backend.to_device(number))
        elif isinstance(argument, np.ndarray):
            if id(argument) not in on_device:
                empty = name in unwritten
                make = backend.empty(argument.shape, argument.dtype) if empty else backend.to_device(argument)
                on_device[id(argument)] = make
            given.append(on_device[id(argument)])
        else:
            given.append(argument)
    with _api.using(backend, precision=precision):
        function(*given)
    return [backend.to_host(on_device[id(a)]) for a in arguments if isinstance(a, np.ndarray)]


def assert_twins(
    family: str, name: str, *arguments, rtol=2e-6, atol=1e-6, unwritten=(), backend=None, **options
) -> None:
    """The CUDA function leaves in its arguments what the CPU kernel leaves in its own, under every schedule.

    rtol and atol of 0: the same bits.  ``backend``: instead of emulators, for tests on a device.
    """
    names = parameters(family, name)
    expected = run_cpu(family, name, *arguments)
    arrays = [n for n, a in zip(names, arguments, strict=True) if isinstance(a, np.ndarray)]
    first = None
    for at, device in enumerate([backend] if backend else map(emulator, SEEDS)):
        found = run_cuda(cuda_function(family, name), names, *arguments, backend=device, unwritten=unwritten, **options)
        for array, ours, theirs in zip(arrays, found, expected, strict=True):
            message = f"{family}.{name}: {array}"
            if rtol == atol == 0 or ours.dtype.kind != "f":
                np.testing.assert_array_equal(ours, theirs, err_msg=message)
            else:
                np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=message)
        if first is None:
            first = found
        for array, ours, before in zip(arrays, found, first, strict=True):
            np.testing.assert_array_equal(ours, before, err_msg=f"{family}.{name}: {array}, schedule {at}")


# {(kernel, types of its arguments): threads of its largest block}, of all that was emulated in this process
LAUNCHED = {}


ON_DEVICE = os.environ.get("JITNET_TEST_DEVICE")  # "cuda:0" and so on, for ``pytest -m gpu``


def emulator(seed: int):
    """An emulator whose launches are noted in ``LAUNCHED``; on a machine with a GPU that is tested, the device."""
    if ON_DEVICE:
        return devices.backend(ON_DEVICE)
    import cuda_instructions  # noqa: F401 (the emulator knows them)
    from cuda_emulator import Emulator  # needs greenlet

    found = Emulator(seed)
    found.launched = LAUNCHED
    return found
