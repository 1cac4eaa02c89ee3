"""The table that ``model.summary()`` prints."""

import re

from .core.errors import invalid, unknown_name
from .core.operations.base import display
from .layers.base import Layer
from .layers.input import InputLayer
from .training import AUTO_COMPILED_WORK


def describe(model, line_length=None, expand_nested=False, show_trainable=False, layer_range=None) -> list[str]:
    """The lines of the summary: layers, and bare operations between them, in the order of computation."""
    heading = ("Layer (type)", "Output shape", "Parameters", *(["Trainable"] if show_trainable else []))
    rows = [heading, *_rows(model, expand_nested, show_trainable, layer_range)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    if line_length:
        widths[0] += max(0, line_length - sum(widths) - 2 * len(widths) + 2)
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    lines = [_line(row, widths) for row in rows]
    lines = [f'Model: "{model.name}"', lines[0], rule, *lines[1:], rule]
    trainable = sum(v.size for v in model.trainable_weights)
    frozen = sum(v.size for v in model.non_trainable_weights)
    lines.append(f"Parameters: {trainable + frozen:,} ({trainable:,} trainable, {frozen:,} not)")
    if not model.built:
        lines.append("Not built: the input shape is not known yet.")
    if model._compiled and model._compiled["losses"]:
        lines.append(f"Training step: {_training_step(model)}")
    return lines


def _line(row, widths) -> str:
    name, shape, count, *trainable = row
    cells = [f"{name:<{widths[0]}}", f"{shape:<{widths[1]}}", f"{count:>{widths[2]}}"]
    return "  ".join(cells + [f"{word:>{widths[3]}}" for word in trainable])


def _rows(model, expand_nested: bool, show_trainable: bool, layer_range, depth: int = 0) -> list[tuple]:
    nodes = {}
    for node in model._nodes:
        nodes.setdefault(node.layer, []).append(node)
    first = {layer: None for layer in model.layers if layer not in nodes}
    rows = []
    for layer in _in_range(list({**first, **nodes}), layer_range):
        count = layer.count_params() if isinstance(layer, Layer) else 0
        mode = f", {layer.quantization_mode}" if getattr(layer, "quantization_mode", None) else ""
        name = f"{'  ' * depth}{layer.name} ({type(layer).__name__}{mode})"
        trainable = ("yes" if layer.trainable else "no") if count else "-"
        rows.append((name, _shape(layer, nodes.get(layer, ())), f"{count:,}", *([trainable] if show_trainable else [])))
        if expand_nested and hasattr(layer, "_nodes"):
            rows += _rows(layer, True, show_trainable, None, depth + 1)
    return rows


def _in_range(layers: list, layer_range) -> list:
    """The layers from the first to the last that is named."""
    if layer_range is None:
        return layers
    if not isinstance(layer_range, list | tuple) or len(layer_range) != 2:
        raise invalid("layer_range is a pair of names, of the first and the last layer.", layer_range=layer_range)
    places = []
    for name in layer_range:
        found = [i for i, layer in enumerate(layers) if layer.name == name or re.fullmatch(str(name), layer.name)]
        if not found:
            raise unknown_name("layer", name, [layer.name for layer in layers])
        places += [found[0], found[-1]]
    return layers[min(places) : max(places) + 1]


def _training_step(model) -> str:
    """How the steps of ``fit`` run, and why."""
    choice = model._compiled["jit_compile"]
    if choice != "auto":
        return f"{_MODES[choice]} (jit_compile={choice})"
    if not model.built:
        return 'chosen when the input shape is known (jit_compile="auto")'
    try:
        step = model._shown_step("train")
    except (TypeError, ValueError) as error:  # fit will raise it; a summary helps to find out why
        return f"not possible: {error}"
    batch, limit = model._last_batch_size, AUTO_COMPILED_WORK / 1e6
    if batch is None:
        largest = int((AUTO_COMPILED_WORK - step.work(0)) / (step.work(1) - step.work(0))) + 1
        while largest > 0 and not model._runs_compiled(step, largest):
            largest -= 1
        if largest <= 0:
            return f'{_MODES[False]} (jit_compile="auto": at least {limit:,.0f} MFLOP in any batch)'
        return f'{_MODES[True]}, in batches of up to {largest:,}, else {_MODES[False]} (jit_compile="auto")'
    work = step.work(batch) / 1e6
    shown = f"{work:,.0f}" if work >= 10 else f"{work:.2g}"
    compiled = model._runs_compiled(step, batch)
    return (
        f'{_MODES[compiled]} (jit_compile="auto": {shown} MFLOP in a batch of {batch}, '
        f"{'less than' if compiled else 'at least'} {limit:,.0f})"
    )


_MODES = {True: "compiled, many to a call", False: "plain, a call per region"}


def _shape(layer, nodes) -> str:
    """The shapes that a layer returned, of each use once."""
    if isinstance(layer, InputLayer):
        return display(layer.output.shape)
    shapes = dict.fromkeys(display(output.shape) for node in nodes for output in node.outputs)
    return " ".join(shapes) or "?"
