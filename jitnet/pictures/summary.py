"""The table that ``model.summary()`` prints."""

import math
import re

from .._fixed import tracing
from ..builder import Builder, Computation
from ..core import lengths, trace
from ..core.errors import invalid, unknown_name
from ..core.locks import building
from ..core.operations.base import display
from ..core.trace import topological_order
from ..core.values import ITEMSIZE, placeholder
from ..layers.base import Layer
from ..layers.input import InputLayer
from ..training import AUTO_COMPILED_WORK

PRODUCTS = ("attention.", "conv.", "decoding.", "dense.dense", "depthwise.", "matrices.", "recurrent.")  # of opcodes
NAME_WIDTH, SHAPE_WIDTH = 50, 44  # the most that a table takes for a name or shapes, unless it is told its width
LINE_LENGTH = 80  # what fractions are of, unless it is told


def describe(
    model, line_length=None, positions=None, expand_nested=False, show_trainable=False, layer_range=None
) -> list[str]:
    """The lines of the summary: layers, and bare operations between them, in the order of computation."""
    heading = ["Layer (type)", "Output shape", "Parameters", "Multiply-adds", "Memory"]
    heading += ["Trainable"] if show_trainable else []
    products = _products(model)
    rows = [heading, *_rows(model, products, expand_nested, show_trainable, layer_range)]
    widths = _widths(rows, line_length, positions)
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    lines = [_line(row, widths) for row in rows]
    lines = [f'Model: "{model.name}"', lines[0], rule, *lines[1:], rule]
    trainable = sum(v.size for v in model.trainable_weights)
    frozen = sum(v.size for v in model.non_trainable_weights)
    memory = shown_bytes(sum(v.value.nbytes for v in model.weights))
    lines.append(f"Parameters: {trainable + frozen:,} ({trainable:,} trainable, {frozen:,} not), {memory}")
    if model.built:
        totals = [f"{count:,} multiply-adds" for count in [_total(products)] if count is not None]
        totals += [f"{shown_bytes(count)} of activations" for count in [_total(_memory(model))] if count is not None]
        lines += [f"A sample: {', '.join(totals)}"] if totals else []
    else:
        lines.append("Not built: the input shape is not known yet.")
    if model._compiled and model._compiled["losses"]:
        lines.append(f"Training step: {_training_step(model)}")
    return lines


def shown_bytes(count: float) -> str:
    """Bytes in a unit of which there are less than 1024."""
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GB"


def _line(row, widths) -> str:
    cells = [_cut(text, width) for text, width in zip(row, widths, strict=True)]
    left = [f"{text:<{width}}" for text, width in zip(cells[:2], widths, strict=False)]
    return "  ".join(left + [f"{text:>{width}}" for text, width in zip(cells[2:], widths[2:], strict=True)])


def _cut(text: str, width: int) -> str:
    """The text in so many characters: of "name (type)" the middle of the name goes first, then the type."""
    if len(text) <= width:
        return text
    name, space, kind = text.rpartition(" (")
    room = width - len(space + kind) - 1
    if not space or not kind.endswith(")") or room < 6:
        text = name if space else text
        return text if len(text) <= width else text[: width - 1] + "…"
    return f"{name[: room - room // 3]}…{name[len(name) - room // 3 :]}{space}{kind}"


def _widths(rows: list, line_length, positions) -> list[int]:
    """The widths of the columns, between which two spaces stand."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    if positions is not None:
        ends = _ends(positions, line_length, rows[0])
        return [end - begin - (2 if begin else 0) for begin, end in zip([0, *ends], ends, strict=False)]
    if line_length is None:
        return [min(widths[0], NAME_WIDTH), min(widths[1], SHAPE_WIDTH), *widths[2:]]
    room = line_length - 2 * (len(widths) - 1) - sum(widths)
    if room < 0:  # what has the most to lose
        shape = max(min(widths[1], 20), widths[1] + min(0, room + max(0, widths[0] - 24)))
        room += widths[1] - shape
        widths[1] = shape
    widths[0] = max(8, widths[0] + room)
    return widths


def _ends(positions, line_length, heading) -> list[int]:
    whole = LINE_LENGTH if line_length is None else line_length
    try:
        ends = [round(end * whole) if end <= 1 else int(end) for end in positions]
    except TypeError:
        ends = []
    rises = all(other - one >= 6 for one, other in zip([0, *ends], ends, strict=False))
    if len(ends) != len(heading) or not rises:
        raise invalid(
            f"positions are where the {len(heading)} columns end ({', '.join(heading)}): fractions of line_length, or "
            "characters, 6 apart at least.",
            positions=positions,
        )
    return ends


def _rows(
    model, products: dict | None, expand_nested: bool, show_trainable: bool, layer_range, depth: int = 0
) -> list[list]:
    nodes = {}
    for node in model._all_nodes():
        nodes.setdefault(node.layer, []).append(node)
    first = {layer: None for layer in model.layers if layer not in nodes}
    rows = []
    for layer in _in_range(list({**first, **nodes}), layer_range):
        used = nodes.get(layer, ())
        count = layer.count_params() if isinstance(layer, Layer) else 0
        mode = f", {layer.quantization_mode}" if getattr(layer, "quantization_mode", None) else ""
        name = f"{'  ' * depth}{layer.name} ({type(layer).__name__}{mode})"
        trainable = ("yes" if layer.trainable else "no") if count else "-"
        multiplied = None if products is None else sum(products.get(id(node), 0) for node in used)
        multiplied = "?" if multiplied is None or not (used or isinstance(layer, InputLayer)) else f"{multiplied:,}"
        memory = _activations(layer, used)
        memory = "?" if memory is None else shown_bytes(memory)
        row = [name, _shape(layer, used), f"{count:,}", multiplied, memory]
        rows.append([*row, trainable] if show_trainable else row)
        if expand_nested and hasattr(layer, "_nodes"):
            rows += _rows(layer, _products(layer), True, show_trainable, None, depth + 1)
    return rows


def _products(model) -> dict | None:
    """{id of a use of a layer: multiply-adds of matrix products, convolutions, ... for a sample}; None: not known."""
    if model._graph_inputs is None or model._takes_any_size():
        return None
    inputs = [placeholder(x.name, x.shape[1:], x.dtype) for x in model._graph_inputs]
    values = dict(zip(model._graph_inputs, inputs, strict=True))
    with building, tracing(), trace.added_losses():
        if not model._nodes:  # a call of its own
            inputs, outputs = model._trace(False)
            return {None: sum(_work(call) for call in _calls(inputs, outputs))}
        with trace.training_mode(False):
            model._apply_nodes(values)
    seen: set = set()
    for number, node in enumerate(model._nodes):
        for application in topological_order([values[x] for x in node.outputs]):
            if application not in seen:  # what this use has added
                seen.add(application)
                application.scope = f"use{number}"
    found = dict.fromkeys((id(node) for node in model._nodes), 0)
    for call in _calls(inputs, [values[x] for node in model._nodes for x in node.outputs]):
        if call.layer.startswith("use"):
            found[id(model._nodes[int(call.layer[3:])])] += _work(call)
    return found


def _calls(inputs: list, outputs: list) -> list:
    """The kernel calls, one for each operation, that compute outputs from inputs."""
    arguments = {f"x_{i}": x for i, x in enumerate(inputs)}
    return Builder(Computation(arguments, outputs), False, ()).program.calls


def _work(call) -> int:
    """Multiply-adds of a call for a sample."""
    return int(call.work) // 2 if call.opcode.startswith(PRODUCTS) else 0


def _total(counts: dict | None) -> int | None:
    return None if not counts or None in counts.values() else sum(counts.values())


def _memory(model) -> dict:
    """{layer: bytes of its activations for a sample}"""
    nodes: dict = {layer: [] for layer in model.layers}
    for node in model._nodes:
        nodes.setdefault(node.layer, []).append(node)
    return {layer: _activations(layer, used) for layer, used in nodes.items()}


def _activations(layer, nodes) -> int | None:
    """Bytes that a layer's outputs take for a sample, of all uses, in a model those of its layers; None: unknown."""
    if isinstance(layer, InputLayer):
        tensors = [layer.output]
    else:
        tensors = [x for node in nodes for x in node.outputs]
        inner = getattr(layer, "_nodes", None)
        if inner:
            tensors = [x for node in inner for x in node.outputs] * len(nodes)
    shapes = [x.shape[1:] if getattr(x, "batched", False) else x.shape for x in tensors]
    if not tensors or any(lengths.unknown(shape) for shape in shapes):
        return None
    if any(x.dtype not in ITEMSIZE for x in tensors):  # texts, which no step sees
        return None
    return sum(math.prod(shape) * ITEMSIZE[x.dtype] for x, shape in zip(tensors, shapes, strict=True))


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
