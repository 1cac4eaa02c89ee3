"""What a report says of a model: measured on the run's data, none of it drawn yet.

A part that a model lacks is ``Absent``, with the reason.
"""

from dataclasses import dataclass

import numpy as np

from jitnet import gradients, losses, models, schedules
from jitnet.core.operations.base import display
from jitnet.layers import DepthwiseConv2D
from jitnet.layers.base import Layer
from jitnet.layers.input import InputLayer

_BATCH = 256
_SCHEDULE_POINTS = 400
_BINS = 40


class Absent(Exception):
    """A part of the report that there is none of, and why."""


# ---- the test set


@dataclass
class Classified:
    """The test set as the model classifies it: labels (N,), probabilities (N, classes), counts (true, predicted)."""

    labels: np.ndarray
    probabilities: np.ndarray
    counts: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(axis=1)

    def worst(self, most: int) -> np.ndarray:
        """The mistakes, those first whose true class got the lowest probability."""
        wrong = np.flatnonzero(self.predicted != self.labels)
        of_truth = self.probabilities[wrong, self.labels[wrong]]
        return wrong[np.argsort(of_truth, kind="stable")][:most]


def classified(model, data) -> Classified:
    """The test set (x, y) as the model classifies it.

    Raises Absent for a model that is no classifier.
    """
    x, y = data
    outputs = model.outputs
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        raise Absent("The model is no classifier: it does not return one row of numbers for each sample.")
    width = outputs[0].shape[-1]
    loss = model.loss
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == width and width > 1:
        if not ((labels == 0) | (labels == 1)).all() or (labels.sum(axis=1) != 1).any():
            raise Absent("The model is no classifier: its targets are not classes.")
        labels = labels.argmax(axis=1)
    labels = labels.reshape(-1)
    classes = max(2, width)
    known = len(labels) == len(x) and np.isin(labels, np.arange(classes)).all()
    binary = width == 1 and isinstance(loss, losses.BinaryCrossentropy | losses.BinaryFocalCrossentropy)
    if not known or not (width > 1 or binary):
        raise Absent("The model is no classifier: its targets are not the numbers of classes.")
    labels = labels.astype(np.int64)
    found = np.asarray(model.predict(x, batch_size=_BATCH, verbose=0), np.float64)
    logits = bool(getattr(loss, "from_logits", False))
    if binary:
        positive = 1 / (1 + np.exp(-found)) if logits else found
        found = np.concatenate([1 - positive, positive], axis=1)
    elif logits:
        found = np.exp(found - found.max(axis=1, keepdims=True))
        found /= found.sum(axis=1, keepdims=True)
    if not np.isfinite(found).all():
        raise Absent("The model's predictions are not finite.")
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, found.argmax(axis=1)), 1)
    return Classified(labels, found, counts)


def are_pictures(x) -> bool:
    """Whether samples can be shown: (N, H, W) of one or three channels, (N, H, W, 1 or 3)."""
    return getattr(x, "ndim", 0) == 4 and x.shape[-1] in (1, 3)


def evaluated(model, data) -> dict:
    """{quantity: value} of the test set; {} for a model that was not compiled."""
    if not model.metrics_names:
        return {}
    return model.evaluate(*data, batch_size=_BATCH, verbose=0, return_dict=True)


# ---- the model


@dataclass
class LayerLine:
    """A layer in the model's summary; operations: of one sample, None where that isn't known."""

    name: str
    kind: str
    shape: str
    parameters: int
    operations: float | None


def layer_lines(model) -> list[LayerLine]:
    """The layers and bare operations of a model, in the order of computation."""
    operations = _operations(model)
    shapes = {}
    for node in model._nodes:
        shapes.setdefault(node.layer, {}).update(dict.fromkeys(display(output.shape) for output in node.outputs))
    lines = []
    for layer in [*(layer for layer in model.layers if layer not in shapes), *shapes]:
        is_layer = isinstance(layer, Layer)
        shape = display(layer.output.shape) if isinstance(layer, InputLayer) else " ".join(shapes.get(layer, ()))
        count = layer.count_params() if is_layer else 0
        done = sum(operations.get(name, 0.0) for name in _names(layer)) if operations and is_layer else None
        lines.append(LayerLine(layer.name, type(layer).__name__, shape or "?", count, done))
    return lines


def _names(layer) -> set:
    """The names of a layer and of the layers in it."""
    found, pending = set(), [layer]
    while pending:
        inner = pending.pop()
        found.add(inner.name)
        pending += inner.sublayers()
    return found


def _operations(model) -> dict:
    """{name of a layer: operations of its forward pass for one sample}; {} where no step can be made."""
    try:
        program = model._step("predict", fuse=False).program
    except (TypeError, ValueError):  # sizes that are not known before there are data
        return {}
    known = {source: name for name, source in model._names_in_source().items()}
    found = {}
    for call in program.calls:
        name = known.get(call.layer, call.layer)
        found[name] = found.get(name, 0.0) + call.work
    return found


def scheduled(optimizer, steps: int) -> dict:
    """{hyperparameter: (steps, values)} of those that schedules govern, over the steps of the training."""
    if steps < 1:
        return {}
    places = np.unique(np.linspace(0, steps - 1, min(steps, _SCHEDULE_POINTS)).round().astype(np.int64))
    return {
        key: (places.tolist(), schedules.evaluate(value, places // optimizer.accumulates).tolist())
        for key, value in optimizer._hyperparameters.items()
        if not isinstance(value, float)
    }


def constants(optimizer) -> dict:
    """{hyperparameter: its number} of those that no schedule governs."""
    return {key: value for key, value in optimizer._hyperparameters.items() if isinstance(value, float)}


# ---- weights


def first_filters(model) -> tuple[str, np.ndarray]:
    """(name of the layer, filters (filters, H, W, C)) of the first layer that sees the pictures themselves.

    Raises Absent for a model that takes no pictures or begins with something else.
    """
    shape = _picture_shape(model)
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            if layer.trainable_weights:
                break
            continue  # such as augmentation or normalisation by the data's mean
        values = np.asarray(kernel.value)
        if values.ndim == 4 and isinstance(layer, DepthwiseConv2D):
            # each channel has filters of its own
            return layer.name, values.transpose(2, 3, 0, 1).reshape(-1, *values.shape[:2], 1)
        if values.ndim == 4 and values.shape[2] == shape[2]:
            return layer.name, values.transpose(3, 0, 1, 2)
        if values.ndim == 2 and len(values) == np.prod(shape):
            # a dense layer of the picture's pixels: each unit has a weight for each
            return layer.name, values.T.reshape(-1, *shape)
        break
    raise Absent("The first layer with weights has no filters that are pictures.")


def _picture_shape(model) -> tuple:
    inputs = model.inputs
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or None in inputs[0].shape[1:]:
        raise Absent("The model does not take pictures.")
    return inputs[0].shape[1:]


def feature_maps(model, picture: np.ndarray) -> list[tuple]:
    """[(name of a layer, kind, what it returns for the picture (H, W, C), as an array without the batch axis)].

    Layers that return what they were given, as dropout and flattening do here, are left out.
    """
    _picture_shape(model)
    nodes = [node for node in model._nodes if not isinstance(node.layer, InputLayer)]
    nodes = [node for node in nodes if len(node.outputs) == 1 and len(node.outputs[0].shape) in (2, 4)]
    if not nodes:
        raise Absent("No layer of the model returns pictures or rows of numbers.")
    inner = models.Model(model.inputs[0], [node.outputs[0] for node in nodes])
    returned = inner.predict(picture[None], verbose=0)
    found, before = [], picture
    for node, values in zip(nodes, returned if isinstance(returned, list) else [returned], strict=True):
        values = values[0]
        if not np.array_equal(values.ravel(), before.ravel()):
            found.append((node.layer.name, type(node.layer).__name__, values))
        before = values
    return found


@dataclass
class Spread:
    """The values of a variable or its gradient: counts in ``_BINS`` steps from low to high, mean, deviation."""

    counts: list
    low: float
    high: float
    mean: float
    deviation: float
    missing: int  # values that are not finite


def spread(values: np.ndarray) -> Spread:
    """How values are spread."""
    values = np.asarray(values, np.float64).ravel()
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Spread([0] * _BINS, 0.0, 0.0, 0.0, 0.0, values.size)
    counts, edges = np.histogram(finite, _BINS)
    low, high, missing = float(edges[0]), float(edges[-1]), values.size - finite.size
    return Spread(counts.tolist(), low, high, float(finite.mean()), float(finite.std()), missing)


def weights_and_gradients(model, data) -> list[tuple]:
    """[(name, shape, spread of the values, spread of the gradient or None)] of the model's trainable variables.

    data: (x, y) of some samples, by whose loss the gradients are, with the layers as in prediction; or None.
    """
    variables = list(model.trainable_variables)
    found = _gradients(model, variables, data) if data is not None and model.loss is not None else None
    return [
        (v.name, v.shape, spread(np.asarray(v.value)), None if found is None else spread(found[i]))
        for i, v in enumerate(variables)
    ]


def _gradients(model, variables, data) -> list | None:
    loss = model.loss
    if isinstance(loss, list | dict) or not variables:
        return None
    try:
        _, found = gradients.value_and_grad(lambda x, y: loss(y, model(x)), variables=variables)(*data)
    except (TypeError, ValueError):  # of layers whose gradients can't be taken outside of a step
        return None
    return [np.asarray(gradient) for gradient in found]
