"""Launches recorded once as a CUDA graph: replaying it costs one call of the driver, whatever it launches."""

from ._errors import CudaError


def check(result: tuple):
    """What a function of the driver returned, without its status; CudaError if that is not success."""
    status, *values = result
    if int(status) != 0:
        raise CudaError(f"The CUDA driver says {status.name}.")
    return values[0] if len(values) == 1 else values


class Graph:
    """What ``record()`` launches on a stream of numba.cuda, to be replayed in its order.

    Nothing runs while it is recorded.  Its kernels must be loaded and its memory allocated before.
    memory: what of it nobody else keeps.
    """

    def __init__(self, stream, record, memory=None):
        from cuda.bindings import driver

        self._driver, self._memory = driver, memory
        self._stream = driver.CUstream(int(stream.handle.value if hasattr(stream.handle, "value") else stream.handle))
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        check(driver.cuStreamBeginCapture(self._stream, mode))
        try:
            record()
        finally:
            graph = check(driver.cuStreamEndCapture(self._stream))
        self._executable = check(driver.cuGraphInstantiate(graph, 0))
        check(driver.cuGraphDestroy(graph))

    def replay(self) -> None:
        """Enqueue everything that was recorded."""
        check(self._driver.cuGraphLaunch(self._executable, self._stream))

    def __del__(self):
        if hasattr(self, "_executable"):
            self._driver.cuGraphExecDestroy(self._executable)
