"""One element's update in each optimizer, in Keras 3's formulas.

Arguments before the ``/`` are elements of arrays, those after it the same for all elements; ``UPDATES`` says which
arrays the results are written to.  The hyperparameters of ``f`` are the arguments of ``f_scalars``, which computes what
is the same for all elements, once and in double precision; without such a function they are those of ``f`` itself.
"""

import inspect
import math

from . import real


def sgd(parameter, gradient, /, learning_rate):
    return parameter - learning_rate * gradient


def sgd_momentum(parameter, gradient, velocity, /, learning_rate, momentum, nesterov):
    """With ``nesterov``, not 0, the look-ahead is already taken (Sutskever et al. 2013)."""
    velocity = momentum * velocity - learning_rate * gradient
    if nesterov != real(0):
        return parameter + momentum * velocity - learning_rate * gradient, velocity
    return parameter + velocity, velocity


def adam(parameter, gradient, m, v, /, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """Kingma and Ba 2015, the efficient form after algorithm 1; alpha: the rate with both bias corrections."""
    m = m + one_minus_beta_1 * (gradient - m)
    v = v + one_minus_beta_2 * (gradient * gradient - v)
    return parameter - alpha * m / (math.sqrt(v) + epsilon), m, v


def adam_scalars(learning_rate, beta_1, beta_2, epsilon, t):
    """t: updates, counted from 1"""
    alpha = learning_rate * math.sqrt(real(1) - beta_2**t) / (real(1) - beta_1**t)
    return alpha, real(1) - beta_1, real(1) - beta_2, epsilon


def accumulate(gradient, accumulator, /, factor):
    """What several steps' gradients add up to."""
    return accumulator + factor * gradient


def moving_average(parameter, average, /, momentum):
    return momentum * average + (real(1) - momentum) * parameter


def overwrite(parameter, average, /):
    return average


UPDATES = {
    "sgd": ("parameter",),
    "sgd_momentum": ("parameter", "velocity"),
    "adam": ("parameter", "m", "v"),
    "accumulate": ("accumulator",),
    "moving_average": ("average",),
    "overwrite": ("parameter",),
}


def arrays(function) -> tuple[str, ...]:
    """The names of the arguments of which every element has its own."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)


def scalars(function) -> tuple[str, ...]:
    """The names of the arguments that all elements share."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY)


def hyperparameters(function) -> tuple[str, ...]:
    """The names of the numbers that an update takes."""
    first = globals().get(f"{function.__name__}_scalars")
    return tuple(inspect.signature(first).parameters) if first is not None else scalars(function)
