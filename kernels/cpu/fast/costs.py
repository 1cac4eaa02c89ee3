"""What a pass of a convolution costs by each algorithm: a model of its operations and of the bytes that it reads.

The unit is the multiplication and addition of a vector of 64 bytes.  Costs are those of one core and are compared with
each other alone.  Fitted to 1,116 times of 372 convolutions (``scripts/bench/choices.py``: 3x3, 3 to 512 channels, 1x1
to 112x112 pixels, 1 to 16 images) on a core of Zen 4 with AVX-512, where a unit takes 0.28 ns: the standard deviation
of what was measured from the estimates is 9 %.  The plans' ``cost`` says what is counted how often.
"""

NARROW = 0.64  # a vector of 32 bytes or fewer
TRANSFORM = {2: 4.3, 4: 7.0}  # of a vector at one position of a tile of F(m x m, 3x3), into it or back
READ = 0.54  # a vector of transformed weights, once per block of tiles
READ_FAR = 3.8  # a vector of weights from behind the second-level cache, or adding to one of their gradient
READ_FIRST = 16.0  # a vector of many weights that nothing has read for long: what a single image waits for (a guess)
FAR_BYTES, FIRST_BYTES = 1 << 19, 1 << 22  # of the weights of a convolution, from which they are read from there
ROW_PRODUCT = 1.2  # of Winograd's convolution along rows, and its transforms: its time is 0.68 to 0.93 of direct
# convolution's, measured from 1 -> 20 to 16 -> 32 channels
TRANSFORM_ROW = 0.6
TRANSFORM_WEIGHTS = 17.0  # per vector and position
FINISH_GRADIENT = 150.0  # transforming and adding a vector of it, all nine taps
PRODUCT = 55.0  # beginning and ending one product of small matrices, of which a gradient consists

IMAGES_OF_CALL, IMAGES_OF_STEP = 4, 16  # that are counted on while a model is trained: chunks are small, batches larger


def read_first(nbytes: int) -> float:
    """Cost of a vector of weights that other layers' may have pushed out of the second-level cache."""
    return READ_FIRST if nbytes > FIRST_BYTES else READ_FAR


def width_of(lanes: int, itemsize: int) -> float:
    """Cost of one operation with a vector."""
    return 1.0 if lanes * itemsize == 64 else NARROW


def on_cores(cost: float, parts: int) -> float:
    """The time of something that falls into so many parts: half of what it takes on 2 and on 8 cores."""
    return cost / min(parts, 2) / 2 + cost / min(parts, 8) / 2
