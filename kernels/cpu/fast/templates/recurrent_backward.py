"""A recurrent layer backward through time: all steps of some samples."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.recurrent import recurrent_gradient_tile
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
CELL, GATES = "lstm", 4
ROWS, VECTORS = 8, 2  # a tile: samples, vectors of units
WHOLE = True  # the units fill their last vector
MASKED = True  # samples keep their states in some steps
SEQUENCES = True  # there are gradients of the states of all steps
STATES = True  # the gradients of the first states are wanted

LSTM, GRU = CELL == "lstm", CELL == "gru"
COLUMNS = LANES * VECTORS
_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, vectors=VECTORS)
_of_cell = dict(cell=CELL, gates_of_cell=GATES, whole=WHOLE, masked=MASKED, sequences=SEQUENCES)
tile = recurrent_gradient_tile(rows=ROWS, **_constants, **_of_cell)
single = recurrent_gradient_tile(rows=1, **_constants, **_of_cell)
product = matrix_tile(rows=ROWS, masked=True, epilogue="accumulate", unroll=1, contiguous=True, **_constants)


@kernel
def recurrent_backward(dy, dh_last, dc_last, weights, gates, earlier, extra, mask, dz, dk, dh_first, dc_first, reverse):
    """What ``kernels/cpu/recurrent.py`` says, with weights as ``transpose_to_panels`` leaves them.

    gates, dz, dk: (n, steps, GATES * units); dy, earlier, LSTM's ``cells`` or GRU's ``before``, and extra, LSTM's
    ``activated`` or GRU's ``candidates``: (n, steps, units); mask: (n, steps)
    """
    kernel_attributes()
    rows, units = dh_first.shape
    steps = gates.shape[1]
    width = GATES * units
    products = dk if GRU else dz
    for row in range(rows):
        for u in range(units):
            dh_first[row, u] = dh_last[row, u]
        if LSTM:
            for u in range(units):
                dc_first[row, u] = dc_last[row, u]
    later = 0
    for turn in range(steps):
        t = turn if reverse else steps - 1 - turn
        for unit in range(0, units, COLUMNS):
            for row in range(0, rows, ROWS):
                at_z = (row * steps + t) * width + unit
                at_step = (row * steps + t) * units + unit
                arguments = (
                    address(products, (row * steps + later) * width), steps * width, address(weights, unit * width),
                    width if turn > 0 else 0, address(dh_first, row * units + unit),
                    address(dc_first, row * units + unit) if LSTM else 0, units, units, steps * units,
                    address(dy, at_step) if SEQUENCES else 0, address(gates, at_z),
                    address(earlier, at_step) if LSTM or GRU else 0, address(extra, at_step) if LSTM or GRU else 0,
                    address(dz, at_z), address(dk, at_z) if GRU else 0,
                    address(mask, row * steps + t) if MASKED else 0, steps, rows - row, units - unit,
                    1 if reverse else -1,
                )  # fmt: skip
                if rows - row > 1:
                    tile(arguments)
                else:
                    single(arguments)
        later = t
    if STATES:
        for unit in range(0, units, COLUMNS):
            for row in range(0, rows, ROWS):
                at = row * units + unit
                product((
                    address(products, (row * steps + later) * width), steps * width, 1, address(weights, unit * width),
                    COLUMNS, address(dh_first, at), units, width, rows - row, units - unit, 0, 1, 0, 0, 0,
                ))  # fmt: skip
