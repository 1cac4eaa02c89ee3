"""A pytest plugin (``-p guard_pages``): kernels that tests call work on arrays with a forbidden page beside them.

Each call is made twice, on copies of its arrays that end where a page begins that nobody may touch, and on copies that
begin where such a page ends: what reads or writes outside of an array ends the process with a segmentation fault.  Both
must give the same bits, which the test then gets to see.  The environment variable ``GUARD_REPORT`` names a file that
gets the names of all kernels that were called so, and of the classes of specialised kernels that were.
"""

import ctypes
import json
import mmap
import os
from pathlib import Path

import numpy as np

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.jit import Function

_PAGE = mmap.PAGESIZE
called: set[str] = set()
_plans: dict[int, str] = {}
_call, _kernel = Function.__call__, GeneratedKernel.kernel


def beside_forbidden_page(array, at_end):
    """A copy of a C-contiguous ``array`` between forbidden pages, without a gap at its end or else its beginning.

    Where there is no mprotect (Windows), the pages are not forbidden.
    """
    size = -(-max(array.nbytes, 1) // _PAGE) * _PAGE
    memory = mmap.mmap(-1, size + 2 * _PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    system = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    for page in (start, start + _PAGE + size) if system else ():
        if system.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(_PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = _PAGE + (size - array.nbytes if at_end else 0)
    copy = np.ndarray(array.shape, array.dtype, memory, offset)
    copy[...] = array
    copy.flags.writeable = array.flags.writeable
    return copy


def _place(array):
    return array.ctypes.data, array.shape, array.dtype


def _apart(arrays):
    """Whether all are C-contiguous and no two overlap unless they are one."""
    pairs = ((a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    one = all(not np.may_share_memory(a, b) or _place(a) == _place(b) for a, b in pairs)
    return one and all(array.flags.c_contiguous for array in arrays)


def _guarded_call(kernel, *arguments, **named):
    function = kernel.py_func
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    generated = _plans.get(id(kernel))
    ours = generated or function.__module__.startswith("jitnet.kernels.cpu.")
    if not ours or named or not arrays or not _apart(arrays):
        return _call(kernel, *arguments, **named)
    called.add(generated or f"{function.__module__.removeprefix('jitnet.kernels.cpu.')}.{function.__name__}")
    results = []
    for at_end in (True, False):
        copies = {_place(a): beside_forbidden_page(a, at_end) for a in arrays}
        places = [copies[_place(a)] if isinstance(a, np.ndarray) else a for a in arguments]
        _call(kernel, *places)
        results.append(list(copies.values()))
    for array, first, second in zip({_place(a): a for a in arrays}.values(), *results, strict=True):
        np.testing.assert_array_equal(first, second, err_msg=function.__name__)
        if array.flags.writeable:
            array[...] = first


def _remembered_kernel(plan):
    dispatcher = _kernel(plan)
    _plans[id(dispatcher)] = type(plan).__name__
    return dispatcher


def install():
    Function.__call__ = _guarded_call
    GeneratedKernel.kernel = _remembered_kernel


def pytest_configure(config):
    install()


def pytest_sessionfinish(session):
    if "GUARD_REPORT" in os.environ:
        Path(os.environ["GUARD_REPORT"]).write_text(json.dumps(sorted(called)))
