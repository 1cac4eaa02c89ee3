"""Which taps of a sliding window lie inside of an image."""

from jitnet.kernels.cpu.runtime.jit import scalar


@scalar
def taps_inside(start, step, count, size):
    """Range of i in [0, count) with 0 <= start + i * step < size; empty where there is none.  step: positive or not"""
    first = max(0, -(start // step))
    end = min(count, -((start - size) // step))
    return first, max(first, end)
