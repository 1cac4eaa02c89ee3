"""Max pooling and ReLU change places."""

from ..operations.convolution import MaxPool2D
from ..trace import Application
from ..values import SymbolicTensor


def pool_before_relu(applications: list[Application], roots) -> list[Application]:
    """max_pool(relu(x)) becomes relu(max_pool(x)): the same values and gradients, on fewer elements.

    The maximum commutes with a monotonic function; where a window's maximum is cut to 0, no gradient passes anyway.
    The graph is changed in place.
    """
    readers: dict = {}
    for application in applications:
        for value in application.inputs:
            readers.setdefault(value, []).append(application)
    for pool in applications:
        if not isinstance(pool.operation, MaxPool2D):
            continue
        value = pool.inputs[0]
        relu = value.producer if isinstance(value, SymbolicTensor) else None
        if relu is None or relu.operation.name != "relu" or len(readers[value]) != 1 or value in roots:
            continue
        result = pool.outputs[0]
        pooled = SymbolicTensor(result.shape, result.dtype, result.name, pool)
        pool.inputs, pool.outputs = relu.inputs, [pooled]
        relu.inputs, relu.outputs, result.producer = (pooled,), [result], relu
        pool.index, relu.index = relu.index, pool.index
    return sorted(applications, key=lambda application: application.index)
