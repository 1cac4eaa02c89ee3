"""Models as pictures, and as graphs in the language of Graphviz."""

import os
import shutil
import subprocess

from jitnet.core.errors import invalid

__all__ = ["model_to_dot", "plot_model"]


class Graph:
    """A graph in Graphviz's language, DOT."""

    def __init__(self, text: str):
        self._text = text

    def to_string(self) -> str:
        """The graph in DOT."""
        return self._text

    __str__ = to_string

    def write(self, path, format=None) -> None:
        """Write it as a picture, drawn by the program ``dot`` of Graphviz, or as text where format is "dot".

        format: by default the path's suffix.  Raises RuntimeError without that program, ValueError where it fails.
        """
        format = format or os.path.splitext(os.fspath(path))[1][1:]
        if format in ("dot", "gv"):
            with open(path, "w", encoding="utf-8") as file:
                file.write(self._text)
            return
        program = shutil.which("dot")
        if program is None:
            raise RuntimeError(
                "Graphs are drawn by the program dot of Graphviz (https://graphviz.org/download/), which is not there. "
                'A path with the suffix ".dot" needs none: its text can be drawn elsewhere.'
            )
        command = [program, f"-T{format}", "-o", os.fspath(path)]
        done = subprocess.run(command, input=self._text.encode(), capture_output=True)
        if done.returncode:
            raise ValueError(f"dot could not draw the graph: {done.stderr.decode().strip()}. Received: path={path!r}")


def model_to_dot(
    model, show_shapes=False, show_dtype=False, show_layer_names=True, rankdir="TB", expand_nested=False, dpi=200,
    subgraph=False, show_layer_activations=False, show_trainable=False, splines="ortho",
) -> Graph:  # fmt: skip
    """A built model as a graph of its layers; its method ``to_string`` gives its text in DOT.

    show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what stands in a layer's box.
    rankdir: "TB": from top to bottom, "LR": from left to right.
    expand_nested: whether models within the model are drawn as boxes of their layers.
    dpi: dots per inch; splines: how edges are drawn.
    subgraph: accepted for Keras's sake; must be False.

    Raises ValueError for a model that is not built.
    """
    if subgraph:
        raise invalid("model_to_dot returns whole graphs: subgraph must be False.", subgraph=subgraph)
    if rankdir not in ("TB", "LR", "BT", "RL"):
        raise invalid('`rankdir` is "TB", "LR", "BT" or "RL".', rankdir=rankdir)
    if not model.built or model._graph_inputs is None:
        raise ValueError(f"The model {model.name!r} is not built: build it, or call it on data, before it is drawn.")
    drawing = _Drawing(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    drawing.draw(model, "")
    head = [
        "digraph model {",
        f"  graph [rankdir={rankdir}, dpi={int(dpi)}, splines={_quoted(splines)}, concentrate=true];",
        "  node [shape=box, fontname=Helvetica];",
    ]
    return Graph("\n".join([*head, *drawing.lines, "}"]) + "\n")


def plot_model(
    model, to_file="model.png", show_shapes=False, show_dtype=False, show_layer_names=False, rankdir="TB",
    expand_nested=False, dpi=200, show_layer_activations=False, show_trainable=False, splines="ortho",
):  # fmt: skip
    """Draw a built model into a file, as ``model.plot`` does, and return the picture.

    to_file: its suffix says what it is: "svg", by matplotlib "png", "pdf", ..., or "dot": the text of
        ``model_to_dot``, which ``splines`` is for and whose boxes hold the shapes.
    Other arguments as of ``model_to_dot``.
    """
    if os.path.splitext(os.fspath(to_file))[1] in (".dot", ".gv"):
        model_to_dot(
            model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, False,
            show_layer_activations, show_trainable, splines,
        ).write(to_file)  # fmt: skip
        return None
    return model.plot(
        to_file, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations,
        show_trainable,
    )  # fmt: skip


def _quoted(text) -> str:
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _shapes(tensors) -> str:
    from jitnet.core.operations.base import display

    return ", ".join(display(x.shape) for x in tensors)


class _Drawing:
    """The lines of a graph."""

    def __init__(self, shapes, dtype, names, activations, trainable, expand):
        self._shapes, self._dtype, self._names, self._expand = shapes, dtype, names, expand
        self._activations, self._trainable = activations, trainable
        self.lines: list[str] = []

    def draw(self, model, path: str) -> dict:
        """Add the nodes and edges of a model; {layer: its node, or those that enter and leave a model in it}."""
        indent = "  " * (1 + path.count("/"))
        uses: dict = {}
        for node in model._all_nodes():
            uses.setdefault(node.layer, []).append(node)
        ends = {}
        firsts = [x.history.layer for x in model.inputs if x.history is not None]  # Sequential hides its own
        for number, layer in enumerate(dict.fromkeys([*firsts, *model.layers, *uses])):
            identifier = f"{path}{number}"
            if self._expand and getattr(layer, "_graph_inputs", None) is not None:
                self.lines.append(f"{indent}subgraph {_quoted('cluster_' + identifier)} {{")
                self.lines.append(f"{indent}  label={_quoted(layer.name)};")
                inner = self.draw(layer, f"{identifier}/")
                self.lines.append(f"{indent}}}")
                firsts = self._origins(layer, layer._graph_inputs, inner)
                lasts = self._origins(layer, layer._graph_outputs, inner)
                ends[layer] = firsts, lasts
            else:
                self.lines.append(f"{indent}{_quoted(identifier)} [label={_quoted(self._label(layer, uses))}];")
                ends[layer] = [identifier], [identifier]
        for layer, nodes in uses.items():
            for node in nodes:
                for before in self._origins(model, node.inputs, ends):
                    for after in ends[layer][0]:
                        self.lines.append(f"{indent}{_quoted(before)} -> {_quoted(after)};")
        return ends

    def _origins(self, model, tensors, ends) -> list:
        """The nodes that tensors come from."""
        owner = {id(output): node.layer for node in model._all_nodes() for output in node.outputs}
        inputs = {id(x): x.history.layer for x in model.inputs if x.history is not None}
        found = []
        for x in tensors:
            layer = owner.get(id(x)) or inputs.get(id(x))
            found += ends[layer][1] if layer in ends else []
        return list(dict.fromkeys(found))

    def _label(self, layer, uses) -> str:
        from jitnet.pictures.model_picture import layer_lines

        nodes = uses.get(layer, ())
        outputs = [x for node in nodes for x in node.outputs] or [layer.output]
        shapes = []
        if self._shapes:
            inputs = [x for node in nodes for x in node.inputs if getattr(x, "batched", False)]
            shapes = [f"in: {_shapes(inputs)}"] * bool(inputs) + [f"out: {_shapes(outputs)}"]
        return "\n".join(
            layer_lines(layer, outputs, self._names, shapes, self._dtype, self._activations, self._trainable)
        )
