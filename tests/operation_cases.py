"""A case for every operation and every function of jitnet.ops: odd shapes, and the same in PyTorch."""

import types

import numpy as np
from graphs import Draw, Suite, labels, normal, positive, probabilities, wide
from torch_reference import torch_average_pool, torch_batch_norm, torch_convolution, torch_max_pool

from jitnet import ops
from jitnet.core.operations import augmentation, losses, random
from jitnet.core.operations.convolution import GlobalAveragePool2D, GlobalMaxPool2D
from jitnet.core.operations.elementwise import Unary
from jitnet.core.operations.normalization import BatchNorm
from jitnet.core.settings import Setting
from jitnet.kernels.cpu.runtime.dispatchers import (
    numba,  # with jitnet's settings, which must come before the first import
)
from jitnet.kernels.scalar import activations

suite = Suite()
add = suite.add

# ---- single elements

SPECIAL = {
    "elu": lambda x: ops.elu(x, 0.7),
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: ops.gelu(x),
    "rectifier": lambda x: ops.rectifier(x, 0.1, 2.0, 0.5),
}
TORCH_UNARY = {
    "elu": lambda t, x: t.nn.functional.elu(x, 0.7),
    "gelu_tanh": lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
    "hard_sigmoid": lambda t, x: t.nn.functional.hardsigmoid(x),
    "hard_tanh": lambda t, x: t.nn.functional.hardtanh(x),
    "log_sigmoid": lambda t, x: t.nn.functional.logsigmoid(x),
    **{
        name: lambda t, x, name=name: getattr(t.nn.functional, name)(x)
        for name in ("relu", "softplus", "softsign", "selu", "gelu", "silu", "mish")
    },
    **{
        name: lambda t, x, name=name: getattr(t, name)(x)
        for name in (
            "sigmoid",
            "tanh",
            "exp",
            "log",
            "sqrt",
            "square",
            "absolute",
            "negative",
            "reciprocal",
            "sin",
            "cos",
            "sign",
        )
    },
}
# arrays of one axis: kernels are compiled for each number of axes, and these are what the kernels' own tests compile
for number, name in enumerate(activations.NAMES):
    parameters = (0.7,) * len(activations.parameters(name))
    function = SPECIAL.get(name) or getattr(ops, name, None) or Unary(name, parameters)
    draw = positive() if name in ("log", "sqrt", "reciprocal") else wide()
    add(f"elementwise {number % 2}", name, function, draw, torch=TORCH_UNARY.get(name))
add("elementwise 0", "leaky_relu", ops.leaky_relu, wide(), torch=lambda t, x: t.nn.functional.leaky_relu(x, 0.2))
add("elementwise 0", "relu6", lambda x: ops.relu6(x * 4.0), wide(), torch=lambda t, x: t.nn.functional.relu6(x * 4))
add("elementwise 0", "power of 2", lambda x: ops.power(x, 2), wide(), torch=lambda t, x: x**2)

# ---- two operands
for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power"):
    torch_name = {"power": "pow"}.get(name, name)
    draws = positive if name in ("divide", "power") else normal

    def torch_binary(t, a, b, torch_name=torch_name):
        return getattr(t, torch_name)(a, b)

    add("binary", name, getattr(ops, name), (draws(), draws()), torch=torch_binary)
for name in ("add", "multiply"):
    add(
        "broadcasting",
        f"crossed {name}",
        getattr(ops, name),
        (normal(3, 1), normal(1, 4)),
        torch=lambda t, a, b, name=name: getattr(t, name)(a, b),
    )
    add(
        "broadcasting",
        f"{name} of a variable",
        getattr(ops, name),
        normal(3, 4),
        normal(1, 3, 1),
        torch=lambda t, a, b, name=name: getattr(t, name)(a, b),
    )
add("broadcasting", "row", ops.multiply, normal(3, 4), normal(4), torch=lambda t, x, w: x * w)
add(
    "broadcasting",
    "row on the left",
    lambda x, w: ops.multiply(w, x),
    normal(3, 4),
    normal(4),
    torch=lambda t, x, w: x * w,
)
add("broadcasting", "leading 1", ops.multiply, normal(3, 4), normal(1, 3, 4), torch=lambda t, x, w: x * w)
add("broadcasting", "inner axis", ops.multiply, (normal(2, 1, 3), normal(2, 5, 3)), torch=lambda t, a, b: a * b)
add("broadcasting", "outer axes", ops.multiply, (normal(2, 5, 3), normal(1, 1, 3)), torch=lambda t, a, b: a * b)
add("broadcasting", "one element", ops.multiply, (normal(2, 3), normal(1, 1)), torch=lambda t, a, b: a * b)
add("broadcasting", "no axes", ops.multiply, (normal(), normal()), torch=lambda t, a, b: a * b)
add(
    "broadcasting",
    "numbers",
    lambda x: (1.0 - x * 2.0) * 0.5 + (-x) ** 2,
    normal(),
    torch=lambda t, x: (1 - 2 * x) / 2 + x**2,
)
add(
    "broadcasting",
    "operators",
    lambda x, y: (x - y) / (x * x + y * y + y),
    (positive(), positive()),
    torch=lambda t, x, y: (x - y) / (x * x + y * y + y),
)
add(
    "broadcasting",
    "array",
    lambda x: x * np.array([1.0, -2.0, 3.0]),
    normal(2, 3),
    torch=lambda t, x: x * t.tensor([1.0, -2.0, 3.0]),
)
add("broadcasting", "a tensor with itself", lambda x: ops.multiply(x, x), normal(), torch=lambda t, x: x * x)
add("broadcasting", "a sum with itself", lambda x: ops.add(x, x), normal(), torch=lambda t, x: x + x)
add(
    "broadcasting",
    "two variables",
    lambda x, v, w: x * ops.multiply(v, w),
    normal(2, 3),
    (normal(3), normal(3)),
    torch=lambda t, x, v, w: x * v * w,
)

# ---- values used several times, and chains that may work in place


def fan_out(x):
    y = ops.tanh(x)
    return y * ops.sigmoid(y) + ops.square(y) - y


def residual(x, w):
    y = ops.relu(ops.matmul(x, w)) + x
    z = ops.relu(ops.matmul(y, w))
    return ops.add(y, z) + x


add(
    "reuse",
    "fan out",
    fan_out,
    normal(),
    torch=lambda t, x: t.tanh(x) * t.sigmoid(t.tanh(x)) + t.tanh(x) ** 2 - t.tanh(x),
)
add(
    "reuse",
    "residual, shared weight",
    residual,
    normal(2, 4),
    normal(4, 4),
    torch=lambda t, x, w: t.relu(x @ w) + 2 * x + t.relu((t.relu(x @ w) + x) @ w),
)
add(
    "reuse",
    "sum of a sum",
    lambda x: ops.add(ops.add(x, x), ops.add(x, ops.exp(x))),
    normal(),
    torch=lambda t, x: 3 * x + t.exp(x),
)
add(
    "reuse",
    "chain",
    lambda x, b: ops.relu(ops.relu(ops.bias_add(ops.multiply(x, x), b))),
    normal(1, 5),
    normal(5),
    torch=lambda t, x, b: t.relu(x * x + b),
)
add(
    "reuse", "input is the output", lambda x: ops.reshape(x, (-1, 6)), normal(2, 3), torch=lambda t, x: x.reshape(-1, 6)
)
add(
    "reuse",
    "a computed weight",
    lambda x, v: ops.matmul(x, ops.tanh(v)),
    normal(1, 3),
    normal(3, 4),
    torch=lambda t, x, v: x @ t.tanh(v),
)
add(
    "reuse",
    "a computed weight and the weight",
    lambda x, v: ops.matmul(x, v) * ops.matmul(x, ops.square(v)),
    normal(1, 3),
    normal(3, 4),
    torch=lambda t, x, v: (x @ v) * (x @ (v * v)),
)
add(
    "reuse",
    "two uses of a computed weight",
    lambda x, v: (lambda w: ops.matmul(x, w) + ops.matmul(x * x, w))(ops.exp(v)),
    normal(1, 3),
    normal(3, 4),
    torch=lambda t, x, v: x @ t.exp(v) + (x * x) @ t.exp(v),
)
add(
    "reuse",
    "a transposed weight",
    lambda x, v: ops.matmul(x, ops.transpose(v, (1, 0))),
    normal(1, 3),
    normal(4, 3),
    torch=lambda t, x, v: x @ v.T,
)
add(
    "reuse",
    "a reshaped weight",
    lambda x, v: ops.matmul(x, ops.reshape(v, (3, 4))),
    normal(1, 3),
    normal(2, 6),
    torch=lambda t, x, v: x @ v.reshape(3, 4),
)
add(
    "reuse",
    "reduced and joined weights",
    lambda x, v, w: x * ops.concatenate([ops.sum(v, axis=0), ops.slice_axis(w, 0, 1, 3)], axis=0) * ops.softmax(w),
    normal(1, 4),
    (normal(3, 2), normal(4)),
    torch=lambda t, x, v, w: x * t.cat([v.sum(0), w[1:3]]) * t.softmax(w, 0),
)

# ---- dense
add("dense", "matmul", ops.matmul, normal(5), normal(5, 3), torch=lambda t, x, w: x @ w)
add("dense", "matmul of one", ops.matmul, normal(1), normal(1, 1), torch=lambda t, x, w: x @ w)
add("dense", "matmul, more axes", lambda x, w: x @ w, normal(2, 3, 7), normal(7, 17), torch=lambda t, x, w: x @ w)
add("dense", "bias_add", ops.bias_add, normal(5), normal(5), torch=lambda t, x, b: x + b)
add("dense", "bias_add, more axes", ops.bias_add, normal(3, 2, 5), normal(5), torch=lambda t, x, b: x + b)
add(
    "dense",
    "two layers",
    lambda x, v, w: ops.matmul(ops.matmul(x, v), w),
    normal(5),
    (normal(5, 33), normal(33, 2)),
    torch=lambda t, x, v, w: x @ v @ w,
)

# ---- reductions and softmax
for name, torch_function in {
    "sum": lambda t, x, axis, keep: x.sum(axis, keep),
    "mean": lambda t, x, axis, keep: x.mean(axis, keep),
    "max": lambda t, x, axis, keep: x.amax(axis, keep),
}.items():
    for axis, keep in ((2, False), (1, True), (-1, True), ((1, 2), True)):
        add(
            "reduction",
            f"{name} {axis} {keep}",
            lambda x, name=name, axis=axis, keep=keep: getattr(ops, name)(x, axis, keep),
            normal(3, 1, 5),
            torch=lambda t, x, f=torch_function, axis=axis, keep=keep: f(t, x, axis, keep),
        )
for axis in (-1, 1, 2):
    add(
        "reduction",
        f"softmax {axis}",
        lambda x, axis=axis: ops.softmax(x, axis),
        normal(3, 2, 5),
        torch=lambda t, x, axis=axis: t.softmax(x, axis),
    )
    add(
        "reduction",
        f"log_softmax {axis}",
        lambda x, axis=axis: ops.log_softmax(x, axis),
        normal(3, 2, 5),
        torch=lambda t, x, axis=axis: t.log_softmax(x, axis),
    )
add("reduction", "softmax of one class", ops.softmax, normal(1), torch=lambda t, x: t.softmax(x, 1))

# ---- shape
add("shape", "reshape", lambda x: ops.reshape(x, (-1, 3, 4)), normal(2, 6), torch=lambda t, x: x.reshape(-1, 3, 4))
add(
    "shape",
    "reshape with -1",
    lambda x: ops.reshape(ops.multiply(x, x), (None, -1)),
    normal(2, 3),
    torch=lambda t, x: (x * x).flatten(1),
)
add(
    "shape",
    "transpose",
    lambda x: ops.transpose(x, (0, 3, 1, 2)),
    normal(2, 3, 5),
    torch=lambda t, x: x.permute(0, 3, 1, 2),
)
add("shape", "transpose of two axes", lambda x: ops.transpose(x, (0, 2, 1)), normal(1, 7), torch=lambda t, x: x.mT)
add(
    "shape",
    "concatenate",
    lambda a, b, c: ops.concatenate([a, b, c], axis=-1),
    (normal(3, 1), normal(3, 4), normal(3, 2)),
    torch=lambda t, *xs: t.cat(xs, -1),
)
add(
    "shape",
    "concatenate, axis 1",
    lambda a, b: ops.concatenate([a, b], axis=1),
    (normal(3, 2), normal(1, 2)),
    torch=lambda t, *xs: t.cat(xs, 1),
)
add(
    "shape",
    "concatenate with itself",
    lambda x: ops.concatenate([x, ops.multiply(x, x), x], axis=-1),
    normal(1, 3),
    torch=lambda t, x: t.cat([x, x * x, x], -1),
)
add("shape", "slice_axis", lambda x: ops.slice_axis(x, 1, 1, 3), normal(4, 5), torch=lambda t, x: x[:, 1:3])
add(
    "shape",
    "overlapping slices",
    lambda x: ops.slice_axis(x, -1, 0, 3) * ops.slice_axis(x, -1, 1, 4),
    normal(2, 4),
    torch=lambda t, x: x[..., :3] * x[..., 1:],
)
add(
    "shape",
    "pad",
    lambda x: ops.pad(x, ((0, 0), (1, 0), (2, 3), (0, 0))),
    normal(3, 2, 2),
    torch=lambda t, x: t.nn.functional.pad(x, (0, 0, 2, 3, 1, 0)),
)

add(
    "shape",
    "cast",
    lambda x, i: x * ops.cast(i, x.dtype),
    (normal(3), labels(5, 3)),
    torch=lambda t, x, i: x * i,
)

# ---- windows


CONVOLUTIONS = {  # input, filters, window, strides, padding, dilation, groups
    "1x1": ((4, 3, 5), 7, (1, 1), (1, 1), "valid", (1, 1), 1),
    "3x3": ((5, 7, 1), 6, (3, 3), (1, 1), "valid", (1, 1), 1),
    "one pixel": ((1, 1, 1), 1, (1, 1), (1, 1), "same", (1, 1), 1),
    "same": ((5, 4, 2), 3, (3, 3), (1, 1), "same", (1, 1), 1),
    "same, even window": ((5, 4, 2), 3, (2, 4), (1, 1), "same", (1, 1), 1),
    "same, stride 2": ((6, 7, 3), 2, (3, 3), (2, 2), "same", (1, 1), 1),
    "same, stride 3": ((7, 8, 2), 2, (2, 5), (3, 2), "same", (1, 1), 1),
    "stride > kernel": ((7, 9, 2), 3, (2, 1), (3, 4), "valid", (1, 1), 1),
    "leftover input": ((6, 8, 2), 2, (3, 3), (2, 3), "valid", (1, 1), 1),
    "rectangular": ((5, 3, 2), 3, (1, 3), (2, 1), ((0, 0), (1, 1)), (1, 1), 1),
    "asymmetric padding": ((3, 4, 2), 3, (3, 2), (1, 1), ((2, 1), (0, 3)), (1, 1), 1),
    "window larger than the input": ((2, 2, 1), 2, (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1),
    "dilation": ((7, 9, 2), 3, (3, 2), (1, 1), "valid", (2, 3), 1),
    "dilation, same": ((6, 5, 2), 2, (3, 2), (1, 1), "same", (2, 3), 1),
    "dilation and stride": ((9, 8, 1), 2, (2, 3), (2, 3), ((1, 0), (2, 1)), (3, 2), 1),
    "groups": ((4, 4, 6), 4, (3, 3), (1, 1), "same", (1, 1), 2),
    "depthwise": ((4, 5, 3), 6, (3, 2), (2, 1), "valid", (1, 1), 3),
    "depthwise, one filter": ((5, 4, 17), 17, (3, 3), (1, 1), "same", (1, 1), 17),
    "17 filters": ((5, 5, 16), 17, (3, 3), (1, 1), "same", (1, 1), 1),
}
for name, (shape, filters, window, strides, padding, dilation, groups) in CONVOLUTIONS.items():

    def convolution(x, w, strides=strides, padding=padding, dilation=dilation, groups=groups):
        return ops.conv(x, w, strides, padding, dilation, groups)

    def reference(t, x, w, strides=strides, padding=padding, dilation=dilation, groups=groups):
        return torch_convolution(t, x, w, strides, padding, dilation, groups)

    weight = normal(*window, shape[2] // groups, filters)
    add("convolution", f"conv {name}", convolution, normal(*shape), weight, torch=reference)
add(
    "convolution",
    "two convolutions",
    lambda x, v, w: ops.conv(ops.relu(ops.conv(x, v)), w, 2),
    normal(7, 6, 2),
    (normal(3, 2, 2, 4), normal(2, 2, 4, 3)),
)

DEPTHWISE = {  # input, filters per channel, window, strides, padding, dilation
    "3x3": ((5, 6, 17), 1, (3, 3), (1, 1), "same", (1, 1)),
    "stride 2": ((7, 6, 3), 1, (3, 3), (2, 2), "same", (1, 1)),
    "asymmetric": ((5, 7, 2), 1, (2, 3), (3, 1), ((2, 0), (1, 3)), (1, 2)),
    "multiplier": ((4, 5, 3), 2, (3, 2), (1, 2), "valid", (1, 1)),
}
for name, (shape, multiplier, window, strides, padding, dilation) in DEPTHWISE.items():

    def depthwise(x, w, strides=strides, padding=padding, dilation=dilation):
        return ops.depthwise_conv(x, w, strides, padding, dilation)

    def reference(t, x, w, strides=strides, padding=padding, dilation=dilation):
        grouped = w.reshape(*w.shape[:2], 1, -1)
        return torch_convolution(t, x, grouped, strides, padding, dilation, x.shape[3])

    weight = normal(*window, shape[2], multiplier)
    add("convolution", f"depthwise_conv {name}", depthwise, normal(*shape), weight, torch=reference)

POOLS = {  # input, window, strides, padding
    "2x2": ((4, 6, 3), 2, None, "valid"),
    "of one pixel": ((1, 1, 1), 1, None, "valid"),
    "leftover input": ((5, 7, 2), 2, None, "valid"),
    "overlapping": ((5, 7, 2), (3, 2), (1, 1), "valid"),
    "stride > window": ((7, 8, 2), (2, 1), (3, 4), "valid"),
    "same": ((5, 7, 2), (2, 3), (2, 2), "same"),
    "same, overlapping": ((5, 4, 3), 3, 1, "same"),
    "asymmetric padding": ((5, 5, 1), (3, 3), (2, 2), ((2, 1), (0, 2))),
}


for name, (shape, window, strides, padding) in POOLS.items():
    full = (window, window) if isinstance(window, int) else window
    steps = full if strides is None else ((strides, strides) if isinstance(strides, int) else strides)
    for kind, reference in (("max", torch_max_pool), ("average", torch_average_pool)):

        def pool(x, kind=kind, window=window, strides=strides, padding=padding):
            return getattr(ops, f"{kind}_pool")(x, window, strides, padding)

        add(
            "pooling",
            f"{kind}_pool {name}",
            pool,
            normal(*shape),
            torch=lambda t, x, f=reference, full=full, steps=steps, padding=padding: f(t, x, full, steps, padding),
        )
add("pooling", "global average", GlobalAveragePool2D(), normal(3, 5, 2), torch=lambda t, x: x.mean((1, 2)))
add("pooling", "global max", GlobalMaxPool2D(), normal(3, 5, 2), torch=lambda t, x: x.amax((1, 2)))
add(
    "pooling",
    "pools of one tensor",
    lambda x: ops.max_pool(x, 2) + ops.average_pool(x, 2),
    normal(4, 4, 3),
    torch=lambda t, x: (
        torch_max_pool(t, x, (2, 2), (2, 2), "valid") + torch_average_pool(t, x, (2, 2), (2, 2), "valid")
    ),
)

# ---- losses


def torch_cross_entropy(t, logits, targets):
    moved = logits.movedim(-1, 1)
    targets = targets if targets.dtype == t.int64 else targets.movedim(-1, 1)
    return t.nn.functional.cross_entropy(moved, targets, reduction="none")


def torch_binary(t, function, p, y):
    return getattr(t.nn.functional, function)(p, y, reduction="none").mean(-1)


add(
    "losses",
    "sparse softmax cross-entropy",
    losses.SparseSoftmaxCrossEntropy(),
    (normal(7), labels(7)),
    torch=torch_cross_entropy,
)
add(
    "losses",
    "sparse softmax cross-entropy, more axes",
    losses.SparseSoftmaxCrossEntropy(),
    (normal(2, 3, 5), labels(5, 2, 3)),
    torch=torch_cross_entropy,
)
add(
    "losses",
    "softmax cross-entropy",
    losses.SoftmaxCrossEntropy(),
    (normal(7), probabilities(7, wanted=False)),
    torch=torch_cross_entropy,
)
add(
    "losses",
    "softmax cross-entropy, one hot",
    losses.SoftmaxCrossEntropy(),
    (normal(2, 7), Draw((2, 7), "one hot", False)),
    torch=torch_cross_entropy,
)
add(
    "losses",
    "sparse cross-entropy",
    losses.SparseCrossEntropy(),
    (probabilities(7), labels(7)),
    torch=lambda t, p, y: t.nn.functional.nll_loss(t.log(p / p.sum(-1, True)), y, reduction="none"),
)
add(
    "losses",
    "cross-entropy",
    losses.CrossEntropy(),
    (positive(7), probabilities(7, wanted=False)),
    torch=lambda t, p, y: -(y * t.log(p / p.sum(-1, True))).sum(-1),
)
add(
    "losses",
    "binary cross-entropy",
    losses.BinaryCrossEntropy(),
    (probabilities(5), probabilities(5, wanted=False)),
    torch=lambda t, p, y: torch_binary(t, "binary_cross_entropy", p, y),
)
add(
    "losses",
    "binary cross-entropy with logits",
    losses.BinaryCrossEntropyWithLogits(),
    (normal(5), probabilities(5, wanted=False)),
    torch=lambda t, p, y: torch_binary(t, "binary_cross_entropy_with_logits", p, y),
)
add(
    "losses",
    "mean squared error",
    losses.MeanSquaredError(),
    (normal(2, 5), Draw((2, 5), "normal", False)),
    torch=lambda t, p, y: torch_binary(t, "mse_loss", p, y),
)
add(
    "losses",
    "mean absolute error",
    losses.MeanAbsoluteError(),
    (normal(5), Draw((5,), "normal", False)),
    torch=lambda t, p, y: torch_binary(t, "l1_loss", p, y),
)
FIXED = Draw((5,), "normal", False)
add(
    "losses",
    "sparse accuracy",
    losses.Accuracy("sparse_categorical_accuracy"),
    (FIXED, labels(5)),
    torch=lambda t, p, y: (p.argmax(-1) == y).float(),
)
add(
    "losses",
    "accuracy",
    losses.Accuracy("categorical_accuracy"),
    (FIXED, Draw((5,), "one hot", False)),
    torch=lambda t, p, y: (p.argmax(-1) == y.argmax(-1)).float(),
)
add(
    "losses",
    "binary accuracy",
    losses.Accuracy("binary_accuracy", (0.5,)),
    (FIXED, Draw((5,), "one hot", False)),
    torch=lambda t, p, y: ((p > 0.5).float() == y).float().mean(-1),
)
add(
    "losses",
    "top 3",
    losses.Accuracy("sparse_top_k_categorical_accuracy", (3,)),
    (FIXED, labels(5)),
    torch=lambda t, p, y: (p.topk(3).indices == y[:, None]).any(-1).float(),
)

# ---- normalisation and random numbers


for training in (False, True):
    operation = BatchNorm(0.5, 1e-3, training)
    for shape in ((3, 2, 5), (5,)):
        state = (normal(5), normal(5), Draw((5,), "normal", False), Draw((5,), "positive", False))
        add(
            "normalisation",
            f"batch_norm {shape} {training}",
            operation,
            normal(*shape),
            state,
            torch=lambda t, *xs, training=training: torch_batch_norm(t, *xs, training, 1e-3),
        )
add(
    "normalisation",
    "batch_norm in a chain",
    lambda x, g, b, m, v: ops.relu(BatchNorm(training=True)(ops.multiply(x, x), g, b, m, v)) * x,
    normal(4, 3),
    (normal(3), normal(3), Draw((3,), "normal", False), Draw((3,), "positive", False)),
)
add(
    "normalisation",
    "batch_norm twice",
    lambda x, g, b, m, v: BatchNorm(training=True)(ops.relu(BatchNorm(training=True)(x, g, b, m, v)), g, b, m, v),
    normal(1, 3),
    (normal(3), normal(3), Draw((3,), "normal", False), Draw((3,), "positive", False)),
)
add("normalisation", "dropout", random.Dropout(0.4, seed=3), normal(3, 5))
add(
    "normalisation", "dropout of a chain", lambda x: ops.relu(random.Dropout(0.4, seed=3)(ops.exp(x))) * x, normal()
)
add("normalisation", "dropout of nothing", random.Dropout(0.0), normal(1, 5), torch=lambda t, x: x)


# ---- over the batch, and values that depend on no input

FACTOR = Setting(types.SimpleNamespace(factor=0.75), "factor")

add("batch", "sum of all", lambda x: x * ops.sum(x), normal(2, 3), torch=lambda t, x: x * x.sum())
add("batch", "mean of all", lambda x: x - ops.mean(x * x), normal(5), torch=lambda t, x: x - (x * x).mean())
add("batch", "sum of samples", lambda x: x * ops.sum(x, axis=0), normal(3, 2), torch=lambda t, x: x * x.sum(0))
add("batch", "mean of samples", lambda x: x - ops.mean(x, axis=0), normal(7), torch=lambda t, x: x - x.mean(0))
add("batch", "a setting", lambda x: ops.multiply(x, FACTOR), normal(3), torch=lambda t, x: x * 0.75)
for distribution, bounds in (("uniform", (0.5, 2.0)), ("normal", (1.0, 0.3)), ("truncated_normal", (1.0, 0.3))):
    add(
        "batch",
        f"{distribution} numbers",
        lambda x, d=distribution, b=bounds: x * random.RandomValues(d, (4,), *b, x.dtype, seed=3)(),
        normal(4),
    )
add(
    "batch",
    "shape",
    lambda x: ops.reshape(x, (-1, ops.shape(x)[1] * ops.shape(x)[2])),
    normal(2, 3),
    torch=lambda t, x: x.flatten(1),
)


# ---- users' own


@numba.njit
def scaled_square(x, w, y):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = w[j] * x[i, j] * x[i, j]


@numba.njit
def scaled_square_gradient(x, w, y, dy, dx, dw):
    dw[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            dx[i, j] = 2 * w[j] * x[i, j] * dy[i, j]
            dw[j] += x[i, j] * x[i, j] * dy[i, j]


@numba.njit
def round_down(x, y):
    y[...] = np.floor(x)


add(
    "custom",
    "CustomOperation",
    ops.CustomOperation(scaled_square, scaled_square_gradient),
    normal(3),
    normal(3),
    torch=lambda t, x, w: w * x * x,
)
add(
    "custom",
    "used twice",
    lambda x, w: (lambda f: f(f(x, w), w))(ops.CustomOperation(scaled_square, scaled_square_gradient)),
    normal(3),
    normal(3),
    torch=lambda t, x, w: w * (w * x * x) ** 2,
)
add(
    "custom",
    "no gradient flows",
    lambda x: ops.CustomOperation(round_down)(x) * x,
    normal(1, 3),
    torch=lambda t, x: t.floor(x) * x,
)


# ---- random changes of pictures


def drawn(columns, like):
    """Uniform numbers, the same in every run."""
    return random.RandomValues("uniform", (columns,), 0.0, 1.0, like.dtype, seed=3)()


def resampled(x, mode="reflect", interpolation="bilinear"):
    ranges = np.array([-0.1, 0.2, 0.8, 1.3, 0.7, 1.2, -0.2, 0.3, -0.3, 0.2, -0.1, 0.2, 0.0, 0.2])
    transforms = augmentation.AffineTransforms((4, 5), (3, 6))(drawn(8, x), ranges)
    return augmentation.Resample((3, 6), mode, interpolation, 0.5)(x, transforms)


for mode in augmentation.FILL_MODES:
    add("augmentation", f"resample, {mode}", lambda x, mode=mode: resampled(x, mode), normal(4, 5, 2))
add("augmentation", "resample, nearest pixels", lambda x: resampled(x, "wrap", "nearest") * 2.0, normal(4, 5, 2))
add(
    "augmentation",
    "resample, used twice",
    lambda x: x + augmentation.Resample((4, 5))(x, drawn(8, x)),
    normal(4, 5, 2),
)
add(
    "augmentation",
    "perspective",
    lambda x: augmentation.Resample((4, 5), "constant")(
        x, augmentation.PerspectiveTransforms((4, 5))(drawn(12, x), np.array([1.0, 1.0, -0.3, 0.3]))
    ),
    normal(4, 5, 2),
)
add("augmentation", "flip", lambda x: augmentation.Flip()(x, drawn(4, x)) * x, normal(4, 5, 3))
add("augmentation", "crop", lambda x: augmentation.Crop((5, 4), 1)(x, drawn(4, x)) * 2.0, normal(4, 5, 3))


def coloured(x, w):
    """What passes no gradient on, of pictures that want none."""
    ranges = np.array([0.0, 9.0, -0.3, 0.3, 0.4, 1.6, 0.3, 0.8, 0.1, 0.4, 0.5, 0.5])
    x = augmentation.AdjustColour(augmentation.COLOURS)(x, drawn(8, x), ranges)
    x = augmentation.GaussianBlur((3, 5))(x, drawn(4, x), np.array([0.0, 9.0, 1.0, 1.0, 0.4, 1.2]))
    return augmentation.Erase()(x, drawn(8, x), np.array([1.0, 1.0, 0.1, 0.4]), x * 2.0) * w


add("augmentation", "colours, blur and erasing", coloured, Draw((4, 5, 3), "positive", False), normal(4, 5, 3))
