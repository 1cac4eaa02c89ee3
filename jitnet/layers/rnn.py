"""Recurrent layers: RNN over any cell, SimpleRNN, LSTM, GRU, Bidirectional, TimeDistributed."""

import contextlib
import inspect

import numpy as np

from .. import ops
from .._structures import flatten, mapped, packed
from ..core import checks, trace
from ..core.errors import invalid
from ..core.operations.base import display, require_rank
from ..core.operations.effects import AssignedRows, Rows
from ..core.values import SymbolicTensor, Variable
from . import _recurrent
from .base import Layer, check_mask, deserialize, serialize
from .core import Dense
from .input import InputLayer
from .normalization import BatchNormalization
from .rnn_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells, _Cell

_SEQUENCE = "(batch, steps, features)"


class RNN(Layer):
    """A cell applied to one step of a sequence after the other: a loop in the step, whatever the length.

    Input (batch, steps, ...); output (batch, units), or (batch, steps, units) with return_sequences; with return_state
    a list of it and the last states.

    Called with ``initial_state``, a tensor or a list of them (batch, size), and ``mask`` (batch, steps): where it is 0
    states stay as they are, and the output is that of the step before.  The input's own mask is taken without being
    given, but, as in Keras, not beside an initial_state.

    Arguments:
        cell: a layer with ``state_size``, a size or a list of sizes, and ``call(inputs, states)``, which returns an
            output and the new states; or a list of such cells.
        return_sequences: whether the outputs of all steps are returned.
        return_state: whether the last states are returned, too.
        go_backwards: from the last step to the first; the outputs are then in that order.
        stateful: whether the states after a batch are those that the next one starts from, sample by sample, until
            ``reset_states()``; the batch size must be known, as of ``Input(shape, batch_size=4)``.
        unroll: accepted for Keras's sake: the loop is one in either case.
        zero_output_for_mask: the output of masked steps is 0 instead of that of the step before.
    """

    example = {
        "arguments": {"cell": SimpleRNNCell(3, "softsign", seed=0), "return_sequences": True}, "input_shape": (4, 2),
    }  # fmt: skip

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
        self.stateful = checks.boolean(kind, "stateful", stateful)
        self.states = None  # variables (batch, size), in the structure of ``state_size``
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
        states = self._initial(sizes, initial_state, sequences)
        counts = None if mask is None else self._counts(mask, sequences)
        from_zero = initial_state is None and not self.stateful
        if isinstance(self, _OfOneCell) and _recurrent.has_kernel(self.cell, sequences, states, from_zero, training):
            outputs, last = _recurrent.run(self, sequences, None if from_zero else states, counts, training)
        else:
            outputs, last = self._by_loop(sequences, states, counts, from_zero, training)
        if self.return_sequences and self.go_backwards and not self._keeps_order:
            outputs = ops.flip(outputs, axis=1)
        returned = [outputs, *flatten(last)]
        if self.stateful:
            returned = AssignedRows(len(returned))(*returned, *returned[1:], *flatten(self.states))
        outputs, *states = returned
        return [outputs, *packed(last, states)] if self.return_state else outputs

    def _by_loop(self, sequences, states, counts, from_zero: bool, training):
        """The outputs, of all steps or of the last one, and the last states."""
        # of jitnet's cells the output is the first state, also in a masked step, if both begin alike
        is_state = isinstance(self.cell, _Cell) and (counts is None or (from_zero and not self.zero_output_for_mask))
        remembers = counts is not None and not self.zero_output_for_mask  # what masked steps show
        remembered = not is_state and (remembers or not self.return_sequences)
        xs, carry = {"x": sequences}, {"states": states}
        if counts is not None:
            xs["counts"] = counts
        if remembered:
            carry["output"] = np.zeros(_output_size(self.cell))

        def turn(carry, step):
            output, new = self.cell(step["x"], carry["states"], training=training)
            new = flatten([new])
            if counts is not None:
                old = flatten(carry["states"])
                new = [ops.where(step["counts"], n, o) for n, o in zip(new, old, strict=True)]
                before = carry["output"] if remembered and not self.zero_output_for_mask else 0.0
                output = new[0] if is_state else ops.where(step["counts"], output, before)
            carry = {"states": packed(carry["states"], new)}
            if remembered:
                carry["output"] = output
            return carry, output if self.return_sequences else None

        first = ops.slice_axis(sequences, 1, 0, 1)
        with contextlib.ExitStack() as stack:
            for cell in _cells(self.cell):
                stack.enter_context(
                    cell.holding_masks(ops.reshape(first, (-1, int(np.prod(first.shape[1:])))), training)
                )
            last, outputs = ops.scan(turn, carry, xs, reverse=self.go_backwards)
        if not self.return_sequences:
            outputs = last["output"] if remembered else flatten(last["states"])[0]
        return outputs, last["states"]

    def compute_mask(self, inputs, mask):
        """That of the input, of the outputs of all steps; the states have none."""
        own = flatten(mask)[0] if self.return_sequences else None
        return [own, *(None for _ in flatten(self.state_size))] if self.return_state else own

    def _counts(self, mask, sequences):
        """A mask as (batch, steps, 1)."""
        if mask.ndim != 3 or mask.shape[2] != 1:
            check_mask(self, mask, sequences)
        return ops.reshape(ops.not_equal(mask, 0), (-1, sequences.shape[1], 1))

    def _initial(self, sizes, given, sequences):
        """The states before the first step."""
        if self.stateful:
            self._make_states(sizes, sequences)
        if given is None:
            if self.stateful:
                return mapped(lambda state: Rows()(state), self.states)
            return mapped(lambda size: np.zeros(size), list(sizes))
        leaves, wanted = flatten(given), flatten(sizes)
        if len(leaves) != len(wanted):
            raise invalid(f"{type(self).__name__} has {len(wanted)} states.", initial_state=len(leaves))
        for number, (leaf, size) in enumerate(zip(leaves, wanted, strict=True)):
            shape = tuple(np.shape(leaf) if not hasattr(leaf, "shape") else leaf.shape)
            sizes_of_state = tuple(size) if isinstance(size, list | tuple) else (size,)
            if shape not in ((None, *sizes_of_state), sizes_of_state):
                raise invalid(
                    f"{type(self).__name__} expects an initial state {number + 1} of shape "
                    f"{display((None, *sizes_of_state))}.",
                    initial_state=display(shape),
                )
        return packed(list(sizes), leaves)

    def _make_states(self, sizes, sequences) -> None:
        """The variables that a stateful layer keeps its states in, for batches of the size that is known first."""
        batch = _batch_size(sequences)
        if self.states is not None:
            if batch not in (None, self.states_batch_size):
                raise invalid(
                    f"{type(self).__name__} keeps the states of {self.states_batch_size} samples: with stateful=True "
                    "every batch has this size.",
                    batch_size=batch,
                )
            return
        if batch is None:
            raise invalid(
                f"{type(self).__name__} with stateful=True needs a known batch size: Input(shape, batch_size=...), or "
                "a first call on an array.",
                batch_size=batch,
            )
        zeros = mapped(lambda size: np.zeros((batch, size), self.dtype), list(sizes))
        self.states = mapped(lambda value: Variable(value, trainable=False, name=f"{self.name}/rnn_state"), zeros)

    @property
    def states_batch_size(self) -> int | None:
        """How many samples' states a stateful layer keeps; None before it is called first, and of others."""
        return None if self.states is None else flatten(self.states)[0].shape[0]

    def reset_state(self) -> None:
        """Set the states that ``stateful=True`` keeps to 0."""
        for state in flatten(self.states or []):
            state.assign(np.zeros(state.shape))

    reset_states = reset_state

    def get_config(self):
        return {**super().get_config(), "cell": serialize(self.cell), **self._own_config()}

    def _own_config(self) -> dict:
        names = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "cell": deserialize(config["cell"])})


def _batch_size(sequences) -> int | None:
    """The size of the batches that a symbolic tensor is computed for; None: any."""
    if trace.batch_size() is not None:
        return trace.batch_size()
    read = [x for application in trace.topological_order([sequences]) for x in application.inputs]
    nodes = [x.history for x in [sequences, *read] if isinstance(x, SymbolicTensor) and x.history is not None]
    return next((node.layer.batch_size for node in nodes if isinstance(node.layer, InputLayer)), None)


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
_NAMES = tuple(name for name in _MERGES if name)


class Bidirectional(Layer):
    """A recurrent layer from the first step on, and one from the last (Schuster and Paliwal 1997).

    Called with ``initial_state``, the states of both, the forward layer's first.  With ``return_sequences`` the outputs
    of masked steps are 0, whatever ``zero_output_for_mask`` of the layers says.

    Arguments:
        layer: a recurrent layer.
        merge_mode: how their outputs are joined, "concat", "sum", "mul" or "ave"; None: a list of both.
        weights: accepted for Keras's sake; must be None: call set_weights.
        backward_layer: the other one, with go_backwards; None: one like ``layer``.
    """

    example = {"arguments": {"layer": LSTM(2, return_sequences=True, seed=0)}, "input_shape": (4, 3)}

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        if not isinstance(layer, RNN):
            raise invalid("Bidirectional expects a recurrent layer.", layer=layer)
        if weights is not None:
            raise invalid("Bidirectional takes no weights: call set_weights when it is built.", weights=weights)
        super().__init__(**kwargs)
        self.merge_mode = checks.optional(checks.one_of)("Bidirectional", "merge_mode", merge_mode, known=_NAMES)
        config = layer.get_config()
        first = {**config, "name": f"forward_{layer.name.removeprefix('forward_')}"}
        self.forward_layer = type(layer).from_config(first)
        if backward_layer is None:
            name = f"backward_{layer.name.removeprefix('backward_')}"
            other = {**config, "name": name, "go_backwards": not layer.go_backwards}
            backward_layer = type(layer).from_config(other)
        if not isinstance(backward_layer, RNN) or backward_layer.go_backwards == layer.go_backwards:
            raise invalid(
                "Bidirectional expects a backward_layer that goes the other way.", backward_layer=backward_layer
            )
        for name in ("return_sequences", "return_state", "stateful"):
            if getattr(backward_layer, name) != getattr(layer, name):
                raise invalid(
                    f"Bidirectional expects layers of the same {name}: that of layer is {getattr(layer, name)}.",
                    backward_layer=getattr(backward_layer, name),
                )
        self.backward_layer = backward_layer
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.stateful = layer.stateful
        for part in (self.forward_layer, self.backward_layer):
            part._keeps_order, part.zero_output_for_mask = True, part.return_sequences

    def call(self, sequences, initial_state=None, mask=None, training=False):
        layers = self.forward_layer, self.backward_layer
        given = [None, None]
        if initial_state is not None:
            first, second = (len(flatten(layer.state_size)) for layer in layers)
            states = flatten(initial_state)
            if len(states) != first + second:
                raise invalid(
                    f"Bidirectional has {first + second} states, those of both layers.", initial_state=len(states)
                )
            given = [states[:first], states[first:]]
        parts = [
            flatten([layer(sequences, initial_state=state, mask=mask, training=training)])
            for layer, state in zip(layers, given, strict=True)
        ]
        outputs = [part[0] for part in parts]
        if self.return_sequences and self.forward_layer.go_backwards:
            outputs = [ops.flip(output, axis=1) for output in outputs]
        merged = _MERGES[self.merge_mode](*outputs)
        states = [*parts[0][1:], *parts[1][1:]]
        return flatten([merged]) + states if states else merged

    def compute_mask(self, inputs, mask):
        """That of the input, of the outputs of all steps; the states have none."""
        own = flatten(mask)[0] if self.return_sequences else None
        return [own, own] if self.merge_mode is None else own

    @property
    def states(self):
        """The states that both layers keep, if they do."""
        parts = [layer.states for layer in (self.forward_layer, self.backward_layer)]
        return None if None in parts else [state for part in parts for state in part]

    def reset_state(self) -> None:
        """Set the states that ``stateful=True`` keeps to 0."""
        if not self.stateful:
            raise AttributeError(f"{self._described()} keeps no states: stateful is False.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

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

    Input (batch, steps, ...), output (batch, steps, ...).  A mask (batch, steps, ...) is passed on; a layer that takes
    one gets each step's.

    Arguments:
        layer: what is applied to (batch, ...).  One with a loop of its own, or one that needs the whole batch, as
            BatchNormalization does, is applied once for each step; any other in a loop.
    """

    supports_masking = True
    example = {"arguments": {"layer": Dense(2)}, "input_shape": (3, 4)}

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise invalid("TimeDistributed expects a layer.", layer=layer)
        self.layer = layer

    def call(self, inputs, training=False, mask=None):
        if len(inputs.shape) < 3:
            raise ValueError(f"TimeDistributed expects an input (batch, steps, ...). Received: shape={inputs.shape}")
        if mask is not None and mask.shape[:2] != inputs.shape[:2]:
            raise invalid(
                f"TimeDistributed expects a mask that begins with {display(inputs.shape[:2])}.",
                mask=display(mask.shape),
            )
        xs = {"x": inputs}
        if mask is not None and self.layer._takes("mask"):
            xs["mask"] = mask

        def applied(step):
            given = {"mask": step["mask"]} if "mask" in step else {}
            return self.layer(step["x"], training=training, **given)

        if not _whole(self.layer):
            return ops.scan(lambda carry, step: (carry, applied(step)), np.zeros(1), xs)[1]
        steps = [applied({name: x[:, time] for name, x in xs.items()}) for time in range(inputs.shape[1])]
        return packed(steps[0], [ops.stack(outputs, axis=1) for outputs in zip(*map(flatten, steps), strict=True)])

    def get_config(self):
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layer": deserialize(config["layer"])})


def _whole(layer) -> bool:
    """Whether a layer, or one in it, can't be in a loop over time."""
    return isinstance(layer, RNN | TimeDistributed | BatchNormalization) or any(map(_whole, layer.sublayers()))
