"""What a model shows of itself: a table and a picture."""


class Described:
    """Mixed into ``Model``."""

    def plot(
        self, to_file=None, show_shapes=True, show_dtype=False, show_layer_names=True, rankdir="TB",
        expand_nested=False, dpi=192, show_layer_activations=False, show_trainable=False,
    ):  # fmt: skip
        """Draw the model: a box for each use of a layer, lines with shapes between them; returns the picture.

        to_file: where to write it: ".svg", or with matplotlib ".png", ".pdf", ...; a notebook shows what is returned.
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what is said.
        rankdir: "TB": from top to bottom, "LR": from left to right, "BT" and "RL": the other way.
        expand_nested: whether models within the model are drawn as frames around their layers.
        dpi: dots per inch of a PNG, 96 being a dot to each pixel of the SVG.

        Raises ValueError for a model that is not built, and ImportError without matplotlib for what is no SVG.
        """
        from .model_picture import picture

        found = picture(
            self, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, show_layer_activations,
            show_trainable,
        )  # fmt: skip
        if to_file is not None:
            found.save(to_file, dpi)
        return found

    def summary(
        self, line_length=None, positions=None, print_fn=None, expand_nested=False, show_trainable=False,
        layer_range=None,
    ) -> None:  # fmt: skip
        """Print the layers: shapes of outputs, parameters, and for a sample multiply-adds and memory of activations.

        Multiply-adds are those of matrix products, convolutions, recurrent layers and attention, in a prediction; the
        memory is that of the layers' outputs, before a step lets what is no longer needed share it.

        line_length: the width of the table, which names and shapes are cut to; by default what they need.
        positions: where the columns end, as fractions of line_length (or of 80) or in characters.
        print_fn: a function that is called with each line; by default ``print``.
        expand_nested: whether layers of models among the layers have rows, too.
        show_trainable: whether a column says which layers are trained.
        layer_range: names of the first and the last layer that are shown, or regular expressions for them.
        """
        from .summary import describe

        for line in describe(self, line_length, positions, expand_nested, show_trainable, layer_range):
            (print_fn or print)(line)
