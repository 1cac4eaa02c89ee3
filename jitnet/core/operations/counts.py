"""Counts of a whole batch, for metrics: they have no gradient."""

import math

from ..errors import invalid
from ..program import Out
from .base import Operation, display


class _Counts(Operation, registered=False):
    """Sums over the batch of what kernels of the family ``metrics`` count; each chunk counts its own samples."""

    differentiable = False
    kernel = ""
    shape: tuple = ()  # of the counts

    def infer(self, predictions, targets, *others):
        if not predictions.batched or not targets.batched:
            raise ValueError(f"{self.name} counts the samples of a batch. Received: shape={display(predictions.shape)}")
        return [(self.shape, predictions.dtype)]

    def _count(self, program, lowered, **arguments):
        y = lowered.output
        size = math.prod(self.shape)
        partial = program.temporary(f"{y.name}_partial", (size,), y.dtype, "partial")
        given = {name: Out(partial) if value is Out else value for name, value in arguments.items()}
        program.call(f"metrics.{self.kernel}", **given)
        program.call("training.sum_partials", partials=partial, out=Out(program.reshaped(y, (size,))))


class ThresholdCounts(_Counts, registered=False):
    """How many predictions are above exactly k of ``thresholds``, by whether their target is 0: (2, thresholds + 1).

    Inputs: predictions (batch, ..., columns), targets of the same shape, thresholds (m,), ascending, and maybe weights,
    of the predictions' shape, or without the last axis.

    columns: (first, last + 1) of those that count; top_k: how many of each row can be above a threshold, 0 for all.
    by_column: counts for each of these columns: (2, thresholds + 1, columns).
    """

    kernel = "threshold_counts"
    whole_inputs = (2,)

    def __init__(self, thresholds: int, columns: tuple, top_k: int = 0, by_column: bool = False):
        self.thresholds, self.columns, self.top_k, self.by_column = thresholds, columns, top_k, by_column
        self.shape = (2, thresholds + 1, *([columns[1] - columns[0]] if by_column else []))

    def infer(self, predictions, targets, *others):
        if predictions.shape != targets.shape:
            raise ValueError(
                f"A metric expects targets of the predictions' shape, {display(predictions.shape)}. "
                f"Received: shape={display(targets.shape)}"
            )
        return super().infer(predictions, targets, *others)

    def forward(self, program, lowered):
        predictions, targets, thresholds, *weights = lowered.inputs
        columns = lowered.application.inputs[0].shape[-1] or 1
        rows, labels = program.as_rows(predictions, columns), program.as_rows(targets, columns)
        weight = weights[0] if weights else predictions
        self._count(
            program, lowered, predictions=rows, targets=labels, thresholds=thresholds,
            weights=program.reshaped(weight, (), rows=weight.size), counts=Out, weighted=bool(weights),
            weight_columns=columns if weight.size == predictions.size else 1, top_k=self.top_k, first=self.columns[0],
            last=self.columns[1], by_column=self.by_column,
        )  # fmt: skip


class ConfusionCounts(_Counts, registered=False):
    """How often the target is class i and the prediction class j: (classes, classes).

    Inputs: predictions (batch, ...) of classes, or (batch, ..., classes) of scores; targets likewise; maybe weights
    (batch, ...).

    sparse: whether predictions, and targets, are classes; ignored: a class of targets that counts nothing, or -1.
    """

    kernel = "confusion_counts"

    def __init__(self, classes: int, sparse: tuple = (True, True), ignored: int = -1):
        self.classes, self.sparse, self.ignored = classes, sparse, ignored
        self.shape = (classes, classes)

    def infer(self, predictions, targets, *others):
        pairs = zip((predictions, targets), self.sparse, strict=True)
        rows = [x.shape if sparse else x.shape[:-1] for x, sparse in pairs]
        if rows[0] != rows[1] or any(weights.shape != rows[0] for weights in others):
            raise invalid(
                "A confusion matrix needs as many predictions as targets, and as many weights.",
                shapes=", ".join(display(x.shape) for x in (predictions, targets, *others)),
            )
        return super().infer(predictions, targets, *others)

    def forward(self, program, lowered):
        found = []
        for buffer, value, sparse in zip(lowered.inputs[:2], lowered.application.inputs[:2], self.sparse, strict=True):
            found.append(program.as_rows(buffer, 1 if sparse else value.shape[-1]))
        weights = lowered.inputs[2] if len(lowered.inputs) > 2 else found[0]
        self._count(
            program, lowered, predictions=found[0], targets=found[1],
            weights=program.reshaped(weights, (), rows=weights.size), counts=Out, weighted=len(lowered.inputs) > 2,
            classes=self.classes, ignored=self.ignored,
        )  # fmt: skip
