"""What a model shows of the inside of its steps.  Mixed into ``Trainer``."""

from typing import TYPE_CHECKING

import numpy as np

from .._fixed import tracing
from ..config import device
from ..core import checks
from ..core.locks import building
from ..step import target_of
from .exclusive import trains
from .fit_arguments import checked_batch_size
from .profile import ProfileLine, profile, restored
from .stored import loaded

if TYPE_CHECKING:  # not before it is needed: trainings begin sooner
    from .not_finite import NotFinite


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
            values = {name: loaded(array[:batch]) for name, array in inputs.items()}
            for name, output in zip(step.output_arguments, self._outputs_for(inputs), strict=True):
                values[name] = np.empty((batch, *output.shape[1:]), output.dtype)
        else:
            self._require_compiled("profile")
            arrays, samples, shapes = self._prepare(x, y)
            batch = min(size, samples)
            self._check_batches(batch, batch)
            step = self._step("train", shapes, regions=False, arrays=arrays)
            values = {name: loaded(array[:batch]) for name, array in arrays.items()} | {"order": np.arange(batch)}
        values |= {"seed": self._seed(), "results": step.first_results.copy()}

        def run_once():
            t = 0 if y is None else self._taken(step)
            step.run(batch, 1, {**values, "t": t}, False, iteration=self._iteration())

        with restored(step):
            return profile(step, run_once, batch, repeat, print_fn, self)

    @trains
    def find_not_finite(self, x, y=None, sample_weight=None) -> "NotFinite | None":
        """Where NaN or infinity begins in a training step on one batch, forward or backward; None if all is finite.

        The step runs kernel by kernel, unfused, from the present weights, which are as before afterwards.  It takes
        long: its kernels are compiled one by one, and every array of the step is kept.

        Args:
            x, y, sample_weight: one batch, as of ``fit``; without y it is the prediction.

        Returns:
            A ``NotFinite``: the ``layer``, the ``phase`` and the ``kernel``, the arrays that it ``read`` and wrote with
            the range of what is finite in them; printed, it says so.  Of several places it is the first of those that
            the loss depends on, or else a gradient or weight.

        ``callbacks.TerminateOnNaN(debug=True)`` calls it for the batch of a training that went wrong.
        """
        if y is None:
            arrays = {name: loaded(array) for name, array in self._prepare_inputs(x).items()}
            samples = len(next(iter(arrays.values())))
            return self._first_not_finite(("predict", None), samples, arrays)
        self._require_compiled("find_not_finite")
        arrays, samples, shapes = self._prepare(x, y, sample_weight)
        arrays = {name: loaded(array) for name, array in arrays.items()}
        return self._first_not_finite(("train", shapes), samples, {**arrays, "order": np.arange(samples)})

    def _first_not_finite(self, which: tuple, batch: int, values: dict) -> "NotFinite | None":
        """which: mode and shapes of the targets; values: arguments of the step, as of a training's one that ran."""
        from .not_finite import Watching, first_not_finite

        mode, shapes = which
        watching = Watching(target_of(device()).zeros)
        options = {"fuse": False, "target": watching}
        arrays = {name: a for name, a in values.items() if name not in ("order", "seed", "t", "results")}
        with building, tracing():
            if self._is_custom(mode):
                described = tuple((name, a.shape[1:], str(a.dtype)) for name, a in arrays.items())
                step = self._trace_custom(mode, shapes, described, options)
            else:
                weighted = tuple(a.shape[1:] for name, a in arrays.items() if name.startswith("sample_weight_"))
                trainable = tuple(self.trainable_weights)
                step = self._make_step(mode, trainable, shapes, options, weighted, self._sizes(arrays))
        if mode == "predict":
            for name, output in zip(step.output_arguments, self._outputs_for(arrays), strict=True):
                arrays[name] = np.zeros((batch, *output.shape[1:]), output.dtype)
        taken = self._taken(step)
        given = {"seed": self._seed(), "t": taken, **values, **arrays, "results": step.first_results.copy()}
        with restored(step):
            step.run(batch, 1, given, False, iteration=self._iteration())
        return first_not_finite(self, watching, taken + 1)
