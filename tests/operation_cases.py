"""A case for every operation and every function of jitnet.ops: odd shapes, and the same in PyTorch."""

import types

import numpy as np
from graphs import Draw, Suite, labels, normal, positive, probabilities, wide
from operation_cases_arrays import add_all
from torch_reference import (
    nchw,
    nhwc,
    torch_average_pool,
    torch_batch_norm,
    torch_convolution,
    torch_max_pool,
    torch_resize,
    torch_transposed,
)

from jitnet import ops
from jitnet.core.operations import augmentation, counts, losses, random
from jitnet.core.operations.attention import DotProductAttention
from jitnet.core.operations.base import BatchSize
from jitnet.core.operations.convolution import GlobalAveragePool2D, GlobalMaxPool2D
from jitnet.core.operations.effects import Assigned, AssignedRows, Rows
from jitnet.core.operations.elementwise import Unary
from jitnet.core.operations.normalization import BatchNorm, GroupNorm
from jitnet.core.operations.recurrent import GRUSteps, LSTMSteps, ResetFirstGRUSteps, SimpleRNNSteps
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
    "celu": lambda x: ops.celu(x, 0.7),
    "hard_shrink": lambda x: ops.hard_shrink(x, 0.7),
    "soft_shrink": lambda x: ops.soft_shrink(x, 0.7),
    "thresholded": lambda x: ops.threshold(x, 0.5, -0.3),
    "squareplus": lambda x: ops.squareplus(x, 1.5),
}
TORCH_UNARY = {
    "elu": lambda t, x: t.nn.functional.elu(x, 0.7),
    "gelu_tanh": lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
    "celu": lambda t, x: t.nn.functional.celu(x, 0.7),
    "hard_silu": lambda t, x: t.nn.functional.hardswish(x),
    "tanh_shrink": lambda t, x: t.nn.functional.tanhshrink(x),
    "hard_shrink": lambda t, x: t.nn.functional.hardshrink(x, 0.7),
    "soft_shrink": lambda t, x: t.nn.functional.softshrink(x, 0.7),
    "thresholded": lambda t, x: t.nn.functional.threshold(x, 0.5, -0.3),
    "squareplus": lambda t, x: (x + t.sqrt(x * x + 1.5)) / 2,
    "sparse_plus": lambda t, x: t.where(x > 1, x, t.relu(x + 1) ** 2 / 4),
    "sparse_sigmoid": lambda t, x: ((x + 1) / 2).clamp(0, 1),
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
    draw = positive() if name in ("log", "sqrt", "reciprocal", "log1p") else wide()
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
for axis in (1, 2):
    add("reduction", f"sparsemax {axis}", lambda x, axis=axis: ops.sparsemax(x, axis), normal(3, 2, 5))
add("shape", "glu", lambda x: ops.glu(x, 1), normal(4, 3), torch=lambda t, x: t.nn.functional.glu(x, 1))
add("reduction", "softmax of one class", ops.softmax, normal(1), torch=lambda t, x: t.softmax(x, 1))

# ---- loops


def recurrent(x, w, u, reverse=False):
    """The last state and all states of a small recurrent network, side by side."""
    last, states = ops.scan(
        lambda h, step: (ops.tanh(step @ w + h @ u), h), np.zeros(u.shape[0]), x, reverse=reverse
    )
    return ops.concatenate([ops.reshape(states, (-1, x.shape[1] * u.shape[0])), last], axis=-1)


def torch_recurrent(t, x, w, u, reverse=False):
    h, states = t.zeros(len(x), u.shape[0], dtype=x.dtype), []
    for step in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
        states.append(h)
        h = t.tanh(x[:, step] @ w + h @ u)
    return t.cat([*(reversed(states) if reverse else states), h], -1)


for reverse in (False, True):
    add(
        "loops", f"scan reverse={reverse}", lambda x, w, u, r=reverse: recurrent(x, w, u, r), normal(3, 2),
        (Draw((2, 3)), Draw((3, 3))), torch=lambda t, x, w, u, r=reverse: torch_recurrent(t, x, w, u, r),
    )  # fmt: skip


def all_of(outputs):
    """All outputs of a recurrent operation, as one row of a sample each."""
    steps, units = outputs[0].shape[1:]
    return ops.concatenate([ops.reshape(outputs[0], (-1, steps * units)), *outputs[1:]], axis=-1)


def torch_steps(t, cell, z, kernel, bias=None, states=None, mask=None, reverse=False):
    """LSTM, GRU or SimpleRNN as jitnet's operations have them."""
    units = kernel.shape[0]
    states = states or [t.zeros(len(z), units, dtype=z.dtype) for _ in range(2 if cell == "lstm" else 1)]
    found = {}
    for step in reversed(range(z.shape[1])) if reverse else range(z.shape[1]):
        x, k = z[:, step].split(units, -1), (states[0] @ kernel).split(units, -1)
        if cell == "lstm":
            i, f, o = (t.sigmoid(x[g] + k[g]) for g in (0, 1, 3))
            c = f * states[1] + i * t.tanh(x[2] + k[2])
            new = [o * t.tanh(c), c]
        elif cell == "gru":
            b = bias.split(units)
            u, r = (t.sigmoid(x[g] + k[g] + b[g]) for g in (0, 1))
            new = [u * states[0] + (1 - u) * t.tanh(x[2] + r * (k[2] + b[2]))]
        elif cell == "gru_reset_first":  # x has what the candidate gets in its last columns, and bias is its kernel
            u, r = (t.sigmoid(x[g] + k[g]) for g in (0, 1))
            new = [u * states[0] + (1 - u) * t.tanh(x[2] + (r * states[0]) @ bias)]
        else:
            new = [getattr(t, cell)(x[0] + k[0])]
        counts = 1.0 if mask is None else mask[:, step, None]
        states = [counts * n + (1 - counts) * s for n, s in zip(new, states, strict=True)]
        found[step] = states[0]
    return t.cat([*(found[step] for step in range(z.shape[1])), *states], -1)


add(
    "loops", "lstm", lambda z, u: all_of(LSTMSteps()(z, u)), normal(3, 8), Draw((2, 8)),
    torch=lambda t, z, u: torch_steps(t, "lstm", z, u),
)  # fmt: skip
add(
    "loops", "lstm with states and a mask",
    lambda z, h, c, m, u: all_of(LSTMSteps(True, True, True)(z, u, h, c, ops.reshape(m, (-1, 3)))),
    (normal(3, 8), normal(2), normal(2), Draw((3, 1), "one hot", False)), Draw((2, 8)),
    torch=lambda t, z, h, c, m, u: torch_steps(t, "lstm", z, u, None, [h, c], m[..., 0], True),
)  # fmt: skip
add(
    "loops", "lstm of one step, of which the last state alone counts",
    lambda z, h, c, u: LSTMSteps(True)(z, u, h, c)[2] * h, (normal(1, 12), normal(3), normal(3)), Draw((3, 12)),
    torch=lambda t, z, h, c, u: torch_steps(t, "lstm", z, u, None, [h, c])[:, 6:] * h,
)  # fmt: skip
add(
    "loops", "gru", lambda z, h, u, b: all_of(GRUSteps(True)(z, u, b, h)), (normal(3, 6), normal(2)),
    (Draw((2, 6)), Draw((6,))), torch=lambda t, z, h, u, b: torch_steps(t, "gru", z, u, b, [h]),
)  # fmt: skip
add(
    "loops", "gru with a mask, backwards",
    lambda z, m, u, b: all_of(GRUSteps(False, True, True)(z, u, b, ops.max(m, 2))),
    (normal(3, 6), Draw((3, 2), "one hot", False)), (Draw((2, 6)), Draw((6,))),
    torch=lambda t, z, m, u, b: torch_steps(t, "gru", z, u, b, None, m.amax(-1), True),
)  # fmt: skip
add(
    "loops", "gru that resets first",
    lambda z, c, h, u, v: all_of(ResetFirstGRUSteps(True)(z, c, u, v, h)), (normal(3, 4), normal(3, 2), normal(2)),
    (Draw((2, 4)), Draw((2, 2))),
    torch=lambda t, z, c, h, u, v: torch_steps(t, "gru_reset_first", t.cat([z, c], -1), u, v, [h]),
)  # fmt: skip
add(
    "loops", "gru that resets first with a mask, backwards",
    lambda z, c, m, u, v: all_of(ResetFirstGRUSteps(False, True, True)(z, c, u, v, ops.max(m, 2))),
    (normal(3, 4), normal(3, 2), Draw((3, 2), "one hot", False)), (Draw((2, 4)), Draw((2, 2))),
    torch=lambda t, z, c, m, u, v: torch_steps(
        t, "gru_reset_first", t.cat([z, c], -1), u, v, None, m.amax(-1), True
    ),
)  # fmt: skip
for relu in (False, True):
    add(
        "loops", f"simple_rnn relu={relu}", lambda z, u, r=relu: all_of(SimpleRNNSteps(relu=r)(z, u)), normal(3, 5),
        Draw((5, 5)), torch=lambda t, z, u, r=relu: torch_steps(t, "relu" if r else "tanh", z, u),
    )  # fmt: skip

# ---- normalisation of each sample by itself
def torch_rms(t, x, scale, axes):
    return x / t.sqrt((x * x).mean(axes, keepdim=True) + 1e-6) * scale


add(
    "normalisation", "layer_normalization", lambda x, g, b: ops.layer_normalization(x, g, b, epsilon=1e-3),
    normal(3, 5), (positive(5), normal(5)), torch=lambda t, x, g, b: t.nn.functional.layer_norm(x, (5,), g, b, 1e-3),
)  # fmt: skip
add(
    "normalisation", "layer_normalization of two axes",
    lambda x, g, b: ops.layer_normalization(x, g, b, axis=(-1, 1), epsilon=1e-3) * x,
    normal(3, 5), (positive(3, 5), normal(3, 5)),
    torch=lambda t, x, g, b: t.nn.functional.layer_norm(x, (3, 5), g, b, 1e-3) * x,
)  # fmt: skip
add(
    "normalisation", "layer_normalization of an inner axis", lambda x: ops.layer_normalization(x, axis=1, epsilon=1e-3),
    normal(3, 5), torch=lambda t, x: t.nn.functional.layer_norm(x.mT, (3,), eps=1e-3).mT,
)  # fmt: skip
add(
    "normalisation", "rms_normalization", lambda x, g: ops.rms_normalization(x, g, epsilon=1e-6), normal(3, 5),
    positive(5), torch=lambda t, x, g: torch_rms(t, x, g, -1),
)  # fmt: skip
add(
    "normalisation", "rms_normalization of two axes",
    lambda x, g: ops.rms_normalization(x, g, (1, 2), 1e-6) + x, normal(3, 5), positive(3, 5),
    torch=lambda t, x, g: torch_rms(t, x, g, (1, 2)) + x,
)  # fmt: skip
for groups in (1, 2, 6):
    add(
        "normalisation", f"{groups} groups",
        lambda x, g, b, groups=groups: GroupNorm(groups, 1e-3)(x, g, b) + x, normal(3, 2, 6), (positive(6), normal(6)),
        torch=lambda t, x, g, b, groups=groups: (
            t.nn.functional.group_norm(x.movedim(-1, 1), groups, g, b, 1e-3).movedim(1, -1) + x
        ),
    )  # fmt: skip
for order in (1, 2, 3, "inf"):
    add(
        "normalisation", f"normalize {order}", lambda x, order=order: ops.normalize(x, (1, 2), order), normal(3, 2),
        torch=lambda t, x, order=order: x / t.linalg.vector_norm(x, float(order), (1, 2), keepdim=True),
    )  # fmt: skip

# ---- shape
add("shape", "reshape", lambda x: ops.reshape(x, (-1, 3, 4)), normal(2, 6), torch=lambda t, x: x.reshape(-1, 3, 4))
add(
    "shape",
    "windows in the batch",
    lambda x: ops.reshape(ops.tanh(ops.reshape(x, (-1, 2, 3)) * ops.reshape(x * x, (-1, 2, 3))), (-1, 4, 6)),
    normal(4, 2, 3),
    torch=lambda t, x: t.tanh(x * x * x).reshape(-1, 4, 6),
)
add(
    "shape",
    "products of windows in the batch",
    lambda x, w: ops.reshape(ops.softmax(ops.matmul(ops.reshape(x, (-1, 3)), w)), (-1, 4 * 5)),
    normal(2, 6),
    normal(3, 5),
    torch=lambda t, x, w: t.softmax(x.reshape(-1, 3) @ w, -1).reshape(-1, 20),
)
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

    def convolution(x, w, strides=strides, padding=padding, dilation=dilation):
        return ops.conv(x, w, strides, padding, dilation_rate=dilation)

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
        return ops.depthwise_conv(x, w, strides, padding, dilation_rate=dilation)

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

# ---- transposed convolutions, those of sequences, and resizing

TRANSPOSED = {  # input, filters, window, strides, padding, output padding, dilation
    "2x2, stride 2": ((3, 4, 5), 7, (2, 2), (2, 2), "valid", None, (1, 1)),
    "3x3, same": ((4, 3, 2), 3, (3, 3), (2, 2), "same", None, (1, 1)),
    "stride 1": ((4, 5, 3), 17, (3, 2), (1, 1), "same", None, (1, 1)),
    "stride > window": ((3, 2, 2), 2, (2, 1), (3, 4), "valid", None, (1, 1)),
    "stride > window, same": ((2, 3, 1), 2, (1, 2), (3, 5), "same", None, (1, 1)),
    "output padding": ((3, 4, 2), 3, (3, 4), (2, 3), "same", (1, 2), (1, 1)),
    "output padding, valid": ((3, 2, 2), 3, (3, 2), (3, 2), "valid", (2, 0), (1, 1)),
    "dilation": ((4, 3, 2), 3, (3, 2), (1, 1), "same", None, (2, 3)),
    "dilation and stride": ((3, 3, 2), 2, (2, 3), (2, 3), "valid", None, (3, 2)),
}
for name, (shape, filters, window, strides, padding, extra, dilation) in TRANSPOSED.items():
    geometry = strides, padding, extra, dilation

    def transposed(x, w, geometry=geometry):
        return ops.conv_transpose(x, w, *geometry[:3], dilation_rate=geometry[3])

    def reference(t, x, w, geometry=geometry):
        return torch_transposed(t, x, w, *geometry)

    weight = normal(*window, filters, shape[2])
    add("transposed", f"conv_transpose {name}", transposed, normal(*shape), weight, torch=reference)
add(
    "transposed",
    "conv_transpose of a value that is used twice",
    lambda x, v, w: ops.conv_transpose(x, v, 2) * ops.conv_transpose(x, w, 2),
    normal(3, 2, 2),
    (normal(2, 2, 3, 2), normal(2, 2, 3, 2)),
    torch=lambda t, x, v, w: (
        torch_transposed(t, x, v, (2, 2), "valid") * torch_transposed(t, x, w, (2, 2), "valid")
    ),
)


add(
    "transposed",
    "conv_transpose with bias and relu",
    lambda x, w, b: ops.relu(ops.bias_add(ops.conv_transpose(ops.tanh(x), w, (2, 1), "same"), b)),
    normal(3, 4, 5),
    (normal(3, 2, 6, 5), normal(6)),
    torch=lambda t, x, w, b: t.relu(torch_transposed(t, t.tanh(x), w, (2, 1), "same") + b),
)


def torch_row(function):
    """What ``function`` does with images, of sequences."""

    def of_sequences(t, x, *weights):
        return function(t, x[:, None], *(w[None] for w in weights))[:, 0]

    return of_sequences


SEQUENCES = {  # input, filters, window, stride, padding, dilation, groups
    "of sequences": ((7, 3), 5, 3, 1, "same", 1, 1),
    "of sequences, stride 2": ((8, 2), 3, 3, 2, "valid", 1, 1),
    "of sequences, causal": ((6, 2), 3, 3, 1, "causal", 2, 1),
    "of sequences, causal with stride": ((7, 2), 17, 2, 3, "causal", 1, 1),
    "of sequences, groups": ((5, 4), 6, 2, 1, (2, 1), 1, 2),
}
for name, (shape, filters, window, stride, padding, dilation, groups) in SEQUENCES.items():
    sides = {"causal": (((0, 0), ((window - 1) * dilation, 0))), (2, 1): ((0, 0), (2, 1))}.get(padding, padding)
    geometry = (1, stride), sides, (1, dilation), groups

    def convolution(x, w, stride=stride, padding=padding, dilation=dilation):
        return ops.conv(x, w, stride, padding, dilation_rate=dilation)

    def reference(t, x, w, geometry=geometry):
        return torch_convolution(t, x, w, *geometry)

    weight = normal(window, shape[1] // groups, filters)
    add("sequences", f"conv {name}", convolution, normal(*shape), weight, torch=torch_row(reference))
add(
    "sequences",
    "depthwise_conv of sequences",
    lambda x, w: ops.depthwise_conv(x, w, 2, "same"),
    normal(7, 3),
    normal(4, 3, 2),
    torch=torch_row(lambda t, x, w: torch_convolution(t, x, w.reshape(1, 4, 1, 6), (1, 2), "same", (1, 1), 3)),
)
add(
    "sequences",
    "separable_conv",
    lambda x, v, w: ops.separable_conv(x, v, w, padding="same"),
    normal(3, 4, 2),
    (normal(2, 3, 2, 2), normal(1, 1, 4, 5)),
    torch=lambda t, x, v, w: torch_convolution(
        t, torch_convolution(t, x, v.reshape(2, 3, 1, 4), (1, 1), "same", (1, 1), 2), w, (1, 1), "valid", (1, 1), 1
    ),
)
add(
    "sequences",
    "conv_transpose of sequences",
    lambda x, w: ops.conv_transpose(x, w, 3, "same", 1),
    normal(4, 2),
    normal(4, 5, 2),
    torch=torch_row(lambda t, x, w: torch_transposed(t, x, w, (1, 3), "same", (0, 1))),
)
for kind, reference in (("max", torch_max_pool), ("average", torch_average_pool)):
    add(
        "sequences",
        f"{kind}_pool of sequences",
        lambda x, kind=kind: getattr(ops, f"{kind}_pool")(x, 3, 2, "same"),
        normal(7, 2),
        torch=torch_row(lambda t, x, f=reference: f(t, x, (1, 3), (1, 2), "same")),
    )

for interpolation, size in (("nearest", (6, 5)), ("nearest", (2, 8)), ("bilinear", (6, 5)), ("bilinear", (2, 8))):
    add(
        "sizes",
        f"{interpolation} {size}",
        lambda x, size=size, kind=interpolation: ops.image.resize(x, size, kind),
        normal(3, 4, 2),
        torch=lambda t, x, size=size, kind=interpolation: torch_resize(t, x, size, kind),
    )
add(
    "sizes",
    "resize of a part",
    lambda x: ops.image.resize(x, (3, 3), crop_to_aspect_ratio=True),
    normal(4, 7, 1),
    torch=lambda t, x: torch_resize(t, x[:, :, 1:5], (3, 3), "bilinear"),
)
add(
    "sizes",
    "resize with borders",
    lambda x: ops.image.resize(x, (4, 6), "nearest", pad_to_aspect_ratio=True, fill_value=0.5),
    normal(4, 2, 3),
    torch=lambda t, x: torch_resize(t, nhwc(t.nn.functional.pad(nchw(x), (2, 2), value=0.5)), (4, 6), "nearest"),
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

# ---- losses of sequences and of whole batches, and counts


def torch_ctc(t, x, y):
    given = x.transpose(0, 1).log_softmax(-1), y, t.full((len(x),), x.shape[1]), (y != 0).sum(1)
    return t.nn.functional.ctc_loss(*given, blank=0, reduction="none")


def torch_circle(t, x, y):
    distance, same = (1 - x @ x.T).clamp(min=0), y[:, None] == y[None]
    negative = 3 * (1.2 - distance).clamp(min=0) * (0.8 - distance)
    near = t.where(same & (t.eye(len(y)) == 0), 3 * (distance + 0.2) * (distance - 0.2), -t.inf)
    return t.nn.functional.softplus(near.logsumexp(1) + t.where(same, -t.inf, negative).logsumexp(1))


def torch_thresholds(t, p, y, w):
    bucket = (p[..., None] > t.tensor([-0.5, 0.0, 1.0])).sum(-1)
    kept = p.argsort(-1, descending=True).argsort(-1) < 2
    places = t.where(kept, bucket, 0) + 4 * (y != 0)
    found = t.zeros(8, 2, dtype=p.dtype)
    for c in (1, 2):
        found[:, c - 1].index_add_(0, places[:, c], w)
    return p + (found * t.arange(1.0, 17).reshape(8, 2)).sum()


def torch_confusion(t, p, y, w):
    places, known = y * 5 + p.argmax(-1), y != 3
    found = t.zeros(25, dtype=p.dtype).index_add_(0, places[known], w[known])
    return p + (found * t.arange(25.0)).sum()


add(
    "batches",
    "ctc",
    lambda x, y: losses.CTC()(x, y + 1),
    (normal(5, 4), labels(3, 2)),
    torch=lambda t, x, y: torch_ctc(t, x, y + 1),
)
add(
    "batches", "batch size", lambda x: x / BatchSize()(x), normal(3), torch=lambda t, x: x / len(x)
)  # fmt: skip
add(
    "batches",
    "circle loss",
    losses.CircleLoss(3.0, 0.2),
    (probabilities(4), labels(3)),
    torch=torch_circle,
)
add(
    "batches",
    "threshold counts",
    lambda p, y, w: p + ops.sum(
        counts.ThresholdCounts(3, (1, 3), 2, True)(p, y, np.array([-0.5, 0.0, 1.0]), w)
        * np.arange(1.0, 17).reshape(2, 4, 2)
    ),
    (FIXED, Draw((5,), "one hot", False), Draw((), "positive", False)),
    torch=torch_thresholds,
)
add(
    "batches",
    "confusion counts",
    lambda p, y, w: p + ops.sum(
        counts.ConfusionCounts(5, (False, True), 3)(p, ops.cast(y, p.dtype), w) * np.arange(25.0).reshape(5, 5)
    ),
    (FIXED, labels(5), Draw((), "positive", False)),
    torch=torch_confusion,
)
add(
    "losses",
    "top 2 of one-hot targets",
    losses.Accuracy("top_k_categorical_accuracy", (2,)),
    (FIXED, Draw((5,), "one hot", False)),
    torch=lambda t, p, y: (p.topk(2).indices == y.argmax(-1)[:, None]).any(-1).float(),
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
UNWANTED = Draw((2, 3), wanted=False)
add("batch", "largest of samples", lambda x, y: x + ops.max(y, axis=0), (normal(2, 3), UNWANTED),
    torch=lambda t, x, y: x + y.amax(0))  # fmt: skip
add("batch", "largest of all", lambda x, y: x + ops.max(y), (normal(2, 3), UNWANTED), torch=lambda t, x, y: x + y.max())
add("batch", "mean of samples", lambda x: x - ops.mean(x, axis=0), normal(7), torch=lambda t, x: x - x.mean(0))
add(
    "batch",
    "joined batches",
    lambda x, y: ops.stack([part * x for part in ops.split(ops.concatenate([x, x * y, y], axis=0), 3)], axis=1),
    (normal(3), normal(3)),
    torch=lambda t, x, y: t.stack([x * x, x * x * y, x * y], 1),
)
add("batch", "a setting", lambda x: ops.multiply(x, FACTOR), normal(3), torch=lambda t, x: x * 0.75)
for distribution, bounds in (("uniform", (0.5, 2.0)), ("normal", (1.0, 0.3)), ("truncated_normal", (1.0, 0.3))):
    add(
        "batch",
        f"{distribution} numbers",
        lambda x, d=distribution, b=bounds: x * random.RandomValues(d, (4,), *b, x.dtype, seed=3, batches=x.batches)(),
        normal(4),
    )
add(
    "batch",
    "shape",
    lambda x: ops.reshape(x, (-1, ops.shape(x)[1] * ops.shape(x)[2])),
    normal(2, 3),
    torch=lambda t, x: x.flatten(1),
)


KEPT = Draw((300, 3), "normal", False)  # more rows than batches have
add("batch", "rows of a variable", lambda x, w: x * Rows()(w), normal(3), KEPT, torch=lambda t, x, w: x * w[: len(x)])
add(
    "batch", "rows that are kept", lambda x, w: AssignedRows(2)(x, x * 2.0, x - 1.0, w)[1] * x, normal(3), KEPT,
    torch=lambda t, x, w: 2 * x * x,
)  # fmt: skip
add(
    "batch", "a variable that is overwritten", lambda x, w: Assigned()(x * 3.0, ops.mean(x, axis=0), w), normal(3),
    Draw((3,), "normal", False), torch=lambda t, x, w: 3 * x,
)  # fmt: skip


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

# ---- more functions of jitnet.ops

add_all(add)

# ---- random changes of pictures


def drawn(columns, like):
    """Uniform numbers, the same in every run."""
    return random.RandomValues("uniform", (columns,), 0.0, 1.0, like.dtype, seed=3, batches=like.batches)()


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
add("augmentation", "flip", lambda x: augmentation.FlipPictures()(x, drawn(4, x)) * x, normal(4, 5, 3))
add("augmentation", "crop", lambda x: augmentation.Crop((5, 4), 1)(x, drawn(4, x)) * 2.0, normal(4, 5, 3))


def coloured(x, w):
    """What passes no gradient on, of pictures that want none."""
    ranges = np.array([0.0, 9.0, -0.3, 0.3, 0.4, 1.6, 0.3, 0.8, 0.1, 0.4, 0.5, 0.5])
    x = augmentation.AdjustColour(augmentation.COLOURS)(x, drawn(8, x), ranges)
    x = augmentation.GaussianBlur((3, 5))(x, drawn(4, x), np.array([0.0, 9.0, 1.0, 1.0, 0.4, 1.2]))
    return augmentation.Erase()(x, drawn(8, x), np.array([1.0, 1.0, 0.1, 0.4]), x * 2.0) * w


add("augmentation", "colours, blur and erasing", coloured, Draw((4, 5, 3), "positive", False), normal(4, 5, 3))

# ---- attention


def torch_attention(t, query, key, value, mask=None, bias=None, scale=None, causal=False):
    """Of (batch, steps, heads, size); heads of queries may share those of keys and values."""
    shared = query.shape[2] // key.shape[2]
    key, value = (x.repeat_interleave(shared, 2) for x in (key, value))
    scores = t.einsum("bqhd,bkhd->bhqk", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
    scores = scores if bias is None else scores + t.tensor(bias, dtype=scores.dtype)
    seen = t.ones(scores.shape[2:], dtype=t.bool)
    seen = seen.tril() if causal else seen
    seen = seen if mask is None else seen & (mask != 0)
    return t.einsum("bhqk,bkhd->bqhd", t.where(seen, scores, -1e9).softmax(-1), value)


HEADS = normal(5, 4, 3), normal(7, 2, 3), normal(7, 2, 6)
OF_PAIRS = np.random.default_rng(0).standard_normal((4, 5, 7))
add("attention", "attention", ops.dot_product_attention, HEADS, torch=torch_attention)
add(
    "attention",
    "attention, causal, to itself",
    lambda x: ops.dot_product_attention(x, x, x, scale=0.3, is_causal=True),
    normal(6, 2, 5),
    torch=lambda t, x: torch_attention(t, x, x, x, scale=0.3, causal=True),
)
add(
    "attention",
    "attention, bias",
    lambda *x: ops.dot_product_attention(*x, bias=OF_PAIRS),
    HEADS,
    torch=lambda t, *x: torch_attention(t, *x, bias=OF_PAIRS),
)
add(
    "attention",
    "attention, padding, causal",
    lambda *x: ops.dot_product_attention(*x[:3], mask=x[3], is_causal=True),
    (*HEADS, labels(2, 1, 1, 7)),
    torch=lambda t, *x: torch_attention(t, *x, causal=True),
)
add(
    "attention",
    "attention, a mask for each head, used twice",
    lambda q, k, v, m: ops.dot_product_attention(q, k, v, mask=m) + ops.dot_product_attention(q, v, k, mask=m),
    (normal(5, 2, 3), normal(4, 2, 3), normal(4, 2, 3), labels(2, 2, 5, 4)),
    torch=lambda t, q, k, v, m: torch_attention(t, q, k, v, m) + torch_attention(t, q, v, k, m),
)
add(
    "attention",
    "attention, dropout",
    lambda *x: DotProductAttention(0.5, True, False, 0.4, seed=3)(*x),
    (normal(5, 2, 3), normal(5, 2, 3), normal(5, 2, 2)),
)
