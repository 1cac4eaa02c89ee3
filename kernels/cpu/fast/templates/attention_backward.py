"""The gradients of attention: block after block of keys, which all queries pass by."""

import math

import numpy as np

from jitnet.kernels.cpu.random import _words_of
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.attention import (
    LOWEST,
    dot_tile,
    pack_tile,
    power_tile,
    product_tile,
    turn_tile,
    unpack_tile,
)

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
SIZE, WIDTH = 64, 64  # elements of a head's query and key, and of its value
SIZE_VECTORS, WIDTH_VECTORS = 4, 4  # that hold them, in whole tiles
MR, VECTORS, SIZE_TILE, WIDTH_TILE, SOFTMAX = 8, 2, 2, 2, 4  # rows and vectors of tiles
QUERIES, KEYS = 64, 256  # of a block of scores
UNIT = 512
CAUSAL, MASKED, BIASED, DROPPED, SHARED = False, False, False, False, False
WORKSPACE = 0  # elements of a share's part of the workspace

PITCH, VALUE_PITCH, COLUMNS = SIZE_VECTORS * LANES, WIDTH_VECTORS * LANES, VECTORS * LANES
LOG2E = math.log2(math.e)
CHANGED = MASKED or BIASED  # whether something happens to scores before they are exponents
_constants = dict(dtype=DTYPE, lanes=LANES)
_pack = dict(hardware_masks=HARDWARE_MASKS, **_constants)
turn_query = turn_tile(size=SIZE, vectors=SIZE_VECTORS, scaled=True, packed=True, **_pack)
turn_gradient = turn_tile(size=WIDTH, vectors=WIDTH_VECTORS, scaled=False, packed=True, **_pack)
pack_key = pack_tile(size=SIZE, vectors=SIZE_VECTORS, **_pack)
pack_value = pack_tile(size=WIDTH, vectors=WIDTH_VECTORS, **_pack)
dot = dot_tile(size=WIDTH, vectors=WIDTH_VECTORS, **_pack)
_of_size = dict(size=SIZE, vectors=SIZE_VECTORS, per_row=False, **_pack)
unpack, unpack_more = unpack_tile(add=False, **_of_size), unpack_tile(add=True, **_of_size)
unpack_value = unpack_tile(size=WIDTH, vectors=WIDTH_VECTORS, per_row=False, add=False, **_pack)
_product = dict(rows=MR, **_constants)
_scores = dict(vectors=VECTORS, contiguous=True, add=False, **_product)
score = product_tile(finish="store", **_scores)
score_power = product_tile(finish="exp2", **_scores)
score_power_causal = product_tile(finish="exp2", causal=True, **_scores)
score_gradient = product_tile(finish="gradient", **_scores)
power = power_tile(vectors=SOFTMAX, **_constants)
of_values = product_tile(vectors=WIDTH_TILE, contiguous=True, add=True, finish="store", **_product)
of_keys = product_tile(vectors=SIZE_TILE, contiguous=True, add=True, finish="store", **_product)
of_queries = product_tile(vectors=SIZE_TILE, contiguous=False, add=False, finish="store", **_product)


@kernel
def attention_backward(
    query, key, value, mask, bias, y, log_sums, dy, dquery, dkey, dvalue, workspace, mask_strides, bias_strides, scale,
    mean, rate, seed, stream, step, sample, partials, groups, share, first, last,
):  # fmt: skip
    """As ``cpu.attention.attention_backward``, with ``sample`` for its ``first``.

    With SHARED a call does the units [first, last) of each sample, one of ``groups`` groups of a head's keys, of
    several calls; what a group after the first adds to dquery is left in partials, for each query and head of each.
    """
    kernel_attributes()
    n, queries, heads, _ = query.shape
    keys, key_heads, _ = value.shape[1:]
    of_group = heads // key_heads
    begin, end, place, parts = 0, key_heads, 0, 1
    if SHARED:
        begin, end, place, parts = first, last, share * WORKSPACE, groups
    blocks = (keys + KEYS - 1) // KEYS
    # workspace: keys, values and their gradients of a block; queries and gradients of a block, and as columns; the
    # queries' gradients; scores, and other ones with dropout; numbers for each query
    values_at = place + KEYS * PITCH
    dkeys_at = values_at + KEYS * VALUE_PITCH
    dvalues_at = dkeys_at + KEYS * PITCH
    queries_at = dvalues_at + KEYS * VALUE_PITCH
    turned_at = queries_at + QUERIES * PITCH
    gradients_at = turned_at + QUERIES * PITCH
    columns_at = gradients_at + QUERIES * VALUE_PITCH
    dqueries_at = columns_at + QUERIES * VALUE_PITCH
    scores_at = dqueries_at + QUERIES * PITCH
    numbers_at = scores_at + KEYS * QUERIES
    unseen_at = numbers_at + 2 * QUERIES + 16
    others_at = unseen_at + VALUE_PITCH
    kept_at = others_at + KEYS * QUERIES
    dkeys = workspace[dkeys_at : dkeys_at + KEYS * PITCH]
    dvalues = workspace[dvalues_at : dvalues_at + KEYS * VALUE_PITCH]
    scores = workspace[scores_at : scores_at + KEYS * QUERIES]
    sums = workspace[numbers_at : numbers_at + QUERIES]
    delta = workspace[numbers_at + QUERIES : numbers_at + 2 * QUERIES]
    unseen = workspace[unseen_at : unseen_at + VALUE_PITCH]
    # of queries, before they are multiplied by keys; of the gradients of queries, of keys and of values
    workspace[numbers_at + 2 * QUERIES] = np.float32(scale * LOG2E)
    workspace[numbers_at + 2 * QUERIES + 1] = np.float32(scale)
    workspace[numbers_at + 2 * QUERIES + 2] = np.float32(1 / LOG2E)
    workspace[numbers_at + 2 * QUERIES + 3] = np.float32(1)
    factors = address(workspace, numbers_at + 2 * QUERIES)
    packed_keys, packed_values = address(workspace, place), address(workspace, values_at)
    packed_queries, turned = address(workspace, queries_at), address(workspace, turned_at)
    packed_gradients, columns = address(workspace, gradients_at), address(workspace, columns_at)
    block = address(workspace, scores_at)
    for b in range(n):
        for unit in range(begin, end):
            shared, group = unit // parts, unit % parts
            start, stop = blocks * group // parts * KEYS, min(keys, blocks * (group + 1) // parts * KEYS)
            if SHARED and CAUSAL and group > 0:  # queries that see none of its keys
                of_group_at = (b * (parts - 1) + group - 1) * queries
                for row in range(of_group_at, of_group_at + min(start // QUERIES * QUERIES, queries)):
                    at = (row * heads + shared * of_group) * SIZE - b * partials.shape[1]
                    partials[b, at : at + of_group * SIZE] = 0
            # of queries that see no key and got the mean of all values
            unseen[:] = 0
            if CHANGED:
                for h in range(shared * of_group, (shared + 1) * of_group if mean else 0):
                    for i in range(queries):
                        if log_sums[b, h, i] == np.inf:
                            line = dy[b, i, h]
                            for d in range(WIDTH):
                                unseen[d] += line[d] / np.float32(keys)
            for j in range(start, stop, KEYS):
                count = min(KEYS, keys - j)
                row = (b * keys + j) * key_heads + shared
                pack_key((address(key, row * SIZE), key_heads * SIZE, packed_keys, count))
                pack_value((address(value, row * WIDTH), key_heads * WIDTH, packed_values, count))
                dkeys[: count * PITCH] = 0
                for row in range(count):
                    dvalues[row * VALUE_PITCH : (row + 1) * VALUE_PITCH] = unseen
                earliest = j // QUERIES * QUERIES if CAUSAL else 0
                for h in range(shared * of_group, (shared + 1) * of_group):
                    for q in range(earliest, queries, QUERIES):
                        of_block = min(QUERIES, queries - q)
                        seen = min(count, q + of_block - j) if CAUSAL else count  # keys, by any of these queries
                        for i in range(0, of_block, LANES):
                            row, rest = (b * queries + q + i) * heads + h, of_block - i
                            turn_query((
                                address(query, row * SIZE), heads * SIZE, turned + i * 4, QUERIES, rest,
                                factors, packed_queries + i * PITCH * 4,
                            ))  # fmt: skip
                            turn_gradient((
                                address(dy, row * WIDTH), heads * WIDTH, columns + i * 4, QUERIES, rest, 0,
                                packed_gradients + i * VALUE_PITCH * 4,
                            ))  # fmt: skip
                            dot((
                                packed_gradients + i * VALUE_PITCH * 4, address(y, row * WIDTH), heads * WIDTH,
                                address(workspace, numbers_at + QUERIES + i), rest,
                            ))  # fmt: skip
                        for i in range(of_block):
                            sums[i] = log_sums[b, h, q + i] * np.float32(LOG2E)
                        hidden = CAUSAL and j + seen > q
                        for row in range(0, seen, MR):
                            for column in range(0, of_block, COLUMNS):
                                if CAUSAL and column + COLUMNS <= j + row - q:
                                    continue
                                arguments = (
                                    packed_keys + row * PITCH * 4, PITCH, 1, turned + column * 4, QUERIES,
                                    block + (row * QUERIES + column) * 4, QUERIES, SIZE, seen - row,
                                    address(workspace, numbers_at + column), j + row - q - column,
                                )  # fmt: skip
                                if CHANGED:
                                    score(arguments)
                                elif hidden:
                                    score_power_causal(arguments)
                                else:
                                    score_power(arguments)
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
                        if CHANGED:
                            if hidden:
                                for row in range(seen):
                                    scores[row * QUERIES : row * QUERIES + max(0, min(of_block, j + row - q))] = (
                                        np.float32(LOWEST)
                                    )
                            for column in range(0, of_block, SOFTMAX * LANES):
                                power((block + column * 4, QUERIES, seen, address(workspace, numbers_at + column)))
                        probabilities = block
                        if DROPPED:
                            threshold, kept = np.uint64(rate * 4294967296.0), np.float32(1.0 / (1.0 - rate))
                            number = ((((sample + b) * heads + h) * queries + q) * keys) + j
                            drawn = workspace[kept_at : kept_at + (KEYS + 4) * QUERIES]
                            others = workspace[others_at : others_at + KEYS * QUERIES]
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
                                other = others[row * QUERIES : row * QUERIES + of_block]
                                for i in range(line.size):
                                    other[i] = line[i] * drawn[(row + (number + i * keys) % 4) * QUERIES + i]
                            probabilities = address(workspace, others_at)
                        for row in range(0, seen, MR):
                            hides = max(0, j + row - q) if CAUSAL else 0  # queries that don't see these keys
                            for column in range(0, VALUE_PITCH, WIDTH_TILE * LANES):
                                of_values((
                                    probabilities + (row * QUERIES + hides) * 4, QUERIES, 1,
                                    packed_gradients + (hides * VALUE_PITCH + column) * 4, VALUE_PITCH,
                                    address(workspace, dvalues_at + row * VALUE_PITCH + column), VALUE_PITCH,
                                    of_block - hides, seen - row, 0, 0,
                                ))  # fmt: skip
                        for row in range(0, seen, MR):
                            for column in range(0, of_block, COLUMNS):
                                if CAUSAL and column + COLUMNS <= j + row - q:
                                    continue
                                arguments = (
                                    packed_values + row * VALUE_PITCH * 4, VALUE_PITCH, 1, columns + column * 4,
                                    QUERIES, probabilities + (row * QUERIES + column) * 4, QUERIES, WIDTH, seen - row,
                                    address(workspace, numbers_at + QUERIES + column), 0,
                                )  # fmt: skip
                                if DROPPED:
                                    score(arguments)
                                else:
                                    score_gradient(arguments)
                        if DROPPED:
                            for row in range(seen):
                                line = scores[row * QUERIES : row * QUERIES + of_block]
                                other = others[row * QUERIES : row * QUERIES + of_block]
                                for i in range(line.size):
                                    kept_here = drawn[(row + (number + i * keys) % 4) * QUERIES + i]
                                    line[i] *= other[i] * kept_here - delta[i]
                        for row in range(0, seen, MR):
                            hides = max(0, j + row - q) if CAUSAL else 0
                            for column in range(0, PITCH, SIZE_TILE * LANES):
                                of_keys((
                                    block + (row * QUERIES + hides) * 4, QUERIES, 1,
                                    packed_queries + (hides * PITCH + column) * 4, PITCH,
                                    address(workspace, dkeys_at + row * PITCH + column), PITCH, of_block - hides,
                                    seen - row, 0, 0,
                                ))  # fmt: skip
                        for row in range(0, of_block, MR):
                            depth = min(seen, q + row + MR - j) if CAUSAL else seen
                            for column in range(0, PITCH, SIZE_TILE * LANES):
                                of_queries((
                                    block + row * 4, 1, QUERIES, packed_keys + column * 4, PITCH,
                                    address(workspace, dqueries_at + row * PITCH + column), PITCH, depth,
                                    of_block - row, 0, 0,
                                ))  # fmt: skip
                        target = address(dquery, ((b * queries + q) * heads + h) * SIZE)
                        if SHARED and group > 0:
                            row = (b * (parts - 1) + group - 1) * queries + q
                            target = address(partials, (row * heads + h) * SIZE)
                        arguments = address(workspace, dqueries_at), target, heads * SIZE, of_block, factors + 4
                        if j == start:
                            unpack(arguments)
                        else:
                            unpack_more(arguments)
                row = (b * keys + j) * key_heads + shared
                target = address(dkey, row * SIZE)
                unpack((address(workspace, dkeys_at), target, key_heads * SIZE, count, factors + 8))
                target = address(dvalue, row * WIDTH)
                unpack_value((address(workspace, dvalues_at), target, key_heads * WIDTH, count, factors + 12))
