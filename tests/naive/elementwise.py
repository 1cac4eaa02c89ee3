"""Activations and binary operations from their definitions, in NumPy."""

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[float])


def relu(x):
    return np.maximum(x, 0)


def rectifier(x, negative_slope, max_value, threshold):
    return np.where(x >= max_value, max_value, np.where(x > threshold, x, negative_slope * (x - threshold)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


tanh, exp, exponential, log, sqrt, square = np.tanh, np.exp, np.exp, np.log, np.sqrt, np.square
log1p, expm1, arctan, floor, nearest_whole, erf = np.log1p, np.expm1, np.arctan, np.floor, np.round, _erf
absolute, negative, reciprocal, sign, sin, cos = np.abs, np.negative, np.reciprocal, np.sign, np.sin, np.cos


def softplus(x):
    return np.logaddexp(0, x)


def softsign(x):
    return x / (1 + np.abs(x))


def elu(x, alpha):
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))


def celu(x, alpha):
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0) / alpha) - 1))


def selu(x):
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def gelu(x):
    return x * (1 + _erf(x / np.sqrt(2))) / 2


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x * sigmoid(x)


def hard_sigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def hard_tanh(x):
    return np.clip(x, -1, 1)


def hard_silu(x):
    return x * hard_sigmoid(x)


def tanh_shrink(x):
    return x - np.tanh(x)


def hard_shrink(x, threshold):
    return np.where(np.abs(x) > threshold, x, 0)


def soft_shrink(x, threshold):
    return np.where(x > threshold, x - threshold, np.where(x < -threshold, x + threshold, 0))


def thresholded(x, threshold, default_value):
    return np.where(x > threshold, x, default_value)


def squareplus(x, b):
    root = np.sqrt(x**2 + b)
    return np.where(x > 0, (x + root) / 2, b / 2 / (root - np.minimum(x, 0)))


def sparse_plus(x):
    return np.where(x > 1, x, np.maximum(x + 1, 0) ** 2 / 4)


def sparse_sigmoid(x):
    return np.clip((x + 1) / 2, 0, 1)


def mish(x):
    return x * np.tanh(softplus(x))


def log_sigmoid(x):
    return -softplus(-x)


add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
maximum, minimum, power = np.maximum, np.minimum, np.power
