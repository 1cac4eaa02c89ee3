"""The numbers that decide how the CPU runs a step, and how they were found."""

# Chunks of a batch.  Measured on LeNet-5, ResNet-20 and a VGG-like network with 1 and 2 threads (AVX-512): from 16
# samples on a chunk's calls cost nothing against its arithmetic; heavy samples fill the second-level cache sooner.
ROWS_PER_CHUNK = 16
HEAVY_WORK = 4e6  # operations per sample above which a chunk holds fewer samples
ROWS_PER_HEAVY_CHUNK = 4
ROWS_PER_CHUNK_OF_LOOPS = 8  # where a turn multiplies no more rows than a chunk has samples: a tile has 8 (AVX-512)
WORK_PER_BYTE = 50  # of weights that every chunk reads, from memory for the most part: no less should it compute
WORK_PER_COPIED_BYTE = 40  # of gradients that every chunk writes; measured on MLPs with 16 to 256 units a layer
ROWS_PER_RECURRENT_CHUNK = 8  # no fewer samples share a reading of recurrent weights, in every step
ENOUGH_CHUNKS = 8  # but so many there are, to be shared by as many threads
WORK_OF_A_CHUNK = 1e9  # a single sample of so many operations is worth a chunk,
FEW_CHUNKS = 4  # where there are few samples
MAXIMUM_CHUNKS = 64  # a copy of every partial sum each

# Gradients of convolutions' weights.
COPIED_GRADIENTS = 5 << 18  # bytes of gradients of which every chunk may have a copy, however few parameters there are
SHARES = 32  # parts of a gradient over the whole batch: as many threads can help, each part has its own workspace

# Few images.  Measured on one image through ResNet-20 and a MobileNet with 2 threads: parts of half the work cost
# nothing, four times as large ones 5 to 20 %.  The limits on their number, and FEW_IMAGES, are guesses.
FEW_IMAGES = 16  # below, an image's rows are shared out
MAXIMUM_PARTS = 64  # of an image
PARTS_BYTES = 1 << 24  # of their workspaces, one for each, which the caches are to hold
PART_WORK = 4e5  # operations of a part: some 3 us

# Operations below which a second thread costs more than it gains: waking it up takes some 50 us between calls from
# Python, and 2 us within compiled code, at 60 to 100 operations per ns and core.
PARALLEL_WORK = 3e6  # every further thread needs half as much
PREPARED_PORTIONS = 16  # of weights that are prepared in parts; what comes out does not depend on it
PARALLEL_BYTES = 1 << 17  # of prepared weights, at some 5 bytes per ns: as much time
SINGLE_CHUNK_WORK = 5e5  # of a batch: one chunk suffices, since not even compiled code gains; of each thread there
MOST_WASTE = 1.5  # what all threads take together, waiting included, against one

# Attention: operations of a sample from which its heads and queries are shared out (a guess)
ATTENTION_WORK = 2e8

# The optimizer's update.
UPDATE_WORK = 20  # per parameter, memory traffic included
PARAMETERS_PER_BLOCK = 4096  # 16 KiB each of parameters, gradients and slots: the first-level cache

# Dense layers.  Measured on 784-128-10 and on 1024 to 2048 wide layers with 2 threads.
SPLIT_KERNEL = 1 << 16  # elements of the weights from which a core should keep to its own part of them
GROUPS_OF_A_TURN = 32  # of rows that threads share before they meet, so that many cores have work (a guess)
PANEL_KERNEL = 1 << 16  # elements of the weights from which their transposed copy is made in panels
# bytes of all dense weights of whose gradients chunks may have copies (a guess: they are to stay in a cache)
COPIED_PRODUCTS = 1 << 24
SMALL_KERNEL = 8192  # elements of the weights below which a gradient per chunk costs less than one that cores share
PARTS = 4  # of a product that is split along the rows of its weights: partial sums are written and read so many times
TYPICAL_IMAGE = 32  # height and width, likewise, where they are not known beforehand
PARTS_OF_FEW = 16  # the same, in a prediction of few samples
TYPICAL_ROWS = 16  # samples of a chunk, where a choice of kernel depends on it
