"""Losses and accuracies: predictions (..., C) and targets to one value per row (...)."""

import functools

from .. import checks
from ..errors import invalid
from ..program import Out, Together
from .base import Operation, display

# the kernels of metrics: the parameters of each after the arrays, and what checks them
SCORES = {
    "sparse_categorical_accuracy": {},
    "categorical_accuracy": {},
    "binary_accuracy": {
        "threshold": functools.partial(checks.number, "binary_accuracy", "threshold", finite=False),
    },
    "sparse_top_k_categorical_accuracy": {
        "k": functools.partial(checks.integer, "sparse_top_k_categorical_accuracy", "k", least=1),
    },
    "top_k_categorical_accuracy": {
        "k": functools.partial(checks.integer, "top_k_categorical_accuracy", "k", least=1),
    },
}


class RowLoss(Operation, registered=False):
    """Shared by the losses below: one value per row of the last axis."""

    sparse = False  # targets are labels (...,) instead of (..., C)
    predictions = "predictions"  # the kernels' name for them
    keeps_probabilities = False  # the backward pass reads softmax probabilities instead of the predictions

    @property
    def labels(self) -> tuple:
        return (1,) if self.sparse else ()

    @property
    def targets(self) -> str:
        """The kernels' name for the targets."""
        return "labels" if self.sparse else "targets"

    def infer(self, predictions, targets):
        expected = predictions.shape[:-1] if self.sparse else predictions.shape
        if predictions.ndim < 2 or targets.shape != expected:
            raise ValueError(
                f"{self.name} expects targets of shape {display(expected)} for predictions of shape "
                f"{display(predictions.shape)}. Received: shape={display(targets.shape)}"
            )
        dtype = "int64" if self.sparse else predictions.dtype
        if targets.dtype != dtype:
            raise ValueError(f"{self.name} expects targets of dtype {dtype}. Received: dtype={targets.dtype}")
        return [(predictions.shape[:-1], predictions.dtype)]

    def _rows(self, program, lowered):
        predictions, targets = lowered.inputs
        columns = predictions.shape[-1]
        shaped = program.as_rows(predictions, columns)
        targets = (
            program.reshaped(targets, (), rows=targets.size) if self.sparse else program.as_rows(targets, columns)
        )
        return shaped, targets

    def _vector(self, program, buffer):
        return program.reshaped(buffer, (), rows=buffer.size)

    def forward(self, program, lowered):
        predictions, targets = self._rows(program, lowered)
        outputs = {"values": Out(self._vector(program, lowered.output))}
        if self.keeps_probabilities:
            saved = lowered.save("probabilities", lowered.inputs[0].shape, predictions.dtype)
            outputs["probabilities"] = Out(program.as_rows(saved, predictions.shape[-1]))
        given = {self.predictions: predictions, self.targets: targets}
        program.call(f"losses.{self.name}_forward", **given, **outputs)

    def backward(self, program, lowered):
        if lowered.needs(1):
            raise ValueError(f"{self.name} has no gradient with respect to its targets.")
        predictions, targets = self._rows(program, lowered)
        columns = predictions.shape[-1]
        dx = lowered.gradient(0)
        given = {self.predictions: predictions}
        if self.keeps_probabilities:
            given = {"probabilities": program.as_rows(lowered.saved["probabilities"], columns)}
        program.call(
            f"losses.{self.name}_backward", **given, **{self.targets: targets},
            dvalues=self._vector(program, lowered.d_output),
            **{f"d{self.predictions}": Out(program.as_rows(dx.buffer, columns), dx.accumulate)},
            accumulate=dx.accumulate,
        )  # fmt: skip


class SparseSoftmaxCrossEntropy(RowLoss):
    """-log(softmax(logits))[label]: softmax and cross-entropy in one stable kernel."""

    sparse = True
    predictions = "logits"
    keeps_probabilities = True


class SoftmaxCrossEntropy(RowLoss):
    """-sum(targets * log(softmax(logits)))."""

    predictions = "logits"
    keeps_probabilities = True


class SparseCrossEntropy(RowLoss):
    """-log(probabilities)[label]."""

    sparse = True
    predictions = "probabilities"


class CrossEntropy(RowLoss):
    """-sum(targets * log(probabilities))."""

    predictions = "probabilities"


class BinaryCrossEntropy(RowLoss):
    """Mean over the last axis of -(t log p + (1 - t) log(1 - p))."""

    predictions = "probabilities"


class BinaryCrossEntropyWithLogits(RowLoss):
    """The same from logits: max(z, 0) - z t + log(1 + exp(-|z|))."""

    predictions = "logits"


class MeanSquaredError(RowLoss):
    """Mean over the last axis of (prediction - target)^2."""


class MeanAbsoluteError(RowLoss):
    """Mean over the last axis of |prediction - target|."""


class CTC(Operation):
    """-log of the probability of labels (batch, length), summed over the ways to emit them by logits (batch, steps,
    classes), of which class 0 is blank; labels of 0 are none.
    """

    name = "ctc"
    labels = (1,)

    def infer(self, logits, labels):
        if logits.ndim != 3 or labels.ndim != 2 or not (logits.batched and labels.batched):
            raise ValueError(
                "ctc expects logits (batch, steps, classes) and labels (batch, length). "
                f"Received: shapes {display(logits.shape)} and {display(labels.shape)}"
            )
        return [((None,), logits.dtype)]

    def forward(self, program, lowered):
        logits, labels = lowered.inputs
        states = 2 * labels.shape[-1] + 1
        steps = logits.shape[0]
        log_probabilities = lowered.save("log_probabilities", logits.shape, logits.dtype)
        alphas = lowered.save("alphas", (steps, states), logits.dtype)
        program.call(
            "losses.ctc_forward", logits=logits, labels=labels, values=Out(lowered.output),
            log_probabilities=Out(log_probabilities), alphas=Out(alphas),
            work=steps * (10 * logits.shape[-1] + 60 * states),
        )  # fmt: skip

    def backward(self, program, lowered):
        logits, labels = lowered.inputs
        states, saved, dx = 2 * labels.shape[-1] + 1, lowered.saved, lowered.gradient(0)
        betas = program.temporary(f"{lowered.output.name}_betas", (states, 3), logits.dtype, "batch")
        program.call(
            "losses.ctc_backward", log_probabilities=saved["log_probabilities"], labels=labels, values=lowered.output,
            alphas=saved["alphas"], dvalues=lowered.d_output, dlogits=dx, betas=Out(betas), accumulate=dx.accumulate,
            work=logits.shape[0] * (10 * logits.shape[-1] + 80 * states),
        )  # fmt: skip


class CircleLoss(Operation):
    """The circle loss of embeddings (batch, features) of length 1 and labels (batch,): every pair of the batch counts.

    gamma: the scale; margin: from 0 to 1; remove_diagonal: a sample is no pair with itself.
    """

    labels = (1,)

    def __init__(self, gamma: float = 80.0, margin: float = 0.4, remove_diagonal: bool = True):
        self.gamma = checks.number("circle_loss", "gamma", gamma, least=0)
        self.margin = checks.number("circle_loss", "margin", margin, least=0, most=1)
        self.remove_diagonal = checks.boolean("circle_loss", "remove_diagonal", remove_diagonal)

    def infer(self, embeddings, labels):
        if embeddings.ndim != 2 or labels.ndim != 1 or not (embeddings.batched and labels.batched):
            raise ValueError(
                "The circle loss expects embeddings (batch, features) and labels (batch,). "
                f"Received: shapes {display(embeddings.shape)} and {display(labels.shape)}"
            )
        return [((None,), embeddings.dtype)]

    def _call(self, program, opcode, **arguments):
        numbers = {"gamma": self.gamma, "margin": self.margin, "remove_diagonal": self.remove_diagonal}
        last = {"accumulate": arguments.pop("accumulate")} if "accumulate" in arguments else {}
        program.call(opcode, **arguments, **numbers, **last).axis = Together()

    def forward(self, program, lowered):
        embeddings, labels = lowered.inputs
        sums = lowered.save("sums", (2,), embeddings.dtype)
        arguments = {"embeddings": embeddings, "labels": labels, "values": Out(lowered.output), "sums": Out(sums)}
        self._call(program, "losses.circle_forward", **arguments)

    def backward(self, program, lowered):
        embeddings, labels = lowered.inputs
        dx = lowered.gradient(0)
        self._call(
            program, "losses.circle_backward", embeddings=embeddings, labels=labels, sums=lowered.saved["sums"],
            dvalues=lowered.d_output, dembeddings=dx, accumulate=dx.accumulate,
        )  # fmt: skip


class Accuracy(Operation):
    """A per-row score for metrics, by the name of its kernel in kernels/cpu/metrics.py; it has no gradient."""

    differentiable = False

    def __init__(self, kernel: str, parameters=()):
        self.kernel = checks.one_of("Accuracy", "kernel", kernel, SCORES)
        wanted = SCORES[kernel]
        if not isinstance(parameters, list | tuple) or len(parameters) != len(wanted):
            raise invalid(f"Accuracy expects {len(wanted)} parameters of {kernel}.", parameters=parameters)
        self.parameters = tuple(check(value) for check, value in zip(wanted.values(), parameters, strict=True))

    @property
    def name(self):
        return self.kernel

    @property
    def sparse(self):
        return self.kernel.startswith("sparse")

    labels = RowLoss.labels
    targets = RowLoss.targets
    infer = RowLoss.infer
    _rows = RowLoss._rows

    def forward(self, program, lowered):
        predictions, targets = self._rows(program, lowered)
        values = program.reshaped(lowered.output, (), rows=lowered.output.size)
        given = zip(SCORES[self.kernel], self.parameters, strict=True)
        scalars = {name: lowered.setting(f"{self.kernel}_{name}", value) for name, value in given}
        given = {"predictions": predictions, self.targets: targets}
        program.call(f"metrics.{self.kernel}", **given, values=Out(values), **scalars)
