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


def adam_amsgrad(parameter, gradient, m, v, largest, /, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """Reddi et al. 2018: divided by the largest v so far, as Keras has it: without a correction of its own"""
    m = m + one_minus_beta_1 * (gradient - m)
    v = v + one_minus_beta_2 * (gradient * gradient - v)
    largest = v if v > largest else largest
    return parameter - alpha * m / (math.sqrt(largest) + epsilon), m, v, largest


def adam_amsgrad_scalars(learning_rate, beta_1, beta_2, epsilon, t):
    """t: updates, counted from 1"""
    alpha = learning_rate * math.sqrt(real(1) - beta_2**t) / (real(1) - beta_1**t)
    return alpha, real(1) - beta_1, real(1) - beta_2, epsilon


def adamax(parameter, gradient, m, u, /, rate, one_minus_beta_1, beta_2, epsilon):
    """Kingma and Ba 2015, algorithm 2; rate: corrected for the bias of m"""
    m = m + one_minus_beta_1 * (gradient - m)
    u = beta_2 * u
    u = abs(gradient) if abs(gradient) > u else u
    return parameter - rate * m / (u + epsilon), m, u


def adamax_scalars(learning_rate, beta_1, beta_2, epsilon, t):
    """t: updates, counted from 1"""
    return learning_rate / (real(1) - beta_1**t), real(1) - beta_1, beta_2, epsilon


def nadam(
    parameter, gradient, m, v, /, of_m, of_gradient, one_minus_beta_1, one_minus_beta_2, correction, epsilon,
):  # fmt: skip
    """Dozat 2016, algorithm 8; of_m, of_gradient: the rate times what both count for, corrected for their bias"""
    m = m + one_minus_beta_1 * (gradient - m)
    v = v + one_minus_beta_2 * (gradient * gradient - v)
    return parameter - (of_m * m + of_gradient * gradient) / (math.sqrt(v * correction) + epsilon), m, v


def nadam_scalars(learning_rate, beta_1, beta_2, epsilon, t):
    """t: updates, counted from 1.  The momentum of update i is beta_1 (1 - q^i / 2) with q = 0.96, as Dozat has it.

    The product of the first t is beta_1^t times that of 1 - q^i / 2, whose logarithm, by the series of log(1 - x) and
    the sums of the geometric series, is minus the sum over k of 2^-k / k * q^k (1 - q^(k t)) / (1 - q^k).
    """
    of_one = real(0.96)
    of_all = of_one**t
    power, power_of_all, half, logarithm = of_one, of_all, real(0.5), real(0)
    for k in range(48):
        logarithm -= half / (real(k) + real(1)) * power * (real(1) - power_of_all) / (real(1) - power)
        power, power_of_all, half = power * of_one, power_of_all * of_all, half * real(0.5)
    product = beta_1**t * math.exp(logarithm)
    momentum = beta_1 * (real(1) - real(0.5) * of_all)
    following = beta_1 * (real(1) - real(0.5) * of_all * of_one)
    of_m = learning_rate * following / (real(1) - product * following)
    of_gradient = learning_rate * (real(1) - momentum) / (real(1) - product)
    return of_m, of_gradient, real(1) - beta_1, real(1) - beta_2, real(1) / (real(1) - beta_2**t), epsilon


def rmsprop(parameter, gradient, v, /, learning_rate, rho, one_minus_rho, epsilon):
    """Tieleman and Hinton 2012, lecture 6.5; epsilon under the root, as Keras has it"""
    v = rho * v + one_minus_rho * gradient * gradient
    return parameter - learning_rate * gradient / math.sqrt(v + epsilon), v


def rmsprop_scalars(learning_rate, rho, epsilon):
    return learning_rate, rho, real(1) - rho, epsilon


def rmsprop_momentum(parameter, gradient, v, velocity, /, learning_rate, rho, one_minus_rho, epsilon, momentum):
    v = rho * v + one_minus_rho * gradient * gradient
    velocity = momentum * velocity + learning_rate * gradient / math.sqrt(v + epsilon)
    return parameter - velocity, v, velocity


def rmsprop_momentum_scalars(learning_rate, rho, epsilon, momentum):
    return learning_rate, rho, real(1) - rho, epsilon, momentum


def rmsprop_centered(parameter, gradient, v, average_gradient, /, learning_rate, rho, one_minus_rho, epsilon):
    """Graves 2013, equations 38 to 40: divided by the root of the variance instead of the mean square"""
    v = rho * v + one_minus_rho * gradient * gradient
    average_gradient = rho * average_gradient + one_minus_rho * gradient
    variance = v - average_gradient * average_gradient
    return parameter - learning_rate * gradient / math.sqrt(variance + epsilon), v, average_gradient


def rmsprop_centered_scalars(learning_rate, rho, epsilon):
    return learning_rate, rho, real(1) - rho, epsilon


def rmsprop_centered_momentum(
    parameter, gradient, v, average_gradient, velocity, /, learning_rate, rho, one_minus_rho, epsilon, momentum,
):  # fmt: skip
    v = rho * v + one_minus_rho * gradient * gradient
    average_gradient = rho * average_gradient + one_minus_rho * gradient
    variance = v - average_gradient * average_gradient
    velocity = momentum * velocity + learning_rate * gradient / math.sqrt(variance + epsilon)
    return parameter - velocity, v, average_gradient, velocity


def rmsprop_centered_momentum_scalars(learning_rate, rho, epsilon, momentum):
    return learning_rate, rho, real(1) - rho, epsilon, momentum


def adagrad(parameter, gradient, squares, /, learning_rate, epsilon):
    """Duchi et al. 2011, with diagonal matrices; epsilon under the root, as Keras has it"""
    squares = squares + gradient * gradient
    return parameter - learning_rate * gradient / math.sqrt(squares + epsilon), squares


def adadelta(parameter, gradient, squares, squared_steps, /, learning_rate, rho, one_minus_rho, epsilon):
    """Zeiler 2012, algorithm 1"""
    squares = rho * squares + one_minus_rho * gradient * gradient
    step = math.sqrt(squared_steps + epsilon) / math.sqrt(squares + epsilon) * gradient
    squared_steps = rho * squared_steps + one_minus_rho * step * step
    return parameter - learning_rate * step, squares, squared_steps


def adadelta_scalars(learning_rate, rho, epsilon):
    return learning_rate, rho, real(1) - rho, epsilon


def ftrl(parameter, gradient, squares, linear, /, one_over_rate, power, l1, l2, shrinkage):
    """McMahan et al. 2013, algorithm 1, with a power other than 1/2 and shrinkage, as Keras has it"""
    sum_of_squares = squares + gradient * gradient
    root = math.sqrt(sum_of_squares) if power == real(0.5) else sum_of_squares**power
    before = math.sqrt(squares) if power == real(0.5) else squares**power
    linear = linear + (gradient + shrinkage * parameter) - (root - before) * one_over_rate * parameter
    within = l1 if linear > l1 else (-l1 if linear < -l1 else linear)
    return (within - linear) / (root * one_over_rate + l2), sum_of_squares, linear


def ftrl_scalars(
    learning_rate, learning_rate_power, l1_regularization_strength, l2_regularization_strength,
    l2_shrinkage_regularization_strength, beta,
):  # fmt: skip
    l2 = real(2) * l2_regularization_strength + beta / learning_rate
    return (
        real(1) / learning_rate, -learning_rate_power, l1_regularization_strength, l2,
        real(2) * l2_shrinkage_regularization_strength,
    )  # fmt: skip


def lion(parameter, gradient, m, /, learning_rate, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2):
    """Chen et al. 2023, algorithm 2; a direction of 0 is no step"""
    direction = beta_1 * m + one_minus_beta_1 * gradient
    m = beta_2 * m + one_minus_beta_2 * gradient
    step = learning_rate if direction > real(0) else (-learning_rate if direction < real(0) else direction)
    return parameter - step, m


def lion_scalars(learning_rate, beta_1, beta_2):
    return learning_rate, beta_1, real(1) - beta_1, beta_2, real(1) - beta_2


def decay(parameter, /, learning_rate, weight_decay):
    """Weight decay that is no part of the gradient (Loshchilov and Hutter 2019)"""
    return parameter - parameter * (learning_rate * weight_decay)


def clip(gradient, /, clipvalue):
    return clipvalue if gradient > clipvalue else (-clipvalue if gradient < -clipvalue else gradient)


def accumulate(gradient, accumulator, /, factor):
    """What several steps' gradients add up to."""
    return accumulator + factor * gradient


def moving_average(parameter, average, /, momentum):
    return momentum * average + (real(1) - momentum) * parameter


def overwrite(parameter, average, /):
    return average


def prune(parameter, mask, /):
    """What is pruned stays 0, whatever was computed."""
    return parameter if mask else real(0)


UPDATES = {
    "sgd": ("parameter",),
    "sgd_momentum": ("parameter", "velocity"),
    "adam": ("parameter", "m", "v"),
    "adam_amsgrad": ("parameter", "m", "v", "largest"),
    "adamax": ("parameter", "m", "u"),
    "nadam": ("parameter", "m", "v"),
    "rmsprop": ("parameter", "v"),
    "rmsprop_momentum": ("parameter", "v", "velocity"),
    "rmsprop_centered": ("parameter", "v", "average_gradient"),
    "rmsprop_centered_momentum": ("parameter", "v", "average_gradient", "velocity"),
    "adagrad": ("parameter", "squares"),
    "adadelta": ("parameter", "squares", "squared_steps"),
    "ftrl": ("parameter", "squares", "linear"),
    "lion": ("parameter", "m"),
    "decay": ("parameter",),
    "clip": ("gradient",),
    "accumulate": ("accumulator",),
    "moving_average": ("average",),
    "overwrite": ("parameter",),
    "prune": ("parameter",),
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
