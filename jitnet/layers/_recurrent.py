"""LSTM, GRU and SimpleRNN by kernels of their own, which run all steps of a sequence."""

import numpy as np

from .. import activations, ops
from .._structures import flatten
from ..core.operations.recurrent import GRUSteps, LSTMSteps, SimpleRNNSteps
from ..core.values import Value
from .rnn_cells import GRUCell, LSTMCell, SimpleRNNCell


def has_kernel(cell, sequences, states, training: bool) -> bool:
    """Whether there is a kernel for what a cell does: the usual activations, and no dropout of the states.

    states: those at the beginning that were given, or None.
    """
    usual = {LSTMCell: ("tanh",), GRUCell: ("tanh",), SimpleRNNCell: ("tanh", "relu")}.get(type(cell), ())
    if sequences.ndim != 3 or activations.serialize(cell.activation) not in usual:
        return False
    if isinstance(cell, LSTMCell | GRUCell) and activations.serialize(cell.recurrent_activation) != "sigmoid":
        return False
    if isinstance(cell, GRUCell) and not cell.reset_after:
        return False
    batched = all(isinstance(state, Value) and state.batched for state in flatten(states or []))
    return batched and not (training and cell.recurrent_dropout)


def run(cell, sequences, states, mask, reverse: bool, training: bool):
    """The outputs of all steps, in the order of the steps, the last one, and the last states.

    states: those at the beginning, or None for zeros; mask: (batch, steps, 1), of 0 and 1, or None.
    """
    steps = sequences.shape[1]
    if training and cell.dropout:
        dropped, _ = cell.masks(ops.reshape(ops.slice_axis(sequences, 1, 0, 1), (-1, sequences.shape[2])), training)
        sequences = sequences * ops.reshape(dropped, (-1, 1, sequences.shape[2]))
    z, bias = ops.matmul(sequences, cell.kernel), cell.bias
    further = []
    if isinstance(cell, GRUCell):
        further = [np.zeros(z.shape[2], z.dtype) if bias is None else cell._bias_row(1)]
        bias = None if bias is None else cell._bias_row(0)
    z = z if bias is None else ops.bias_add(z, bias)
    further += [] if states is None else flatten(states)
    further += [] if mask is None else [ops.reshape(mask, (-1, steps))]
    options = {"initial": states is not None, "masked": mask is not None, "reverse": reverse}
    if isinstance(cell, SimpleRNNCell):
        operation = SimpleRNNSteps(**options, relu=activations.serialize(cell.activation) == "relu")
    else:
        operation = (LSTMSteps if isinstance(cell, LSTMCell) else GRUSteps)(**options)
    outputs, *last = operation(z, cell.recurrent_kernel, *further)
    output = last[0]
    if mask is not None and states is not None:
        # before the first step that counts there is a state, but no output
        seen = ops.sign(ops.cumsum(mask, axis=1))
        if reverse:
            seen = ops.sign(ops.flip(ops.cumsum(ops.flip(mask, axis=1), axis=1), axis=1))
        outputs, output = outputs * seen, output * ops.sign(ops.sum(mask, axis=1))
    return outputs, output, last
