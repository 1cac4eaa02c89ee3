"""GRU that resets its state before the product, backward through time: all steps of some samples."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.recurrent import recurrent_gradient_tile
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
ROWS, VECTORS = 8, 2  # a tile: samples, vectors of units
WHOLE = True  # the units fill their last vector
MASKED = True  # samples keep their states in some steps
SEQUENCES = True  # there are gradients of the states of all steps
STATES = True  # the gradients of the first states are wanted

COLUMNS = LANES * VECTORS
_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, vectors=VECTORS)
_of_cell = dict(gates_of_cell=1, whole=WHOLE, masked=MASKED, **_constants)
_candidate = dict(cell="gru_candidate", sequences=SEQUENCES, **_of_cell)
_gates = dict(cell="gru_gates", sequences=False, **_of_cell)
candidate_tile = recurrent_gradient_tile(rows=ROWS, **_candidate)
candidate_single = recurrent_gradient_tile(rows=1, **_candidate)
gates_tile, gates_single = recurrent_gradient_tile(rows=ROWS, **_gates), recurrent_gradient_tile(rows=1, **_gates)
product = matrix_tile(rows=ROWS, masked=True, epilogue="accumulate", unroll=1, contiguous=True, **_constants)


@kernel
def reset_first_backward(
    dy, dh_last, weights, candidate_weights, gates, candidate, before, mask, dz, dz_candidate, dh_first, reverse
):
    """What ``kernels/cpu/recurrent.py`` says, with weights as ``transpose_to_panels`` leaves them.

    gates, dz: (n, steps, 2 * units); dy, candidate, before, dz_candidate: (n, steps, units); mask: (n, steps)
    """
    kernel_attributes()
    rows, units = dh_first.shape
    steps = gates.shape[1]
    width = 2 * units
    for row in range(rows):
        for u in range(units):
            dh_first[row, u] = dh_last[row, u]
    later = 0
    for turn in range(steps):
        t = turn if reverse else steps - 1 - turn
        ahead = 1 if reverse else -1
        for unit in range(0, units, COLUMNS):
            for row in range(0, rows, ROWS):
                at_z = (row * steps + t) * width + unit
                at_step = (row * steps + t) * units + unit
                arguments = (
                    address(dz, (row * steps + later) * width), steps * width, address(weights, unit * width),
                    width if turn > 0 else 0, address(dh_first, row * units + unit), 0, units, units, steps * units,
                    address(dy, at_step) if SEQUENCES else 0, address(gates, at_z), address(before, at_step),
                    address(candidate, at_step), address(dz, at_z), address(dz_candidate, at_step),
                    address(mask, row * steps + t) if MASKED else 0, steps, rows - row, units - unit, ahead,
                )  # fmt: skip
                if rows - row > 1:
                    candidate_tile(arguments)
                else:
                    candidate_single(arguments)
        for unit in range(0, units, COLUMNS):
            for row in range(0, rows, ROWS):
                at_z = (row * steps + t) * width + units + unit
                at_step = (row * steps + t) * units + unit
                arguments = (
                    address(dz_candidate, (row * steps + t) * units), steps * width,
                    address(candidate_weights, unit * units), units, address(dh_first, row * units + unit), 0, units,
                    units, steps * units, 0, address(gates, at_z), address(before, at_step), 0, address(dz, at_z), 0,
                    address(mask, row * steps + t) if MASKED else 0, steps, rows - row, units - unit, ahead,
                )  # fmt: skip
                if rows - row > 1:
                    gates_tile(arguments)
                else:
                    gates_single(arguments)
        later = t
    if STATES:
        for unit in range(0, units, COLUMNS):
            for row in range(0, rows, ROWS):
                at = row * units + unit
                product((
                    address(dz, (row * steps + later) * width), steps * width, 1, address(weights, unit * width),
                    COLUMNS, address(dh_first, at), units, width, rows - row, units - unit, 0, 1, 0, 0, 0,
                ))  # fmt: skip
