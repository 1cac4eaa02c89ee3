"""The models and optimizers that are known by name, with what each dataset sets differently."""

import math

from jitnet.configuration import values

_MODELS = {
    "mlp": {"units": [128, 64], "activation": "relu", "dropout": 0.2},
    # blocks of 3x3 convolutions with 2x2 maximum pooling between them
    "cnn": {"filters": [[32], [64]], "batch_normalization": False, "dropout": 0.5, "units": []},
    "lenet5": {"activation": "relu"},
}

_OPTIMIZERS = {
    "adam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "sgd": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": False},
}
_SCHEDULES = ("constant", "cosine")

# what each dataset sets differently: in general, and for a model or optimizer
_DATASETS = {
    "digits": {
        "batch_size": 64,
        "shift": True,
        "cnn": {"units": [128]},
        "adam": {"learning_rate": 0.004},
    },
    "mnist": {"epochs": 12, "batch_size": 128, "adam": {"learning_rate": 0.002}},
    "fashion_mnist": {"epochs": 12, "batch_size": 128, "adam": {"learning_rate": 0.002}},
    "cifar10": {
        "epochs": 20,
        "batch_size": 128,
        "cnn": {"filters": [[32, 32], [64, 64], [128]], "batch_normalization": True},
    },
}

_FRACTIONS = ("dropout", "momentum", "beta_1", "beta_2")


def model_names() -> list[str]:
    """The models that ``stack`` knows."""
    return list(_MODELS)


def general(dataset: str | None) -> dict:
    """What the recipes of a dataset set differently in general."""
    return {key: value for key, value in _DATASETS.get(dataset, {}).items() if not isinstance(value, dict)}


def model(given: dict, dataset: str | None) -> dict:
    """The table of a model, complete."""
    name = values.name("model.name", given.get("name", "cnn"), _MODELS)
    known = {"name": name, **_MODELS[name], **_DATASETS.get(dataset, {}).get(name, {})}
    return _completed("model", given, known)


def optimizer(given: dict, dataset: str | None) -> dict:
    """The table of an optimizer, complete."""
    name = values.name("optimizer.name", given.get("name", "adam"), _OPTIMIZERS)
    own = _DATASETS.get(dataset, {}).get(name, {})
    found = _completed("optimizer", given, {"name": name, **_OPTIMIZERS[name], **own, "schedule": "cosine"})
    values.name("optimizer.schedule", found["schedule"], _SCHEDULES)
    return found


def _completed(part: str, given: dict, known: dict) -> dict:
    for inner, value in given.items():
        key = f"{part}.{inner}"
        if inner not in known:
            raise values.unknown_key(key, [f"{part}.{name}" for name in known])
        known[inner] = _checked(key, inner, value, known[inner])
    return known


def _checked(key: str, inner: str, value, default):
    """``value`` as the kind of value that ``default`` is."""
    if isinstance(default, bool):
        return values.boolean(key, value)
    if isinstance(default, float):
        return values.number(key, value, 1 if inner in _FRACTIONS else math.inf)
    if isinstance(default, str):
        return values.text(key, value)
    return values.blocks(key, value) if inner == "filters" else values.positive_integers(key, value)


# ---- what they are made of


def stack(part: dict) -> list:
    """The layers of a model, but for the input and the last."""
    return {"mlp": _mlp, "cnn": _cnn, "lenet5": _lenet5}[part["name"]](part)


def _mlp(part: dict) -> list:
    from jitnet import layers

    stack = [layers.Flatten()]
    for units in part["units"]:
        stack.append(layers.Dense(units, activation=part["activation"]))
        stack += _dropout(part)
    return stack


def _cnn(part: dict) -> list:
    from jitnet import layers

    stack = []
    for block in part["filters"]:
        if stack:
            stack.append(layers.MaxPooling2D(2))
        for filters in block:
            stack.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            if part["batch_normalization"]:
                stack.append(layers.BatchNormalization())
    stack += [layers.Flatten(), *_dropout(part)]
    for units in part["units"]:
        stack += [layers.Dense(units, activation="relu"), *_dropout(part)]
    return stack


def _lenet5(part: dict) -> list:
    """LeCun et al. 1998, figure 2, with maximum pooling and full connections."""
    from jitnet import layers

    activation = part["activation"]
    return [
        layers.Conv2D(6, 5, padding="same", activation=activation),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 5, activation=activation),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(120, activation=activation),
        layers.Dense(84, activation=activation),
    ]


def _dropout(part: dict) -> list:
    from jitnet import layers

    return [layers.Dropout(part["dropout"])] if part["dropout"] else []


def make_optimizer(part: dict, steps: int):
    """The optimizer of a run of so many steps."""
    from jitnet import optimizers, schedules

    arguments = {key: value for key, value in part.items() if key not in ("name", "schedule")}
    if part["schedule"] == "cosine":
        arguments["learning_rate"] = schedules.CosineDecay(part["learning_rate"], steps)
    return {"adam": optimizers.Adam, "sgd": optimizers.SGD}[part["name"]](**arguments)
