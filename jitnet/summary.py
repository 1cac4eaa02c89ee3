"""The table that ``model.summary()`` prints."""

from .layers.input import InputLayer
from .operations.base import display


def describe(model, line_length=None) -> list[str]:
    """The lines of the summary."""
    rows = [("Layer (type)", "Output shape", "Parameters")]
    shapes = {}
    for node in model._nodes:
        shapes[node.layer] = node.outputs[0].shape
    for layer in model.layers:
        if isinstance(layer, InputLayer):
            shape = display(layer.output.shape)
        elif layer in shapes:
            shape = display(shapes[layer])
        else:
            shape = "?"
        rows.append((f"{layer.name} ({type(layer).__name__})", shape, f"{layer.count_params():,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    if line_length:
        widths[0] = max(widths[0], line_length - widths[1] - widths[2] - 4)
    lines = [f'Model: "{model.name}"']
    for i, (name, shape, count) in enumerate(rows):
        lines.append(f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}")
        if i == 0:
            lines.append("-" * (sum(widths) + 4))
    lines.append("-" * (sum(widths) + 4))
    trainable = sum(v.size for v in model.trainable_weights)
    frozen = sum(v.size for v in model.non_trainable_weights)
    lines.append(f"Parameters: {trainable + frozen:,} ({trainable:,} trainable, {frozen:,} not)")
    if not model.built:
        lines.append("Not built: the input shape is not known yet.")
    return lines
