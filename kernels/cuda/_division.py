"""Division of what is not negative in 32 bits: a GPU has no instruction for it, and takes far longer for 64."""

import numpy as np

from ._api import function

LARGEST = 2**32  # both numbers are below


@function
def quotient(number, divisor):
    """number // divisor"""
    return np.int64(np.uint32(number) // np.uint32(divisor))
