"""The networks of the benchmark, as lists of layers that every peer walks through with its own operations.

Weights and data are NumPy arrays drawn from fixed seeds, in jitnet's layouts: images (N, H, W, C), convolution kernels
(R, S, C, K), dense kernels (inputs, units).  A peer that wants another layout converts them once, before any timing.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dense:
    """A product with a bias, then layer normalisation if ``norm``, then an activation: relu, tanh or gelu."""

    units: int
    activation: str | None = None
    norm: bool = False


@dataclass(frozen=True)
class Conv:
    """A convolution of images or of sequences: with a bias, or followed by batch normalisation instead."""

    filters: int
    size: int
    padding: int = 0
    stride: int = 1
    norm: bool = False
    activation: str | None = "relu"


@dataclass(frozen=True)
class Depthwise:
    """A convolution of each channel by itself, followed by batch normalisation and ReLU."""

    size: int = 3
    padding: int = 1
    stride: int = 1


@dataclass(frozen=True)
class Block:
    """Residual block of two 3x3 convolutions.

    Its shortcut has no weights (He et al. 2016, option A), or is a convolution of 1x1 (projection, option B).
    """

    filters: int
    stride: int = 1
    projection: bool = False


@dataclass(frozen=True)
class Pool:
    """Maximum of windows; what is padded never wins."""

    size: int = 2
    stride: int = 2
    padding: int = 0


@dataclass(frozen=True)
class Down:
    """2 x 2 max pooling; what comes in is kept for the ``Up`` that belongs to it."""


@dataclass(frozen=True)
class Up:
    """Transposed convolution of 2 x 2 with as large strides, and beside it what was kept last."""

    filters: int


@dataclass(frozen=True)
class OwnCell:
    """A minimal gated unit (Zhou et al. 2016) over a sequence, as a user would write it; the last state comes out."""

    units: int


@dataclass(frozen=True)
class Recurrent:
    """LSTM or GRU over a sequence (kind: "lstm", "gru"); the states of all steps come out, or the last one."""

    kind: str
    units: int
    sequences: bool = False

    @staticmethod
    def gates(kind: str) -> int:
        return {"lstm": 4, "gru": 3}[kind]


@dataclass(frozen=True)
class Flatten:
    """Height, width and channels in one axis, in that order."""


@dataclass(frozen=True)
class Mean:
    """Mean over height and width, or over the length."""


@dataclass(frozen=True)
class LayerNorm:
    """Normalisation of each step of a sequence."""


@dataclass(frozen=True)
class Encoder:
    """A block of a Transformer, normalised before attention and before its two dense layers, with GELU between them."""

    heads: int
    hidden: int

    @staticmethod
    def names(name: str) -> dict[str, tuple]:
        """The parts of a block by name, each with the kinds of its weights, in jitnet's order."""
        dense, norm = ("kernel", "bias"), ("gamma", "beta")
        parts = {part: dense for part in ("query", "key", "value", "output")}
        parts |= {"attention_norm": norm, "dense_norm": norm, "inner": dense, "outer": dense}
        return {f"{name}_{part}": kinds for part, kinds in parts.items()}


@dataclass(frozen=True)
class Network:
    name: str
    input_shape: tuple
    layers: tuple

    @property
    def classes(self) -> int:
        last = self.layers[-1]
        return last.filters if isinstance(last, Conv) else last.units

    @property
    def is_transformer(self) -> bool:
        return isinstance(self.layers[0], Encoder)

    @property
    def labelled(self) -> tuple:
        """The shape of a sample's labels: every pixel has one where the last layer is a convolution, or every step."""
        return self.input_shape[:-1] if isinstance(self.layers[-1], Conv) or self.is_transformer else ()


_STAGES = tuple(Block(filters, 2 if filters > 16 and first else 1) for filters in (16, 32, 64) for first in (1, 0, 0))
# VGG-16's convolutions (Simonyan and Zisserman 2015, D), ResNet-18 (He et al. 2016) and MobileNet (Howard et al. 2017)
_VGG16 = (
    *(
        layer
        for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
        for layer in (*[Conv(filters, 3, padding=1)] * count, Pool())
    ),
    Mean(), Dense(10),
)  # fmt: skip
_RESNET18 = (
    *(Block(filters, 2 if filters > 64 and first else 1, filters > 64 and first)
      for filters in (64, 128, 256, 512) for first in (True, False)),
    Mean(), Dense(10),
)  # fmt: skip
_IMAGENET_STEM = (Conv(64, 7, padding=3, stride=2, norm=True), Pool(3, 2, 1))
_MOBILENET = (
    Conv(32, 3, padding=1, norm=True),
    *(
        layer
        for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
        for layer in (Depthwise(stride=stride), Conv(filters, 1, norm=True))
    ),
    Mean(), Dense(10),
)  # fmt: skip


def _twice(filters: int) -> tuple:
    return (Conv(filters, 3, padding=1),) * 2


# Ronneberger et al. 2015, with padding and fewer filters
_UNET = (
    *_twice(32), Down(), *_twice(64), Down(), *_twice(128), Up(64), *_twice(64), Up(32), *_twice(32),
    Conv(2, 1, activation=None),
)  # fmt: skip
NETWORKS = {
    network.name: network
    for network in (
        Network("mlp-tiny", (4,), (Dense(32, "tanh"), Dense(32, "tanh"), Dense(2))),
        Network("mlp-mnist", (784,), (Dense(128, "relu"), Dense(10))),
        Network(
            "lenet5",
            (28, 28, 1),
            (
                Conv(6, 5, padding=2), Pool(), Conv(16, 5), Pool(), Flatten(),
                Dense(120, "relu"), Dense(84, "relu"), Dense(10),
            ),
        ),
        Network(
            "lenet5-wide",
            (32, 32, 3),
            (
                Conv(8, 5, padding=2), Pool(), Conv(24, 5), Pool(), Flatten(),
                Dense(140, "relu"), Dense(100, "relu"), Dense(12),
            ),
        ),
        Network("resnet20", (32, 32, 3), (Conv(16, 3, padding=1, norm=True), *_STAGES, Mean(), Dense(10))),
        Network(
            "vgg",
            (32, 32, 3),
            (
                Conv(64, 3, padding=1), Conv(64, 3, padding=1), Pool(),
                Conv(128, 3, padding=1), Conv(128, 3, padding=1), Pool(), Flatten(), Dense(256, "relu"), Dense(10),
            ),
        ),
        Network("mlp-layernorm-gelu", (512,), (*(Dense(512, "gelu", norm=True) for _ in range(3)), Dense(10))),
        Network("mlp-layernorm-gelu-128", (784,), (*(Dense(128, "gelu", norm=True) for _ in range(2)), Dense(10))),
        Network("mlp-large", (2048,), (*(Dense(2048, "relu") for _ in range(3)), Dense(10))),
        Network("vgg16", (32, 32, 3), _VGG16),
        Network("vgg16-224", (224, 224, 3), _VGG16),
        Network("resnet18", (64, 64, 3), (Conv(64, 3, padding=1, norm=True), *_RESNET18)),
        Network("resnet18-160", (160, 160, 3), (*_IMAGENET_STEM, *_RESNET18)),
        Network("resnet18-224", (224, 224, 3), (*_IMAGENET_STEM, *_RESNET18)),
        Network("mobilenet", (32, 32, 3), _MOBILENET),
        Network("unet", (64, 64, 3), _UNET),
        Network(
            "signals",
            (128, 64),
            (
                Conv(64, 5, padding=2), Conv(64, 5, padding=2), Pool(), Conv(64, 3, padding=1), Conv(64, 3, padding=1),
                Mean(), Dense(10),
            ),
        ),
        Network("encoder", (64, 128), (*[Encoder(4, 512)] * 4, LayerNorm(), Dense(64))),
        Network("own-cell", (64, 64), (OwnCell(128), Dense(10))),
        Network("lstm", (64, 64), (Recurrent("lstm", 128), Dense(10))),
        Network("gru", (64, 64), (Recurrent("gru", 128), Dense(10))),
        Network("lstm-deep", (128, 64), (Recurrent("lstm", 256, True), Recurrent("lstm", 256), Dense(10))),
        Network("lstm-step", (1, 64), (Recurrent("lstm", 128), Dense(10))),
        Network("deep", (32,), (*(Dense(32, "relu") for _ in range(300)), Dense(10))),
    )
}  # fmt: skip


def walk(network: Network, make, x):
    """The network's logits from ``x``; ``make`` has a method for each operation.

    conv(name, x, filters, size, padding, stride, bias), depthwise(name, x, size, padding, stride), norm(name, x),
    layer_norm(name, x), relu(x), tanh(x), gelu(x), pool(x, size, stride, padding), flatten(x), mean(x),
    dense(name, x, units), shortcut(x, filters, stride), add(x, y), transposed(name, x, filters), concatenate(x, y),
    own_cell(name, x, units), recurrent(name, x, kind, units, sequences), encoder(name, x, heads, hidden).
    """
    kept = []

    def convolution(name, x, layer):
        x = make.conv(name, x, layer.filters, layer.size, layer.padding, layer.stride, not layer.norm)
        x = make.norm(name, x) if layer.norm else x
        return make.relu(x) if layer.activation else x

    for index, layer in enumerate(network.layers):
        name = f"layer{index}"
        match layer:
            case Conv():
                x = convolution(name, x, layer)
            case Depthwise(size, padding, stride):
                x = make.relu(make.norm(name, make.depthwise(name, x, size, padding, stride)))
            case Block(filters, stride, projection):
                y = convolution(f"{name}a", x, Conv(filters, 3, 1, stride, norm=True))
                y = convolution(f"{name}b", y, Conv(filters, 3, 1, norm=True, activation=None))
                if projection:
                    x = convolution(f"{name}c", x, Conv(filters, 1, 0, stride, norm=True, activation=None))
                elif stride > 1:
                    x = make.shortcut(x, filters, stride)
                x = make.relu(make.add(y, x))
            case Dense(units, activation, norm):
                x = make.dense(name, x, units)
                x = make.layer_norm(name, x) if norm else x
                x = getattr(make, activation)(x) if activation else x
            case Recurrent(kind, units, sequences):
                x = make.recurrent(name, x, kind, units, sequences)
            case OwnCell(units):
                x = make.own_cell(name, x, units)
            case Pool(size, stride, padding):
                x = make.pool(x, size, stride, padding)
            case Down():
                kept.append(x)
                x = make.pool(x, 2, 2, 0)
            case Up(filters):
                x = make.concatenate(make.transposed(name, x, filters), kept.pop())
            case Encoder(heads, hidden):
                x = make.encoder(name, x, heads, hidden)
            case LayerNorm():
                x = make.layer_norm(name, x)
            case Flatten():
                x = make.flatten(x)
            case Mean():
                x = make.mean(x)
    return x


class _Shapes:
    """Walks with shapes instead of tensors, and notes weights and multiplications."""

    def __init__(self):
        self.weights = {}  # name -> (shape, inputs per unit)
        self.products = 0  # multiply-adds of one sample, forward
        self.of_states = 0  # those of them that multiply states, whose gradients are needed in a first layer, too

    def conv(self, name, x, filters, size, padding, stride, bias):
        sizes = tuple((n + 2 * padding - size) // stride + 1 for n in x[:-1])
        window = (size,) * len(sizes)
        self.weights[f"{name}.kernel"] = (*window, x[-1], filters), math.prod(window) * x[-1]
        if bias:
            self.weights[f"{name}.bias"] = (filters,), 0
        self.products += math.prod((*sizes, *window)) * x[-1] * filters
        return *sizes, filters

    def transposed(self, name, x, filters):
        self.weights[f"{name}.kernel"] = (2, 2, filters, x[2]), x[2]
        self.weights[f"{name}.bias"] = (filters,), 0
        self.products += math.prod(x) * 4 * filters
        return 2 * x[0], 2 * x[1], filters

    def concatenate(self, x, y):
        assert x[:-1] == y[:-1]
        return *x[:-1], x[-1] + y[-1]

    def depthwise(self, name, x, size, padding, stride):
        height, width = ((n + 2 * padding - size) // stride + 1 for n in x[:2])
        self.weights[f"{name}.depthwise"] = (size, size, x[2], 1), size * size
        self.products += height * width * size * size * x[2]
        return height, width, x[2]

    def norm(self, name, x):
        for weight in ("gamma", "beta", "mean", "variance"):
            self.weights[f"{name}.{weight}"] = x[-1:], 0
        return x

    def layer_norm(self, name, x):
        for weight in ("gamma", "beta"):
            self.weights[f"{name}.{weight}"] = x[-1:], 0
        return x

    def dense(self, name, x, units):
        self.weights[f"{name}.kernel"] = (x[-1], units), x[-1]
        self.weights[f"{name}.bias"] = (units,), 0
        self.products += math.prod(x) * units
        return *x[:-1], units

    def encoder(self, name, x, heads, hidden):
        for part, kinds in Encoder.names(name).items():
            if kinds[0] == "gamma":
                self.layer_norm(part, x)
            else:
                inner = (*x[:-1], hidden) if part.endswith("_outer") else x
                self.dense(part, inner, hidden if part.endswith("_inner") else x[-1])
        self.products += 2 * x[0] * math.prod(x)  # scores, and their products with the values
        return x

    def recurrent(self, name, x, kind, units, sequences):
        steps, inputs = x
        width = Recurrent.gates(kind) * units
        self.weights[f"{name}.kernel"] = (inputs, width), 2 * inputs
        self.weights[f"{name}.recurrent_kernel"] = (units, width), 2 * units
        self.weights[f"{name}.bias"] = (2, width) if kind == "gru" else (width,), 0
        self.products += steps * (inputs + units) * width
        self.of_states += steps * units * width
        return (steps, units) if sequences else (units,)

    def own_cell(self, name, x, units):
        steps, inputs = x
        for gate in ("forget_", ""):
            self.weights[f"{name}.{gate}kernel"] = (inputs, units), inputs
            self.weights[f"{name}.{gate}recurrent"] = (units, units), units
            self.weights[f"{name}.{gate}bias"] = (units,), 0
        self.products += steps * (inputs + units) * 2 * units
        self.of_states += steps * units * 2 * units
        return (units,)

    def relu(self, x):
        return x

    tanh = gelu = relu

    def pool(self, x, size, stride, padding):
        return *((n + 2 * padding - size) // stride + 1 for n in x[:-1]), x[-1]

    def flatten(self, x):
        return (x[0] * x[1] * x[2],)

    def mean(self, x):
        return x[-1:]

    def shortcut(self, x, filters, stride):
        return -(-x[0] // stride), -(-x[1] // stride), filters

    def add(self, x, y):
        assert x == y
        return x


def _shapes(network: Network) -> _Shapes:
    shapes = _Shapes()
    assert walk(network, shapes, network.input_shape) == (*network.labelled, network.classes)
    return shapes


def is_state(name: str) -> bool:
    """Whether a weight is a moving statistic, which no gradient changes."""
    return name.endswith((".mean", ".variance"))


def initial_weights(network: Network) -> dict[str, np.ndarray]:
    """Weights by name, layer by layer, a layer's states after what is trained, as Keras orders them."""
    generator = np.random.default_rng(1)
    found = {}
    for name, (shape, inputs) in _shapes(network).weights.items():
        draws = generator.standard_normal(shape, np.float32)
        if inputs:
            found[name] = draws * np.float32(np.sqrt(2 / inputs))
        else:  # nothing is exactly 0 or 1, so that no peer can leave it out
            found[name] = draws * np.float32(0.05) + np.float32(name.endswith((".gamma", ".variance")))
    return found


def trainable_parameters(network: Network) -> int:
    """The number of parameters that training changes."""
    weights = _shapes(network).weights
    return sum(int(np.prod(shape)) for name, (shape, _) in weights.items() if not is_state(name))


def operations_per_sample(network: Network, training: bool) -> float:
    """Floating-point operations of the products: 2 a multiply-add, three passes in training.

    Not counted are the first layer's gradient to its input, which nobody needs, and everything else: normalisation,
    activations, pooling, the loss, the optimizer.
    """
    products = _shapes(network).products
    if not training:
        return 2.0 * products
    first = Network("first", network.input_shape, network.layers[:1])
    shapes = _Shapes()
    walk(first, shapes, network.input_shape)
    if network.is_transformer:  # query, key and value alone
        shapes.products = 3 * math.prod(network.input_shape) * network.input_shape[-1]
    return 2.0 * (3 * products - (shapes.products - shapes.of_states))


def data(network: Network, samples: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """x (samples, ...) float32, y (samples, ...) int64: noise with labels that a little of it explains."""
    generator = np.random.default_rng(2)
    x = generator.standard_normal((samples, *network.input_shape), np.float32)
    y = generator.integers(0, network.classes, (samples, *network.labelled))
    explained = x[..., 0] if network.labelled else x.reshape(samples, -1)[:, 0]
    explained += (y / network.classes).astype(np.float32)
    return x * np.float32(scale), y


def digest(*arrays) -> str:
    """A hash of arrays, by which the driver sees that all peers have the same ones."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]
