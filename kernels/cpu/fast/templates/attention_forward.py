"""Attention: blocks of queries, block after block of keys, with an online softmax."""

import math

import numpy as np

from jitnet.kernels.cpu.random import _words_of
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.attention import LOWEST, pack_tile, product_tile, softmax_tile, turn_tile, unpack_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
SIZE, WIDTH = 64, 64  # elements of a head's query and key, and of its value
SIZE_VECTORS, WIDTH_VECTORS = 4, 4  # that hold them, in whole tiles
MR, VECTORS, SIZE_TILE, WIDTH_TILE, SOFTMAX = 8, 2, 2, 2, 4  # rows and vectors of tiles
QUERIES, KEYS = 64, 256  # of a block of scores
UNIT = 512  # queries that see a block of keys while it is in the cache
CAUSAL, MASKED, BIASED, DROPPED, SHARED = False, False, False, False, False
WORKSPACE = 0  # elements of a share's part of the workspace

PITCH, VALUE_PITCH, COLUMNS = SIZE_VECTORS * LANES, WIDTH_VECTORS * LANES, VECTORS * LANES
LOG2E = math.log2(math.e)
CHANGED = MASKED or BIASED  # whether something happens to scores before they are exponents
_constants = dict(dtype=DTYPE, lanes=LANES)
_pack = dict(hardware_masks=HARDWARE_MASKS, **_constants)
turn_query = turn_tile(size=SIZE, vectors=SIZE_VECTORS, scaled=True, packed=False, **_pack)
pack_key = pack_tile(size=SIZE, vectors=SIZE_VECTORS, **_pack)
pack_value = pack_tile(size=WIDTH, vectors=WIDTH_VECTORS, **_pack)
unpack = unpack_tile(size=WIDTH, vectors=WIDTH_VECTORS, per_row=True, add=False, **_pack)
score = product_tile(rows=MR, vectors=VECTORS, contiguous=True, add=False, finish="store", **_constants)
_results = dict(rows=MR, vectors=WIDTH_TILE, contiguous=False, finish="store", **_constants)
result, first_result = product_tile(add=True, **_results), product_tile(add=False, **_results)
softmax = softmax_tile(vectors=SOFTMAX, causal=False, **_constants)
softmax_causal = softmax_tile(vectors=SOFTMAX, causal=True, **_constants)


@kernel
def attention_forward(
    query, key, value, mask, bias, y, log_sums, workspace, mask_strides, bias_strides, scale, mean, rate, seed, stream,
    step, sample, share, first, last,
):  # fmt: skip
    """As ``cpu.attention.attention_forward``, with ``sample`` for its ``first``.

    With SHARED a call does the units [first, last) of each sample, UNIT queries of a head, of several calls.
    """
    kernel_attributes()
    n, queries, heads, _ = query.shape
    keys, key_heads, _ = value.shape[1:]
    of_head = (queries + UNIT - 1) // UNIT
    begin, end, place = 0, heads * of_head, 0
    if SHARED:
        begin, end, place = first, last, share * WORKSPACE
    # workspace: queries as columns, results, keys and values of a block, scores, numbers for each query
    results_at = place + UNIT * PITCH
    keys_at = results_at + UNIT * VALUE_PITCH
    values_at = keys_at + KEYS * PITCH
    scores_at = values_at + KEYS * VALUE_PITCH
    numbers_at = scores_at + KEYS * QUERIES
    kept_at = numbers_at + 3 * UNIT + 16
    results = workspace[results_at : results_at + UNIT * VALUE_PITCH]
    scores = workspace[scores_at : scores_at + KEYS * QUERIES]
    largest = workspace[numbers_at : numbers_at + UNIT]
    total = workspace[numbers_at + UNIT : numbers_at + 2 * UNIT]
    factor = workspace[numbers_at + 2 * UNIT : numbers_at + 3 * UNIT]
    workspace[numbers_at + 3 * UNIT] = np.float32(scale * LOG2E)
    turned, packed_keys = address(workspace, place), address(workspace, keys_at)
    packed_values, block = address(workspace, values_at), address(workspace, scores_at)
    for b in range(n):
        for unit in range(begin, end):
            h, start = unit // of_head, unit % of_head * UNIT
            shared = h * key_heads // heads
            stop = min(start + UNIT, queries)
            for q in range(start, stop, QUERIES):
                for i in range(q, min(q + QUERIES, stop), LANES):
                    source = address(query, ((b * queries + i) * heads + h) * SIZE)
                    target = turned + ((q - start) * PITCH + i - q) * 4
                    at = address(workspace, numbers_at + 3 * UNIT)
                    turn_query((source, heads * SIZE, target, QUERIES, stop - i, at, 0))
            for j in range(0, min(keys, stop) if CAUSAL else keys, KEYS):
                count = min(KEYS, keys - j)
                row = (b * keys + j) * key_heads + shared
                pack_key((address(key, row * SIZE), key_heads * SIZE, packed_keys, count))
                pack_value((address(value, row * WIDTH), key_heads * WIDTH, packed_values, count))
                for q in range(start, stop, QUERIES):
                    if CAUSAL and j >= q + QUERIES:
                        continue
                    of_block, own = min(QUERIES, queries - q), q - start
                    seen = min(count, q + of_block - j) if CAUSAL else count  # keys, by any of these queries
                    columns = turned + own * PITCH * 4
                    for row in range(0, seen, MR):
                        for column in range(0, of_block, COLUMNS):
                            if CAUSAL and column + COLUMNS <= j + row - q:
                                continue
                            score((
                                packed_keys + row * PITCH * 4, PITCH, 1, columns + column * 4, QUERIES,
                                block + (row * QUERIES + column) * 4, QUERIES, SIZE, seen - row, 0, 0,
                            ))  # fmt: skip
                    if BIASED:
                        added = bias.reshape(-1)
                        at = b * bias_strides[0] + h * bias_strides[1] + q * bias_strides[2] + j * bias_strides[3]
                        for row in range(seen):
                            line = scores[row * QUERIES : row * QUERIES + of_block]
                            for i in range(line.size):
                                line[i] += added[at + i * bias_strides[2]] * np.float32(LOG2E)
                            at += bias_strides[3]
                    if MASKED:
                        visible = mask.reshape(-1)
                        at = b * mask_strides[0] + h * mask_strides[1] + q * mask_strides[2] + j * mask_strides[3]
                        for row in range(seen):
                            line = scores[row * QUERIES : row * QUERIES + of_block]
                            if mask_strides[2] == 0:
                                if not visible[at]:
                                    line[:] = np.float32(LOWEST)
                            else:
                                for i in range(line.size):
                                    if not visible[at + i * mask_strides[2]]:
                                        line[i] = np.float32(LOWEST)
                            at += mask_strides[3]
                    for column in range(0, of_block, SOFTMAX * LANES):
                        at = numbers_at + own + column
                        arguments = (
                            block + column * 4, QUERIES, seen, address(workspace, at), address(workspace, at + UNIT),
                            address(workspace, at + 2 * UNIT), j > 0, j - q - column,
                        )  # fmt: skip
                        if CAUSAL and j + seen > q:
                            softmax_causal(arguments)
                        else:
                            softmax(arguments)
                    if DROPPED:
                        # which are kept, four numbers after the other from where a query's begin within four
                        threshold, kept = np.uint64(rate * 4294967296.0), np.float32(1.0 / (1.0 - rate))
                        number = ((((sample + b) * heads + h) * queries + q) * keys) + j
                        drawn = workspace[kept_at : kept_at + (KEYS + 4) * QUERIES]
                        for part in range((seen + 6) // 4):
                            line = drawn[4 * part * QUERIES : 4 * (part + 1) * QUERIES]
                            for i in range(QUERIES):
                                w0, w1, w2, w3 = _words_of(seed, stream, step, (number + i * keys) // 4 + part, 0)
                                line[i] = kept if w0 >= threshold else np.float32(0)
                                line[i + QUERIES] = kept if w1 >= threshold else np.float32(0)
                                line[i + 2 * QUERIES] = kept if w2 >= threshold else np.float32(0)
                                line[i + 3 * QUERIES] = kept if w3 >= threshold else np.float32(0)
                        for row in range(seen):
                            line = scores[row * QUERIES : row * QUERIES + of_block]
                            for i in range(line.size):
                                line[i] *= drawn[(row + (number + i * keys) % 4) * QUERIES + i]
                    if j > 0:
                        for i in range(own, own + of_block):
                            if factor[i] != 1:
                                line = results[i * VALUE_PITCH : (i + 1) * VALUE_PITCH]
                                for d in range(line.size):
                                    line[d] *= factor[i]
                    for row in range(0, of_block, MR):
                        depth = min(seen, q + row + MR - j) if CAUSAL else seen
                        for column in range(0, VALUE_PITCH, WIDTH_TILE * LANES):
                            arguments = (
                                block + row * 4, 1, QUERIES, packed_values + column * 4, VALUE_PITCH,
                                address(workspace, results_at + (own + row) * VALUE_PITCH + column), VALUE_PITCH, depth,
                                of_block - row, 0, 0,
                            )  # fmt: skip
                            if j > 0:
                                result(arguments)
                            else:
                                first_result(arguments)
            # the logarithms of the sums in the place of the maxima, what to multiply by in that of the sums
            for i in range(stop - start):
                factor[i] = largest[i] / np.float32(LOG2E) + math.log(total[i])
                total[i] = np.float32(1) / total[i]
            target = address(y, ((b * queries + start) * heads + h) * WIDTH)
            at = address(workspace, numbers_at + UNIT)
            unpack((address(workspace, results_at), target, heads * WIDTH, stop - start, at))
            log_sums[b, h, start:stop] = factor[: stop - start]
            if CHANGED:
                for i in range(stop - start):
                    if largest[i] <= np.float32(LOWEST):  # it sees no key
                        log_sums[b, h, start + i] = np.inf
                        line = y[b, start + i, h]
                        line[:] = 0
                        for j in range(keys if mean else 0):
                            seen = value[b, j, shared]
                            for d in range(WIDTH):
                                line[d] += seen[d] / np.float32(keys)
