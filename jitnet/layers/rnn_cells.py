"""What a recurrent layer does in one step: SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells."""

import contextlib

import numpy as np

from .. import _seed, activations, constraints, initializers, ops, regularizers
from .._structures import flatten
from ..core import checks
from ..core.errors import invalid
from ..core.operations.random import Dropout
from .base import Layer, deserialize, serialize

_OWN = ("kernel", "recurrent", "bias")


class _Cell(Layer):
    """A cell with gates: kernel (features, gates x units), recurrent_kernel (units, gates x units), bias.

    options: ``kernel_initializer``, ``recurrent_regularizer`` and so on, as of Dense.
    """

    gates = 1

    def __init__(self, units, activation, use_bias, dropout, recurrent_dropout, seed, options, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.units = self.state_size = self.output_size = checks.integer(kind, "units", units, least=1)
        self.activation = activations.get(activation)
        self.use_bias = checks.boolean(kind, "use_bias", use_bias)
        for name in _OWN:
            setattr(self, f"{name}_initializer", initializers.get(options[f"{name}_initializer"]))
            setattr(self, f"{name}_regularizer", regularizers.get(options[f"{name}_regularizer"]))
            setattr(self, f"{name}_constraint", constraints.get(options[f"{name}_constraint"]))
        self.dropout = checks.number(kind, "dropout", dropout, least=0, below=1)
        self.recurrent_dropout = checks.number(kind, "recurrent_dropout", recurrent_dropout, least=0, below=1)
        self.seed = None if seed is None else _seed.checked_seed(seed)
        self._streams = (0, 1) if seed is not None else (_seed.next_stream(), _seed.next_stream())
        self.bias = self._held = None

    def build(self, input_shape):
        width = self.gates * self.units
        self.kernel = self._weight("kernel", "kernel", (input_shape[-1], width))
        self.recurrent_kernel = self._weight("recurrent_kernel", "recurrent", (self.units, width))
        if self.use_bias:
            self.bias = self._weight("bias", "bias", self._bias_shape(width))
            self._prepare_bias()

    def _weight(self, name: str, kind: str, shape):
        return self.add_weight(
            shape, getattr(self, f"{kind}_initializer"), regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"), name=name,
        )  # fmt: skip

    def _bias_shape(self, width: int) -> tuple:
        return (width,)

    def _prepare_bias(self) -> None:
        pass

    def _gate(self, x, number: int):
        """The columns of one gate."""
        return ops.slice_axis(x, x.ndim - 1, number * self.units, (number + 1) * self.units)

    def masks(self, x, training: bool) -> list:
        """What inputs and states are multiplied by in all steps of a sequence, 1 / (1 - rate) or 0; None for nothing.

        x: (batch, ...), of which only the batch matters.
        """
        rates, widths = (self.dropout, self.recurrent_dropout), self.recurrent_kernel.shape[:1]
        found = []
        for rate, width, stream in zip(rates, (*self.kernel.shape[:1], *widths), self._streams, strict=True):
            if not training or not rate:
                found.append(None)
                continue
            ones = ops.add(0.0 * ops.sum(x, axis=-1, keepdims=True), np.ones((1, width), x.dtype))
            found.append(Dropout(rate, self.seed, stream)(ones))
        return found

    @contextlib.contextmanager
    def holding_masks(self, x, training: bool):
        """Within it, every call has the same masks."""
        self._held = self.masks(x, training)
        try:
            yield
        finally:
            self._held = None

    def call(self, inputs, states, training=False):
        for_inputs, for_states = self._held or self.masks(inputs, training)
        states = list(states) if isinstance(states, list | tuple) else [states]
        if len(states) != len(flatten(self.state_size)):
            raise invalid(f"{type(self).__name__} has {len(flatten(self.state_size))} states.", states=len(states))
        x = inputs if for_inputs is None else inputs * for_inputs
        h = states[0] if for_states is None else states[0] * for_states
        new = self._step(x, h, states)
        return new[0], new

    def get_config(self):
        config = {
            **super().get_config(), "units": self.units, "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias, "dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }  # fmt: skip
        for name in _OWN:
            config[f"{name}_initializer"] = initializers.serialize(getattr(self, f"{name}_initializer"))
            config[f"{name}_regularizer"] = regularizers.serialize(getattr(self, f"{name}_regularizer"))
            config[f"{name}_constraint"] = constraints.serialize(getattr(self, f"{name}_constraint"))
        return config


class SimpleRNNCell(_Cell):
    """h = activation(x @ kernel + h @ recurrent_kernel + bias): one step of SimpleRNN (Elman 1990).

    Called with (batch, features) and the states, it returns the output (batch, units) and the new states.

    Arguments: as of SimpleRNN.
    """

    def __init__(
        self, units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
        recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
        bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, **kwargs,
    ):  # fmt: skip
        options = {name: value for name, value in locals().items() if name.partition("_")[0] in _OWN}
        super().__init__(units, activation, use_bias, dropout, recurrent_dropout, seed, options, **kwargs)

    def _step(self, x, h, states):
        z = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel)
        return [self.activation(z if self.bias is None else ops.bias_add(z, self.bias))]


class LSTMCell(_Cell):
    """One step of LSTM (Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000).

    i, f, o = recurrent_activation(z_i), ...(z_f), ...(z_o) of z = x @ kernel + h @ recurrent_kernel + bias, whose
    columns are those of i, f, c, o; c = f * c + i * activation(z_c); h = o * activation(c).

    Called with (batch, features) and the states [h, c], it returns the output (batch, units) and the new states.

    Arguments: as of LSTM.
    """

    gates = 4

    def __init__(
        self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
        kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
        unit_forget_bias=True, kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None,
        kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0,
        seed=None, **kwargs,
    ):  # fmt: skip
        options = {name: value for name, value in locals().items() if name.partition("_")[0] in _OWN}
        super().__init__(units, activation, use_bias, dropout, recurrent_dropout, seed, options, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = checks.boolean("LSTMCell", "unit_forget_bias", unit_forget_bias)
        self.state_size = [self.units, self.units]

    def _prepare_bias(self):
        if self.unit_forget_bias:
            value = self.bias.numpy()
            value[self.units : 2 * self.units] = 1
            self.bias.assign(value)

    def _step(self, x, h, states):
        z = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel)
        z = z if self.bias is None else ops.bias_add(z, self.bias)
        i, f, o = (self.recurrent_activation(self._gate(z, gate)) for gate in (0, 1, 3))
        c = f * states[1] + i * self.activation(self._gate(z, 2))
        return [o * self.activation(c), c]

    def get_config(self):
        own = {"unit_forget_bias": self.unit_forget_bias}
        return {**super().get_config(), "recurrent_activation": activations.serialize(self.recurrent_activation), **own}


class GRUCell(_Cell):
    """One step of GRU (Cho et al. 2014), with columns of z, r and the new state h'.

    h = z * h + (1 - z) * activation(x_h + r * (h @ recurrent_kernel)_h): reset_after, as cuDNN has it; without it
    the new state is made of (r * h) @ recurrent_kernel_h, as in the paper.

    Called with (batch, features) and the state, it returns the output (batch, units) and the new states.

    Arguments: as of GRU.
    """

    gates = 3

    def __init__(
        self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
        kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
        kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None,
        recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, reset_after=True,
        seed=None, **kwargs,
    ):  # fmt: skip
        options = {name: value for name, value in locals().items() if name.partition("_")[0] in _OWN}
        super().__init__(units, activation, use_bias, dropout, recurrent_dropout, seed, options, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = checks.boolean("GRUCell", "reset_after", reset_after)

    def _bias_shape(self, width):
        return (2, width) if self.reset_after else (width,)

    def _step(self, x, h, states):
        of_x = ops.matmul(x, self.kernel)
        if self.reset_after:
            of_h = ops.matmul(h, self.recurrent_kernel)
            if self.bias is not None:
                of_x = ops.bias_add(of_x, self._bias_row(0))
                of_h = ops.bias_add(of_h, self._bias_row(1))
            z, r = (self.recurrent_activation(self._gate(of_x, g) + self._gate(of_h, g)) for g in (0, 1))
            new = self.activation(self._gate(of_x, 2) + r * self._gate(of_h, 2))
        else:
            if self.bias is not None:
                of_x = ops.bias_add(of_x, self.bias)
            kernel, units = self.recurrent_kernel, self.units
            of_h = ops.matmul(h, ops.slice_axis(kernel, 1, 0, 2 * units))
            z, r = (self.recurrent_activation(self._gate(of_x, g) + self._gate(of_h, g)) for g in (0, 1))
            new = self._gate(of_x, 2) + ops.matmul(r * h, ops.slice_axis(kernel, 1, 2 * units, 3 * units))
            new = self.activation(new)
        return [z * states[0] + (1.0 - z) * new]

    def _bias_row(self, row: int):
        """The bias of the inputs' product (0) or of the states' (1)."""
        return ops.reshape(ops.slice_axis(self.bias, 0, row, row + 1), (self.gates * self.units,))

    def get_config(self):
        own = {"reset_after": self.reset_after}
        return {**super().get_config(), "recurrent_activation": activations.serialize(self.recurrent_activation), **own}


class StackedRNNCells(Layer):
    """Several cells as one: each takes what the one before it returns; the states of all, one after the other.

    Arguments:
        cells: a list of cells.
    """

    def __init__(self, cells, **kwargs):
        super().__init__(**kwargs)
        self.cells = list(cells)
        if not self.cells or not all(hasattr(cell, "state_size") for cell in self.cells):
            raise invalid("StackedRNNCells expects cells with a state_size.", cells=cells)

    @property
    def state_size(self) -> list:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return getattr(self.cells[-1], "output_size", flatten(self.cells[-1].state_size)[0])

    def build(self, input_shape):
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (None, getattr(cell, "output_size", flatten(cell.state_size)[0]))

    def call(self, inputs, states, training=False):
        new = []
        for cell, own in zip(self.cells, states, strict=True):
            inputs, of_cell = cell(inputs, own if isinstance(own, list | tuple) else [own], training=training)
            new.append(of_cell)
        return inputs, new

    def get_config(self):
        return {**super().get_config(), "cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config):
        cells = [deserialize(cell) for cell in config["cells"]]
        return cls(**{**config, "cells": cells})
