"""One element's update in each optimizer, in Keras 3's formulas."""

import math

from . import real


def sgd(parameter, gradient, learning_rate):
    return parameter - learning_rate * gradient


def sgd_momentum(parameter, gradient, velocity, learning_rate, momentum):
    """Returns the new (parameter, velocity)."""
    velocity = momentum * velocity - learning_rate * gradient
    return parameter + velocity, velocity


def sgd_nesterov(parameter, gradient, velocity, learning_rate, momentum):
    """Returns the new (parameter, velocity) (Sutskever et al. 2013, with the look-ahead already taken)."""
    velocity = momentum * velocity - learning_rate * gradient
    return parameter + momentum * velocity - learning_rate * gradient, velocity


def adam(parameter, gradient, m, v, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """Returns the new (parameter, m, v) (Kingma and Ba 2015, the efficient form after algorithm 1).

    alpha: the learning rate with both bias corrections, from ``adam_alpha``.
    """
    m = m + one_minus_beta_1 * (gradient - m)
    v = v + one_minus_beta_2 * (gradient * gradient - v)
    return parameter - alpha * m / (math.sqrt(v) + epsilon), m, v


def adam_alpha(learning_rate, beta_1, beta_2, t):
    """learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t), t counting updates from 1"""
    return learning_rate * math.sqrt(real(1) - beta_2**t) / (real(1) - beta_1**t)
