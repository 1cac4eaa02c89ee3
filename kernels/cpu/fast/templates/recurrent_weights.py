"""Recurrent weights in the order in which a step reads them: the gates of a vector of units side by side."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes

DTYPE, LANES = "float32", 16
GATES = 4


@kernel
def recurrent_weights(kernel, out, chunk, chunks):
    """A part of: out[p, k, g] = kernel[k, g, LANES p :], with zeros where there are no more units.

    kernel: (units, GATES * units), out: (panels * units * GATES * LANES,)
    """
    kernel_attributes()
    units = kernel.shape[0]
    rows = GATES * units  # (k, g)
    kernel = kernel.reshape(-1)
    panels = (units + LANES - 1) // LANES
    for panel in range(panels * chunk // chunks, panels * (chunk + 1) // chunks):
        first = panel * LANES
        count = min(LANES, units - first)
        for row in range(rows):
            source = kernel[row * units + first : row * units + first + count]
            at = (panel * rows + row) * LANES
            target = out[at : at + LANES]
            for j in range(count):
                target[j] = source[j]
            for j in range(count, LANES):
                target[j] = 0
