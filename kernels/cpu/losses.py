"""Losses per row, their gradients, and the weighted sum that makes a row's loss a batch's.

Predictions are (rows, classes) with the classes on the last axis, labels int64 (rows,), values one loss per row
(rows,).  A gradient kernel multiplies by ``dvalues`` (rows,), the gradient of what is minimised by each row's loss.
"""

import numpy as np

from ..scalar import activations, losses
from .runtime import vector_math
from .runtime.arrays import SCRATCH, scratch
from .runtime.jit import apart, inlined, kernel, kernel_attributes, scalar

_SCALAR = vector_math.scalar_functions(losses)
_clip_probability, _is_inside = _SCALAR["clip_probability"], _SCALAR["is_inside"]
_log_add = _SCALAR["log_add"]
_circle_positive, _circle_positive_slope = _SCALAR["circle_positive"], _SCALAR["circle_positive_slope"]
_circle_negative, _circle_negative_slope = _SCALAR["circle_negative"], _SCALAR["circle_negative_slope"]
_ACTIVATIONS = vector_math.scalar_functions(activations)
_softplus, _sigmoid = _ACTIVATIONS["softplus"], _ACTIVATIONS["sigmoid"]


@scalar
def _subtract_largest(x, shifted, classes):
    """shifted = x - the largest of each row's ``classes``.  x, shifted: (rows, classes)

    Kept in memory: the compiler may reorder the terms of one expression, and large logits would swallow the rest.
    """
    for r in range(x.shape[0]):
        largest = x.dtype.type(-np.inf)
        for c in range(classes):
            largest = x[r, c] if x[r, c] > largest else largest
        for c in range(classes):
            shifted[r, c] = x[r, c] - largest


@apart
def _exponentials(p):
    """p = exp(p): a loop of its own, because rows of few classes don't fill vectors."""
    for i in range(p.size):
        p[i] = vector_math.exp(p[i])


@scalar
def _normalise(p, first, totals, classes):
    """p = p / its rows' sums, which are left in totals, for as many rows from ``first`` on.  p: (rows, classes)"""
    for i in range(totals.size):
        total = p.dtype.type(0)
        for c in range(classes):
            total += p[first + i, c]
        totals[i] = total
        factor = p.dtype.type(1) / total
        for c in range(classes):
            p[first + i, c] *= factor


@apart
def _logarithms(x):
    """x = log(x): a loop of its own, for many rows at once."""
    for i in range(x.size):
        x[i] = vector_math.log(x[i])


@scalar
def _sum_of(row):
    total = row.dtype.type(0)
    for c in range(row.size):
        total += row[c]
    return total


@inlined
def _sparse_softmax_cross_entropy(logits, labels, values, probabilities, classes):
    _subtract_largest(logits, probabilities, classes)
    for r in range(values.size):
        label = labels[r]
        values[r] = probabilities[r, label] if 0 <= label < classes else values.dtype.type(np.nan)
    _exponentials(probabilities.reshape(-1))
    space = scratch(probabilities.dtype)
    for first in range(0, values.size, SCRATCH):
        totals = space[: min(SCRATCH, values.size - first)]
        _normalise(probabilities, first, totals, classes)
        _logarithms(totals)
        for i in range(totals.size):
            values[first + i] = totals[i] - values[first + i]


@kernel
def sparse_softmax_cross_entropy_forward(logits, labels, values, probabilities):
    """values = -log(softmax(logits)[label]); probabilities = softmax(logits).  NaN for a label outside [0, classes)."""
    kernel_attributes()
    classes = logits.shape[-1]
    logits = logits.reshape(values.size, classes)
    probabilities = probabilities.reshape(values.size, classes)
    labels = labels.reshape(-1)
    # a bound that the compiler knows keeps it from preparing vector loops for a few classes
    if classes < 8:
        _sparse_softmax_cross_entropy(logits, labels, values, probabilities, min(classes, 7))
    else:
        _sparse_softmax_cross_entropy(logits, labels, values, probabilities, classes)


@kernel
def sparse_softmax_cross_entropy_backward(probabilities, labels, dvalues, dlogits, accumulate):
    """dlogits = dvalues (probabilities - onehot(label))"""
    kernel_attributes()
    classes = probabilities.shape[-1]
    probabilities = probabilities.reshape(-1)
    labels = labels.reshape(-1)
    dlogits = dlogits.reshape(-1)
    for r in range(dvalues.size):
        p = probabilities[r * classes : (r + 1) * classes]
        dx = dlogits[r * classes : (r + 1) * classes]
        for c in range(classes):
            target = p.dtype.type(1) if c == labels[r] else p.dtype.type(0)
            gradient = dvalues[r] * (p[c] - target)
            dx[c] = dx[c] + gradient if accumulate else gradient


@kernel
def softmax_cross_entropy_forward(logits, targets, values, probabilities):
    """values = -sum(targets log(softmax(logits))); probabilities = softmax(logits).  targets: (rows, classes)"""
    kernel_attributes()
    classes = logits.shape[-1]
    logits = logits.reshape(values.size, classes)
    targets = targets.reshape(values.size, classes)
    probabilities = probabilities.reshape(values.size, classes)
    _subtract_largest(logits, probabilities, classes)
    zero = probabilities.dtype.type(0)
    for r in range(values.size):
        chosen = zero
        for c in range(classes):
            # a target of 0 counts nothing, even where the logarithm is infinite
            chosen += targets[r, c] * probabilities[r, c] if targets[r, c] != zero else zero
        values[r] = chosen
    _exponentials(probabilities.reshape(-1))
    space = scratch(probabilities.dtype)
    for first in range(0, values.size, SCRATCH):
        totals = space[: min(SCRATCH, values.size - first)]
        _normalise(probabilities, first, totals, classes)
        _logarithms(totals)
        for i in range(totals.size):
            values[first + i] = totals[i] * _sum_of(targets[first + i]) - values[first + i]


@kernel
def softmax_cross_entropy_backward(probabilities, targets, dvalues, dlogits, accumulate):
    """dlogits = dvalues (probabilities sum(targets) - targets).  targets: (rows, classes)"""
    kernel_attributes()
    classes = probabilities.shape[-1]
    probabilities = probabilities.reshape(-1)
    targets = targets.reshape(-1)
    dlogits = dlogits.reshape(-1)
    for r in range(dvalues.size):
        p = probabilities[r * classes : (r + 1) * classes]
        t = targets[r * classes : (r + 1) * classes]
        dx = dlogits[r * classes : (r + 1) * classes]
        total = _sum_of(t)
        for c in range(classes):
            gradient = dvalues[r] * (p[c] * total - t[c])
            dx[c] = dx[c] + gradient if accumulate else gradient


@kernel
def sparse_cross_entropy_forward(probabilities, labels, values):
    """values = -log(clip(probabilities / their sum)[label]), as in Keras.  NaN for a label outside [0, classes)."""
    kernel_attributes()
    classes = probabilities.shape[-1]
    probabilities = probabilities.reshape(-1)
    labels = labels.reshape(-1)
    for r in range(values.size):
        p = probabilities[r * classes : (r + 1) * classes]
        label = labels[r]
        chosen = p[label] if 0 <= label < classes else p.dtype.type(np.nan)
        values[r] = -vector_math.log(_clip_probability(chosen / _sum_of(p)))


@kernel
def sparse_cross_entropy_backward(probabilities, labels, dvalues, dprobabilities, accumulate):
    """With q = probabilities / their sum s: dprobabilities = dvalues (1 - onehot(label) / q) / s, or 0 if clipped."""
    kernel_attributes()
    classes = probabilities.shape[-1]
    probabilities = probabilities.reshape(-1)
    labels = labels.reshape(-1)
    dprobabilities = dprobabilities.reshape(-1)
    for r in range(dvalues.size):
        p = probabilities[r * classes : (r + 1) * classes]
        dp = dprobabilities[r * classes : (r + 1) * classes]
        label = labels[r]
        one, zero = p.dtype.type(1), p.dtype.type(0)
        s = _sum_of(p)
        q = p[label] / s if 0 <= label < classes else p.dtype.type(np.nan)
        scale = dvalues[r] * _is_inside(q) / s
        for c in range(classes):
            gradient = scale * (one - (one / _clip_probability(q) if c == label else zero))
            dp[c] = dp[c] + gradient if accumulate else gradient


@kernel
def cross_entropy_forward(probabilities, targets, values):
    """values = -sum(targets log(clip(probabilities / their sum))), as in Keras.  targets: (rows, classes)"""
    kernel_attributes()
    classes = probabilities.shape[-1]
    probabilities = probabilities.reshape(-1)
    targets = targets.reshape(-1)
    for r in range(values.size):
        p = probabilities[r * classes : (r + 1) * classes]
        t = targets[r * classes : (r + 1) * classes]
        s = _sum_of(p)
        total = p.dtype.type(0)
        for c in range(classes):
            total -= t[c] * vector_math.log(_clip_probability(p[c] / s))
        values[r] = total


@kernel
def cross_entropy_backward(probabilities, targets, dvalues, dprobabilities, accumulate):
    """With q = probabilities / their sum s, t' the targets whose q is not clipped: dvalues (sum(t') - t' / q) / s"""
    kernel_attributes()
    classes = probabilities.shape[-1]
    probabilities = probabilities.reshape(-1)
    targets = targets.reshape(-1)
    dprobabilities = dprobabilities.reshape(-1)
    for r in range(dvalues.size):
        p = probabilities[r * classes : (r + 1) * classes]
        t = targets[r * classes : (r + 1) * classes]
        dp = dprobabilities[r * classes : (r + 1) * classes]
        s = _sum_of(p)
        total = p.dtype.type(0)
        for c in range(classes):
            total += t[c] * _is_inside(p[c] / s)
        scale = dvalues[r] / s
        for c in range(classes):
            q = p[c] / s
            gradient = scale * (total - t[c] * _is_inside(q) / _clip_probability(q))
            dp[c] = dp[c] + gradient if accumulate else gradient


_binary_cross_entropy = _SCALAR["binary_cross_entropy"]
_binary_cross_entropy_gradient = _SCALAR["binary_cross_entropy_derivative"]
_binary_cross_entropy_with_logits = _SCALAR["binary_cross_entropy_with_logits"]
_binary_cross_entropy_with_logits_gradient = _SCALAR["binary_cross_entropy_with_logits_derivative"]
_squared_error, _squared_error_gradient = _SCALAR["mean_squared_error"], _SCALAR["mean_squared_error_derivative"]
_absolute_error, _absolute_error_gradient = _SCALAR["mean_absolute_error"], _SCALAR["mean_absolute_error_derivative"]


@scalar
def _mean_over_rows(loss, predictions, targets, values):
    """values = mean over the last axis of loss(prediction, target)"""
    classes = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    targets = targets.reshape(-1)
    factor = values.dtype.type(1.0 / classes)
    for r in range(values.size):
        p = predictions[r * classes : (r + 1) * classes]
        t = targets[r * classes : (r + 1) * classes]
        total = values.dtype.type(0)
        for c in range(classes):
            total += loss(p[c], t[c])
        values[r] = total * factor


@scalar
def _mean_over_rows_gradient(derivative, predictions, targets, dvalues, dpredictions, accumulate):
    classes = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    targets = targets.reshape(-1)
    dpredictions = dpredictions.reshape(-1)
    factor = dvalues.dtype.type(1.0 / classes)
    for r in range(dvalues.size):
        p = predictions[r * classes : (r + 1) * classes]
        t = targets[r * classes : (r + 1) * classes]
        dp = dpredictions[r * classes : (r + 1) * classes]
        scale = dvalues[r] * factor
        for c in range(classes):
            gradient = scale * derivative(p[c], t[c])
            dp[c] = dp[c] + gradient if accumulate else gradient


@kernel
def binary_cross_entropy_forward(probabilities, targets, values):
    """values = mean over the last axis of -(t log(p) + (1 - t) log(1 - p)), p clipped, as in Keras"""
    kernel_attributes()
    _mean_over_rows(_binary_cross_entropy, probabilities, targets, values)


@kernel
def binary_cross_entropy_backward(probabilities, targets, dvalues, dprobabilities, accumulate):
    """dprobabilities = dvalues times the gradient of ``binary_cross_entropy_forward``'s values"""
    kernel_attributes()
    _mean_over_rows_gradient(
        _binary_cross_entropy_gradient, probabilities, targets, dvalues, dprobabilities, accumulate
    )


@kernel
def binary_cross_entropy_with_logits_forward(logits, targets, values):
    """values = mean over the last axis of -(t log(s) + (1 - t) log(1 - s)), s = sigmoid(logits)"""
    kernel_attributes()
    _mean_over_rows(_binary_cross_entropy_with_logits, logits, targets, values)


@kernel
def binary_cross_entropy_with_logits_backward(logits, targets, dvalues, dlogits, accumulate):
    """dlogits = dvalues times the gradient of ``binary_cross_entropy_with_logits_forward``'s values"""
    kernel_attributes()
    _mean_over_rows_gradient(_binary_cross_entropy_with_logits_gradient, logits, targets, dvalues, dlogits, accumulate)


@kernel
def mean_squared_error_forward(predictions, targets, values):
    """values = mean over the last axis of (prediction - target)^2"""
    kernel_attributes()
    _mean_over_rows(_squared_error, predictions, targets, values)


@kernel
def mean_squared_error_backward(predictions, targets, dvalues, dpredictions, accumulate):
    """dpredictions = dvalues times the gradient of ``mean_squared_error_forward``'s values"""
    kernel_attributes()
    _mean_over_rows_gradient(_squared_error_gradient, predictions, targets, dvalues, dpredictions, accumulate)


@kernel
def mean_absolute_error_forward(predictions, targets, values):
    """values = mean over the last axis of |prediction - target|"""
    kernel_attributes()
    _mean_over_rows(_absolute_error, predictions, targets, values)


@kernel
def mean_absolute_error_backward(predictions, targets, dvalues, dpredictions, accumulate):
    """dpredictions = dvalues times the gradient of ``mean_absolute_error_forward``'s values"""
    kernel_attributes()
    _mean_over_rows_gradient(_absolute_error_gradient, predictions, targets, dvalues, dpredictions, accumulate)


# ---- connectionist temporal classification (Graves et al. 2006)


@scalar
def _labels_in(labels):
    """How many labels there are: those that are not 0."""
    count = 0
    for i in range(labels.size):
        count += labels[i] != 0
    return count


@kernel
def ctc_forward(logits, labels, values, log_probabilities, alphas):
    """values = -log of the probability of labels, summed over the ways to emit them in time.

    Every step of time emits a class, of which 0 is blank; repeated classes count once, blanks not.  With 2 n + 1 states
    s, blanks around the n labels, alphas[t, s] is the log of the probability to be in s at t.

    logits, log_probabilities: (batch, steps, classes); labels: (batch, length), 0 after the last one; alphas: (batch,
    steps, 2 length + 1).  inf for what can't be emitted in so many steps; NaN for a label that is no class.
    """
    kernel_attributes()
    steps, classes = logits.shape[-2], logits.shape[-1]
    length, states = labels.shape[-1], alphas.shape[-1]
    logits = logits.reshape(-1)
    log_probabilities = log_probabilities.reshape(-1)
    labels = labels.reshape(-1)
    alphas = alphas.reshape(-1)
    nothing = values.dtype.type(-np.inf)
    for r in range(values.size * steps):
        x = logits[r * classes : (r + 1) * classes]
        y = log_probabilities[r * classes : (r + 1) * classes]
        largest = nothing
        for c in range(classes):
            largest = x[c] if x[c] > largest else largest
        total = x.dtype.type(0)
        for c in range(classes):
            y[c] = x[c] - largest
            total += vector_math.exp(y[c])
        total = vector_math.log(total)
        for c in range(classes):
            y[c] -= total
    for r in range(values.size):
        wanted = labels[r * length : (r + 1) * length]
        count = _labels_in(wanted)
        known = True
        for i in range(count):
            known = known and 0 <= wanted[i] < classes
        if not known:
            values[r] = values.dtype.type(np.nan)
        for t in range(steps if known else 0):
            first = (r * steps + t) * states
            alpha, before = alphas[first : first + states], alphas[first - (states if t > 0 else 0) : first + states]
            emitted = log_probabilities[(r * steps + t) * classes : (r * steps + t + 1) * classes]
            for s in range(2 * count + 1):
                label = wanted[s // 2] if s % 2 == 1 else 0
                if t == 0:
                    alpha[s] = emitted[label] if s < 2 else nothing
                else:
                    total = before[s]
                    if s > 0:
                        total = _log_add(total, before[s - 1])
                    if s % 2 == 1 and s > 1 and label != wanted[s // 2 - 1]:
                        total = _log_add(total, before[s - 2])
                    alpha[s] = total + emitted[label]
        if known:
            last = ((r + 1) * steps - 1) * states + 2 * count
            values[r] = -(_log_add(alphas[last], alphas[last - 1]) if count > 0 else alphas[last])


@kernel
def ctc_backward(log_probabilities, labels, values, alphas, dvalues, dlogits, betas, accumulate):
    """dlogits = dvalues (probabilities - those of the states, given the labels); 0 where values are not finite.

    betas: (batch, 2 length + 1, 3), to work with: the log of the probability to emit the rest from a state, now and one
    step later, and the probability of the state.  Other shapes as of ``ctc_forward``.
    """
    kernel_attributes()
    steps, classes = log_probabilities.shape[-2], log_probabilities.shape[-1]
    length, states = labels.shape[-1], alphas.shape[-1]
    log_probabilities = log_probabilities.reshape(-1)
    labels = labels.reshape(-1)
    alphas = alphas.reshape(-1)
    dlogits = dlogits.reshape(-1)
    betas = betas.reshape(-1)
    zero, nothing = values.dtype.type(0), values.dtype.type(-np.inf)
    for r in range(values.size):
        wanted = labels[r * length : (r + 1) * length]
        count = _labels_in(wanted)
        finite = values[r] - values[r] == zero
        space = betas[r * states * 3 : (r + 1) * states * 3]
        for back in range(steps):
            t = steps - 1 - back
            at = r * steps + t
            y = log_probabilities[at * classes : (at + 1) * classes]
            dx = dlogits[at * classes : (at + 1) * classes]
            for c in range(classes):
                gradient = dvalues[r] * vector_math.exp(y[c]) if finite else zero
                dx[c] = dx[c] + gradient if accumulate else gradient
            now, later = t % 2 * states, (t + 1) % 2 * states
            for s in range(2 * count + 1 if finite else 0):
                label = wanted[s // 2] if s % 2 == 1 else 0
                if back == 0:
                    beta = zero if s >= 2 * count - 1 else nothing
                else:
                    follows = log_probabilities[(at + 1) * classes : (at + 2) * classes]
                    beta = space[later + s] + follows[label]
                    if s < 2 * count:
                        neighbour = wanted[(s + 1) // 2] if s % 2 == 0 else 0
                        beta = _log_add(beta, space[later + s + 1] + follows[neighbour])
                    if s % 2 == 1 and s < 2 * count - 1 and label != wanted[s // 2 + 1]:
                        beta = _log_add(beta, space[later + s + 2] + follows[wanted[s // 2 + 1]])
                space[now + s] = beta
                space[2 * states + s] = vector_math.exp(alphas[at * states + s] + beta + values[r])
                dx[label] -= dvalues[r] * space[2 * states + s]


# ---- the circle loss (Sun et al. 2020), over the whole batch at once


@scalar
def _distance(a, b):
    """1 - the product of two vectors of length 1, not negative"""
    product = a.dtype.type(0)
    for f in range(a.size):
        product += a[f] * b[f]
    distance = a.dtype.type(1) - product
    return distance if distance > a.dtype.type(0) else a.dtype.type(0)


@kernel
def circle_forward(embeddings, labels, values, sums, gamma, margin, remove_diagonal):
    """values = softplus(logsumexp(pairs of one class) + logsumexp(pairs of two classes)), for each sample.

    embeddings: (batch, features), of length 1; labels: (batch,); sums: (batch, 2), both logarithms.
    remove_diagonal: a sample is no pair with itself.
    """
    kernel_attributes()
    features = embeddings.shape[-1]
    embeddings = embeddings.reshape(-1)
    labels = labels.reshape(-1)
    sums = sums.reshape(-1)
    gamma, margin = values.dtype.type(gamma), values.dtype.type(margin)
    for i in range(values.size):
        one = embeddings[i * features : (i + 1) * features]
        positive, negative = values.dtype.type(-np.inf), values.dtype.type(-np.inf)
        for j in range(values.size):
            distance = _distance(one, embeddings[j * features : (j + 1) * features])
            if labels[i] != labels[j]:
                negative = _log_add(negative, _circle_negative(distance, gamma, margin))
            elif i != j or not remove_diagonal:
                positive = _log_add(positive, _circle_positive(distance, gamma, margin))
        sums[2 * i], sums[2 * i + 1] = positive, negative
        values[i] = _softplus(positive + negative)


@kernel
def circle_backward(embeddings, labels, sums, dvalues, dembeddings, gamma, margin, remove_diagonal, accumulate):
    """dembeddings = the gradient of sum(dvalues values); arrays as of ``circle_forward``"""
    kernel_attributes()
    features = embeddings.shape[-1]
    embeddings = embeddings.reshape(-1)
    labels = labels.reshape(-1)
    sums = sums.reshape(-1)
    dembeddings = dembeddings.reshape(-1)
    zero = dvalues.dtype.type(0)
    gamma, margin = dvalues.dtype.type(gamma), dvalues.dtype.type(margin)
    if not accumulate:
        for k in range(dembeddings.size):
            dembeddings[k] = zero
    for i in range(dvalues.size):
        one = embeddings[i * features : (i + 1) * features]
        positive, negative = sums[2 * i], sums[2 * i + 1]
        scale = dvalues[i] * _sigmoid(positive + negative)
        for j in range(dvalues.size):
            other = embeddings[j * features : (j + 1) * features]
            distance = _distance(one, other)
            slope = zero
            if labels[i] != labels[j]:
                share = vector_math.exp(_circle_negative(distance, gamma, margin) - negative)
                slope = share * _circle_negative_slope(distance, gamma, margin)
            elif i != j or not remove_diagonal:
                share = vector_math.exp(_circle_positive(distance, gamma, margin) - positive)
                slope = share * _circle_positive_slope(distance, gamma)
            slope = -scale * slope if distance > zero else zero
            for f in range(features):
                dembeddings[i * features + f] += slope * other[f]
            for f in range(features):
                dembeddings[j * features + f] += slope * one[f]
