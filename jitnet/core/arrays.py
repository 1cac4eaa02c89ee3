"""Arrays as results of functions of tensors."""

import numpy as np


class Array(np.ndarray):
    """An array with the method that brings tensors of other packages to NumPy.

    What NumPy computes of it, and every element of it alone, is NumPy's own.
    """

    def numpy(self) -> np.ndarray:
        """The same memory as a plain array."""
        return self.view(np.ndarray)

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return array[()] if return_scalar else array

    def __repr__(self):
        return repr(self.numpy())

    def __reduce__(self):
        return self.numpy().__reduce__()


def as_result(array: np.ndarray) -> Array:
    """The array, in the same memory, as what a function of tensors returns."""
    return np.asarray(array).view(Array)
