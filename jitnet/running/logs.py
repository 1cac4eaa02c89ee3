"""What a step records, and the logs that are read from its results."""

import numpy as np

from .. import ops
from ..core.operations.base import display
from ..core.values import Value
from ..losses import per_sample
from ..metrics import Traced
from ..step import Step
from . import compilation


class Logs:
    """What a step records, and how its logs are read from the results.

    loss: the metric that is the whole loss, None where that is no output's; records, names: the losses of several
        outputs.
    """

    def __init__(self, loss=None, records=(), names=()):
        self.records = list(records)
        self.largest: list = []  # those of them of which the largest is kept
        self._entries = [] if loss is None else [(loss.name, (loss, None), 1)]
        self._entries += [(name, None, 1) for name in (names if records else [])]

    def add(self, name: str, value) -> None:
        """Record a single number, values (batch,) or a metric's result."""
        if isinstance(value, Traced) and value.values is None:
            # a single number would count once per sample
            found = [ops.reshape(x, (1,)) if x.shape == () else x for _, x in value.contributions]
            variables = [variable for variable, _ in value.contributions]
            self.records += found
            self.largest += [x for x, v in zip(found, variables, strict=True) if v.kept in ("maximum", "minimum")]
            self._entries.append((name, (value.metric, variables), len(variables)))
            return
        metric, value = (value.metric, value.values) if isinstance(value, Traced) else (None, value)
        if not isinstance(value, Value) or not (value.batched or value.shape == ()):
            shape = display(value.shape) if isinstance(value, Value) else type(value).__name__
            raise ValueError(
                f"The log {name!r} is a single number, values (batch,) or the result of a metric. Received: {shape}"
            )
        self.records.append(per_sample(value) if value.batched else value)
        self._entries.append((name, None if metric is None else (metric, None), 1))

    def attached_to(self, step: Step, compile_metrics) -> Step:
        """The step, whose ``logs`` are [(name, places of its results, (metric, variables or None) or None)].

        compile_metrics: is told what is read of them.
        """
        places = iter([*([0] if step.has_loss else []), *step.places])
        names = compilation.distinct([name for name, _, _ in self._entries])
        step.compile_metrics = compile_metrics
        step.logs = [
            (name, [next(places) for _ in range(count)], metric)
            for name, (_, metric, count) in zip(names, self._entries, strict=True)
        ]
        for _, found, metric in step.logs:
            for place, variable in zip(found, (metric and metric[1]) or (), strict=False):
                step.first_results[place : place + variable.value.size] = np.ravel(variable.first_result)
        return step


def read_logs(step: Step, results, samples: int) -> dict:
    """{name: number} of the results of a step over so many samples."""
    found = {}
    for name, places, metric in step.logs:
        if metric is None:
            found[name] = float(results[places[0]] / samples)
        else:
            owner, variables = metric
            if variables is None:
                found[name] = owner.result_of_mean(results[places[0]], samples)
                continue
            sums = [results[place : place + v.value.size] for place, v in zip(places, variables, strict=True)]
            found[name] = owner.result_of(list(zip(variables, sums, strict=True)))
    step.compile_metrics.logs = found
    return found
