"""GRU that resets its state before the product, forward: all steps of some samples, gates where products leave them."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.recurrent import recurrent_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
ROWS = 8  # samples of a tile
WHOLE = True  # the units fill their last vector
MASKED = True  # samples keep their states in some steps
KEEP = True  # what the backward pass reads
SEQUENCES = True  # the states of all steps are wanted

_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, whole=WHOLE, masked=MASKED, keep=KEEP)
_gates = dict(cell="gru_gates", gates_of_cell=2, sequences=False, **_constants)
_candidate = dict(cell="gru_candidate", gates_of_cell=1, sequences=SEQUENCES, **_constants)
gates_tile, gates_single = recurrent_tile(rows=ROWS, **_gates), recurrent_tile(rows=1, **_gates)
candidate_tile, candidate_single = recurrent_tile(rows=ROWS, **_candidate), recurrent_tile(rows=1, **_candidate)


@kernel
def reset_first_forward(
    z, z_candidate, weights, candidate_weights, h_first, mask, gates, candidate, before, reset, y, h_last, states,
    reverse,
):  # fmt: skip
    """What ``kernels/cpu/recurrent.py`` says, with weights as ``recurrent_weights`` leaves them.

    z, gates: (n, steps, 2 * units); z_candidate, candidate, before, reset, y: (n, steps, units); mask: (n, steps);
    states: (n, 4 * units), for the kernel's own use: h before and after a step, what the reset leaves of it, and u
    """
    kernel_attributes()
    rows, units = h_last.shape
    steps = z.shape[1]
    for row in range(rows):
        for u in range(units):
            states[row, u] = h_first[row, u]
    for turn in range(steps):
        t = steps - 1 - turn if reverse else turn
        old = turn % 2 * units
        new = units - old
        for unit in range(0, units, LANES):
            for row in range(0, rows, ROWS):
                at_state = row * 4 * units + unit
                at_z = (row * steps + t) * 2 * units + unit
                at_step = (row * steps + t) * units + unit
                arguments = (
                    address(states, row * 4 * units + old), 4 * units, address(weights, unit * 2 * units), units,
                    address(z, at_z), steps * 2 * units, units, address(states, at_state + old),
                    address(states, at_state + 2 * units), address(states, at_state + 3 * units), 4 * units,
                    steps * units, address(gates, at_z) if KEEP else 0, address(before, at_step) if KEEP else 0, 0,
                    address(reset, at_step) if KEEP else 0, 0, 0, address(mask, row * steps + t) if MASKED else 0,
                    steps, rows - row, units - unit, -1 if reverse else 1,
                )  # fmt: skip
                if rows - row > 1:
                    gates_tile(arguments)
                else:
                    gates_single(arguments)
        for unit in range(0, units, LANES):
            for row in range(0, rows, ROWS):
                at_state = row * 4 * units + unit
                at_step = (row * steps + t) * units + unit
                arguments = (
                    address(states, row * 4 * units + 2 * units), 4 * units, address(candidate_weights, unit * units),
                    units, address(z_candidate, at_step), steps * units, units, address(states, at_state + old),
                    address(states, at_state + new), address(states, at_state + 3 * units), 4 * units, steps * units,
                    address(candidate, at_step) if KEEP else 0, 0, 0, 0, address(y, at_step) if SEQUENCES else 0, 0,
                    address(mask, row * steps + t) if MASKED else 0, steps, rows - row, units - unit,
                    -1 if reverse else 1,
                )  # fmt: skip
                if rows - row > 1:
                    candidate_tile(arguments)
                else:
                    candidate_single(arguments)
    last = steps % 2 * units
    for row in range(rows):
        for u in range(units):
            h_last[row, u] = states[row, last + u]
