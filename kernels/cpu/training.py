"""What a training step needs around its layers: sums over chunks in a fixed order, and running results."""

import math

from .runtime.jit import kernel, kernel_attributes


@kernel
def chunk_counts(counts, batch, rows):
    """counts: (chunks,) int64; counts[i] = rows per sample times the samples of chunk i of a batch."""
    kernel_attributes()
    chunks = counts.size
    for i in range(chunks):
        counts[i] = (batch * (i + 1) // chunks - batch * i // chunks) * rows


@kernel
def sum_partials(partials, out):
    """out[...] = sum over i of partials[i, ...], in the order of i.  partials: (chunks, ...), out: (...)"""
    kernel_attributes()
    rows = partials.reshape(partials.shape[0], -1)
    flat = out.reshape(-1)
    for j in range(flat.size):
        flat[j] = rows[0, j]
    for i in range(1, rows.shape[0]):
        row = rows[i]
        for j in range(flat.size):
            flat[j] += row[j]


@kernel
def sum_gradients(chunk_gradients, begin, out):
    """out[j] = sum over chunks i of chunk_gradients[i, begin + j].  chunk_gradients: (chunks, P), out: (n,)"""
    kernel_attributes()
    row = chunk_gradients[0, begin : begin + out.size]
    for j in range(out.size):
        out[j] = row[j]
    for i in range(1, chunk_gradients.shape[0]):
        row = chunk_gradients[i, begin : begin + out.size]
        for j in range(out.size):
            out[j] += row[j]


@kernel
def total(values, out):
    """out[0] = sum of values in float64.  values: (n,), out: (1,) float64"""
    kernel_attributes()
    result = 0.0
    for i in range(values.size):
        result += values[i]
    out[0] = result


@kernel
def weighted_total(values, weights, out):
    """out[0] = sum of values * weights in float64.  values, weights: (n,), out: (1,) float64"""
    kernel_attributes()
    result = 0.0
    for i in range(values.size):
        result += values[i] * weights[i]
    out[0] = result


@kernel
def add_result(totals, results, index, factor):
    """results[index] += factor * sum of totals, in order.  totals: (chunks, 1) float64, results: (k,) float64"""
    kernel_attributes()
    result = 0.0
    for i in range(totals.shape[0]):
        result += totals[i, 0]
    results[index] += factor * result


@kernel
def loss_gradient(weights, d_values, scale, accumulate):
    """d_values = weights * scale: the gradient of a weighted mean.  weights, d_values: (n,)"""
    kernel_attributes()
    factor = d_values.dtype.type(scale)
    if accumulate:
        for i in range(d_values.size):
            d_values[i] += weights[i] * factor
    else:
        for i in range(d_values.size):
            d_values[i] = weights[i] * factor


@kernel
def l1_l2_penalty(parameter, l1, l2, results, index, factor):
    """results[index] += factor * (l1 * sum(|p|) + l2 * sum(p^2))."""
    kernel_attributes()
    flat = parameter.reshape(-1)
    absolute, squares = 0.0, 0.0
    for i in range(flat.size):
        absolute += abs(flat[i])
        squares += flat[i] * flat[i]
    results[index] += factor * (l1 * absolute + l2 * squares)


@kernel
def l1_l2_gradient(parameter, gradient, l1, l2):
    """gradient += l1 * sign(p) + 2 * l2 * p."""
    kernel_attributes()
    p, g = parameter.reshape(-1), gradient.reshape(-1)
    slope, factor = p.dtype.type(l1), p.dtype.type(2 * l2)
    zero = p.dtype.type(0)
    for i in range(p.size):
        sign = slope if p[i] > zero else (-slope if p[i] < zero else zero)
        g[i] += sign + factor * p[i]


@kernel
def add_up(totals, out, scale):
    """out[0] = scale * sum of totals, in order.  totals: (chunks, 1) float64, out: (1,)"""
    kernel_attributes()
    result = 0.0
    for i in range(totals.shape[0]):
        result += totals[i, 0]
    out[0] = scale * result


@kernel
def spread(dtotal, dvalues, scale, accumulate):
    """dvalues = dtotal[0] * scale everywhere: the gradient of a sum or a mean.  dtotal: (1,), dvalues: (n,)"""
    kernel_attributes()
    slope = dvalues.dtype.type(dtotal[0] * scale)
    if accumulate:
        for i in range(dvalues.size):
            dvalues[i] += slope
    else:
        for i in range(dvalues.size):
            dvalues[i] = slope


@kernel
def count_step(iterations):
    """One step more was taken.  iterations: (1,) int64"""
    kernel_attributes()
    iterations[0] += 1


@kernel
def add_numbers(numbers, results, index, factor):
    """results[index + i] += factor * numbers[i].  numbers: any shape, n elements; results: (k,) float64"""
    kernel_attributes()
    flat = numbers.reshape(-1)
    for i in range(flat.size):
        results[index + i] += factor * flat[i]


@kernel
def keep_largest(numbers, results, index):
    """results[index + i] = max(itself, numbers[i]), NaN from the first one on.  numbers: (n,), results: (k,) float64"""
    kernel_attributes()
    flat = numbers.reshape(-1)
    for i in range(flat.size):
        number = flat[i]
        if number > results[index + i] or number != number:
            results[index + i] = number


@kernel
def scale(values, factor):
    """values *= factor.  values: (n,)"""
    kernel_attributes()
    times = values.dtype.type(factor)
    for i in range(values.size):
        values[i] *= times


@kernel
def repeat(row, rows, scale, accumulate):
    """rows[i] = scale * row: the gradient of a sum or a mean of rows.  row: (n,), rows: (m, n)"""
    kernel_attributes()
    factor = rows.dtype.type(scale)
    for i in range(rows.shape[0]):
        target = rows[i]
        for j in range(target.size):
            target[j] = target[j] + factor * row[j] if accumulate else factor * row[j]


@kernel
def sum_of_squares(values, out, accumulate):
    """out[0] = sum of values^2 in float64, always in the same order, added to out if accumulate.  out: (1,) float64"""
    kernel_attributes()
    flat = values.reshape(-1)
    # eight sums, so that none waits for the one before it
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    whole = flat.size // 8 * 8
    for i in range(0, whole, 8):
        s0 += flat[i] * flat[i]
        s1 += flat[i + 1] * flat[i + 1]
        s2 += flat[i + 2] * flat[i + 2]
        s3 += flat[i + 3] * flat[i + 3]
        s4 += flat[i + 4] * flat[i + 4]
        s5 += flat[i + 5] * flat[i + 5]
        s6 += flat[i + 6] * flat[i + 6]
        s7 += flat[i + 7] * flat[i + 7]
    for i in range(whole, flat.size):
        s0 += flat[i] * flat[i]
    total = ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
    out[0] = out[0] + total if accumulate else total


@kernel
def limit_norm(squares, factor, limit):
    """factor[0] = what values are multiplied by whose squares sum up to squares[0], so that their norm is in limit."""
    kernel_attributes()
    norm = math.sqrt(squares[0])
    factor[0] = limit / norm if norm > limit else 1.0


@kernel
def scale_by(values, factor):
    """values *= factor[0].  values: (n,), factor: (1,)"""
    kernel_attributes()
    times = factor[0]
    for i in range(values.size):
        values[i] *= times
