"""Recurrent layers: RNN over any cell, SimpleRNN, LSTM, GRU, Bidirectional, TimeDistributed."""

import contextlib
import inspect

import numpy as np

from .. import ops
from .._structures import flatten, mapped, packed
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import require_rank
from . import _recurrent
from .base import Layer, deserialize, serialize
from .core import Dense
from .rnn_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells, _Cell

_SEQUENCE = "(batch, steps, features)"


class RNN(Layer):
    """A cell applied to one step of a sequence after the other: a loop in the step, whatever the length.

    Input (batch, steps, ...); output (batch, units), or (batch, steps, units) with return_sequences; with return_state
    a list of it and the last states.

    Arguments:
        cell: a layer with ``state_size``, a size or a list of sizes, and ``call(inputs, states)``, which returns an
            output and the new states; or a list of such cells.
        return_sequences: whether the outputs of all steps are returned.
        return_state: whether the last states are returned, too.
        go_backwards: from the last step to the first; the outputs are then in that order.
        stateful: accepted for Keras's sake; must be False: pass the states on as ``initial_state``.
        unroll: accepted for Keras's sake: the loop is one in either case.
        zero_output_for_mask: the output of masked steps is 0 instead of that of the step before.
    """

    example = {"arguments": {"cell": SimpleRNNCell(3, "softsign"), "return_sequences": True}, "input_shape": (4, 2)}

    def __init__(
        self, cell, return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
        zero_output_for_mask=False, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.cell = StackedRNNCells(cell) if isinstance(cell, list | tuple) else cell
        if not hasattr(self.cell, "state_size"):
            raise invalid(f"{kind} expects a cell with a state_size.", cell=cell)
        self.return_sequences = checks.boolean(kind, "return_sequences", return_sequences)
        self.return_state = checks.boolean(kind, "return_state", return_state)
        self.go_backwards = checks.boolean(kind, "go_backwards", go_backwards)
        if stateful:
            raise invalid(f"{kind} keeps no state between calls: pass initial_state.", stateful=stateful)
        self.unroll = checks.boolean(kind, "unroll", unroll)
        self.zero_output_for_mask = checks.boolean(kind, "zero_output_for_mask", zero_output_for_mask)
        self._keeps_order = False  # whether the outputs of go_backwards stay in the order of the inputs

    @property
    def state_size(self):
        return self.cell.state_size

    def build(self, input_shape):
        if len(input_shape) < 3:
            raise ValueError(f"{type(self).__name__} expects an input {_SEQUENCE}. Received: shape={input_shape}")
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if len(sequences.shape) < 3:
            require_rank(type(self).__name__, sequences, 3, _SEQUENCE)
        sizes = self.cell.state_size
        sizes = sizes if isinstance(sizes, list | tuple) else [sizes]
        states = self._initial(sizes, initial_state)
        # of jitnet's cells the output is the first state
        remembered = mask is not None or not (self.return_sequences or isinstance(self.cell, _Cell))
        xs, carry = {"x": sequences}, {"states": states}
        if mask is not None:
            if mask.ndim != 2 or mask.shape[1] != sequences.shape[1]:
                raise invalid(
                    f"A mask of {type(self).__name__} is (batch, steps), of {sequences.shape[1]} steps.",
                    mask=mask.shape,
                )
            xs["mask"] = ops.reshape(ops.cast(mask, sequences.dtype), (-1, mask.shape[1], 1))
        if isinstance(self, _OfOneCell) and _recurrent.has_kernel(self.cell, sequences, initial_state, training):
            return self._by_kernel(sequences, initial_state, xs.get("mask"), training)
        if remembered:
            carry["output"] = np.zeros(_output_size(self.cell))

        def turn(carry, step):
            output, new = self.cell(step["x"], carry["states"], training=training)
            new = list(new) if isinstance(new, list | tuple) else [new]
            if mask is not None:
                kept = 1.0 - step["mask"]
                old = flatten(carry["states"])
                mixed = [step["mask"] * n + kept * o for n, o in zip(flatten(new), old, strict=True)]
                new = packed(new, mixed)
                before = 0.0 if self.zero_output_for_mask else kept * carry["output"]
                shown = step["mask"] * output + before
                output = step["mask"] * output + kept * carry["output"]
            else:
                shown = output
            carry = {"states": packed(carry["states"], flatten(new))}
            if remembered:
                carry["output"] = output
            return carry, shown if self.return_sequences else None

        first = ops.slice_axis(sequences, 1, 0, 1)
        with contextlib.ExitStack() as stack:
            for cell in _cells(self.cell):
                stack.enter_context(
                    cell.holding_masks(ops.reshape(first, (-1, int(np.prod(first.shape[1:])))), training)
                )
            last, outputs = ops.scan(turn, carry, xs, reverse=self.go_backwards)
        if not self.return_sequences:
            outputs = last["output"] if remembered else flatten(last["states"])[0]
        elif self.go_backwards and not self._keeps_order:
            outputs = ops.flip(outputs, axis=1)
        return [outputs, *last["states"]] if self.return_state else outputs

    def _by_kernel(self, sequences, initial_state, mask, training):
        outputs, last, states = _recurrent.run(self.cell, sequences, initial_state, mask, self.go_backwards, training)
        if self.return_sequences:
            last = outputs if mask is None or not self.zero_output_for_mask else mask * outputs
            last = ops.flip(last, axis=1) if self.go_backwards and not self._keeps_order else last
        return [last, *states] if self.return_state else last

    def _initial(self, sizes, given):
        if given is None:
            return mapped(lambda size: np.zeros(size), list(sizes))
        leaves = flatten(given)
        if len(leaves) != len(flatten(sizes)):
            raise invalid(f"{type(self).__name__} has {len(flatten(sizes))} states.", initial_state=len(leaves))
        return packed(list(sizes), leaves)

    def get_config(self):
        return {**super().get_config(), "cell": serialize(self.cell), **self._own_config()}

    def _own_config(self) -> dict:
        names = ("return_sequences", "return_state", "go_backwards", "unroll", "zero_output_for_mask")
        return {name: getattr(self, name) for name in names} | {"stateful": False}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "cell": deserialize(config["cell"])})


def _output_size(cell) -> int:
    return getattr(cell, "output_size", None) or flatten(cell.state_size)[0]


def _cells(cell) -> list:
    """The cells of jitnet in a cell."""
    if isinstance(cell, StackedRNNCells):
        return [found for part in cell.cells for found in _cells(part)]
    return [cell] if isinstance(cell, _Cell) else []


class _OfOneCell(RNN):
    """A recurrent layer that makes its own cell, whose arguments are its own, too."""

    def __init__(
        self, cell, return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask, **kwargs
    ):
        for_rnn = (return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)
        super().__init__(cell, *for_rnn, **kwargs)
        cell.name = f"{self.name}_cell"
        self.units = cell.units

    def get_config(self):
        of_cell = {k: v for k, v in self.cell.get_config().items() if k not in ("name", "trainable", "dtype")}
        own = {"use_cudnn": self.use_cudnn} if hasattr(self, "use_cudnn") else {}
        return {**Layer.get_config(self), **of_cell, **self._own_config(), **own}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _arguments(given: dict, cell: type) -> dict:
    """Those of a constructor's arguments that a cell takes."""
    known = inspect.signature(cell.__init__).parameters.keys() - {"self", "kwargs"}
    return {name: value for name, value in given.items() if name in known}


class SimpleRNN(_OfOneCell):
    """h = activation(x @ kernel + h @ recurrent_kernel + bias), step after step (Elman 1990).

    Input (batch, steps, features), output as of RNN; weights: kernel (features, units), recurrent_kernel
    (units, units), bias (units,).

    Arguments:
        units: size of the state and of the output.
        activation: a name, a function, or None for none.
        use_bias: whether to add a bias.
        kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, recurrent_constraint, bias_constraint: as in
            Dense.
        dropout, recurrent_dropout: fractions of the inputs and of the states that are dropped in training, the same
            ones in all steps (Gal and Ghahramani 2016).
        seed: of the dropout; an int, or None for the global seed.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as in RNN.
    """

    example = {"arguments": {"units": 3, "return_sequences": True}, "input_shape": (4, 2)}

    def __init__(
        self, units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
        recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
        recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, return_sequences=False,
        return_state=False, go_backwards=False, stateful=False, unroll=False, seed=None, *, zero_output_for_mask=False,
        **kwargs,
    ):  # fmt: skip
        cell = SimpleRNNCell(**_arguments(locals(), SimpleRNNCell))
        for_rnn = (return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)
        super().__init__(cell, *for_rnn, activity_regularizer=activity_regularizer, **kwargs)


class LSTM(_OfOneCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997): the equations stand at LSTMCell.

    Input (batch, steps, features), output as of RNN; weights: kernel (features, 4 units), recurrent_kernel
    (units, 4 units), bias (4 units,), with columns of the gates i, f, c, o.

    Arguments:
        units: size of the states and of the output.
        activation, recurrent_activation: of the new values, and of the gates.
        unit_forget_bias: whether the forget gate's bias begins with 1 (Jozefowicz et al. 2015).
        use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed: as in SimpleRNN.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as in RNN.
        use_cudnn: accepted for Keras's sake.
    """

    example = {"arguments": {"units": 3}, "input_shape": (4, 2)}

    def __init__(
        self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
        kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
        unit_forget_bias=True, kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None,
        activity_regularizer=None, kernel_constraint=None, recurrent_constraint=None, bias_constraint=None,
        dropout=0.0, recurrent_dropout=0.0, seed=None,
        return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
        use_cudnn="auto", *, zero_output_for_mask=False, **kwargs,
    ):  # fmt: skip
        cell = LSTMCell(**_arguments(locals(), LSTMCell))
        self.use_cudnn = checks.one_of("LSTM", "use_cudnn", use_cudnn, ("auto", True, False))
        for_rnn = (return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)
        super().__init__(cell, *for_rnn, activity_regularizer=activity_regularizer, **kwargs)


class GRU(_OfOneCell):
    """Gated recurrent units (Cho et al. 2014): the equations stand at GRUCell.

    Input (batch, steps, features), output as of RNN; weights: kernel (features, 3 units), recurrent_kernel
    (units, 3 units), bias (2, 3 units), without reset_after (3 units,), with columns of z, r and the new state.

    Arguments:
        units: size of the state and of the output.
        activation, recurrent_activation: of the new values, and of the gates.
        reset_after: whether r is applied after the product with the state, as cuDNN has it, or before.
        use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed: as in SimpleRNN.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as in RNN.
        use_cudnn: accepted for Keras's sake.
    """

    example = {"arguments": {"units": 3}, "input_shape": (4, 2)}

    def __init__(
        self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
        kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
        kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None,
        return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
        reset_after=True, use_cudnn="auto", *, zero_output_for_mask=False, **kwargs,
    ):  # fmt: skip
        cell = GRUCell(**_arguments(locals(), GRUCell))
        self.use_cudnn = checks.one_of("GRU", "use_cudnn", use_cudnn, ("auto", True, False))
        for_rnn = (return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask)
        super().__init__(cell, *for_rnn, activity_regularizer=activity_regularizer, **kwargs)


_MERGES = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1), "sum": ops.add, "mul": ops.multiply,
    "ave": lambda a, b: 0.5 * (a + b), None: lambda a, b: [a, b],
}  # fmt: skip


class Bidirectional(Layer):
    """A recurrent layer from the first step on, and one from the last (Schuster and Paliwal 1997).

    Arguments:
        layer: a recurrent layer.
        merge_mode: how their outputs are joined, "concat", "sum", "mul" or "ave"; None: a list of both.
        weights: accepted for Keras's sake; must be None: call set_weights.
        backward_layer: the other one, with go_backwards; None: one like ``layer``.
    """

    example = {"arguments": {"layer": LSTM(2, return_sequences=True)}, "input_shape": (4, 3)}

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        if not isinstance(layer, RNN):
            raise invalid("Bidirectional expects a recurrent layer.", layer=layer)
        if weights is not None:
            raise invalid("Bidirectional takes no weights: call set_weights when it is built.", weights=weights)
        super().__init__(**kwargs)
        self.merge_mode = checks.one_of("Bidirectional", "merge_mode", merge_mode, _MERGES)
        config = layer.get_config()
        first = layer.name if layer.name.startswith("forward_") else f"forward_{layer.name}"
        self.forward_layer = type(layer).from_config({**config, "name": first})
        if backward_layer is None:
            other = {**config, "name": f"backward_{layer.name}", "go_backwards": not layer.go_backwards}
            backward_layer = type(layer).from_config(other)
        if not isinstance(backward_layer, RNN) or backward_layer.go_backwards == layer.go_backwards:
            raise invalid(
                "Bidirectional expects a backward_layer that goes the other way.", backward_layer=backward_layer
            )
        if (backward_layer.return_sequences, backward_layer.return_state) != (
            layer.return_sequences,
            layer.return_state,
        ):
            raise invalid(
                "Bidirectional expects layers that return the same: return_sequences, return_state.",
                backward_layer=backward_layer,
            )
        self.backward_layer = backward_layer
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.forward_layer._keeps_order = self.backward_layer._keeps_order = True

    def call(self, sequences, initial_state=None, mask=None, training=False):
        given = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            given = [initial_state[:half], initial_state[half:]]
        parts = [
            flatten([layer(sequences, initial_state=state, mask=mask, training=training)])
            for layer, state in zip((self.forward_layer, self.backward_layer), given, strict=True)
        ]
        merged = _MERGES[self.merge_mode](parts[0][0], parts[1][0])
        states = [*parts[0][1:], *parts[1][1:]]
        return flatten([merged]) + states if states else merged

    def get_config(self):
        return {
            **super().get_config(), "layer": serialize(self.forward_layer), "merge_mode": self.merge_mode,
            "weights": None, "backward_layer": serialize(self.backward_layer),
        }  # fmt: skip

    @classmethod
    def from_config(cls, config):
        layers = {name: deserialize(config[name]) for name in ("layer", "backward_layer")}
        return cls(**{**config, **layers})


class TimeDistributed(Layer):
    """A layer applied to every step of a sequence by itself, with the same weights.

    Input (batch, steps, ...), output (batch, steps, ...).

    Arguments:
        layer: what is applied to (batch, ...); neither a recurrent layer, nor one that needs the whole batch, as
            BatchNormalization does.
    """

    example = {"arguments": {"layer": Dense(2)}, "input_shape": (3, 4)}

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise invalid("TimeDistributed expects a layer.", layer=layer)
        self.layer = layer

    def call(self, inputs, training=False):
        if len(inputs.shape) < 3:
            raise ValueError(f"TimeDistributed expects an input (batch, steps, ...). Received: shape={inputs.shape}")

        def turn(carry, step):
            return carry, self.layer(step, training=training)

        return ops.scan(turn, np.zeros(1), inputs)[1]

    def get_config(self):
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layer": deserialize(config["layer"])})
