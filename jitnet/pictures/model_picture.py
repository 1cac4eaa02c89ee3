"""A model as a picture: a box for each use of a layer, lines with the shapes of what goes from one to the next."""

import html
import itertools
import os

from ..core.errors import invalid
from ..core.operations.base import Operation, display
from ..files import atomic
from ..layers.input import InputLayer
from . import figures, layout

FONT, LINE, MARGIN = 13.0, 17.0, 12.0  # pixels
COLORS = {"input": "#e2f0d9", "weights": "#dbe7f7", "plain": "#f3f3f3", "model": "#ffffff"}


class Picture:
    """Boxes, lines and texts, in pixels; a notebook shows it.

    Attributes:
        width, height: its size.
        boxes: [(left, top, width, height, lines of text, kind)]; kind: "input", "weights" (a layer that has some),
            "plain", "model" (a frame around the boxes of a model within the model).
        lines: [points], from box to box; labels: [(middle, text)], on them.
    """

    def __init__(self, width, height, boxes, lines, labels, horizontal=False):
        self.width, self.height, self.boxes, self.lines, self.labels = width, height, boxes, lines, labels
        self._horizontal = horizontal

    def svg(self) -> str:
        """The picture in SVG."""
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.1f} {self.height:.1f}"'
        found = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica, Arial, sans-serif" '
            f'font-size="{FONT:g}" text-anchor="middle">',
            f'<rect width="{self.width:.1f}" height="{self.height:.1f}" fill="#ffffff"/>',
        ]
        for left, top, width, height, lines, kind in self.boxes:
            found.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5" '
                f'fill="{COLORS[kind]}" stroke="#555555"/>'
            )
            for number, line in enumerate(lines):
                y, weight = top + 7 + LINE * (number + 0.7), ' font-weight="bold"' if number == 0 else ""
                found.append(f'<text x="{left + width / 2:.1f}" y="{y:.1f}"{weight}>{html.escape(line)}</text>')
        for points in self.lines:
            curves = (_bent(one, other, self._horizontal) for one, other in itertools.pairwise(points))
            path = "M{:.1f},{:.1f} ".format(*points[0]) + " ".join("C" + _text(curve) for curve in curves)
            found.append(f'<path d="{path}" fill="none" stroke="#555555"/>')
            found.append(f'<polygon points="{_text(_arrow(points, self._horizontal))}" fill="#555555"/>')
        for (x, y), text in self.labels:
            width = _width(text)
            found.append(
                f'<rect x="{x - width / 2:.1f}" y="{y - LINE / 2:.1f}" width="{width:.1f}" height="{LINE:.1f}" '
                'fill="#ffffff" fill-opacity="0.85"/>'
            )
            found.append(f'<text x="{x:.1f}" y="{y + 0.35 * FONT:.1f}" fill="#555555">{html.escape(text)}</text>')
        return "\n".join([*found, "</svg>"]) + "\n"

    __str__ = _repr_svg_ = svg

    def save(self, path, dpi: int = 96) -> None:
        """Write it; the suffix says what it is: ".svg", or by matplotlib ".png", ".pdf" and what else that writes.

        dpi: of 96 a pixel is a pixel.

        Raises ImportError without matplotlib for anything but SVG, ValueError for an unknown suffix.
        """
        path = os.fspath(path)
        if path.lower().endswith(".svg"):
            atomic.write(path, self.svg().encode())
            return
        figure = figures.new_figure("A picture of a model that is no SVG", path, self.width / 96, self.height / 96)
        figures.finished(self._drawn_into(figure), path, dpi)

    def _drawn_into(self, figure):
        from matplotlib.patches import FancyBboxPatch, PathPatch
        from matplotlib.path import Path

        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, self.width)
        axes.set_ylim(self.height, 0)
        axes.axis("off")
        # matplotlib's own font is wider than the ones that the boxes are made for
        style = {"ha": "center", "va": "center", "fontsize": 0.84 * FONT * 72 / 96, "family": "sans-serif"}
        for left, top, width, height, lines, kind in self.boxes:
            form = "round,pad=0,rounding_size=5"
            colors = {"facecolor": COLORS[kind], "edgecolor": "#555555", "linewidth": 0.75}
            axes.add_patch(FancyBboxPatch((left, top), width, height, form, mutation_aspect=1, **colors))
            for number, line in enumerate(lines):
                weight = "bold" if number == 0 else "normal"
                axes.text(left + width / 2, top + 7 + LINE * (number + 0.5), line, weight=weight, **style)
        for points in self.lines:
            corners, codes = [points[0]], [Path.MOVETO]
            for one, other in itertools.pairwise(points):
                corners += _bent(one, other, self._horizontal)
                codes += [Path.CURVE4] * 3
            axes.add_patch(PathPatch(Path(corners, codes), facecolor="none", edgecolor="#555555", linewidth=0.75))
            head = Path([*_arrow(points, self._horizontal), points[-1]], closed=True)
            axes.add_patch(PathPatch(head, color="#555555", linewidth=0))
        for (x, y), text in self.labels:
            box = {"facecolor": "#ffffff", "alpha": 0.85, "linewidth": 0, "pad": 1}
            axes.text(x, y, text, color="#555555", bbox=box, **style)
        return figure


def _text(points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _bent(one, other, horizontal: bool) -> list:
    """The control points and the end of a curve that begins and ends along the direction of the picture."""
    (x, y), (u, v) = one, other
    between = [((x + u) / 2, y), ((x + u) / 2, v)] if horizontal else [(x, (y + v) / 2), (u, (y + v) / 2)]
    return [*between, other]


def _arrow(points, horizontal: bool) -> list:
    """The corners of the head at the end of a line."""
    (x, y), (u, v) = points[-2:]
    if horizontal:
        back = -7 if u > x else 7
        return [(u, v), (u + back, v - 3.5), (u + back, v + 3.5)]
    back = -7 if v > y else 7
    return [(u, v), (u - 3.5, v + back), (u + 3.5, v + back)]


def _width(text: str) -> float:
    """About what a line of text takes in a font like Helvetica."""
    wide, narrow = sum(c in "mwMW@%" for c in text), sum(c in "iljtf.,:;()[]'| " for c in text)
    return FONT * (0.58 * len(text) + 0.3 * wide - 0.26 * narrow)


def picture(
    model, show_shapes=True, show_dtype=False, show_layer_names=True, rankdir="TB", expand_nested=False,
    show_layer_activations=False, show_trainable=False,
) -> Picture:  # fmt: skip
    """The picture of a built model; see ``Model.plot``."""
    if rankdir not in ("TB", "LR", "BT", "RL"):
        raise invalid('`rankdir` is "TB", "LR", "BT" or "RL".', rankdir=rankdir)
    if not model.built or model._graph_inputs is None:
        raise ValueError(f"The model {model.name!r} is not built: build it, or call it on data, before it is drawn.")

    def lines(layer, outputs):
        return layer_lines(layer, outputs, show_layer_names, [], show_dtype, show_layer_activations, show_trainable)

    found = _drawn(model, lines, show_shapes, rankdir, expand_nested)
    width, height, boxes, paths, labels = found
    return Picture(width, height, boxes, paths, labels, rankdir in ("LR", "RL"))


def layer_lines(layer, outputs, names, shapes, dtype, activations, trainable) -> list[str]:
    """What a layer's box says; shapes: lines about them."""
    kind = type(layer).__name__
    lines = [layer.name if isinstance(layer, Operation) else f"{layer.name} ({kind})" if names else kind]
    activation = getattr(layer, "activation", None)
    if activations and activation is not None:
        lines.append(f"activation: {getattr(activation, '__name__', None) or getattr(activation, 'name', activation)}")
    lines += shapes
    if dtype:
        lines.append(f"dtype: {', '.join(dict.fromkeys(x.dtype for x in outputs))}")
    if trainable and getattr(layer, "weights", None):
        lines.append("trainable" if layer.trainable else "not trainable")
    return lines


def _drawn(model, lines_of, shapes: bool, rankdir: str, expand: bool) -> tuple:
    """(width, height, boxes, lines, labels) of a model."""
    horizontal = rankdir in ("LR", "RL")
    parts, made_by = [], {}  # [(inner parts of a model, lines, kind, width, height)], {id of a tensor: its part}
    edges = []
    for x in model._graph_inputs:
        layer = None if x.history is None else x.history.layer
        text = lines_of(layer, [x]) if isinstance(layer, InputLayer) else [x.name]
        made_by[id(x)] = len(parts)
        parts.append(_part(text, "input"))
    for node in model._nodes:
        number = len(parts)
        if expand and getattr(node.layer, "_graph_inputs", None) is not None:
            inner = _drawn(node.layer, lines_of, shapes, rankdir, True)
            parts.append(_part(lines_of(node.layer, node.outputs)[:1], "model", inner))
        else:
            kind = "weights" if getattr(node.layer, "weights", None) else "plain"
            parts.append(_part(lines_of(node.layer, node.outputs), kind))
        for x in dict.fromkeys(node.inputs):
            if id(x) in made_by:
                edges.append((made_by[id(x)], number, _label(x, shapes)))
        made_by.update((id(x), number) for x in node.outputs)
    for x in model._graph_outputs if shapes else ():  # the last shapes have no line that they could stand on
        if id(x) in made_by and not any(start == made_by[id(x)] for start, _, _ in edges):
            inner, text, kind, *_ = parts[made_by[id(x)]]
            parts[made_by[id(x)]] = _part([*text, display(x.shape)], kind, inner)

    def turned(size):
        return size[::-1] if horizontal else size

    sized = [(one, other, turned(_label_size(text))) for one, other, text in edges]
    centres, lines, middles, size = layout.arranged([turned(part[3:]) for part in parts], sized)
    width, height = turned(size)
    width, height = width + 2 * MARGIN, height + 2 * MARGIN

    def place(point):
        x, y = turned(point)
        x, y = x + MARGIN, y + MARGIN
        return (width - x if rankdir == "RL" else x), (height - y if rankdir == "BT" else y)

    boxes, paths = [], [[place(point) for point in line] for line in lines]
    labels = [(place(middle), text) for middle, (_, _, text) in zip(middles, edges, strict=True) if text]
    for (inner, text, kind, wide, high), centre in zip(parts, centres, strict=True):
        x, y = place(centre)
        left, top = x - wide / 2, y - high / 2
        boxes.append((left, top, wide, high, text, kind))
        if inner is not None:
            left, top = x - inner[0] / 2, top + LINE * len(text) + 7
            boxes += [(left + a, top + b, w, h, t, k) for a, b, w, h, t, k in inner[2]]
            paths += [[(left + a, top + b) for a, b in line] for line in inner[3]]
            labels += [((left + a, top + b), t) for (a, b), t in inner[4]]
    return width, height, boxes, paths, labels


def _part(lines: list, kind: str, inner: tuple | None = None) -> tuple:
    width, height = max(map(_width, lines)) + 20, LINE * len(lines) + 14
    if inner is not None:
        width, height = max(width, inner[0]), height + inner[1]
    return inner, lines, kind, width, height


def _label(tensor, shapes: bool) -> str:
    return display(tensor.shape) if shapes and getattr(tensor, "batched", False) else ""


def _label_size(text: str) -> tuple:
    return (_width(text) + 8, LINE) if text else (0.0, 0.0)
