"""Random models of sequences in jitnet and in Keras: recurrent layers with masks, states and wrappers."""

import numpy as np
from keras_cases import difference, flag, generator, pick

import jitnet

UNITS, FEATURES, WORDS, BATCH, CLASSES = 3, 2, 5, 4, 3
SOURCES = ("plain", "Masking", "Embedding", "given")  # where a mask comes from


def recurrent(random) -> tuple:
    """(class, arguments) of a layer of ``UNITS``."""
    kind = pick(random, "SimpleRNN", "LSTM", "GRU", "RNN", "Stacked")
    arguments = {"go_backwards": flag(random), "zero_output_for_mask": flag(random)}
    if kind in ("RNN", "Stacked"):
        return kind, {**arguments, "cell": [pick(random, "SimpleRNNCell", "LSTMCell", "GRUCell") for _ in range(2)]}
    arguments |= {
        "use_bias": flag(random), "activation": pick(random, "tanh", "relu"),
        "kernel_regularizer": pick(random, None, "l2"), "recurrent_regularizer": pick(random, None, "l1"),
        "bias_regularizer": pick(random, None, "l2"), "kernel_constraint": pick(random, None, "max_norm"),
        "recurrent_constraint": pick(random, None, "unit_norm"), "bias_constraint": pick(random, None, "non_neg"),
    }  # fmt: skip
    if kind == "GRU":
        arguments["reset_after"] = flag(random)
    return kind, arguments


def made(library, kind: str, arguments: dict, **more):
    """A recurrent layer of a library."""
    layers, own = library.layers, dict(arguments)
    if "cell" in own:
        cells = [getattr(layers, cell)(UNITS) for cell in own.pop("cell")]
        return layers.RNN(cells[0] if kind == "RNN" else cells, **own, **more)
    return getattr(layers, kind)(UNITS, **own, **more)


BETWEEN = {  # layers between recurrent ones
    "Activation": lambda layers, x: layers.Activation("tanh")(x),
    "Add": lambda layers, x: layers.add([x, layers.Dense(x.shape[-1])(x)]),
    "BatchNormalization": lambda layers, x: layers.BatchNormalization()(x),
    "Bidirectional": lambda layers, x: layers.Bidirectional(layers.GRU(UNITS, return_sequences=True))(x),
    "Concatenate": lambda layers, x: layers.concatenate([x, layers.Dense(2)(x)]),
    "Dense": lambda layers, x: layers.Dense(4, activation="relu")(x),
    "Dropout": lambda layers, x: layers.Dropout(0.0)(x),
    "LayerNormalization": lambda layers, x: layers.LayerNormalization()(x),
    "Maximum": lambda layers, x: layers.maximum([x, layers.Dense(x.shape[-1])(x)]),
    "Multiply": lambda layers, x: layers.multiply([x, layers.Dense(x.shape[-1])(x)]),
    "Steps": lambda layers, x: layers.concatenate([x, layers.Activation("sigmoid")(x)], axis=1),
    "TimeDistributed": lambda layers, x: layers.TimeDistributed(layers.Dense(3))(x),
    "nothing": lambda layers, x: x,
}


def draw(random) -> dict:
    """All choices of a model."""
    return {
        "source": pick(random, *SOURCES), "steps": int(random.integers(1, 7)), "first": recurrent(random),
        "between": pick(random, *BETWEEN), "wrapped": pick(random, None, "concat", "sum", "mul", "ave", "both"),
        "initial": pick(random, None, None, "states"), "second": recurrent(random), "weighted": flag(random),
        "head": pick(random, "labels", "numbers", "last", "states", "average"),
    }  # fmt: skip


def built(library, choice: dict):
    """The model of a library."""
    layers, steps = library.layers, choice["steps"]
    if choice["source"] == "Embedding":
        x = first = library.Input((steps,), dtype="int32")
        x = layers.Embedding(WORDS, FEATURES, mask_zero=True)(x)
    else:
        x = first = library.Input((steps, FEATURES))
    inputs, options = [first], {}
    if choice["source"] == "Masking":
        x = layers.Masking(0.5)(x)
    elif choice["source"] == "given":
        inputs.append(library.Input((steps,), dtype="int32"))
        options["mask"] = library.ops.not_equal(inputs[-1], 0)
    kind, arguments = choice["first"]
    layer = made(library, kind, arguments, return_sequences=True)
    if choice["initial"] and "cell" not in arguments:
        inputs.append(library.Input((UNITS,)))
        options["initial_state"] = [inputs[-1]] * (2 if kind == "LSTM" else 1)
    x = layer(x, **options)
    x = BETWEEN[choice["between"]](layers, x)
    kind, arguments = choice["second"]
    last = choice["head"] in ("last", "states")
    keeps_state = choice["head"] == "states" and choice["wrapped"] is None and kind != "Stacked"
    layer = made(library, kind, arguments, return_sequences=not last, return_state=keeps_state)
    if choice["wrapped"] is None:
        x = layer(x)
        if keeps_state:
            x = layers.concatenate(list(x))
    else:
        if arguments["go_backwards"]:
            layer = made(library, kind, {**arguments, "go_backwards": False}, return_sequences=not last)
        merge = None if choice["wrapped"] == "both" else choice["wrapped"]
        x = layers.Bidirectional(layer, merge_mode=merge)(x)
        x = layers.subtract(list(x)) if merge is None else x
    if choice["head"] == "average":
        x = layers.GlobalAveragePooling1D()(x)
    units, activation = (CLASSES, "softmax") if choice["head"] == "labels" else (1, None)
    x = layers.Dense(units, activation=activation)(x)
    model = library.Model(inputs if len(inputs) > 1 else first, x)
    loss = "sparse_categorical_crossentropy" if choice["head"] == "labels" else "mse"
    metrics = {"labels": ["accuracy"]}.get(choice["head"], ["mae"])
    model.compile(library.optimizers.SGD(0.1), loss, metrics=metrics, weighted_metrics=metrics)
    return model


def data_of(random, choice: dict, model) -> tuple:
    """Inputs, targets and weights of samples, or None."""
    steps, arrays = choice["steps"], []
    ends = np.arange(steps) < random.integers(0, steps + 1, size=(BATCH, 1))
    counts = random.integers(2, size=(BATCH, steps)) if flag(random) else ends.astype("int32")
    if choice["head"] == "average":  # a mean of no steps is no number
        counts[:, 0] = 1
    for tensor in model.inputs:
        if "int" in str(tensor.dtype):
            words = random.integers(1, WORDS, size=(BATCH, steps)) * counts
            arrays.append(words.astype("int32"))
        elif len(tensor.shape) == 3:
            x = random.standard_normal((BATCH, steps, FEATURES)).astype("float32")
            arrays.append(np.where(counts[..., None], x, np.float32(0.5)))
        else:
            arrays.append(random.standard_normal((BATCH, *tensor.shape[1:])).astype("float32"))
    shape = tuple(model.outputs[0].shape)[1:-1]
    if choice["head"] == "labels":
        y = random.integers(CLASSES, size=(BATCH, *shape))
    else:
        y = random.standard_normal((BATCH, *shape, 1)).astype("float32")
    weights = random.uniform(0.5, 2, (BATCH, *shape)).astype("float32") if choice["weighted"] else None
    return (arrays if len(arrays) > 1 else arrays[0]), y, weights


def compare(keras, index: int) -> float:
    """The largest difference of predictions, losses and metrics of three steps, and weights after them."""
    random = generator("sequences", index)
    choice = draw(random)
    ours, theirs = built(jitnet, choice), built(keras, choice)
    weights = [0.4 * random.standard_normal(w.shape).astype(np.float32) for w in theirs.get_weights()]
    weights = [np.abs(w) if w.ndim == 1 else w for w in weights]  # those of variances must be positive
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    x, y, sample_weight = data_of(random, choice, theirs)
    found = [difference(ours.predict_on_batch(x), theirs.predict_on_batch(x))]
    for _ in range(3):
        logs = [m.train_on_batch(x, y, sample_weight=sample_weight, return_dict=True) for m in (ours, theirs)]
        assert logs[0].keys() == logs[1].keys()
        found.append(difference([logs[0][k] for k in logs[0]], [float(logs[1][k]) for k in logs[0]]))
    found += [difference(*pair) for pair in zip(ours.get_weights(), theirs.get_weights(), strict=True)]
    return max(found)
