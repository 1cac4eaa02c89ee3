"""EinsumDense."""

import re

from .. import activations, constraints, initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from ..core.operations.dense import Matmul
from ._quantized import floats
from .base import Layer

_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class EinsumDense(Layer):
    """activation(einsum(equation, inputs, kernel) + bias).

    Weights: kernel, whose axes are the letters of the equation's second part; bias, whose axes are those of the result
    from the first of ``bias_axes`` on, of size 1 where they are none of these.

    Arguments:
        equation: of inputs and kernel, as "abc,cde->abde", whose first letter is the batch; the input and the result
            may begin or end with "...".
        output_shape: an int or sizes, of the result without the batch and without what "..." stands for; None where
            the input has the axis.
        activation: a name, a function, or None for none.
        bias_axes: the letters of the result along which there are biases; None: no bias.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint: names or objects.
        lora_rank, lora_alpha, gptq_unpacked_column_size, quantization_config: None.
    """

    supports_masking = True
    quantized_weight = "kernel"
    example = {
        "arguments": {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"},
        "input_shape": (4, 5),
    }

    def __init__(
        self, equation, output_shape, activation=None, bias_axes=None, kernel_initializer="glorot_uniform",
        bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None,
        bias_constraint=None, lora_rank=None, lora_alpha=None, gptq_unpacked_column_size=None,
        quantization_config=None, **kwargs,
    ):  # fmt: skip
        refused = {
            "lora_rank": lora_rank, "lora_alpha": lora_alpha, "gptq_unpacked_column_size": gptq_unpacked_column_size,
            "quantization_config": quantization_config,
        }  # fmt: skip
        for name, value in refused.items():
            if value is not None:
                raise invalid(f"EinsumDense has no {name}: it is None.", **{name: value})
        super().__init__(**kwargs)
        self.equation = checks.text("EinsumDense", "equation", equation)
        if isinstance(output_shape, int):
            output_shape = (output_shape,)
        self.output_shape = tuple(
            None if size is None else checks.integer("EinsumDense", "output_shape", size, least=1)
            for size in output_shape
        )
        self.bias_axes = None if bias_axes is None else checks.text("EinsumDense", "bias_axes", bias_axes)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias = None
        found = _EQUATION.fullmatch(self.equation.replace(" ", ""))
        dots = [bool(found and found[group]) for group in (1, 3, 5, 7)]
        if found is None or dots[:2] != dots[2:] or all(dots[:2]):
            raise invalid(
                "EinsumDense expects an equation as 'abc,cd->abd', of which the first and the last part may begin or "
                "end with '...'.",
                equation=equation,
            )
        self._left, self._right = dots[:2]
        self._input, self._kernel, self._output = found[2], found[4], found[6]
        lost = set(self._kernel) - set(self._input + self._output)
        unknown = set(self._output) - set(self._input + self._kernel)
        if lost or unknown:
            raise invalid(
                "EinsumDense expects each letter of the kernel in the input or the result, and each of the result in "
                "one of the others.",
                equation=equation,
            )
        if self.bias_axes is not None and not 0 < len(self.bias_axes) == len(set(self.bias_axes) & set(self._output)):
            raise invalid("EinsumDense expects bias_axes to be letters of the result.", bias_axes=bias_axes)

    def build(self, input_shape):
        sizes = self._sizes(input_shape)
        shape = tuple(sizes[letter] for letter in self._kernel)
        initializer = self.kernel_initializer
        if isinstance(initializer, initializers.VarianceScaling) and initializer.input_axes is None:
            made = [letter in self._output for letter in self._kernel]
            axes = {"input_axes": [i for i, m in enumerate(made) if not m], "output_axes": []}
            axes["output_axes"] = [i for i, m in enumerate(made) if m]
            initializer = type(initializer).from_config({**initializer.get_config(), **axes})
        self.kernel = self.add_weight(
            shape, initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint, name="kernel"
        )
        if self.bias_axes is not None:
            first = min(self._output.index(letter) for letter in self.bias_axes)
            own = [sizes[letter] if letter in self.bias_axes else 1 for letter in self._output[first:]]
            own += [1] * ((len(input_shape) - len(self._input)) if self._right else 0)
            self.bias = self.add_weight(
                tuple(own), self.bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint,
                name="bias",
            )  # fmt: skip

    def _sizes(self, input_shape) -> dict:
        """{letter: size} for an input of this shape."""
        further = len(input_shape) - len(self._input)
        if further < 0 or (further and not (self._left or self._right)):
            raise invalid(
                f"EinsumDense expects an input with an axis for each letter of {self.equation!r}.",
                shape=tuple(input_shape),
            )
        start = further if self._left else 0
        sizes = dict(zip(self._input, input_shape[start:], strict=False))
        # what "..." stands for begins with the batch
        own = self._output if self._left and further else self._output[1:]
        if len(self.output_shape) != len(own):
            raise invalid(f"EinsumDense expects output_shape to have {len(own)} sizes.", output_shape=self.output_shape)
        for letter, size in zip(own, self.output_shape, strict=True):
            known = sizes.get(letter, size)
            if known is None and letter in self._kernel:
                raise invalid(f"EinsumDense needs the size of the axis {letter!r}.", output_shape=self.output_shape)
            if size not in (None, known):
                raise invalid(
                    f"EinsumDense expects the size {known} of the input for the axis {letter!r}.",
                    output_shape=self.output_shape,
                )
            sizes[letter] = known
        return sizes

    def quantized_axes(self):
        """The kernel's axes that have one scale together."""
        return tuple(axis for axis, letter in enumerate(self._kernel) if letter not in self._output)

    def call(self, inputs):
        shared = [letter for letter in self._input if letter in self._kernel]
        made = [letter for letter in self._output if letter not in self._input]
        kept = [letter for letter in self._input if letter in self._output]
        plain = (
            not self._right
            and list(self._input) == kept + shared
            and list(self._kernel) == shared + made
            and list(self._output) == kept + made
            and self.bias_axes in (None, "".join(made))
        )
        if plain:  # rows times a matrix, with the bias in the product's epilogue
            y = Matmul(len(shared))(inputs, floats(self))
            return self.activation(y if self.bias is None else ops.bias_add(y, self.bias))
        y = ops.einsum(self.equation, inputs, floats(self))
        return self.activation(y if self.bias is None else ops.add(y, self.bias))

    def get_config(self):
        return {
            **super().get_config(),
            "equation": self.equation,
            "output_shape": self.output_shape,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "lora_rank": None,
            "lora_alpha": None,
            "gptq_unpacked_column_size": None,
            "quantization_config": None,
        }
