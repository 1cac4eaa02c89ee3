"""The table that ``model.summary()`` prints."""

from .core.operations.base import display
from .layers.base import Layer
from .layers.input import InputLayer
from .training import AUTO_COMPILED_WORK


def describe(model, line_length=None) -> list[str]:
    """The lines of the summary: layers, and bare operations between them, in the order of computation."""
    nodes = {}
    for node in model._nodes:
        nodes.setdefault(node.layer, []).append(node)
    first = {layer: None for layer in model.layers if layer not in nodes}
    rows = [("Layer (type)", "Output shape", "Parameters")]
    for layer in {**first, **nodes}:
        count = layer.count_params() if isinstance(layer, Layer) else 0
        rows.append((f"{layer.name} ({type(layer).__name__})", _shape(layer, nodes.get(layer, ())), f"{count:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    if line_length:
        widths[0] = max(widths[0], line_length - widths[1] - widths[2] - 4)
    rule = "-" * (sum(widths) + 4)
    lines = [f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}" for name, shape, count in rows]
    lines = [f'Model: "{model.name}"', lines[0], rule, *lines[1:], rule]
    trainable = sum(v.size for v in model.trainable_weights)
    frozen = sum(v.size for v in model.non_trainable_weights)
    lines.append(f"Parameters: {trainable + frozen:,} ({trainable:,} trainable, {frozen:,} not)")
    if not model.built:
        lines.append("Not built: the input shape is not known yet.")
    if model._compiled and model._compiled["losses"]:
        lines.append(f"Training step: {_training_step(model)}")
    return lines


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
