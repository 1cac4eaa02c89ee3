"""EinsumDense."""

from .. import activations, constraints, initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from .base import Layer


class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias).

    Weights: kernel, bias; of the sizes that the equation says.

    Arguments:
        equation: as of ``jitnet.ops.einsum``, such as "abc,cd->abd": the input, the kernel, the output, whose first
            axis is the batch; "...x,xy->...y" for any axes in front.
        output_shape: the output's sizes without the batch, None for those of the input; an int for the last alone.
        activation: a name, a function, or None for none.
        bias_axes: the letters of the output that the bias has, such as "d"; None for no bias.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint:
            names or objects.
    """

    example = {
        "arguments": {"equation": "abc,cde->abde", "output_shape": [None, 2, 4], "bias_axes": "de"},
        "input_shape": (3, 5),
    }  # fmt: skip

    def __init__(
        self, equation, output_shape, activation=None, bias_axes=None, kernel_initializer="glorot_uniform",
        bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None,
        bias_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.equation = checks.text("EinsumDense", "equation", equation)
        given = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.partial_output_shape = tuple(
            None if size is None else checks.integer("EinsumDense", "output_shape", size, least=1) for size in given
        )
        self.activation = activations.get(activation)
        self.bias_axes = None if bias_axes is None else checks.text("EinsumDense", "bias_axes", bias_axes)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias = None

    def build(self, input_shape):
        kernel, bias = self._shapes(tuple(input_shape))
        self.kernel = self.add_weight(
            kernel, self.kernel_initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
            name="kernel",
        )  # fmt: skip
        if bias is not None:
            self.bias = self.add_weight(
                bias, self.bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint,
                name="bias",
            )  # fmt: skip

    def _shapes(self, input_shape) -> tuple[tuple, tuple | None]:
        """Of kernel and bias."""
        given, arrow, result = self.equation.replace(" ", "").partition("->")
        terms = given.split(",")
        if not arrow or len(terms) != 2 or "." in terms[1]:
            raise invalid(
                "EinsumDense expects an equation of the input and the kernel, such as 'abc,cd->abd'.",
                equation=self.equation,
            )
        further = len(input_shape) - len(terms[0].replace("...", ""))
        dots = [f".{i}" for i in range(further)] if "..." in terms[0] else []
        x, y = (self._letters(term, dots) for term in (terms[0], result))
        sizes = dict(zip(x, input_shape, strict=True)) if len(x) == len(input_shape) else None
        if sizes is None or not {*y, *terms[1]} >= {*terms[1]}:
            raise invalid("EinsumDense expects a letter for each axis of its input.", equation=self.equation,
                          shape=input_shape)  # fmt: skip
        wanted = self.partial_output_shape
        for letter, size in zip(y[len(y) - len(wanted) :], wanted, strict=True):
            if size is not None and sizes.setdefault(letter, size) not in (size, None):
                raise invalid("EinsumDense: an axis of the output has another size than in the input.",
                              output_shape=wanted, shape=input_shape)  # fmt: skip
        kernel = tuple(sizes.get(letter) for letter in terms[1])
        if None in kernel:
            raise invalid("EinsumDense can't tell the kernel's sizes from its input and output_shape.",
                          equation=self.equation, kernel=kernel)  # fmt: skip
        if self.bias_axes is None:
            return kernel, None
        if not set(self.bias_axes) <= set(y):
            raise invalid("EinsumDense expects bias_axes to be letters of the output.", bias_axes=self.bias_axes)
        places = [i for i, letter in enumerate(y) if letter in self.bias_axes]
        bias = tuple(sizes[y[i]] if i in places else 1 for i in range(places[0], len(y)))
        if None in bias:
            raise invalid("A bias has no axis of unknown size.", bias_axes=self.bias_axes)
        return kernel, bias

    @staticmethod
    def _letters(term: str, dots: list) -> list[str]:
        before, found, after = term.partition("...")
        return [*before, *(dots if found else []), *after]

    def call(self, inputs):
        y = ops.einsum(self.equation, inputs, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)

    def get_config(self):
        return {
            **super().get_config(),
            "equation": self.equation,
            "output_shape": list(self.partial_output_shape),
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
