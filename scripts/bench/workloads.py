"""What is timed, against whom, and how much faster jitnet has to be."""

import re
from dataclasses import dataclass, field

import numpy as np
from networks import NETWORKS, Network, data, initial_weights, operations_per_sample


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    kind: train, infer, one_sample, stream (one step of a sequence after the other, whose states are kept), generate,
        convolution, matrix, pointwise, cold, memory or gradients.
    targets: {peer: ratio to reach}, peer's time / jitnet's; "best" stands for the fastest of the peers.
    peers: those to run against; slow ones (``slow_peers``) only with --full.
    """

    name: str
    kind: str
    title: str
    peers: tuple
    targets: dict = field(default_factory=dict)
    slow_peers: tuple = ()
    network: str = ""
    batch: int = 1
    steps: int = 1  # of an epoch
    optimizer: str = "sgd"
    learning_rate: float = 1e-3
    input_scale: float = 1.0
    # of a convolution: (N, C, H, W, K, R, stride, padding); of a matrix product: (M, K, N); of x; of a generation:
    # (vocabulary, features, heads, hidden, layers, new tokens)
    shape: tuple = ()
    sweep: str = ""  # which pass of a convolution, which operand of a product is transposed
    policy: str = "float32"  # jitnet's dtype policy
    predicts: bool = False  # whether a fresh process predicts instead of training
    after: str = ""  # the workload from which the cache of a fresh process is filled, instead of from this one

    @property
    def model(self) -> Network:
        return NETWORKS[self.network]

    def weights(self) -> dict[str, np.ndarray]:
        """The weights to start from."""
        found = initial_weights(self.model)
        if self.input_scale != 1:  # biases would lift activations out of the denormal range
            found = {name: array * (not name.endswith(".bias")) for name, array in found.items()}
        return found

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """x (samples, ...), y (samples, ...)."""
        return data(self.model, self.batch * self.steps, self.input_scale)

    @property
    def operations(self) -> float:
        """Floating-point operations of the products in a step; 0: not counted."""
        if self.kind in ("train", "infer", "one_sample", "stream"):
            return self.batch * operations_per_sample(self.model, self.kind == "train")
        if self.kind == "convolution":
            images, channels, height, width, filters, size, stride, padding = self.shape
            rows, columns = ((n + 2 * padding - size) // stride + 1 for n in (height, width))
            return 2.0 * images * rows * columns * size * size * channels * filters
        if self.kind in ("matrix", "peak"):
            return 2.0 * self.shape[0] * self.shape[1] * self.shape[2]
        return 0.0


TORCH = ("torch", "torch-default-malloc")
INFERENCE = ("onnxruntime", "openvino", "torch")
MOMENTUM, ADAM_EPSILON, WEIGHT_DECAY = 0.9, 1e-7, 0.004
NORM_MOMENTUM, NORM_EPSILON = 0.9, 1e-5  # the latter of layer normalisation, too

CONVOLUTIONS = (
    (64, 3, 32, 32, 16, 3, 1, 1), (64, 16, 32, 32, 16, 3, 1, 1), (64, 32, 16, 16, 32, 3, 1, 1),
    (64, 64, 32, 32, 64, 3, 1, 1), (32, 128, 16, 16, 128, 3, 1, 1), (32, 256, 8, 8, 256, 3, 1, 1),
    (16, 64, 56, 56, 64, 3, 1, 1), (16, 64, 56, 56, 128, 3, 2, 1), (64, 6, 14, 14, 16, 5, 1, 0),
    (32, 256, 14, 14, 256, 1, 1, 0),
)  # fmt: skip
PASSES = ("forward", "backward_data", "backward_filter")
MATRICES = (128, 256, 512, 1024, 2048)
PRODUCTS = {"": "A B", "transposed": "A.T B", "by-transposed": "A B.T"}

_WORKLOADS = [
    Workload(
        "mlp-tiny", "train", "MLP 4-32-32-2 tanh, Adam, batch 32", ("jax-scan", "jax", "torch", "numpy"),
        {"jax-scan": 2.5, "torch": 30}, ("torch-compiled",), "mlp-tiny", 32, 100, "adam",
    ),
    Workload(
        "mlp-mnist-32", "train", "MLP 784-128-10, SGD momentum, batch 32", ("jax-scan", "jax", "torch", "sklearn"),
        {"jax-scan": 2, "torch": 4}, ("torch-compiled",), "mlp-mnist", 32, 400,
    ),
    Workload(
        "mlp-mnist-128", "train", "MLP 784-128-10, SGD momentum, batch 128", ("jax-scan", "jax", "torch", "sklearn"),
        {"jax-scan": 2}, ("torch-compiled",), "mlp-mnist", 128, 100,
    ),
    Workload(
        "mlp-layernorm-gelu-train", "train", "MLP 3 x 512 with layer normalisation and GELU, Adam, batch 128", TORCH,
        {"best": 2.0}, ("torch-compiled",), "mlp-layernorm-gelu", 128, 20, "adam",
    ),
    Workload(
        "mlp-layernorm-gelu-128-train", "train", "MLP 784-128-128-10 with layer normalisation and GELU, Adam, batch 64",
        TORCH, {"best": 2.0}, ("torch-compiled",), "mlp-layernorm-gelu-128", 64, 100, "adam",
    ),
    Workload(
        "lenet5", "train", "LeNet-5, Adam, batch 64", (*TORCH, "jax"),
        {"best": 4.5}, ("torch-compiled", "jax-scan"), "lenet5", 64, 100, "adam",
    ),
    Workload(
        "lenet5-denormal", "train", "LeNet-5, Adam, batch 64, activations and gradients denormal",
        ("jitnet-ordinary", "torch"), {"jitnet-ordinary": 1}, (), "lenet5", 64, 100, "adam", learning_rate=0.0,
        input_scale=1e-39,
    ),
    Workload(
        "resnet20", "train", "ResNet-20, SGD momentum, batch 128", TORCH,
        {"best": 1.5}, ("torch-compiled", "jax"), "resnet20", 128, 10,
    ),
    Workload(
        "resnet20-inference", "infer", "ResNet-20, inference, batch 128", INFERENCE,
        {"best": 1.3}, ("torch-compiled", "jax"), "resnet20", 128,
    ),
    Workload(
        "one-image-resnet20", "infer", "ResNet-20, one image", INFERENCE,
        {"best": 1.0}, (), "resnet20",
    ),
    Workload(
        "one-image-mobilenet", "infer", "MobileNet-like on 32x32, one image", INFERENCE,
        {"best": 1.3}, (), "mobilenet",
    ),
    Workload(
        "one-image-resnet18-224", "infer", "ResNet-18, one image of 224x224", INFERENCE,
        {"best": 1.3}, (), "resnet18-224",
    ),
    Workload(
        "one-image-vgg16-224", "infer", "VGG-16's convolutions, one image of 224x224", INFERENCE,
        {"best": 1.3}, (), "vgg16-224",
    ),
    Workload(
        "resnet20-inference-8", "infer", "ResNet-20, inference, batch 8", INFERENCE,
        {"best": 1.3}, (), "resnet20", 8,
    ),
    Workload(
        "lenet5-inference-64", "infer", "LeNet-5, inference, batch 64", INFERENCE,
        {"best": 1.3}, (), "lenet5", 64,
    ),
    Workload(
        "vgg", "train", "VGG-like 64-64-128-128, SGD momentum, batch 64", TORCH,
        {"best": 1.25}, ("torch-compiled", "jax"), "vgg", 64, 10,
    ),
    Workload(
        "resnet18-train-16", "train", "ResNet-18 on 64x64, SGD momentum, batch 16", TORCH,
        {"torch": 1.8}, (), "resnet18", 16, 4,
    ),
    Workload(
        "resnet18-train-64", "train", "ResNet-18 on 64x64, SGD momentum, batch 64", TORCH,
        {"torch": 1.8}, (), "resnet18", 64, 3,
    ),
    Workload(
        "resnet18-160-train", "train", "ResNet-18 on 160x160, SGD momentum, batch 4", TORCH,
        {"torch": 1.3}, (), "resnet18-160", 4, 4,
    ),
    Workload(
        "vgg16-224-train", "train", "VGG-16's convolutions on 224x224, SGD momentum, batch 2", TORCH,
        {"torch": 1.3}, (), "vgg16-224", 2, 3,
    ),
    Workload(
        "mobilenet-train", "train", "MobileNet-like on 32x32, SGD momentum, batch 64", TORCH,
        {"torch": 1.5}, (), "mobilenet", 64, 5,
    ),
    Workload(
        "unet-train", "train", "U-Net 32-64-128 on 64x64, Adam, batch 8", TORCH,
        {"torch": 1.3}, (), "unet", 8, 5, "adam",
    ),
    Workload(
        "signals-train", "train", "1-D convolutions, 128 steps of 64 channels, Adam, batch 32", TORCH,
        {"torch": 1.5}, (), "signals", 32, 20, "adam",
    ),
    Workload(
        "encoder-train", "train", "Transformer encoder, 4 x 128, 4 heads, 512 hidden, 64 steps, AdamW, batch 32",
        (*TORCH, "torch-compiled"), {"best": 2.2}, (), "encoder", 32, 10, "adamw",
    ),
    Workload(
        "encoder-predict", "infer", "The same encoder, inference, batch 32", INFERENCE,
        {"best": 1.5}, (), "encoder", 32,
    ),
    Workload(
        "generation", "generate", "256 tokens by a decoder of 4 x 128, 4 heads, 512 hidden, batch 1, cached keys",
        ("torch", "torch-compiled"), {"best": 3}, (), "", shape=(96, 128, 4, 512, 4, 256),
    ),
    Workload(
        "lstm-train", "train", "LSTM, 64 steps of 64, 128 units, Adam, batch 32", ("torch", "jax"),
        {"torch": 1.7, "jax": 4}, ("torch-compiled", "jax-scan"), "lstm", 32, 20, "adam",
    ),
    Workload(
        "gru-train", "train", "GRU, 64 steps of 64, 128 units, Adam, batch 32", ("torch", "jax"),
        {"torch": 5}, ("torch-compiled", "jax-scan"), "gru", 32, 20, "adam",
    ),
    Workload(
        "lstm-deep-train", "train", "LSTM 2 x 256, 128 steps of 64, Adam, batch 64", ("torch", "jax"),
        {"torch": 1.9}, ("torch-compiled",), "lstm-deep", 64, 4, "adam",
    ),
    Workload(
        "lstm-stream", "stream", "LSTM, 128 units, one step of one sequence", ("onnxruntime", "torch", "jax"),
        {"onnxruntime": 3, "torch": 20}, (), "lstm-step",
    ),
    Workload(
        "own-cell-train", "train", "A user's minimal gated unit, 64 steps of 64, 128 units, SGD momentum, batch 32",
        ("torch", "jax", "jax-scan"), {"torch": 5, "jax": 1.5, "jax-scan": 1.5}, ("torch-compiled",), "own-cell", 32,
        10,
    ),
    Workload(
        "vgg-bfloat16", "train", "VGG-like in mixed_bfloat16, against jitnet in float32", ("jitnet-float32",),
        {"jitnet-float32": 1.6}, (), "vgg", 64, 10, policy="mixed_bfloat16",
    ),
    Workload(
        "one-sample-mlp", "one_sample", "MLP 784-128-10, one sample", (*INFERENCE, "numpy", "jax"),
        {"best": 1.3}, (), "mlp-mnist",
    ),
    Workload(
        "one-sample-lenet5", "one_sample", "LeNet-5, one sample", (*INFERENCE, "jax"),
        {"best": 1.3}, (), "lenet5",
    ),
    Workload(
        "pointwise", "pointwise", "0.5 x (1 + tanh(a (x + b x^3))), (64, 65536), forward and backward", TORCH,
        {}, ("torch-compiled",), shape=(64, 65536),
    ),
    Workload(
        "cold-start", "cold", "Fresh process, LeNet-5, one step, warm cache", ("jax-cached", "jax-uncached", "torch"),
        {"jax-cached": 1.43}, (), "lenet5", 64, 1, "adam",
    ),
    Workload(
        "cold-start-empty", "cold", "Fresh process, LeNet-5, one step, jitnet's cache empty", ("torch", "jax-uncached"),
        {"torch": 0.91}, ("torch-compiled",), "lenet5", 64, 1, "adam",
    ),
    Workload(
        "cold-second-lenet5", "cold", "Fresh process, another LeNet-5, one step, the cache has the first",
        ("torch", "jax-uncached"), {}, (), "lenet5-wide", 64, 1, "adam", after="cold-start",
    ),
    Workload(
        "cold-predict", "cold", "Fresh process, LeNet-5, a prediction, warm cache", ("jax-cached", "torch"),
        {}, (), "lenet5", 64, predicts=True,
    ),
    Workload(
        "cold-predict-empty", "cold", "Fresh process, LeNet-5, a prediction, jitnet's cache empty",
        ("torch", "jax-uncached"), {}, (), "lenet5", 64, predicts=True,
    ),
    Workload(
        "cold-resnet20", "cold", "Fresh process, ResNet-20, one step, warm cache", ("jax-cached", "torch"),
        {"jax-cached": 1.43}, (), "resnet20", 128,
    ),
    Workload(
        "cold-resnet20-empty", "cold", "Fresh process, ResNet-20, one step, jitnet's cache empty",
        ("torch", "jax-uncached"), {"torch": 0.4}, ("torch-compiled",), "resnet20", 128,
    ),
    Workload(
        "cold-vgg-empty", "cold", "Fresh process, VGG-like, one step, jitnet's cache empty", ("torch", "jax-uncached"),
        {}, (), "vgg", 64,
    ),
    Workload(
        "cold-mobilenet", "cold", "Fresh process, MobileNet-like, one step, warm cache", ("jax-cached", "torch"),
        {"jax-cached": 1.43}, (), "mobilenet", 64,
    ),
    Workload(
        "cold-mobilenet-empty", "cold", "Fresh process, MobileNet-like, one step, jitnet's cache empty",
        ("torch", "jax-uncached"), {}, (), "mobilenet", 64,
    ),
    Workload(
        "cold-deep-empty", "cold", "Fresh process, 300 dense layers, one step, jitnet's cache empty",
        ("torch", "jax-uncached", "keras-jax"), {"keras-jax": 0.77}, (), "deep", 64,
    ),
    Workload(
        "memory-lenet5", "memory", "LeNet-5 training, peak memory", ("torch",),
        {"torch": 1}, ("jax",), "lenet5", 64, 100, "adam",
    ),
    Workload(
        "memory-resnet20", "memory", "ResNet-20 training, peak memory", ("torch",),
        {"torch": 1}, ("jax",), "resnet20", 128, 10,
    ),
    Workload(
        "memory-vgg16", "memory", "VGG-16's convolutions on 32x32, training at batch 256, peak memory", ("torch",),
        {"torch": 1}, ("jax",), "vgg16", 256, 3,
    ),
    Workload(
        "memory-resnet18", "memory", "ResNet-18 on 64x64, training at batch 64, peak memory", ("torch",),
        {"torch": 1}, ("jax",), "resnet18", 64, 3,
    ),
    Workload(
        "memory-mlp", "memory", "MLP 3 x 2048, training at batch 128, peak memory", ("torch",),
        {"torch": 1}, ("jax",), "mlp-large", 128, 10,
    ),
    Workload(
        "gradients-resnet20", "gradients", "ResNet-20, batch 128, distance of the gradients from float64", ("torch",),
        {"torch": 1}, (), "resnet20", 128, 10,
    ),
]  # fmt: skip

for _shape in CONVOLUTIONS:
    for _pass in PASSES:
        _WORKLOADS.append(
            Workload(
                f"convolution-{'x'.join(map(str, _shape))}-{_pass}", "convolution", f"{_shape} {_pass}", ("torch",),
                {"torch": 0.8}, shape=_shape, sweep=_pass,
            )
        )  # fmt: skip
for _form, _title in PRODUCTS.items():
    for _size in MATRICES:
        _WORKLOADS.append(
            Workload(
                f"matrix-{_size}{_form and '-'}{_form}", "matrix", f"GEMM {_size}, {_title}", ("torch",),
                {"torch": 1.0 if _size <= 512 else 0.9}, shape=(_size,) * 3, sweep=_form,
            )
        )  # fmt: skip

# small enough for the first-level cache, so that this is what a core can do at all
PEAK = Workload("peak", "peak", "Products of small matrices", (), shape=(64, 128, 32))
_WORKLOADS.append(PEAK)

WORKLOADS = {workload.name: workload for workload in _WORKLOADS}
SWEEP_TARGET = 1.15  # geometric mean over all convolutions


def choose(patterns) -> list[Workload]:
    """The workloads whose name is one of ``patterns`` or starts with one; all for no patterns."""
    if not patterns:
        return list(WORKLOADS.values())
    for pattern in patterns:
        if not any(_matches(pattern, name) for name in WORKLOADS):
            known = ", ".join(w.name for w in WORKLOADS.values() if w.kind not in ("convolution", "peak"))
            raise ValueError(f"No workload is named {pattern!r}. There are: {known}, convolution-...")
    return [w for w in WORKLOADS.values() if any(_matches(p, w.name) for p in patterns)]


def _matches(pattern: str, name: str) -> bool:
    # "lenet5" is that one workload; "convolution", "matrix" and "cold-start" are families
    if pattern in WORKLOADS and not pattern.startswith("cold"):
        return name == pattern
    return re.match(rf"{re.escape(pattern)}($|-)", name) is not None
