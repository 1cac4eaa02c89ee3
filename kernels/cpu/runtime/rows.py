"""Arrays (M, C) of few channels as longer rows of several times C elements, which fill vectors whatever C is.

What is left in the end is a shorter row, of the first elements.
"""

from .arrays import SCRATCH
from .jit import apart, scalar


@scalar
def rows_together(rows, channels):
    """How many rows are taken as one: up to 16, or 1 where channels are many or rows few."""
    times = min(16, SCRATCH // max(1, channels))
    return times if times > 1 and rows >= 2 * times else 1


@apart
def repeated(vector, times, space):
    """``vector`` ``times`` times over, in ``space``."""
    if times == 1:
        return vector
    channels = vector.size
    for i in range(times):
        part = space[i * channels : (i + 1) * channels]
        for c in range(channels):
            part[c] = vector[c]
    return space[: times * channels]


@apart
def zeros_for(total, times, space):
    """Where to sum ``times`` rows at a time: zeros in ``space``, or ``total`` itself for one."""
    if times == 1:
        return total
    sums = space[: times * total.size]
    for j in range(sums.size):
        sums[j] = 0
    return sums


@apart
def fold(sums, times, total):
    """total += the sums of ``zeros_for``, in order."""
    if times > 1:
        for i in range(times):
            part = sums[i * total.size : (i + 1) * total.size]
            for c in range(total.size):
                total[c] += part[c]
