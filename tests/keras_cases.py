"""Random valid configurations of everything that Keras has as well, and the differences between both.

A configuration is drawn by a function of a random generator; `compare_layer`, `compare_loss`, ... make both objects
from it, give them the same weights and numbers, and return the largest difference, relative to the largest number.
"""

import importlib
import os
import warnings
import zlib

import numpy as np

import jitnet

os.environ.setdefault("KERAS_BACKEND", "torch")
ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus", "softsign")


def load_keras():
    """Keras on PyTorch, or None where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras = importlib.import_module("keras")
    except ImportError:
        return None
    return keras if keras.backend.backend() == "torch" else None


def generator(name: str, index: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), index])


# ---- layers: name -> function of a generator that returns constructor arguments and input shapes without the batch


def pick(random, *choices):
    return choices[random.integers(len(choices))]


def flag(random) -> bool:
    return bool(random.integers(2))


def sizes(random, count: int, low: int, high: int) -> tuple:
    return tuple(int(n) for n in random.integers(low, high + 1, count))


def window(random, rank: int, transposed=False) -> dict:
    """Kernel size, strides, dilation and padding of a convolution; strides and dilation exclude each other in Keras."""
    strides, dilation = (1,) * rank, (1,) * rank
    if flag(random):
        strides = sizes(random, rank, 1, 3)
    elif not transposed:
        dilation = sizes(random, rank, 1, 2)
    return {
        "kernel_size": sizes(random, rank, 1, 4), "strides": strides, "dilation_rate": dilation,
        "padding": pick(random, "valid", "same"),
    }  # fmt: skip


def convolution(rank: int):
    def draw(random):
        groups = int(random.integers(1, 4))
        arguments = {
            "filters": groups * int(random.integers(1, 5)), **window(random, rank), "groups": groups,
            "activation": pick(random, *ACTIVATIONS), "use_bias": flag(random),
        }  # fmt: skip
        if rank == 1 and flag(random):
            arguments["padding"] = "causal"
        return arguments, [(*sizes(random, rank, 8, 13), groups * int(random.integers(1, 4)))]

    return draw


def transposed_convolution(rank: int):
    def draw(random):
        arguments = {"filters": int(random.integers(1, 6)), **window(random, rank, transposed=True)}
        arguments |= {"activation": pick(random, *ACTIVATIONS), "use_bias": flag(random)}
        return arguments, [(*sizes(random, rank, 3, 7), int(random.integers(1, 5)))]

    return draw


def depthwise_convolution(rank: int):
    def draw(random):
        arguments = window(random, rank)
        if rank == 2:
            arguments["strides"] = (arguments["strides"][0],) * 2  # Keras takes no unequal ones
        arguments |= {"depth_multiplier": int(random.integers(1, 4)), "use_bias": flag(random)}
        return arguments, [(*sizes(random, rank, 8, 12), int(random.integers(1, 5)))]

    return draw


def separable_convolution(rank: int):
    def draw(random):
        arguments, shapes = depthwise_convolution(rank)(random)
        return arguments | {"filters": int(random.integers(1, 7)), "activation": pick(random, *ACTIVATIONS)}, shapes

    return draw


def pooling(rank: int, average=False):
    def draw(random):
        arguments = {
            "pool_size": sizes(random, rank, 1, 3), "strides": pick(random, None, sizes(random, rank, 1, 3)),
            "padding": pick(random, "valid", "same"),
        }  # fmt: skip
        if average and arguments["padding"] == "same":
            # Keras's torch backend repeats the edge where padding is not the same on both sides; TensorFlow does not
            arguments |= {"pool_size": (pick(random, 1, 3),) * rank, "strides": (1,) * rank}
        return arguments, [(*sizes(random, rank, 4, 9), int(random.integers(1, 4)))]

    return draw


def global_pooling(rank: int):
    return lambda random: ({"keepdims": flag(random)}, [(*sizes(random, rank, 1, 6), int(random.integers(1, 5)))])


def merging(random):
    shape = sizes(random, int(random.integers(1, 4)), 1, 5)
    return {}, [shape] * 2


def of_any_shape(**choices):
    """Arguments drawn independently; an input of any rank."""

    def draw(random):
        arguments = {name: pick(random, *values) for name, values in choices.items()}
        return arguments, [sizes(random, int(random.integers(1, 4)), 1, 6)]

    return draw


def dense(random):
    arguments = {
        "units": int(random.integers(1, 9)), "activation": pick(random, *ACTIVATIONS), "use_bias": flag(random),
    }  # fmt: skip
    return arguments, [sizes(random, int(random.integers(1, 4)), 1, 7)]


def concatenation(random):
    rank = int(random.integers(1, 4))
    axis = int(random.integers(rank))
    shape = sizes(random, rank, 1, 5)
    widths = sizes(random, int(random.integers(2, 4)), 1, 4)
    shapes = [(*shape[:axis], width, *shape[axis + 1 :]) for width in widths]
    return {"axis": axis + 1}, shapes


def reshaping(random):
    a, b, c = sizes(random, 3, 1, 5)
    return {"target_shape": pick(random, (a * b, c), (-1,), (c, a, b), (b, -1))}, [(a, b, c)]


def permutation(random):
    rank = int(random.integers(1, 4))
    return {"dims": tuple(int(i) + 1 for i in random.permutation(rank))}, [sizes(random, rank, 1, 5)]


def margins(rank: int, argument: str, largest: int):
    def draw(random):
        pairs = tuple(sizes(random, 2, 0, largest) for _ in range(rank))
        value = pick(random, int(random.integers(0, largest + 1)), pairs if rank > 1 else pairs[0])
        return {argument: value}, [(*sizes(random, rank, 2 * largest + 1, 9), int(random.integers(1, 4)))]

    return draw


def group_normalization(random):
    groups = pick(random, 1, 2, 3, -1)
    channels = 6 if groups > 0 else int(random.integers(1, 5))
    arguments = {"groups": groups, "epsilon": 1e-3, "center": flag(random), "scale": flag(random)}
    return arguments, [(*sizes(random, int(random.integers(1, 3)), 1, 5), channels)]


def layer_normalization(random):
    rank = int(random.integers(1, 4))
    axis = pick(random, -1, [rank - 1, rank] if rank > 1 else [-1], [rank])
    arguments = {"axis": axis, "epsilon": pick(random, 1e-3, 1e-5), "center": flag(random), "scale": flag(random)}
    return arguments, [sizes(random, rank, 2, 7)]


def recurrent(*flags):
    def draw(random):
        arguments = {name: flag(random) for name in ("return_sequences", "go_backwards", "use_bias", *flags)}
        return {"units": int(random.integers(1, 6)), **arguments}, [sizes(random, 2, 1, 6)]

    return draw


def adaptive_pooling(rank: int):
    return lambda random: (
        {"output_size": sizes(random, rank, 1, 4) if rank > 1 else int(random.integers(1, 5))},
        [(*sizes(random, rank, 4, 9), int(random.integers(1, 4)))],
    )


def einsum_dense(random):
    equation, output, bias = pick(
        random, ("ab,bc->ac", (5,), "c"), ("abc,cd->abd", (None, 4), "d"), ("abc,cde->abde", (None, 2, 3), "de"),
        ("abcd,cde->abe", (None, 4), None), ("...x,xy->...y", 4, "y"), ("abc,cde->abde", (None, 2, 3), "e"),
    )  # fmt: skip
    rank = {"ab,bc->ac": 1, "abcd,cde->abe": 3}.get(equation, 2)
    arguments = {"equation": equation, "output_shape": output, "bias_axes": bias}
    return {**arguments, "activation": pick(random, *ACTIVATIONS)}, [sizes(random, rank, 1, 5)]


LAYERS = {
    "Activation": of_any_shape(activation=ACTIVATIONS[1:]),
    **{f"Adaptive{kind}Pooling{rank}D": adaptive_pooling(rank) for kind in ("Average", "Max") for rank in (1, 2)},
    "EinsumDense": einsum_dense,
    "Add": merging,
    "AlphaDropout": of_any_shape(rate=(0.0, 0.3)),
    "Average": merging,
    "AveragePooling1D": pooling(1, average=True),
    "AveragePooling2D": pooling(2, average=True),
    "BatchNormalization": of_any_shape(
        momentum=(0.9, 0.5), epsilon=(1e-3, 1e-5), center=(True, False), scale=(True, False)
    ),
    "CategoryEncoding": None,
    "Concatenate": concatenation,
    "Conv1D": convolution(1),
    "Conv1DTranspose": transposed_convolution(1),
    "Conv2D": convolution(2),
    "Conv2DTranspose": transposed_convolution(2),
    "Cropping1D": margins(1, "cropping", 2),
    "Cropping2D": margins(2, "cropping", 2),
    "Dense": dense,
    "DepthwiseConv1D": depthwise_convolution(1),
    "DepthwiseConv2D": depthwise_convolution(2),
    "Dot": lambda random: (
        {"axes": pick(random, 1, -1), "normalize": flag(random)}, [(int(random.integers(1, 7)),)] * 2,
    ),
    "Dropout": of_any_shape(rate=(0.0, 0.5)),
    "ELU": of_any_shape(alpha=(1.0, 0.3, 2.0)),
    "Flatten": of_any_shape(),
    "GaussianDropout": of_any_shape(rate=(0.1, 0.5)),
    "GaussianNoise": of_any_shape(stddev=(0.1, 0.5)),
    "GlobalAveragePooling1D": global_pooling(1),
    "GlobalAveragePooling2D": global_pooling(2),
    "GlobalMaxPooling1D": global_pooling(1),
    "GlobalMaxPooling2D": global_pooling(2),
    "GroupNormalization": group_normalization,
    "GRU": recurrent("reset_after"),
    "Identity": of_any_shape(),
    "LayerNormalization": layer_normalization,
    "LeakyReLU": of_any_shape(negative_slope=(0.3, 0.0, 0.01)),
    "LSTM": recurrent(),
    "Maximum": merging,
    "MaxPooling1D": pooling(1),
    "MaxPooling2D": pooling(2),
    "Minimum": merging,
    "Multiply": merging,
    "Permute": permutation,
    "PReLU": lambda random: ({"shared_axes": pick(random, None, [1, 2])}, [sizes(random, 3, 1, 5)]),
    "ReLU": of_any_shape(max_value=(None, 1.0), negative_slope=(0.0, 0.25), threshold=(0.0, 0.5)),
    "RepeatVector": lambda random: ({"n": int(random.integers(1, 5))}, [sizes(random, 1, 1, 6)]),
    "Rescaling": of_any_shape(scale=(0.5, 1 / 255), offset=(0.0, -1.0)),
    "Reshape": reshaping,
    "RMSNormalization": lambda random: (
        {"epsilon": pick(random, 1e-6, 1e-3)}, [sizes(random, int(random.integers(1, 4)), 2, 7)],
    ),
    "SeparableConv1D": separable_convolution(1),
    "SeparableConv2D": separable_convolution(2),
    "SimpleRNN": recurrent(),
    "Softmax": lambda random: ({"axis": pick(random, -1, 1)}, [sizes(random, int(random.integers(1, 4)), 1, 6)]),
    "SpatialDropout1D": lambda random: ({"rate": 0.3}, [sizes(random, 2, 1, 5)]),
    "SpatialDropout2D": lambda random: ({"rate": 0.3}, [sizes(random, 3, 1, 5)]),
    "Subtract": merging,
    "UnitNormalization": of_any_shape(axis=(-1, 1)),
    "UpSampling1D": lambda random: ({"size": int(random.integers(1, 4))}, [sizes(random, 2, 1, 5)]),
    "UpSampling2D": lambda random: (
        {"size": sizes(random, 2, 1, 3), "interpolation": pick(random, "nearest", "bilinear")},
        [sizes(random, 3, 1, 5)],
    ),
    "ZeroPadding1D": margins(1, "padding", 3),
    "ZeroPadding2D": margins(2, "padding", 3),
}  # fmt: skip
LAYERS = {name: draw for name, draw in LAYERS.items() if draw is not None}


def difference(ours, theirs) -> float:
    """The largest one, relative to the largest number, where that is more than 1."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, f"jitnet's shape is {ours.shape}, Keras's {theirs.shape}"
    if not ours.size:
        return 0.0
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    return float(np.nanmax(np.abs(ours - theirs)) / max(np.nanmax(np.abs(theirs)), 1.0))


def compare_layer(keras, name: str, index: int) -> float:
    """The difference of the outputs of a layer of both, with the same weights."""
    random = generator(name, index)
    arguments, shapes = LAYERS[name](random)
    batch = int(random.integers(1, 5))
    inputs = [random.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]
    ours, theirs = getattr(jitnet.layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    given = inputs if len(inputs) > 1 else inputs[0]
    ours(given)
    theirs(given)
    # standard deviations must be positive; nothing else minds
    weights = [np.abs(random.standard_normal(w.shape)).astype(np.float32) + 0.1 for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return difference(ours(given), keras.ops.convert_to_numpy(theirs(given)))


# ---- attention: name -> function of a generator that returns constructor arguments, shapes of what the call takes
# (a list: in one argument), and its keywords; masks are drawn where the keyword's value is their shape


def heads(random, arguments):
    query, keys, features = sizes(random, 2, 1, 6), int(random.integers(1, 6)), sizes(random, 2, 1, 5)
    grouped = "num_key_value_heads" in arguments
    shapes = [query, (keys, query[1] if grouped else features[0]), (keys, features[1])]
    keywords = {name: True for name in ("use_causal_mask", "return_attention_scores") if flag(random)}
    if flag(random):
        keywords["attention_mask"] = (query[0], keys)
    given = {
        "use_bias": flag(random), "use_gate": flag(random), "sliding_window": pick(random, None, None, 2),
        "dropout": pick(random, 0.0, 0.0, 0.3),
    }  # fmt: skip
    return {**arguments, **given}, shapes[: int(random.integers(2, 4))], keywords


def multi_head(random):
    arguments = {
        "num_heads": int(random.integers(1, 4)), "key_dim": int(random.integers(1, 5)),
        "value_dim": pick(random, None, 3), "output_shape": pick(random, None, None, 2, (2, 3)),
    }  # fmt: skip
    return heads(random, arguments)


def several_axes(random):
    a, b, c, d = sizes(random, 4, 1, 4)
    axes, key = pick(random, (None, (c, d)), (None, (c, d)), (1, (c, b)), (2, (a, d)), ((1, 2), (c, d)))
    arguments = {"num_heads": 2, "key_dim": 3, "attention_axes": axes, "use_bias": flag(random)}
    return arguments, [(a, b, 3), (*key, 4)], {"return_attention_scores": flag(random)}


def group_query(random):
    groups = int(random.integers(1, 3))
    arguments = {
        "head_dim": int(random.integers(1, 5)), "num_key_value_heads": groups,
        "num_query_heads": groups * int(random.integers(1, 4)),
    }  # fmt: skip
    return heads(random, arguments)


def unprojected(*modes):
    def draw(random):
        query, keys, width = sizes(random, 2, 1, 6), int(random.integers(1, 6)), int(random.integers(1, 5))
        arguments = {"use_scale": flag(random), **({"score_mode": pick(random, *modes)} if modes else {})}
        shapes = [query, (keys, query[1])]
        if flag(random):
            shapes = [query, (keys, width), (keys, query[1])]
        keywords = {name: True for name in ("use_causal_mask", "return_attention_scores") if flag(random)}
        if flag(random):
            keywords["mask"] = [(query[0],), (keys,)]
        return arguments, [shapes], keywords

    return draw


def einsum_dense(random):
    a, b = sizes(random, 2, 1, 5)
    equation, shape, output, bias = pick(
        random, ("abc,cde->abde", (a, b), (None, 2, 3), "de"), ("...x,xy->...y", (a, 2, b), 3, "y"),
        ("ab...,bc->ac...", (a, 4), 3, "c"), ("abc,bd->adc", (a, b), (7, b), "d"),
        ("abcd,cde->abe", (2, a, b), (2, 4), None), ("abc,bcd->abd", (a, b), (a, 3), "bd"),
    )  # fmt: skip
    arguments = {"equation": equation, "output_shape": output, "bias_axes": pick(random, None, bias)}
    return {**arguments, "activation": pick(random, None, "tanh")}, [shape], {}


ATTENTION = {
    "AdditiveAttention": unprojected(),
    "Attention": unprojected("dot", "concat"),
    "EinsumDense": einsum_dense,
    "GroupQueryAttention": group_query,
    "MultiHeadAttention": multi_head,
    "MultiHeadAttention, several axes": several_axes,
}


def compare_attention(keras, name: str, index: int) -> float:
    """The difference of the results and of all gradients of a layer of both, with the same weights and masks."""
    import torch

    random = generator(name, index)
    arguments, shapes, keywords = ATTENTION[name](random)
    batch, several = int(random.integers(1, 4)), isinstance(shapes[0], list)
    shapes = shapes[0] if several else shapes
    arrays = [random.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]
    masks = {}
    for key, value in keywords.items():
        if isinstance(value, list):
            masks[key] = [random.random((batch, *shape)) < 0.7 for shape in value]
        elif isinstance(value, tuple):
            masks[key] = random.random((batch, *value)) < 0.7
    flags = {key: value for key, value in keywords.items() if key not in masks}
    kind = name.partition(",")[0]
    ours, theirs = getattr(jitnet.layers, kind)(**arguments), getattr(keras.layers, kind)(**arguments)
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    theirs_given = [tensors] if several else tensors
    as_torch = {k: [torch.tensor(m) for m in v] if isinstance(v, list) else torch.tensor(v) for k, v in masks.items()}

    def call():
        found = theirs(*theirs_given, **as_torch, **flags)
        return found if isinstance(found, tuple | list) else [found]

    call()
    ours(*([arrays] if several else arrays), **masks, **flags)
    weights = [random.standard_normal(w.shape).astype(np.float32) for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    outputs = call()
    gradients = [random.standard_normal(y.shape).astype(np.float32) for y in outputs]
    every = [*tensors, *(w.value for w in theirs.trainable_weights)]
    wanted = torch.autograd.grad(
        sum((y * torch.tensor(g)).sum() for y, g in zip(outputs, gradients, strict=True)), every, allow_unused=True
    )
    drawn = jitnet._structures.flatten(list(masks.values()))

    def of_arrays(index):
        def function(*given):
            rest = list(given[len(arrays) :])
            own = {k: [rest.pop(0) for _ in v] if isinstance(v, list) else rest.pop(0) for k, v in masks.items()}
            inputs = given[: len(arrays)]
            found = ours(*([list(inputs)] if several else inputs), **own, **flags)
            return found[index] if isinstance(found, tuple | list) else found

        return function

    largest, totals = 0.0, None
    for number, (y, gradient) in enumerate(zip(outputs, gradients, strict=True)):
        found, by_inputs, by_weights = jitnet.eager.vector_jacobian_product(
            of_arrays(number), [*arrays, *drawn], gradient, ours.trainable_weights
        )
        largest = max(largest, difference(found, y.detach().numpy()))
        found = [*by_inputs, *by_weights]
        totals = found if totals is None else [a + b for a, b in zip(totals, found, strict=True)]
    if _all_see_something(arguments, shapes, masks, flags):  # else Keras's gradients depend on its backend
        scale = max(1.0, *(float(right.abs().max()) for right in wanted if right is not None))
        for total, right in zip(totals, wanted, strict=True):
            right = np.zeros_like(total) if right is None else right.numpy()
            largest = max(largest, difference(total / scale, right / scale))
    return largest


def _all_see_something(arguments, shapes, masks, flags) -> bool:
    """Whether every query sees a key."""
    queries, keys = shapes[0][0], shapes[-1][0]
    seen = np.tri(queries, keys, dtype=bool) if "use_causal_mask" in flags else np.ones((queries, keys), bool)
    if arguments.get("sliding_window"):
        near = np.abs(np.arange(queries)[:, None] - np.arange(keys)) < arguments["sliding_window"]
        seen = seen & near
    if "mask" in masks:
        seen = seen & masks["mask"][1][:, None]
    return bool((seen & masks.get("attention_mask", True)).any(-1).all())


# ---- losses and metrics: name -> function of a generator that returns constructor arguments, targets and predictions


def regression(positive=False, **choices):
    def draw(random):
        shape = (int(random.integers(1, 9)), *sizes(random, int(random.integers(1, 3)), 1, 5))
        y, p = random.standard_normal((2, *shape)).astype(np.float32)
        if positive:
            y, p = np.abs(y) + 0.1, np.abs(p) + 0.1
        return {name: pick(random, *values) for name, values in choices.items()}, y, p

    return draw


def probabilities(random, shape, logits=False):
    values = random.standard_normal(shape).astype(np.float32)
    if logits:
        return 3 * values
    exponentials = np.exp(values)
    return exponentials / exponentials.sum(-1, keepdims=True)


def classes(sparse=False, spatial=True, **choices):
    """Predictions (batch, ..., classes) and one-hot targets, or labels."""

    def draw(random):
        arguments = {name: pick(random, *values) for name, values in choices.items()}
        places = (int(random.integers(2, 9)), *sizes(random, int(random.integers(2)) * spatial, 2, 4))
        count = int(random.integers(2, 6))
        labels = random.integers(count, size=places)
        p = probabilities(random, (*places, count), arguments.get("from_logits", False))
        return arguments, labels if sparse else np.eye(count, dtype=np.float32)[labels], p

    return draw


def binary(signs=False, columns=4, **choices):
    def draw(random):
        arguments = {name: pick(random, *values) for name, values in choices.items()}
        shape = (int(random.integers(2, 9)), int(random.integers(1, columns + 1)))
        y = random.integers(2, size=shape).astype(np.float32)
        p = random.standard_normal(shape).astype(np.float32)
        if not (signs or arguments.get("from_logits")):
            p = 1 / (1 + np.exp(-p))
        return arguments, 2 * y - 1 if signs else y, p

    return draw


REDUCTIONS = ("sum_over_batch_size", "sum", "mean", None)
SMOOTHING, LOGITS = (0.0, 0.1), (False, True)


def sequences(random):
    """Logits (batch, steps, classes) and labels, 0 where there are no more."""
    batch, steps, labels, count = 3, int(random.integers(6, 9)), int(random.integers(1, 4)), 4
    targets = random.integers(1, count, size=(batch, labels))
    targets[0, 1:] = 0
    return {}, targets, random.standard_normal((batch, steps, count)).astype(np.float32)


LOSSES = {
    "BinaryCrossentropy": binary(from_logits=LOGITS, label_smoothing=SMOOTHING, reduction=REDUCTIONS),
    "BinaryFocalCrossentropy": binary(
        from_logits=LOGITS, label_smoothing=SMOOTHING, gamma=(2.0, 1.0), alpha=(0.25, 0.4),
        apply_class_balancing=(False, True), reduction=REDUCTIONS,
    ),
    "CategoricalCrossentropy": classes(from_logits=LOGITS, label_smoothing=SMOOTHING, reduction=REDUCTIONS),
    "CategoricalFocalCrossentropy": classes(
        from_logits=LOGITS, label_smoothing=SMOOTHING, gamma=(2.0, 1.0), alpha=(0.25, 0.4), reduction=REDUCTIONS
    ),
    "CategoricalGeneralizedCrossEntropy": classes(sparse=True, spatial=False, q=(0.5, 0.7), reduction=REDUCTIONS),
    "CategoricalHinge": classes(reduction=REDUCTIONS),
    "Circle": lambda random: (
        {"gamma": pick(random, 80.0, 4.0), "margin": pick(random, 0.4, 0.2), "reduction": pick(random, *REDUCTIONS)},
        np.array([0, 1, 0, 1, 2, 2]), random.standard_normal((6, 4)).astype(np.float32),
    ),
    "CosineSimilarity": regression(axis=(-1, 1), reduction=REDUCTIONS),
    "CTC": sequences,
    "Dice": binary(axis=(None, 1), reduction=REDUCTIONS[:2]),
    "Hinge": binary(signs=True, reduction=REDUCTIONS),
    "Huber": regression(delta=(1.0, 0.3), reduction=REDUCTIONS),
    "KLDivergence": classes(reduction=REDUCTIONS),
    "LogCosh": regression(reduction=REDUCTIONS),
    "MeanAbsoluteError": regression(reduction=REDUCTIONS),
    "MeanAbsolutePercentageError": regression(positive=True, reduction=REDUCTIONS),
    "MeanSquaredError": regression(reduction=REDUCTIONS),
    "MeanSquaredLogarithmicError": regression(positive=True, reduction=REDUCTIONS),
    "Poisson": regression(positive=True, reduction=REDUCTIONS),
    "SparseCategoricalCrossentropy": classes(sparse=True, from_logits=LOGITS, reduction=REDUCTIONS),
    "SquaredHinge": binary(signs=True, reduction=REDUCTIONS),
    "Tversky": binary(alpha=(0.5, 0.3), beta=(0.5, 0.8), axis=(None, 1), reduction=REDUCTIONS[:2]),
}  # fmt: skip

THRESHOLDS = (None, 0.3, [0.2, 0.5, 0.8])
METRICS = {
    "AUC": binary(num_thresholds=(200, 7), curve=("ROC", "PR"), summation_method=("interpolation", "minoring")),
    "BinaryAccuracy": binary(threshold=(0.5, 0.3)),
    "BinaryCrossentropy": binary(from_logits=LOGITS, label_smoothing=SMOOTHING),
    "BinaryIoU": binary(columns=1, target_class_ids=([0, 1], [1]), threshold=(0.5, 0.3)),
    "CategoricalAccuracy": classes(),
    "CategoricalCrossentropy": classes(from_logits=LOGITS, label_smoothing=SMOOTHING),
    "CategoricalHinge": classes(),
    "CosineSimilarity": regression(),
    "F1Score": classes(spatial=False, average=(None, "micro", "macro", "weighted")),
    "FalseNegatives": binary(thresholds=THRESHOLDS),
    "FalsePositives": binary(thresholds=THRESHOLDS),
    "FBetaScore": classes(spatial=False, average=(None, "micro", "macro", "weighted"), beta=(1.0, 2.0)),
    "Hinge": binary(signs=True),
    "KLDivergence": classes(),
    "LogCoshError": regression(),
    "MeanAbsoluteError": regression(),
    "MeanAbsolutePercentageError": regression(positive=True),
    "MeanSquaredError": regression(),
    "MeanSquaredLogarithmicError": regression(positive=True),
    "Poisson": regression(positive=True),
    "Precision": binary(thresholds=THRESHOLDS),
    "PrecisionAtRecall": binary(recall=(0.5, 0.8)),
    "Recall": binary(thresholds=THRESHOLDS),
    "RecallAtPrecision": binary(precision=(0.5, 0.8)),
    "RootMeanSquaredError": regression(),
    "SensitivityAtSpecificity": binary(specificity=(0.5, 0.8)),
    "SparseCategoricalAccuracy": classes(sparse=True),
    "SparseCategoricalCrossentropy": classes(sparse=True, from_logits=LOGITS),
    "SparseTopKCategoricalAccuracy": classes(sparse=True, spatial=False, k=(1, 2)),
    "SpecificityAtSensitivity": binary(sensitivity=(0.5, 0.8)),
    "SquaredHinge": binary(signs=True),
    "TopKCategoricalAccuracy": classes(spatial=False, k=(1, 2)),
    "TrueNegatives": binary(thresholds=THRESHOLDS),
    "TruePositives": binary(thresholds=THRESHOLDS),
}


def compare_loss(keras, name: str, index: int) -> float:
    """The difference of a loss of both, with and without weights of samples."""
    random = generator(name, index)
    arguments, y, p = LOSSES[name](random)
    ours, theirs = getattr(jitnet.losses, name)(**arguments), getattr(keras.losses, name)(**arguments)
    found = difference(ours(y, p), keras.ops.convert_to_numpy(theirs(y, p)))
    values = theirs.call(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(p))
    if values.ndim:
        weights = random.random((len(y), *(1,) * (values.ndim - 1))).astype(np.float32)
        theirs = keras.ops.convert_to_numpy(theirs(y, p, sample_weight=weights))
        found = max(found, difference(ours(y, p, sample_weight=weights), theirs))
    return found


def compare_metric(keras, name: str, index: int, table=METRICS) -> float:
    """The difference of a metric of both after three batches, the second one weighted."""
    random = generator(name, index)
    state = random.bit_generator.state
    ours = theirs = None
    for batch in range(3):
        later = np.random.default_rng([index, batch])
        random.bit_generator.state = state
        arguments, y, p = table[name](random)
        order = later.permutation(len(y))
        y = y[order]
        # Keras cuts the weights of an IoU to whole numbers
        weights = later.random(len(y)).astype(np.float32) if batch == 1 and "IoU" not in name else None
        if ours is None:
            ours, theirs = getattr(jitnet.metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
        ours.update_state(y, p, sample_weight=weights)
        theirs.update_state(y, p, sample_weight=weights)
    return difference(ours.result(), keras.ops.convert_to_numpy(theirs.result()))


# ---- optimizers

COMMON = {
    "weight_decay": (None, 0.01), "clipnorm": (None, 0.5), "global_clipnorm": (None,), "use_ema": (False, True),
}  # fmt: skip
BETAS = {"learning_rate": (0.001, 0.05), "beta_1": (0.9, 0.5), "beta_2": (0.999, 0.9), "epsilon": (1e-7, 1e-3)}
OPTIMIZERS = {
    "Adadelta": {"learning_rate": (0.001, 1.0), "rho": (0.95, 0.5), "epsilon": (1e-7, 1e-3)},
    "Adafactor": {
        "learning_rate": (0.001, 0.05), "beta_2_decay": (-0.8, -0.5), "clip_threshold": (1.0, 0.5),
        "relative_step": (True, False),
    },
    "Adagrad": {"learning_rate": (0.001, 0.1), "initial_accumulator_value": (0.1, 0.5), "epsilon": (1e-7, 1e-3)},
    "Adam": BETAS | {"amsgrad": (False, True)},
    "AdamW": BETAS | {"weight_decay": (0.004, 0.1)},
    "Adamax": BETAS,
    "Ftrl": {
        "learning_rate": (0.001, 0.1), "l1_regularization_strength": (0.0, 0.01),
        "l2_regularization_strength": (0.0, 0.01), "beta": (0.0, 0.1),
    },
    "Lamb": BETAS,
    "Lion": {"learning_rate": (0.001, 0.05), "beta_1": (0.9, 0.5), "beta_2": (0.99, 0.9)},
    "Muon": {"learning_rate": (0.001, 0.02), "momentum": (0.95, 0.9), "nesterov": (True, False)},
    "Nadam": BETAS,
    "RMSprop": {
        "learning_rate": (0.001, 0.01), "rho": (0.9, 0.5), "momentum": (0.0, 0.8), "centered": (False, True),
    },
    "SGD": {"learning_rate": (0.01, 0.5), "momentum": (0.0, 0.9), "nesterov": (False, True)},
}  # fmt: skip


def compare_optimizer(keras, name: str, index: int) -> float:
    """The difference of a small network's weights after three steps."""
    random = generator(name, index)
    arguments = {key: pick(random, *values) for key, values in (COMMON | OPTIMIZERS[name]).items()}
    x, y = random.standard_normal((3, 8, 5)).astype(np.float32), random.standard_normal((3, 8, 2)).astype(np.float32)
    found, initial = [], None
    for library in (jitnet, keras):
        layers = library.layers
        model = library.Sequential(
            [layers.Input((5,)), layers.Dense(7, activation="tanh", name="first"), layers.Dense(2, name="last")]
        )
        if initial is None:
            initial = [random.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()]
        model.set_weights(initial)
        model.compile(optimizer=getattr(library.optimizers, name)(**arguments), loss="mse")
        for batch in zip(x, y, strict=True):
            model.train_on_batch(*batch)
        found.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    return difference(*found)
