"""Optimizer updates as Keras 3 documents them, in NumPy; each returns what it would have changed."""

import numpy as np


def sgd(parameters, gradients, learning_rate):
    return parameters - learning_rate * gradients


def sgd_momentum(parameters, gradients, velocity, learning_rate, momentum, nesterov):
    velocity = momentum * velocity - learning_rate * gradients
    if nesterov:
        return parameters + momentum * velocity - learning_rate * gradients, velocity
    return parameters + velocity, velocity


def adam(parameters, gradients, m, v, learning_rate, beta_1, beta_2, epsilon, t):
    m = beta_1 * m + (1 - beta_1) * gradients
    v = beta_2 * v + (1 - beta_2) * gradients**2
    alpha = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return parameters - alpha * m / (np.sqrt(v) + epsilon), m, v
