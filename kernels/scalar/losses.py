"""Pointwise losses: ``NAME(prediction, target)`` and its derivative by the prediction, ``NAME_derivative``."""

import math

from . import real
from .activations import sigmoid, sign

# Keras's epsilon: probabilities are kept in [1e-7, 1 - 1e-7] before their logarithm
EPSILON = 1e-7
_BELOW_ONE = 1 - EPSILON
_NOTHING = -math.inf  # the logarithm of 0


def log_add(a, b):
    """log(exp(a) + exp(b)), also of -inf"""
    larger = a if a > b else b
    smaller = b if a > b else a
    apart = smaller - larger if larger > real(_NOTHING) else a  # inf - inf would be NaN
    return larger + math.log1p(math.exp(apart))


def clip_probability(p):
    low, high = real(EPSILON), real(_BELOW_ONE)
    return low if p < low else (high if p > high else p)


def is_inside(p):
    """1 where clipping leaves p alone, so that its gradient passes, else 0."""
    return real(1) if p >= real(EPSILON) and p <= real(_BELOW_ONE) else real(0)


def binary_cross_entropy(p, t):
    p = clip_probability(p)
    zero, one = real(0), real(1)
    # choices keep the compiler from factoring out t, where a small loss would be a difference of large logarithms
    positive = t * math.log(p) if t != zero else zero
    negative = (one - t) * math.log(one - p) if t != one else zero
    return -(positive + negative)


def binary_cross_entropy_derivative(p, t):
    clipped = clip_probability(p)
    return is_inside(p) * (clipped - t) / (clipped * (real(1) - clipped))


def binary_cross_entropy_with_logits(x, t):
    # t softplus(-x) + (1 - t) softplus(x): a sum of positive terms, nothing cancels
    zero, one = real(0), real(1)
    shared = math.log1p(math.exp(-abs(x)))
    return shared + ((one - t) * x if x > zero else -t * x)


def binary_cross_entropy_with_logits_derivative(x, t):
    return sigmoid(x) - t


def circle_positive(distance, gamma, margin):
    """What a pair of one class, 1 - cos apart, adds in the circle loss (Sun et al. 2020, equation 6)"""
    return gamma * (distance + margin) * (distance - margin)


def circle_positive_slope(distance, gamma):
    return real(2) * gamma * distance


def circle_negative(distance, gamma, margin):
    """The same for a pair of two classes"""
    weight = real(1) + margin - distance
    return gamma * (weight if weight > real(0) else real(0)) * (real(1) - margin - distance)


def circle_negative_slope(distance, gamma, margin):
    return real(-2) * gamma * (real(1) - distance) if distance < real(1) + margin else real(0)


def mean_squared_error(prediction, target):
    return (prediction - target) * (prediction - target)


def mean_squared_error_derivative(prediction, target):
    return real(2) * (prediction - target)


def mean_absolute_error(prediction, target):
    return abs(prediction - target)


def mean_absolute_error_derivative(prediction, target):
    return sign(prediction - target)


# every loss of this module, in the order of the text
NAMES = tuple(name for name in list(globals()) if f"{name}_derivative" in globals())
