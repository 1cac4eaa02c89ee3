"""Division of what is not negative in 32 bits: a GPU has no instruction for it, and takes far longer for 64."""

import numpy as np

from ._api import function

_LARGEST = 2**32


@function
def quotient(number, divisor):
    """number // divisor, both below 2**32"""
    return np.int64(np.uint32(number) // np.uint32(divisor))


def check_range(shape, *numbers: int) -> None:
    """Refuse an array of this shape if a kernel would divide numbers that are too large."""
    if max(numbers) >= _LARGEST:
        raise ValueError(f"Images on CUDA have fewer than 2**32 lines of fewer elements. Received: shape={shape}")
