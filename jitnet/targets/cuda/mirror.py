"""Arrays of the host that have a copy on a device; either may be the newer one."""

import threading
import weakref

import numpy as np

from ...core.values import Changes

_making = threading.Lock()


class Mirror:
    """A flat array of the host and its copy, as bytes, on a device.

    changes: of the array; while the copy is newer, ``changes.elsewhere`` is this mirror, and who wants to read the
    array asks for ``changes.settle()`` before.
    """

    def __init__(self, backend, array: np.ndarray, changes: Changes):
        self._backend, self._array, self.changes = backend, weakref.ref(array), changes
        self.copy = backend.empty((array.nbytes,), np.uint8)
        self._known = None  # the number of ``changes`` that the copy is of
        self._lock = threading.RLock()

    def upload(self, stream) -> None:
        """Make the copy as new as the array."""
        with self._lock:
            if self.changes.elsewhere is self:
                return
            self.changes.settle()  # another device may have it
            if self._known != self.changes.number[0]:
                self._known = self.changes.number[0]
                self._backend.copy(self.copy, self._array().view(np.uint8), stream)

    def is_written(self) -> None:
        """Say that the device has written the copy."""
        self.changes.elsewhere = self

    def fetch(self) -> None:
        """Make the array as new as the copy."""
        with self._lock:
            if self.changes.elsewhere is self:
                np.copyto(self._array().view(np.uint8), self._backend.to_host(self.copy))
                self._known = self.changes.number[0]
                self.changes.elsewhere = None


def mirror_of(backend, array: np.ndarray, changes: Changes) -> Mirror:
    """The one mirror of an array on a device."""
    with _making:
        found = _mirrors.setdefault(id(array), {})
        if id(backend) not in found:
            if not found:
                weakref.finalize(array, _mirrors.pop, id(array), None)
            found[id(backend)] = Mirror(backend, array, changes)
        return found[id(backend)]


_mirrors: dict[int, dict[int, Mirror]] = {}
