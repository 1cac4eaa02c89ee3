"""Small models that together hold every part that a saved file can describe, and files made from descriptions."""

import json

import numpy as np
import safetensors

import jitnet
from jitnet import initializers, layers, losses, metrics, ops, optimizers, regularizers, schedules
from jitnet.core.operations import augmentation, random
from jitnet.core.operations.base import REGISTRY as OPERATIONS
from jitnet.core.operations.convolution import GlobalAveragePool2D, GlobalMaxPool2D
from jitnet.core.operations.losses import CTC, Accuracy, BinaryCrossEntropyWithLogits, CircleLoss, SparseCrossEntropy
from jitnet.core.operations.losses import CrossEntropy as CrossEntropyOperation
from jitnet.core.operations.normalization import BatchNorm, GroupNorm
from jitnet.core.operations.recurrent import GRUSteps, LSTMSteps, ResetFirstGRUSteps, SimpleRNNSteps
from jitnet.core.values import Constant
from jitnet.files import model_file
from jitnet.layers.base import REGISTRY as LAYERS
from jitnet.layers.base import clear_names

WRITTEN_WITH_EVERY_FILE = ("format_version", "jitnet_version", "checksum")
IMAGE = (4, 6, 2)



@jitnet.saving.register_keras_serializable("saved_models")
def by_epoch(step, epoch):
    return 0.1 / (1 + epoch)


# some losses and metrics, every optimizer and schedule, in as many ways to compile as it takes
COMPILATIONS = [
    {"optimizer": optimizers.SGD(schedules.ExponentialDecay(0.1, 3, 0.5)), "loss": "mse", "metrics": ["accuracy"]},
    {"optimizer": optimizers.SGD(schedules.PiecewiseConstantDecay([3], [0.1, 0.2]), 0.9, True), "loss": "mae"},
    {"optimizer": optimizers.Adam(schedules.PolynomialDecay(0.1, 3)), "loss": losses.BinaryCrossentropy()},
    {"optimizer": optimizers.Adam(schedules.InverseTimeDecay(0.1, 3, 0.5)), "loss": losses.CategoricalCrossentropy()},
    {
        "optimizer": optimizers.Adam(schedules.CosineDecay(0.1, 3)),
        "loss": losses.SparseCategoricalCrossentropy(),
        "metrics": [metrics.SparseCategoricalAccuracy(), metrics.SparseTopKCategoricalAccuracy(2)],
    },
    {
        "optimizer": optimizers.SGD(schedules.CosineDecayRestarts(0.1, 3)),
        "loss": losses.MeanSquaredError(),
        "metrics": [
            metrics.CategoricalAccuracy(), metrics.BinaryAccuracy(), metrics.MeanSquaredError(),
            metrics.MeanAbsoluteError(), metrics.LossMetric("mse"),
        ],
    },
    {"optimizer": "adam", "loss": losses.MeanAbsoluteError()},
    # optimizers and schedules of the catalogue
    {
        "optimizer": optimizers.AdamW(schedules.StepDecay(0.1, 3), schedules.ConstantSchedule(0.1), amsgrad=True),
        "loss": "mse",
    },
    {"optimizer": optimizers.RMSprop(schedules.OneCycle(0.1, 9), momentum=0.5, centered=True), "loss": "mse"},
    {"optimizer": optimizers.Adagrad(schedules.CyclicSchedule(0.1, 0.2, 3), clipvalue=0.5), "loss": "mse"},
    {"optimizer": optimizers.Adadelta(schedules.LinearWarmup(0.1, 3), clipnorm=0.5), "loss": "mse"},
    {"optimizer": optimizers.Adamax(schedules.Chained([0.1, 0.2], [3]), global_clipnorm=0.5), "loss": "mse"},
    {"optimizer": optimizers.Nadam(schedules.Product([0.1, schedules.StepDecay(0.1, 3)])), "loss": "mse"},
    {"optimizer": optimizers.Ftrl(schedules.FunctionSchedule(by_epoch, 3)), "loss": "mse"},
    {"optimizer": optimizers.Lion(learning_rate_multipliers={"kernel": 0.5}), "loss": "mse"},
    {"optimizer": optimizers.Lamb(), "loss": "mse"},
    {"optimizer": optimizers.Muon(exclude_layers=["last"]), "loss": "mse"},
    {"optimizer": optimizers.Adafactor(), "loss": "mse"},
    {"optimizer": optimizers.Eve(), "loss": "mse"},
]  # fmt: skip
COMPILED = ("Activation", "ReLU", "Softmax", "Conv2D", "DepthwiseConv2D", "Dense", "Add")  # come first


def random_changes():
    """Operations between pictures of three channels and random numbers."""
    colours, numbers = (4, 6, 3), lambda columns: random.RandomValues("uniform", (columns,), seed=3)()
    affine = augmentation.AffineTransforms((4, 6), (4, 6))
    perspective = augmentation.PerspectiveTransforms((4, 6))
    resample, flip, crop = augmentation.Resample((4, 6)), augmentation.FlipPictures(), augmentation.Crop((3, 3))
    colour, blur = augmentation.AdjustColour(("hue", "grey")), augmentation.GaussianBlur(3)
    return {
        "AffineTransforms": ([colours], lambda x: resample(x, affine(numbers(8), np.arange(14.0)))),
        "PerspectiveTransforms": ([colours], lambda x: resample(x, perspective(numbers(12), np.arange(4.0)))),
        "Resample": ([colours, (8,)], resample),
        "FlipPictures": ([colours], lambda x: flip(x, numbers(4))),
        "Crop": ([colours], lambda x: crop(x, numbers(4))),
        "AdjustColour": ([colours], lambda x: colour(x, numbers(8), np.arange(12.0))),
        "GaussianBlur": ([colours], lambda x: blur(x, numbers(4), np.arange(6.0))),
        "Erase": ([colours], lambda x: augmentation.Erase()(x, numbers(8), np.arange(4.0), x * 2.0)),
    }


def every_loss_and_metric():
    """A model with an output for each loss and metric."""
    clear_names()
    x, steps = jitnet.Input((3,), name="x"), jitnet.Input((3, 4), name="steps")
    needed = {
        metrics.ConfusionMatrix: (3,), metrics.MeanIoU: (3,), metrics.OneHotMeanIoU: (3,), metrics.IoU: (3, [0]),
        metrics.OneHotIoU: (3, [1]), metrics.MeanMetricWrapper: (losses.huber,), metrics.LossMetric: ("mse",),
        **{cls: (0.5,) for name, cls in metrics.KNOWN.items() if "At" in name},
    }  # fmt: skip
    unknown = (metrics.Mean, metrics.Sum)  # they have no targets, and are in no compilation
    remaining = [cls for cls in dict.fromkeys(metrics.KNOWN.values()) if cls not in unknown]
    outputs, used, measured = [], [], []
    for number, cls in enumerate(dict.fromkeys(losses.KNOWN.values())):
        source = steps if cls in (losses.CTC, losses.TripletMarginLoss) else x
        outputs.append(layers.Activation("linear", name=f"output_{number}")(source))
        used.append(cls())
        measured.append([kind(*needed.get(kind, ())) for kind in remaining[number::24]])
    model = jitnet.Model([x, steps], outputs, name="losses")
    model.compile("sgd", used, metrics=measured, weighted_metrics=[["accuracy"]] + [None] * (len(used) - 1))
    return model


def operations():
    """{name: (inputs, function)}: models of nothing but operations between inputs, which may be of several kinds."""
    ones = np.ones
    return {
        "Unary": ([(3,)], lambda x: ops.leaky_relu(ops.tanh(x))),
        "Binary": ([(3,), (3,)], lambda x, y: ops.maximum(x, y) * 2.0),
        "Reduction": ([(3, 2)], lambda x: ops.max(x, 1, keepdims=True)),
        "Reshape": ([(3, 2)], lambda x: ops.reshape(x, (-1, 6))),
        "Concatenate": ([(3,), (2,)], lambda x, y: ops.concatenate([x, y], axis=1)),
        "Slice": ([(3, 2)], lambda x: ops.slice_axis(x, 1, 1, 3)),
        "Transpose": ([(3, 2)], lambda x: ops.transpose(x, (0, 2, 1))),
        "Pad2D": ([IMAGE], lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)))),
        "Softmax": ([(3,)], ops.softmax),
        "LogSoftmax": ([(3,)], ops.log_softmax),
        "Sparsemax": ([(3,)], ops.sparsemax),
        "Conv2D": ([IMAGE], lambda x: ops.conv(x, ones((3, 3, 2, 1)), padding="same")),
        "Cast": ([(3,)], lambda x: ops.cast(ops.cast(x, "int64"), "float32")),
        "DepthwiseConv2D": ([IMAGE], lambda x: ops.depthwise_conv(x, ones((3, 3, 2, 1)), strides=2)),
        "Conv2DTranspose": ([IMAGE], lambda x: ops.conv_transpose(x, ones((3, 3, 1, 2)), 2, "same", 1)),
        "ResizeBilinear": ([IMAGE], lambda x: ops.image.resize(x, (3, 5), "bilinear")),
        "ResizeNearest": ([IMAGE], lambda x: ops.image.resize(x, (3, 5), "nearest")),
        "MaxPool2D": ([IMAGE], lambda x: ops.max_pool(x, 2)),
        "AveragePool2D": ([IMAGE], lambda x: ops.average_pool(x, 2, 1, padding="same")),
        "GlobalAveragePool2D": ([IMAGE], GlobalAveragePool2D()),
        "GlobalMaxPool2D": ([IMAGE], GlobalMaxPool2D()),
        "Matmul": ([(3,)], lambda x: ops.matmul(x, ones((3, 2)))),
        "BiasAdd": ([(3,)], lambda x: ops.bias_add(x, ones(3))),
        "Dropout": ([(3,)], random.Dropout(0.5, seed=2)),
        "DotProductAttention": ([(3, 2, 2)], lambda x: ops.dot_product_attention(x, x, x, is_causal=True)),
        "LSTMSteps": ([(3, 8)], lambda x: LSTMSteps(reverse=True)(x, ones((2, 8)))[0]),
        "GRUSteps": ([(3, 6), (2,)], lambda x, h: GRUSteps(initial=True)(x, ones((2, 6)), ones(6), h)[1]),
        "ResetFirstGRUSteps": (
            [(3, 4), (3, 2)], lambda x, c: ResetFirstGRUSteps()(x, c, ones((2, 4)), ones((2, 2)))[0],
        ),
        "SimpleRNNSteps": ([(3, 2), (3,)], lambda x, m: SimpleRNNSteps(masked=True)(x, ones((2, 2)), m)[0]),
        **random_changes(),
        "RandomValues": ([(3,)], lambda x: x + random.RandomValues("uniform", (3,), seed=3)()),
        "BatchMax": ([(3,)], lambda x: x - ops.max(x, axis=0)),
        "BatchSum": ([(3,)], lambda x: x - ops.mean(x)),
        "SampleSum": ([(3,)], lambda x: x - ops.sum(x, axis=0)),
        "BatchNorm": ([(3,)], lambda x: BatchNorm()(x, *(Constant(ones(3, "float32")) for _ in range(4)))),
        "LayerNorm": ([(3, 2)], lambda x: ops.layer_normalization(x, axis=(1, 2))),
        "RMSNorm": ([(3, 2)], lambda x: ops.rms_normalization(x, axis=1)),
        "GroupNorm": ([(3, 2)], lambda x: GroupNorm(2)(x, *(Constant(ones(2, "float32")) for _ in range(2)))),
        "Accuracy": ([(3,), (3,)], Accuracy("binary_accuracy", (0.5,))),
        "CTC": ([(4, 3), ((2,), "int64")], CTC()),
        "CircleLoss": ([(3,), ((), "int64")], CircleLoss()),
        "CrossEntropy": ([(3,), (3,)], CrossEntropyOperation()),
        "BinaryCrossEntropyWithLogits": ([(3,), (3,)], BinaryCrossEntropyWithLogits()),
        "SparseCrossEntropy": ([(3,), ((), "int64")], SparseCrossEntropy()),
        # comparisons, strides, indices and products of matrices
        "Compare": ([(3,)], lambda x: x * (x > 0.5)),
        "Select": ([(3,)], lambda x: ops.where(x > 0, x, np.float32([1, 2, 3]))),
        "Index": ([(3, 2)], lambda x: x[:, ::2]),
        "Flip": ([(3, 2)], lambda x: ops.flip(x, 1)),
        "BroadcastTo": ([(1, 2)], lambda x: ops.broadcast_to(x, (None, 3, 2))),
        "Tile": ([(3, 2)], lambda x: ops.tile(x, (1, 2, 3))),
        "Repeat": ([(3, 2)], lambda x: ops.repeat(x, 2, 1)),
        "Diagonal": ([(3, 2)], lambda x: ops.diagonal(x, 0, 1, 2)),
        "Pad": ([(3,)], lambda x: ops.pad(x, ((0, 0), (1, 2)), constant_values=2.0)),
        "ExpandDims": ([(3,)], lambda x: ops.expand_dims(x, 1)),
        "Squeeze": ([(3, 1)], lambda x: ops.squeeze(x, -1)),
        "StopGradient": ([(3,)], ops.stop_gradient),
        "Joined": ([(3,), (3,)], lambda x, y: ops.split(ops.concatenate([x, y], axis=0) * 2.0, 2)[0]),
        "Part": ([(3,), (3,)], lambda x, y: ops.split(ops.concatenate([x, y], axis=0) * 2.0, 2)[1]),
        "Filled": ([(3,)], lambda x: x + ops.ones((None, 3), x.dtype)),
        "Take": ([(3, 2)], lambda x: ops.take(x, [0, 2], 1)),
        "TakeAlongAxis": ([(3,), ((2,), "int64")], lambda x, i: ops.take_along_axis(x, i, 1)),
        "ArgMax": ([(3,)], lambda x: x + ops.argmax(x, 1, True)),
        "ArgSort": ([(3,)], lambda x: x + ops.argsort(x)),
        "Cumulative": ([(3,)], lambda x: ops.cumsum(x, 1)),
        "MatrixProduct": ([(3, 2), (2, 3)], ops.matmul),
        **{
            name: ([(3,), ((), "int64") if cls.sparse else (3,)], cls())
            for name, cls in OPERATIONS.items()
            if hasattr(cls, "keeps_probabilities")
        },
    }


def _inputs(shapes):
    kinds = [shape if shape and isinstance(shape[-1], str) else (shape, None) for shape in shapes]
    return [jitnet.Input(shape, dtype=dtype) for shape, dtype in kinds]


def _functional(shapes, function, name):
    inputs = _inputs(shapes)
    outputs = function(*inputs)
    return jitnet.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=name)


def _initialised(number: int, kind: type):
    """A layer with an initializer, a regularizer and a constraint: every one has its turn."""
    initializer = kind(value=0.5) if kind is initializers.Constant else kind()
    penalties = [regularizers.L1, regularizers.L2, regularizers.L1L2, regularizers.OrthogonalRegularizer]
    demands = [jitnet.constraints.KNOWN[name] for name in ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm")]
    return layers.Dense(
        3, kernel_initializer=initializer, kernel_regularizer=penalties[number % 4](),
        kernel_constraint=demands[number % 4](), name=f"dense_{number}",
    )  # fmt: skip


def models() -> dict:
    """{name: model}: every layer, operation, initializer, regularizer, optimizer and schedule; some losses, metrics."""
    clear_names()
    found = {}
    for name, cls in list(LAYERS.items()):
        if cls.example is not None:
            shape = cls.example["input_shape"]
            layer = cls(**cls.example["arguments"])
            several = isinstance(shape, list)
            call = (lambda *x, layer=layer: layer(list(x))) if several and "apart" not in cls.example else layer
            found[name] = _functional(shape if several else [shape], call, f"of_{name}")
    for number, kind in enumerate(dict.fromkeys(initializers.KNOWN.values())):
        dense = _initialised(number, kind)
        found[kind.__name__] = jitnet.Sequential([jitnet.Input((3,)), dense], name=f"of_{kind.__name__}")
    x, y = jitnet.Input((3,), name="x"), jitnet.Input((3,), batch_size=2, name="y")
    sums = jitnet.Model({"left": x, "right": y}, {"sum": x + y, "rest": [x * np.ones(3)]}, name="sums")
    parts = sums({"right": x, "left": x})
    found["dicts"] = jitnet.Model({"x": x, "y": y}, {"z": layers.Add()((parts["sum"], y)), "rest": parts["rest"]})
    # tests name what the first ones are compiled with
    order = [*COMPILED, *(name for name in found if name not in COMPILED)]
    for name, compilation in zip(order, COMPILATIONS, strict=False):
        found[name].compile(**compilation)
    for name, (shapes, function) in operations().items():
        found[f"{name} alone"] = _functional(shapes, function, f"alone_{name}")
    return found


def read(path) -> tuple[dict, dict]:
    """(tensors, description) of a file."""
    with safetensors.safe_open(path, framework="numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        description = json.loads(file.metadata()["jitnet"])
    return tensors, {key: value for key, value in description.items() if key not in WRITTEN_WITH_EVERY_FILE}


def write(path, tensors: dict, description: dict) -> None:
    """A file as ``save_model`` would write it, checksum and all, of any description."""
    model_file.write(str(path), tensors, description)


def fields(part, path=()):
    """(path, value) of every leaf of a description; a dict's keys count as leaves, under the path (..., key, None)."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield (*path, key, None), key
            yield from fields(value, (*path, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from fields(value, (*path, index))
    else:
        yield path, part


def changed(description, path, value):
    """A copy of a description with another value, or another key, at a path of ``fields``."""
    copy = json.loads(json.dumps(description))
    *outer, last = path[:-1] if path[-1] is None else path
    part = copy
    for key in outer:
        part = part[key]
    if path[-1] is None:
        part[value] = part.pop(last)
    else:
        part[last] = value
    return copy
