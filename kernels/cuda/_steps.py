"""What begins a recorded step: the numbers and the samples of the step that is being replayed."""

from ._api import cuda, kernel, launch, over


@kernel
def _begin_step(table, orders, counter, numbers, order):
    step = counter[0]
    for i in range(cuda.grid(1), numbers.size, cuda.gridsize(1)):
        numbers[i] = table[step * numbers.size + i]
    for i in range(cuda.grid(1), order.size, cuda.gridsize(1)):
        order[i] = orders[step * order.size + i]


@kernel
def _count(counter):
    counter[0] += 1


def begin_step(table, orders, counter, numbers, order):
    """numbers, order = the rows ``counter[0]`` of ``table`` and ``orders``; and count.

    All int64.  table: (steps * n,), numbers: (n,); orders: (steps * batch,), order: (batch,); counter: (1,).
    """
    launch(_begin_step, *over(max(numbers.size, order.size)), table, orders, counter, numbers, order)
    launch(_count, 1, 1, counter)
