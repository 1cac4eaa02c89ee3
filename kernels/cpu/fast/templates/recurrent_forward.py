"""A recurrent layer forward: all steps of some samples, the gates computed where the products leave them."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.recurrent import recurrent_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
CELL, GATES = "lstm", 4
ROWS = 4  # samples of a tile
WHOLE = True  # the units fill their last vector
MASKED = True  # samples keep their states in some steps
KEEP = True  # what the backward pass reads
SEQUENCES = True  # the states of all steps are wanted

LSTM, GRU = CELL == "lstm", CELL == "gru"
_constants = dict(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, cell=CELL, gates_of_cell=GATES, whole=WHOLE,
    masked=MASKED, keep=KEEP, sequences=SEQUENCES,
)  # fmt: skip
tile = recurrent_tile(rows=ROWS, **_constants)
single = recurrent_tile(rows=1, **_constants)


@kernel
def recurrent_forward(
    z, weights, bias, h_first, c_first, mask, gates, before, cells, extra, y, h_last, c_last, states, reverse
):
    """What ``kernels/cpu/recurrent.py`` says, with weights as ``recurrent_weights`` leaves them.

    z, gates: (n, steps, GATES * units); bias: (3 * units,), GRU's; before, cells, y, and extra, LSTM's ``activated`` or
    GRU's ``candidates``: (n, steps, units); mask: (n, steps); states: (n, 2 * units), for the kernel's own use
    """
    kernel_attributes()
    rows, units = h_last.shape
    steps = z.shape[1]
    width = GATES * units
    for row in range(rows):
        for u in range(units):
            states[row, u] = h_first[row, u]
        if LSTM:
            for u in range(units):
                c_last[row, u] = c_first[row, u]
    for turn in range(steps):
        t = steps - 1 - turn if reverse else turn
        old = turn % 2 * units
        new = units - old
        for unit in range(0, units, LANES):
            for row in range(0, rows, ROWS):
                at_z = (row * steps + t) * width + unit
                at_step = (row * steps + t) * units + unit
                arguments = (
                    address(states, row * 2 * units + old), 2 * units, address(weights, unit * width), units,
                    address(z, at_z), steps * width, units, address(states, row * 2 * units + old + unit),
                    address(states, row * 2 * units + new + unit),
                    address(c_last, row * units + unit) if LSTM else 0, units, steps * units,
                    address(gates, at_z) if KEEP else 0, address(before, at_step) if KEEP else 0,
                    address(cells, at_step) if KEEP and LSTM else 0,
                    address(extra, at_step) if KEEP and (LSTM or GRU) else 0,
                    address(y, at_step) if SEQUENCES else 0, address(bias, unit) if GRU else 0,
                    address(mask, row * steps + t) if MASKED else 0, steps, rows - row, units - unit,
                    -1 if reverse else 1,
                )  # fmt: skip
                if rows - row > 1:
                    tile(arguments)
                else:
                    single(arguments)
    last = steps % 2 * units
    for row in range(rows):
        for u in range(units):
            h_last[row, u] = states[row, last + u]
