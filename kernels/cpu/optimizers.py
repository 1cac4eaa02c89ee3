"""Optimizer updates over all parameters at once: every array is flat, (P,), and is updated in place.

The loops run over whole arrays, ``for i in range(parameters.size)``: an index that starts anywhere else makes Numba
handle negative indices, which keeps the compiler from vectorising.
"""

from ..scalar import optimizers
from .runtime.jit import kernel, kernel_attributes, scalar

sgd = scalar(optimizers.sgd)
sgd_momentum = scalar(optimizers.sgd_momentum)
sgd_nesterov = scalar(optimizers.sgd_nesterov)
adam = scalar(optimizers.adam)
adam_alpha = scalar(optimizers.adam_alpha)


@kernel
def sgd_update_plain(parameters, gradients, learning_rate):
    """parameters -= learning_rate gradients"""
    kernel_attributes()
    rate = parameters.dtype.type(learning_rate)
    for i in range(parameters.size):
        parameters[i] = sgd(parameters[i], gradients[i], rate)


@kernel
def sgd_update(parameters, gradients, velocity, learning_rate, momentum, nesterov):
    """velocity = momentum velocity - learning_rate gradients, and parameters follow it.  nesterov: bool"""
    kernel_attributes()
    rate = parameters.dtype.type(learning_rate)
    decay = parameters.dtype.type(momentum)
    if nesterov:
        for i in range(parameters.size):
            parameters[i], velocity[i] = sgd_nesterov(parameters[i], gradients[i], velocity[i], rate, decay)
    else:
        for i in range(parameters.size):
            parameters[i], velocity[i] = sgd_momentum(parameters[i], gradients[i], velocity[i], rate, decay)


@kernel
def adam_update(parameters, gradients, m, v, learning_rate, beta_1, beta_2, epsilon, t):
    """Adam's update number ``t``, counted from 1.  m, v: moving means of gradients and their squares"""
    kernel_attributes()
    alpha = parameters.dtype.type(adam_alpha(learning_rate, beta_1, beta_2, t))
    rate_1 = parameters.dtype.type(1.0 - beta_1)
    rate_2 = parameters.dtype.type(1.0 - beta_2)
    small = parameters.dtype.type(epsilon)
    for i in range(parameters.size):
        parameters[i], m[i], v[i] = adam(parameters[i], gradients[i], m[i], v[i], alpha, rate_1, rate_2, small)
