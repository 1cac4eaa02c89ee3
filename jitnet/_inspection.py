"""What a model shows of the inside of its steps.  Mixed into ``Trainer``."""

import numpy as np

from ._exclusive import trains
from ._fit_arguments import checked_batch_size
from ._profile import ProfileLine, profile, restored
from .core import checks


class Inspection:
    """Methods that run a step call by call."""

    @trains
    def profile(self, x, y=None, batch_size=32, repeat=20, print_fn=print) -> list[ProfileLine]:
        """Where the time of a step goes: a record for every line of it, the slowest first, also printed as a table.

        Every kernel runs as a call of its own over the whole batch, so the sum is more than a fused step takes, and
        what takes a few microseconds is mostly the call.  With y it is a training step, after which weights, states
        and the optimizer are as before: memory for a copy of them is needed meanwhile.  Without, it is a prediction.

        Args:
            x, y: data as of ``fit``; the first ``batch_size`` samples are used.
            repeat: how often the step runs; times are medians.
            print_fn: a function that is called with each line of the table.

        Returns:
            [``ProfileLine``]: ``function``, ``layer``, ``phase``, ``seconds``, ``operations``, ``moved`` (bytes),
            ``gflops``, ``gigabytes`` (both a second), ``share`` and ``limit``: how near the line comes to what the
            machine reaches in products of matrices ("arithmetic") or in copies of as many bytes ("memory"), both
            measured once per process.  Convolutions by Winograd's algorithm do fewer operations than are counted.

        Raises:
            ValueError: y is given and the model is not compiled; or on a GPU.
        """
        repeat = checks.integer("profile", "repeat", repeat, 1)
        size = checked_batch_size(batch_size)
        if y is None:
            inputs = self._prepare_inputs(x)
            batch = min(size, len(next(iter(inputs.values()))))
            self._check_batches(batch, batch)
            step = self._step("predict", regions=False, arrays=inputs)
            values = {name: array[:batch] for name, array in inputs.items()}
            for name, output in zip(step.output_arguments, self._outputs_for(inputs), strict=True):
                values[name] = np.empty((batch, *output.shape[1:]), output.dtype)
        else:
            self._require_compiled("profile")
            arrays, samples, shapes = self._prepare(x, y)
            batch = min(size, samples)
            self._check_batches(batch, batch)
            step = self._step("train", shapes, regions=False, arrays=arrays)
            values = {**arrays, "order": np.arange(batch)}
        values |= {"seed": self._seed(), "results": np.zeros(step.results)}

        def run_once():
            t = 0 if y is None else self._taken(step)
            step.run(batch, 1, {**values, "t": t}, False, iteration=self._iteration())

        with restored(step):
            return profile(step, run_once, batch, repeat, print_fn, self)
