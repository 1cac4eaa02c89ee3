"""LSTM, GRU and SimpleRNN by kernels of their own, which run all steps of a sequence."""

import numpy as np

from .. import activations, ops
from .._structures import flatten
from ..core.operations.recurrent import GRUSteps, LSTMSteps, ResetFirstGRUSteps, SimpleRNNSteps
from ..core.values import Value
from .rnn_cells import GRUCell, LSTMCell, SimpleRNNCell


def has_kernel(cell, sequences, states, from_zero: bool, training: bool) -> bool:
    """Whether there is a kernel for what a cell does: the usual activations, and no dropout of the states.

    states: those at the beginning, which are not read if they are 0.
    """
    usual = {LSTMCell: ("tanh",), GRUCell: ("tanh",), SimpleRNNCell: ("tanh", "relu")}.get(type(cell), ())
    if sequences.ndim != 3 or activations.serialize(cell.activation) not in usual:
        return False
    if isinstance(cell, LSTMCell | GRUCell) and activations.serialize(cell.recurrent_activation) != "sigmoid":
        return False
    batched = from_zero or all(isinstance(state, Value) and state.batched for state in flatten(states))
    return batched and not (training and cell.recurrent_dropout)


def run(layer, sequences, states, counts, training: bool) -> tuple:
    """The outputs, of all steps in their order or of the last one, and the last states.

    states: those at the beginning, or None for zeros; counts: which steps do, (batch, steps, 1) of booleans, or None.
    """
    cell, (steps, features) = layer.cell, sequences.shape[1:]
    if training and cell.dropout:
        dropped, _ = cell.masks(ops.reshape(ops.slice_axis(sequences, 1, 0, 1), (-1, features)), training)
        sequences = sequences * ops.reshape(dropped, (-1, 1, features))
    bias, further = cell.bias, []
    if isinstance(cell, GRUCell) and cell.reset_after:
        further = [np.zeros(3 * cell.units, sequences.dtype) if bias is None else cell._bias_row(1)]
        bias = None if bias is None else cell._bias_row(0)
    reset_first = isinstance(cell, GRUCell) and not cell.reset_after
    # the gates' weights, and the candidate's: their products with the states are apart, too
    parts = [(0, 2 * cell.units), (2 * cell.units, 3 * cell.units)] if reset_first else [None]
    z, *further_z = (_inputs(sequences, _columns(cell.kernel, part), _columns(bias, part)) for part in parts)
    weights = [_columns(cell.recurrent_kernel, part) for part in parts]
    further += [] if states is None else flatten(states)
    mask = None if counts is None else ops.cast(counts, z.dtype)
    further += [] if mask is None else [ops.reshape(mask, (-1, steps))]
    options = {"initial": states is not None, "masked": mask is not None, "reverse": layer.go_backwards}
    if isinstance(cell, SimpleRNNCell):
        operation = SimpleRNNSteps(**options, relu=activations.serialize(cell.activation) == "relu")
    elif isinstance(cell, LSTMCell):
        operation = LSTMSteps(**options)
    else:
        operation = (ResetFirstGRUSteps if reset_first else GRUSteps)(**options)
    outputs, *last = operation(z, *further_z, *weights, *further)
    if mask is None or (states is None and not layer.zero_output_for_mask):
        return (outputs if layer.return_sequences else last[0]), last
    if layer.zero_output_for_mask:
        shown = counts
    else:  # before the first step that counts there is a state, but no output
        shown = ops.flip(mask, axis=1) if layer.go_backwards else mask
        shown = ops.cumsum(shown, axis=1)
        shown = ops.not_equal(ops.flip(shown, axis=1) if layer.go_backwards else shown, 0)
    if layer.return_sequences:
        return ops.where(shown, outputs, 0.0), last
    end = 0 if layer.go_backwards else steps - 1
    return ops.where(ops.reshape(ops.slice_axis(shown, 1, end, end + 1), (-1, 1)), last[0], 0.0), last


def _columns(weight, part):
    """Columns [first, last) of a weight, or all of them."""
    return weight if weight is None or part is None else ops.slice_axis(weight, -1, *part)


def _inputs(sequences, kernel, bias):
    """What the inputs of all steps give."""
    z = ops.matmul(sequences, kernel)
    return z if bias is None else ops.bias_add(z, bias)
