"""What begins a recorded step: the numbers and the samples of the step that is being replayed."""

from ._api import cuda, kernel, launch, over

_THREADS = 1024  # of a block that also counts
_MOST_SAMPLES = 8 * _THREADS  # that one block copies in less time than a second launch takes


@kernel
def _begin_step(table, orders, counter, numbers, order, counts):
    """counts: also count, in a single block."""
    step = counter[0]
    for i in range(cuda.grid(1), numbers.size, cuda.gridsize(1)):
        numbers[i] = table[step * numbers.size + i]
    for i in range(cuda.grid(1), order.size, cuda.gridsize(1)):
        order[i] = orders[step * order.size + i]
    if counts:
        cuda.syncthreads()  # all have read the counter
        if cuda.threadIdx.x == 0:
            counter[0] = step + 1


@kernel
def _count(counter):
    counter[0] += 1


def begin_step(table, orders, counter, numbers, order):
    """numbers, order = the rows ``counter[0]`` of ``table`` and ``orders``; and count.

    All int64.  table: (steps * n,), numbers: (n,); orders: (steps * batch,), order: (batch,); counter: (1,).
    """
    size, arrays = max(numbers.size, order.size), (table, orders, counter, numbers, order)
    if size <= _MOST_SAMPLES:
        launch(_begin_step, 1, over(size, _THREADS)[1], *arrays, True)
    else:
        launch(_begin_step, *over(size), *arrays, False)
        launch(_count, 1, 1, counter)
