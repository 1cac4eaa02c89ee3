"""What goes wrong with CUDA."""


class CudaError(RuntimeError):
    """CUDA can't be used here, or was used wrongly; the message says what to do."""
