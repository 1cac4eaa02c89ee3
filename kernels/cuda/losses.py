"""Losses per row, their gradients, and the weighted sum that makes a row's loss a batch's.

Predictions are (rows, classes) with the classes on the last axis, labels int64 (rows,), values one loss per row
(rows,).  A gradient kernel multiplies by ``dvalues`` (rows,), the gradient of what is minimised by each row's loss.
Where a row is summed, a block does it.
"""

import math

import numpy as np

from ..scalar import losses, real
from ..scalar.activations import sigmoid, softplus
from ..scalar.losses import (
    circle_negative,
    circle_negative_slope,
    circle_positive,
    circle_positive_slope,
    clip_probability,
    is_inside,
    log_add,
)
from ._api import cuda, function, kernel, launch, over, over_rows, row_block, workspace
from ._blocks import block_max, block_sum


def _launch_rows(kernel, rows: int, *arrays) -> None:
    """Launch a kernel with a block for each of the rows of the first array, and its length as the last argument."""
    classes = arrays[0].shape[-1]
    flat = (array.reshape(-1) if hasattr(array, "reshape") else array for array in arrays)
    launch(kernel, rows, row_block(classes), *flat, classes)


def _launch_elements(kernel, rows: int, *arrays) -> None:
    """Launch a kernel over all elements, whose rows and columns are the last two arguments."""
    classes = arrays[0].shape[-1]
    flat = (array.reshape(-1) if hasattr(array, "reshape") else array for array in arrays)
    launch(kernel, *over_rows(rows, classes), *flat, rows, classes)


@function
def _sum_of(values, first, size):
    """A thread's share of the sum of a row."""
    total = real(0)
    for i in range(first + cuda.threadIdx.x, first + size, cuda.blockDim.x):
        total += values[i]
    return total


@function
def _largest_of(values, first, size):
    """The largest of a thread's share of a row."""
    largest = real(-np.inf)
    for i in range(first + cuda.threadIdx.x, first + size, cuda.blockDim.x):
        largest = values[i] if values[i] > largest else largest
    return largest


@function
def _exponentials(logits, largest, probabilities, first, size):
    """probabilities = exp(logits - largest) and their sum, of a thread's share of a row."""
    total = real(0)
    for i in range(first + cuda.threadIdx.x, first + size, cuda.blockDim.x):
        exponential = math.exp(logits[i] - largest)
        probabilities[i] = exponential
        total += exponential
    return total


@function
def _scale(values, factor, first, size):
    """values *= factor, of a thread's share of a row."""
    for i in range(first + cuda.threadIdx.x, first + size, cuda.blockDim.x):
        values[i] *= factor


@kernel
def _sparse_softmax_cross_entropy_forward(logits, labels, values, probabilities, classes):
    row = cuda.blockIdx.x
    first = row * classes
    label = labels[row]  # before the reductions, for which these loads don't wait
    known = 0 <= label < classes
    chosen = logits[first + label] if known else real(np.nan)
    largest = block_max(_largest_of(logits, first, classes))
    total = block_sum(_exponentials(logits, largest, probabilities, first, classes))
    _scale(probabilities, real(1) / total, first, classes)
    if cuda.threadIdx.x == 0:
        values[row] = math.log(total) - (chosen - largest)


def sparse_softmax_cross_entropy_forward(logits, labels, values, probabilities):
    """values = -log(softmax(logits)[label]); probabilities = softmax(logits).  NaN for a label outside [0, classes)."""
    _launch_rows(_sparse_softmax_cross_entropy_forward, values.size, logits, labels, values, probabilities)


@kernel
def _sparse_softmax_cross_entropy_backward(probabilities, labels, dvalues, dlogits, accumulate, rows, classes):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        for c in range(first_column, classes, column_step):
            at = row * classes + c
            target = real(1) if c == labels[row] else real(0)
            gradient = dvalues[row] * (probabilities[at] - target)
            dlogits[at] = dlogits[at] + gradient if accumulate else gradient


def sparse_softmax_cross_entropy_backward(probabilities, labels, dvalues, dlogits, accumulate):
    """dlogits = dvalues (probabilities - onehot(label))"""
    arrays = probabilities, labels, dvalues, dlogits
    _launch_elements(_sparse_softmax_cross_entropy_backward, dvalues.size, *arrays, accumulate)


@kernel
def _softmax_cross_entropy_forward(logits, targets, values, probabilities, classes):
    row = cuda.blockIdx.x
    first = row * classes
    largest = block_max(_largest_of(logits, first, classes))
    total = block_sum(_exponentials(logits, largest, probabilities, first, classes))
    _scale(probabilities, real(1) / total, first, classes)
    chosen = real(0)
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        # a target of 0 counts nothing, even where the logarithm is infinite
        chosen += targets[c] * (logits[c] - largest) if targets[c] != real(0) else real(0)
    chosen = block_sum(chosen)
    targets_total = block_sum(_sum_of(targets, first, classes))
    if cuda.threadIdx.x == 0:
        values[row] = math.log(total) * targets_total - chosen


def softmax_cross_entropy_forward(logits, targets, values, probabilities):
    """values = -sum(targets log(softmax(logits))); probabilities = softmax(logits).  targets: (rows, classes)"""
    _launch_rows(_softmax_cross_entropy_forward, values.size, logits, targets, values, probabilities)


@kernel
def _softmax_cross_entropy_backward(probabilities, targets, dvalues, dlogits, accumulate, classes):
    row = cuda.blockIdx.x
    first = row * classes
    total = block_sum(_sum_of(targets, first, classes))
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        gradient = dvalues[row] * (probabilities[c] * total - targets[c])
        dlogits[c] = dlogits[c] + gradient if accumulate else gradient


def softmax_cross_entropy_backward(probabilities, targets, dvalues, dlogits, accumulate):
    """dlogits = dvalues (probabilities sum(targets) - targets).  targets: (rows, classes)"""
    arrays = probabilities, targets, dvalues, dlogits
    _launch_rows(_softmax_cross_entropy_backward, dvalues.size, *arrays, accumulate)


@kernel
def _sparse_cross_entropy_forward(probabilities, labels, values, classes):
    row = cuda.blockIdx.x
    total = block_sum(_sum_of(probabilities, row * classes, classes))
    if cuda.threadIdx.x == 0:
        label = labels[row]
        chosen = probabilities[row * classes + label] if 0 <= label < classes else real(np.nan)
        values[row] = -math.log(clip_probability(chosen / total))


def sparse_cross_entropy_forward(probabilities, labels, values):
    """values = -log(clip(probabilities / their sum)[label]), as in Keras.  NaN for a label outside [0, classes)."""
    _launch_rows(_sparse_cross_entropy_forward, values.size, probabilities, labels, values)


@kernel
def _sparse_cross_entropy_backward(probabilities, labels, dvalues, dprobabilities, accumulate, classes):
    row = cuda.blockIdx.x
    first, label = row * classes, labels[row]
    total = block_sum(_sum_of(probabilities, first, classes))
    q = probabilities[first + label] / total if 0 <= label < classes else real(np.nan)
    scale = dvalues[row] * is_inside(q) / total
    for c in range(cuda.threadIdx.x, classes, cuda.blockDim.x):
        gradient = scale * (real(1) - (real(1) / clip_probability(q) if c == label else real(0)))
        at = first + c
        dprobabilities[at] = dprobabilities[at] + gradient if accumulate else gradient


def sparse_cross_entropy_backward(probabilities, labels, dvalues, dprobabilities, accumulate):
    """With q = probabilities / their sum s: dprobabilities = dvalues (1 - onehot(label) / q) / s, or 0 if clipped."""
    arrays = probabilities, labels, dvalues, dprobabilities
    _launch_rows(_sparse_cross_entropy_backward, dvalues.size, *arrays, accumulate)


@kernel
def _cross_entropy_forward(probabilities, targets, values, classes):
    row = cuda.blockIdx.x
    first = row * classes
    s = block_sum(_sum_of(probabilities, first, classes))
    total = real(0)
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        total -= targets[c] * math.log(clip_probability(probabilities[c] / s))
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        values[row] = total


def cross_entropy_forward(probabilities, targets, values):
    """values = -sum(targets log(clip(probabilities / their sum))), as in Keras.  targets: (rows, classes)"""
    _launch_rows(_cross_entropy_forward, values.size, probabilities, targets, values)


@kernel
def _cross_entropy_backward(probabilities, targets, dvalues, dprobabilities, accumulate, classes):
    row = cuda.blockIdx.x
    first = row * classes
    s = block_sum(_sum_of(probabilities, first, classes))
    total = real(0)
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        total += targets[c] * is_inside(probabilities[c] / s)
    total = block_sum(total)
    scale = dvalues[row] / s
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        q = probabilities[c] / s
        gradient = scale * (total - targets[c] * is_inside(q) / clip_probability(q))
        dprobabilities[c] = dprobabilities[c] + gradient if accumulate else gradient


def cross_entropy_backward(probabilities, targets, dvalues, dprobabilities, accumulate):
    """With q = probabilities / their sum s, t' the targets whose q is not clipped: dvalues (sum(t') - t' / q) / s"""
    arrays = probabilities, targets, dvalues, dprobabilities
    _launch_rows(_cross_entropy_backward, dvalues.size, *arrays, accumulate)


# ---- means over the last axis of a pointwise loss


def _mean(loss):
    @kernel
    def _mean_over_rows(predictions, targets, values, classes):
        row = cuda.blockIdx.x
        total = real(0)
        for i in range(row * classes + cuda.threadIdx.x, (row + 1) * classes, cuda.blockDim.x):
            total += loss(predictions[i], targets[i])
        total = block_sum(total)
        if cuda.threadIdx.x == 0:
            values[row] = total * (real(1) / real(classes))

    return _mean_over_rows


def _mean_gradient(derivative):
    @kernel
    def _mean_over_rows_gradient(predictions, targets, dvalues, dpredictions, accumulate, rows, classes):
        factor = real(1) / real(classes)
        first_column, first_row = cuda.grid(2)
        column_step, row_step = cuda.gridsize(2)
        for row in range(first_row, rows, row_step):
            scale = dvalues[row] * factor
            for i in range(row * classes + first_column, (row + 1) * classes, column_step):
                gradient = scale * derivative(predictions[i], targets[i])
                dpredictions[i] = dpredictions[i] + gradient if accumulate else gradient

    return _mean_over_rows_gradient


_MEANS = {name: _mean(getattr(losses, name)) for name in losses.NAMES}
_GRADIENTS = {name: _mean_gradient(getattr(losses, f"{name}_derivative")) for name in losses.NAMES}


def binary_cross_entropy_forward(probabilities, targets, values):
    """values = mean over the last axis of -(t log(p) + (1 - t) log(1 - p)), p clipped, as in Keras"""
    _launch_rows(_MEANS["binary_cross_entropy"], values.size, probabilities, targets, values)


def binary_cross_entropy_backward(probabilities, targets, dvalues, dprobabilities, accumulate):
    """dprobabilities = dvalues times the gradient of ``binary_cross_entropy_forward``'s values"""
    arrays = probabilities, targets, dvalues, dprobabilities
    _launch_elements(_GRADIENTS["binary_cross_entropy"], dvalues.size, *arrays, accumulate)


def binary_cross_entropy_with_logits_forward(logits, targets, values):
    """values = mean over the last axis of -(t log(s) + (1 - t) log(1 - s)), s = sigmoid(logits)"""
    _launch_rows(_MEANS["binary_cross_entropy_with_logits"], values.size, logits, targets, values)


def binary_cross_entropy_with_logits_backward(logits, targets, dvalues, dlogits, accumulate):
    """dlogits = dvalues times the gradient of ``binary_cross_entropy_with_logits_forward``'s values"""
    arrays = logits, targets, dvalues, dlogits
    _launch_elements(_GRADIENTS["binary_cross_entropy_with_logits"], dvalues.size, *arrays, accumulate)


def mean_squared_error_forward(predictions, targets, values):
    """values = mean over the last axis of (prediction - target)^2"""
    _launch_rows(_MEANS["mean_squared_error"], values.size, predictions, targets, values)


def mean_squared_error_backward(predictions, targets, dvalues, dpredictions, accumulate):
    """dpredictions = dvalues times the gradient of ``mean_squared_error_forward``'s values"""
    arrays = predictions, targets, dvalues, dpredictions
    _launch_elements(_GRADIENTS["mean_squared_error"], dvalues.size, *arrays, accumulate)


def mean_absolute_error_forward(predictions, targets, values):
    """values = mean over the last axis of |prediction - target|"""
    _launch_rows(_MEANS["mean_absolute_error"], values.size, predictions, targets, values)


def mean_absolute_error_backward(predictions, targets, dvalues, dpredictions, accumulate):
    """dpredictions = dvalues times the gradient of ``mean_absolute_error_forward``'s values"""
    arrays = predictions, targets, dvalues, dpredictions
    _launch_elements(_GRADIENTS["mean_absolute_error"], dvalues.size, *arrays, accumulate)


# ---- connectionist temporal classification (Graves et al. 2006)


@kernel
def _log_softmax(logits, log_probabilities, classes):
    first = cuda.blockIdx.x * classes
    largest = real(-np.inf)
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        largest = max(largest, logits[c])
    largest = block_max(largest)
    total = real(0)
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        total += math.exp(logits[c] - largest)
    total = math.log(block_sum(total))
    for c in range(first + cuda.threadIdx.x, first + classes, cuda.blockDim.x):
        log_probabilities[c] = logits[c] - largest - total


@function
def _labels_in(labels, first, length):
    """How many labels there are: those that are not 0."""
    count = 0
    for i in range(length):
        count += 1 if labels[first + i] != 0 else 0
    return count


@function
def _are_classes(labels, first, count, classes):
    known = True
    for i in range(count):
        known = known and 0 <= labels[first + i] < classes
    return known


@kernel
def _ctc_forward(log_probabilities, labels, values, alphas, steps, classes, length, states):
    row = cuda.blockIdx.x
    wanted = row * length
    count = _labels_in(labels, wanted, length)
    known = _are_classes(labels, wanted, count, classes)
    for t in range(steps if known else 0):
        at = row * steps + t
        alpha, emitted = at * states, at * classes
        for s in range(cuda.threadIdx.x, 2 * count + 1, cuda.blockDim.x):
            label = labels[wanted + s // 2] if s % 2 == 1 else 0
            if t == 0:
                alphas[alpha + s] = log_probabilities[emitted + label] if s < 2 else real(-np.inf)
            else:
                before = alpha - states + s
                total = alphas[before]
                if s > 0:
                    total = log_add(total, alphas[before - 1])
                if s % 2 == 1 and s > 1 and label != labels[wanted + s // 2 - 1]:
                    total = log_add(total, alphas[before - 2])
                alphas[alpha + s] = total + log_probabilities[emitted + label]
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        if not known:
            values[row] = real(np.nan)
        else:
            last = ((row + 1) * steps - 1) * states + 2 * count
            values[row] = -(log_add(alphas[last], alphas[last - 1]) if count > 0 else alphas[last])


def ctc_forward(logits, labels, values, log_probabilities, alphas):
    """values = -log of the probability of labels, summed over the ways to emit them in time.

    Every step of time emits a class, of which 0 is blank; repeated classes count once, blanks not.  With 2 n + 1 states
    s, blanks around the n labels, alphas[t, s] is the log of the probability to be in s at t.

    logits, log_probabilities: (batch, steps, classes); labels: (batch, length), 0 after the last one; alphas: (batch,
    steps, 2 length + 1).  inf for what can't be emitted in so many steps; NaN for a label that is no class.
    """
    steps, classes = logits.shape[-2], logits.shape[-1]
    length, states = labels.shape[-1], alphas.shape[-1]
    rows = values.size
    flat = log_probabilities.reshape(-1)
    launch(_log_softmax, rows * steps, row_block(classes), logits.reshape(-1), flat, classes)
    given = flat, labels.reshape(-1), values, alphas.reshape(-1)
    launch(_ctc_forward, rows, row_block(states), *given, steps, classes, length, states)


@kernel
def _ctc_backward(
    log_probabilities, labels, values, alphas, dvalues, dlogits, betas, accumulate, steps, classes, length, states
):
    row = cuda.blockIdx.x
    wanted, space = row * length, row * states * 3
    count = _labels_in(labels, wanted, length)
    finite = values[row] - values[row] == real(0)
    for back in range(steps):
        t = steps - 1 - back
        at = row * steps + t
        now, later = space + t % 2 * states, space + (t + 1) % 2 * states
        follows = (at + 1) * classes
        for s in range(cuda.threadIdx.x, 2 * count + 1 if finite else 0, cuda.blockDim.x):
            label = labels[wanted + s // 2] if s % 2 == 1 else 0
            if back == 0:
                beta = real(0) if s >= 2 * count - 1 else real(-np.inf)
            else:
                beta = betas[later + s] + log_probabilities[follows + label]
                if s < 2 * count:
                    neighbour = labels[wanted + (s + 1) // 2] if s % 2 == 0 else 0
                    beta = log_add(beta, betas[later + s + 1] + log_probabilities[follows + neighbour])
                if s % 2 == 1 and s < 2 * count - 1 and label != labels[wanted + s // 2 + 1]:
                    skipped = labels[wanted + s // 2 + 1]
                    beta = log_add(beta, betas[later + s + 2] + log_probabilities[follows + skipped])
            betas[now + s] = beta
            betas[space + 2 * states + s] = math.exp(alphas[at * states + s] + beta + values[row])
        cuda.syncthreads()
        for c in range(cuda.threadIdx.x, classes, cuda.blockDim.x):
            gradient = real(0)
            if finite:
                gradient = math.exp(log_probabilities[at * classes + c])
                for s in range(2 * count + 1):
                    label = labels[wanted + s // 2] if s % 2 == 1 else 0
                    gradient -= betas[space + 2 * states + s] if label == c else real(0)
                gradient *= dvalues[row]
            place = at * classes + c
            dlogits[place] = dlogits[place] + gradient if accumulate else gradient
        cuda.syncthreads()


def ctc_backward(log_probabilities, labels, values, alphas, dvalues, dlogits, betas, accumulate):
    """dlogits = dvalues (probabilities - those of the states, given the labels); 0 where values are not finite.

    betas: (batch, 2 length + 1, 3), to work with: the log of the probability to emit the rest from a state, now and one
    step later, and the probability of the state.  Other shapes as of ``ctc_forward``.
    """
    steps, classes = log_probabilities.shape[-2], log_probabilities.shape[-1]
    length, states = labels.shape[-1], alphas.shape[-1]
    given = (
        log_probabilities.reshape(-1), labels.reshape(-1), values, alphas.reshape(-1), dvalues, dlogits.reshape(-1),
        betas.reshape(-1), accumulate,
    )  # fmt: skip
    launch(_ctc_backward, dvalues.size, row_block(max(states, classes)), *given, steps, classes, length, states)


# ---- the circle loss (Sun et al. 2020), over the whole batch at once


@function
def _distance(embeddings, i, j, features):
    """1 - the product of two vectors of length 1, not negative"""
    product = real(0)
    for f in range(features):
        product += embeddings[i * features + f] * embeddings[j * features + f]
    distance = real(1) - product
    return distance if distance > real(0) else real(0)


@kernel
def _circle_forward(embeddings, labels, values, sums, gamma, margin, remove_diagonal, samples, features):
    for i in range(cuda.grid(1), samples, cuda.gridsize(1)):
        positive, negative = real(-np.inf), real(-np.inf)
        for j in range(samples):
            distance = _distance(embeddings, i, j, features)
            if labels[i] != labels[j]:
                negative = log_add(negative, circle_negative(distance, real(gamma[0]), real(margin[0])))
            elif i != j or not remove_diagonal:
                positive = log_add(positive, circle_positive(distance, real(gamma[0]), real(margin[0])))
        sums[2 * i] = positive
        sums[2 * i + 1] = negative
        values[i] = softplus(positive + negative)


def circle_forward(embeddings, labels, values, sums, gamma, margin, remove_diagonal):
    """values = softplus(logsumexp(pairs of one class) + logsumexp(pairs of two classes)), for each sample.

    embeddings: (batch, features), of length 1; labels: (batch,); sums: (batch, 2), both logarithms.
    remove_diagonal: a sample is no pair with itself.
    """
    samples, features = values.size, embeddings.shape[-1]
    given = embeddings.reshape(-1), labels.reshape(-1), values, sums.reshape(-1), gamma, margin, remove_diagonal
    launch(_circle_forward, *over(samples), *given, samples, features)


@kernel
def _circle_slopes(embeddings, labels, sums, dvalues, slopes, gamma, margin, remove_diagonal, samples, features):
    """slopes[i, j] = by the product of i and j, of what i adds"""
    for pair in range(cuda.grid(1), samples * samples, cuda.gridsize(1)):
        i, j = pair // samples, pair % samples
        distance = _distance(embeddings, i, j, features)
        positive, negative = sums[2 * i], sums[2 * i + 1]
        slope = real(0)
        if labels[i] != labels[j]:
            share = math.exp(circle_negative(distance, real(gamma[0]), real(margin[0])) - negative)
            slope = share * circle_negative_slope(distance, real(gamma[0]), real(margin[0]))
        elif i != j or not remove_diagonal:
            share = math.exp(circle_positive(distance, real(gamma[0]), real(margin[0])) - positive)
            slope = share * circle_positive_slope(distance, real(gamma[0]))
        scale = -dvalues[i] * sigmoid(positive + negative)
        slopes[pair] = scale * slope if distance > real(0) else real(0)


@kernel
def _circle_backward(embeddings, slopes, dembeddings, accumulate, samples, features):
    for at in range(cuda.grid(1), samples * features, cuda.gridsize(1)):
        i, f = at // features, at % features
        gradient = real(0)
        for j in range(samples):
            gradient += (slopes[i * samples + j] + slopes[j * samples + i]) * embeddings[j * features + f]
        dembeddings[at] = dembeddings[at] + gradient if accumulate else gradient


def circle_backward(embeddings, labels, sums, dvalues, dembeddings, gamma, margin, remove_diagonal, accumulate):
    """dembeddings = the gradient of sum(dvalues values); arrays as of ``circle_forward``"""
    samples, features = dvalues.size, embeddings.shape[-1]
    slopes = workspace(samples * samples, embeddings.dtype)
    flat = embeddings.reshape(-1)
    given = flat, labels.reshape(-1), sums.reshape(-1), dvalues, slopes, gamma, margin, remove_diagonal
    launch(_circle_slopes, *over(samples * samples), *given, samples, features)
    given = flat, slopes, dembeddings.reshape(-1), accumulate
    launch(_circle_backward, *over(samples * features), *given, samples, features)
