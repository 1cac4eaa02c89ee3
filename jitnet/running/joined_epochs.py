"""Epochs with nothing to do between them, many to a call."""

import time

import numpy as np

from . import interrupts
from .logs import read_logs


def run_epochs(
    model, step, arrays, samples, batch_size, steps, epoch, epochs, shuffle, hooks, seconds: float
) -> int:  # fmt: skip
    """Run as many epochs in one call as so many seconds hold, at most to the last but one; the next epoch.

    hooks: none but the progress bar and the history.
    """
    count = max(1, min(epochs - epoch - 1, int(seconds / (steps * step.seconds_per_step))))
    first = model._taken(step)
    size = steps * batch_size
    if shuffle:
        order = np.concatenate([model._order(samples, first + i * steps)[:size] for i in range(count)])
    else:
        order = np.tile(np.arange(size), count)
    results = np.tile(step.first_results, (count, 1))
    values = {**arrays, "order": order, "seed": model._seed(), "t": first, "results": results}
    hooks.on_epoch_begin(epoch)
    step.runner.tell = hooks.progbar and hooks.progbar.compiling
    start = time.perf_counter()
    step.run(batch_size, count * steps, values, True, steps)
    taken = (time.perf_counter() - start) / count
    if first:
        step.seconds_per_step = taken / steps
    for number, row in enumerate(results, 1):
        logs = read_logs(step, row, size)
        model._check_loss(logs, epoch)
        logs.update(model._scheduled(first + number * steps))
        if number < count and hooks.progbar is not None and hooks.progbar.on_screen:
            hooks.history.on_epoch_end(epoch, logs)  # a bar shows the last one
        else:
            if number > 1:
                hooks.on_epoch_begin(epoch)
            if hooks.progbar is not None:
                hooks.progbar.update(steps, logs, size, taken)
            hooks.on_epoch_end(epoch, logs)
        epoch += 1
    interrupts.check()
    return epoch
