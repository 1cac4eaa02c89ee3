"""Gradients of attention's queries that were computed for groups of keys, each by itself."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes


@kernel
def add_key_groups(partials, dquery):
    """dquery += all of partials, group after group.

    partials: (n, groups * queries * heads * size), dquery: (n, queries, heads, size)
    """
    kernel_attributes()
    samples = dquery.shape[0]
    partials, target = partials.reshape(-1), dquery.reshape(-1)
    if samples:
        size, several = target.size // samples, partials.size // samples
        for n in range(samples):
            for first in range(n * several, (n + 1) * several, size):
                for i in range(size):
                    target[n * size + i] += partials[first + i]
