"""Optimizer updates as Keras 3 documents them, in NumPy.

Each takes a parameter, its gradient, the slots (a dict that it changes, empty at first), the number of the update from
1, and the hyperparameters; it returns the new parameter.
"""

import numpy as np


def sgd(w, g, slots, t, learning_rate, momentum=0.0, nesterov=False):
    velocity = slots["velocity"] = momentum * slots.get("velocity", 0) - learning_rate * g
    return w + momentum * velocity - learning_rate * g if nesterov else w + velocity


def moments(g, slots, beta_1, beta_2):
    m = slots["m"] = beta_1 * slots.get("m", 0) + (1 - beta_1) * g
    v = slots["v"] = beta_2 * slots.get("v", 0) + (1 - beta_2) * g**2
    return m, v


def adam(w, g, slots, t, learning_rate, beta_1, beta_2, epsilon, amsgrad=False):
    m, v = moments(g, slots, beta_1, beta_2)
    if amsgrad:
        v = slots["largest"] = np.maximum(slots.get("largest", 0), v)
    alpha = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return w - alpha * m / (np.sqrt(v) + epsilon)


def adamax(w, g, slots, t, learning_rate, beta_1, beta_2, epsilon):
    m = slots["m"] = beta_1 * slots.get("m", 0) + (1 - beta_1) * g
    u = slots["u"] = np.maximum(beta_2 * slots.get("u", 0), np.abs(g))
    return w - learning_rate / (1 - beta_1**t) * m / (u + epsilon)


def nadam(w, g, slots, t, learning_rate, beta_1, beta_2, epsilon):
    m, v = moments(g, slots, beta_1, beta_2)
    now, following = (beta_1 * (1 - 0.5 * 0.96**i) for i in (t, t + 1))
    product = slots["product"] = slots.get("product", 1) * now
    corrected = following * m / (1 - product * following) + (1 - now) * g / (1 - product)
    return w - learning_rate * corrected / (np.sqrt(v / (1 - beta_2**t)) + epsilon)


def rmsprop(w, g, slots, t, learning_rate, rho, momentum, epsilon, centered=False):
    v = slots["v"] = rho * slots.get("v", 0) + (1 - rho) * g**2
    if centered:
        mean = slots["average_gradient"] = rho * slots.get("average_gradient", 0) + (1 - rho) * g
        v = v - mean**2
    velocity = slots["velocity"] = momentum * slots.get("velocity", 0) + learning_rate * g / np.sqrt(v + epsilon)
    return w - velocity


def adagrad(w, g, slots, t, learning_rate, epsilon, initial_accumulator_value):
    squares = slots["squares"] = slots.get("squares", initial_accumulator_value) + g**2
    return w - learning_rate * g / np.sqrt(squares + epsilon)


def adadelta(w, g, slots, t, learning_rate, rho, epsilon):
    squares = slots["squares"] = rho * slots.get("squares", 0) + (1 - rho) * g**2
    step = np.sqrt(slots.get("squared_steps", 0) + epsilon) / np.sqrt(squares + epsilon) * g
    slots["squared_steps"] = rho * slots.get("squared_steps", 0) + (1 - rho) * step**2
    return w - learning_rate * step


def ftrl(
    w, g, slots, t, learning_rate, learning_rate_power, l1_regularization_strength, l2_regularization_strength,
    l2_shrinkage_regularization_strength, beta, initial_accumulator_value,
):  # fmt: skip
    before = slots.get("squares", initial_accumulator_value)
    squares = slots["squares"] = before + g**2
    sigma = (squares**-learning_rate_power - before**-learning_rate_power) / learning_rate
    shrunk = g + 2 * l2_shrinkage_regularization_strength * w
    linear = slots["linear"] = slots.get("linear", 0) + shrunk - sigma * w
    quadratic = squares**-learning_rate_power / learning_rate
    quadratic = quadratic + 2 * (l2_regularization_strength + beta / (2 * learning_rate))
    within = np.clip(linear, -l1_regularization_strength, l1_regularization_strength)
    return (within - linear) / quadratic


def lion(w, g, slots, t, learning_rate, beta_1, beta_2):
    m = slots.get("m", 0)
    slots["m"] = beta_2 * m + (1 - beta_2) * g
    return w - learning_rate * np.sign(beta_1 * m + (1 - beta_1) * g)


def lamb(w, g, slots, t, learning_rate, beta_1, beta_2, epsilon):
    m, v = moments(g, slots, beta_1, beta_2)
    update = m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    norms = np.linalg.norm(w), np.linalg.norm(update)
    return w - learning_rate * (norms[0] / norms[1] if min(norms) > 0 else 1) * update


def muon(w, g, slots, t, learning_rate, adam_beta_1, adam_beta_2, epsilon, momentum, nesterov=True, rms_rate=0.2):
    if w.ndim != 2:
        return adam(w, g, slots, t, learning_rate, adam_beta_1, adam_beta_2, epsilon)
    m = slots["m"] = momentum * slots.get("m", 0) + g
    x = g + momentum * m if nesterov else m
    x = x.T if w.shape[0] > w.shape[1] else x
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    x = x.T if w.shape[0] > w.shape[1] else x
    return w - learning_rate * rms_rate * np.sqrt(max(w.shape)) * x


def adafactor(w, g, slots, t, learning_rate, beta_2_decay, epsilon_1, epsilon_2, clip_threshold):
    beta_2 = 1 - t**beta_2_decay
    squares = g**2 + epsilon_1
    if w.ndim < 2:
        v = slots["rows"] = beta_2 * slots.get("rows", 0) + (1 - beta_2) * squares
    else:
        rows = slots["rows"] = beta_2 * slots.get("rows", 0) + (1 - beta_2) * squares.mean(axis=-1)
        columns = slots["columns"] = beta_2 * slots.get("columns", 0) + (1 - beta_2) * squares.mean(axis=-2)
        v = (rows / rows.mean(axis=-1, keepdims=True))[..., None] * columns[..., None, :]
    u = g / np.sqrt(v)
    u = u / max(1, np.sqrt((u**2).mean()) / clip_threshold)
    return w - max(epsilon_2, np.sqrt((w**2).mean())) * min(learning_rate, 1 / np.sqrt(t)) * u


def eve(w, g, slots, t, learning_rate, beta_1, beta_2, beta_3, lower, upper, epsilon, loss):
    m, v = moments(g, slots, beta_1, beta_2)
    if t == 1:
        slots.update(smoothed_loss=loss, d=1.0)
    else:
        before = slots["smoothed_loss"]
        bounds = (lower + 1, upper + 1) if loss >= before else (1 / (upper + 1), 1 / (lower + 1))
        smoothed = slots["smoothed_loss"] = min(max(loss / before, bounds[0]), bounds[1]) * before
        change = abs(smoothed - before) / min(smoothed, before)
        slots["d"] = beta_3 * slots["d"] + (1 - beta_3) * change
    corrected = m / (1 - beta_1**t), v / (1 - beta_2**t)
    return w - learning_rate / slots["d"] * corrected[0] / (np.sqrt(corrected[1]) + epsilon)
