"""What a run is made of: its configuration with all defaults, its data and its model.

A configuration is a dict of TOML values.  ``resolve`` completes what the user gave; the rest of a run is a function of
the resolved configuration alone.
"""

import math
import re
import reprlib
import sys
import tomllib
from pathlib import Path

from jitnet.core.errors import invalid, unknown_name

_GENERAL = {
    "dataset": "",
    "seed": 0,
    "epochs": 10,
    "batch_size": 32,
    "threads": 0,  # 0: all cores
    "device": "cpu",
    "validation_split": 0.0,  # the last part of the training data, held out of training
    "checkpoint_every": "epoch",  # or a number of steps
    "shift": False,  # whether to add copies of the training images, moved by a pixel to each of the four sides
}

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

IMAGE_SHAPES = {"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
_LARGEST_PIXEL = {"digits": 16, "mnist": 255, "fashion_mnist": 255, "cifar10": 255}
_SCHEDULES = ("constant", "cosine")
_DEVICES = ("cpu", "cuda")

_LARGEST_CONFIG = 1 << 14  # bytes; the parser's time grows with the square of a dotted key's length
_LARGEST_INTEGER = 2**32 - 1  # of seeds; more than anything else needs

# the smallest value of each integer, and the range of each number with one
_LEAST = {"seed": 0, "epochs": 1, "batch_size": 1, "threads": 0}
_FRACTIONS = ("model.dropout", "validation_split", "optimizer.momentum", "optimizer.beta_1", "optimizer.beta_2")


def read_config(path: Path) -> dict:
    """The table in a TOML file.

    Raises ValueError if the file is not TOML in UTF-8, FileNotFoundError if there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no configuration file {path}.")
    with path.open("rb") as file:
        content = file.read(_LARGEST_CONFIG + 1)
    if len(content) > _LARGEST_CONFIG:
        raise ValueError(f"{path} is not a configuration: it has more than {_LARGEST_CONFIG} bytes.")
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise ValueError(f"{path} is not a configuration: its values are nested too deep.") from None
    except ValueError as error:  # of the decoder, of TOML, or a number of thousands of digits
        raise ValueError(f"{path} is not a TOML file: {error}") from None


def parse_setting(text: str) -> tuple[str, object]:
    """``key=value`` with a TOML value; a value that is no TOML is a string, so that names need no quotes."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise invalid("--set expects KEY=VALUE, as in --set optimizer.learning_rate=0.01.", set=text)
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
    except (RecursionError, ValueError) as error:
        raise invalid(f"--set {key.strip()} expects a simple value ({error}).", length=len(value)) from None


def resolve(given: dict, settings: dict) -> dict:
    """The whole configuration.

    given: a configuration that may lack anything but the dataset.
    settings: {dotted key: value}, which override it.

    A model or an optimizer of another name in ``settings`` replaces the given one with all its values.
    Raises ValueError for an unknown key or name, with the nearest known one, and for a value of the wrong kind.
    """
    given = _flat(given)
    dataset = _chosen("dataset", given, settings, None, _DATASETS)
    own = _DATASETS[dataset]
    model = _chosen("model.name", given, settings, "cnn", _MODELS)
    optimizer = _chosen("optimizer.name", given, settings, "adam", _OPTIMIZERS)
    known = _flat(
        {
            **_GENERAL,
            **{key: value for key, value in own.items() if key in _GENERAL},
            "dataset": dataset,
            "model": {"name": model, **_MODELS[model], **own.get(model, {})},
            "optimizer": {
                "name": optimizer, **_OPTIMIZERS[optimizer], **own.get(optimizer, {}), "schedule": "cosine",
            },
        }
    )  # fmt: skip
    for part, name in (("model", model), ("optimizer", optimizer)):
        if given.get(f"{part}.name", name) != name:
            given = {key: value for key, value in given.items() if not key.startswith(f"{part}.")}
    for key, value in {**given, **settings}.items():
        if key not in known:
            raise unknown_name("configuration key", key if len(key) < 100 else f"{key[:100]}...", known)
        known[key] = _checked(key, value, known[key])
    if not re.fullmatch(r"cuda:\d{1,3}", known["device"]):  # among several
        _chosen("device", known, {}, None, _DEVICES)
    _chosen("optimizer.schedule", known, {}, None, _SCHEDULES)
    return _nested(known)


def _chosen(key, given, settings, default, known) -> str:
    """The name given for ``key``, one of ``known``."""
    name = settings.get(key, given.get(key, default))
    if name is None:
        raise ValueError(f"The configuration has no {key}. Known: {', '.join(known)}.")
    if not isinstance(name, str):
        raise _wrong(f"{key} must be one of {', '.join(known)}.", key, name)
    if name not in known:
        raise unknown_name(key.removesuffix(".name").rpartition(".")[2], name, known)
    return name


def _checked(key, value, default):
    """``value`` as the kind of value that ``default`` is."""
    if key == "checkpoint_every":
        if value != "epoch" and (type(value) is not int or not 0 < value <= _LARGEST_INTEGER):
            raise _wrong(f'{key} must be "epoch" or a number of steps from 1 up.', key, value)
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise _wrong(f"{key} must be true or false.", key, value)
    elif isinstance(default, int):
        least = _LEAST[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise _wrong(f"{key} must be a whole number from {least} up.", key, value)
        if value > _LARGEST_INTEGER:
            raise _wrong(f"{key} must be at most {_LARGEST_INTEGER}.", key, value)
    elif isinstance(default, float):
        # compared, because an integer may be too large to become a float
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise _wrong(f"{key} must be a number.", key, value)
        if not 0 <= value < (1 if key in _FRACTIONS else math.inf):
            bounds = "from 0 to below 1" if key in _FRACTIONS else "not negative"
            raise _wrong(f"{key} must be {bounds}.", key, value)
        return float(value)
    elif isinstance(default, str):
        if not isinstance(value, str):
            raise _wrong(f"{key} must be a string.", key, value)
    elif key == "model.filters":
        if not isinstance(value, list) or not value or not all(_positive_integers(block) and block for block in value):
            raise _wrong(f"{key} must be a list of blocks, as in [[32, 32], [64]].", key, value)
    elif not _positive_integers(value):
        raise _wrong(f"{key} must be a list of positive integers.", key, value)
    return value


def _positive_integers(value) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 < item <= _LARGEST_INTEGER for item in value)


def _wrong(expected: str, key: str, value) -> ValueError:
    # a value may be as long or as deep as it likes
    return ValueError(f"{expected} Received: {key}={_shortened(value)}")


def _shortened(value) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:
        return f"{type(value).__name__} with an integer of more digits than Python writes"


def _flat(table: dict) -> dict:
    """{"optimizer": {"name": "adam"}} as {"optimizer.name": "adam"}."""
    found, pending = {}, [("", table)]
    while pending:  # no recursion: tables may be nested as deep as they like
        prefix, table = pending.pop()
        for key, value in table.items():
            if isinstance(value, dict):
                pending.append((f"{prefix}{key}.", value))
            else:
                found[f"{prefix}{key}"] = value
    return found


def _nested(flat: dict) -> dict:
    found = {}
    for key, value in flat.items():
        table, _, inner = key.rpartition(".")
        if table:
            found.setdefault(table, {})[inner] = value
        else:
            found[key] = value
    return found


def to_toml(config: dict) -> str:
    """A resolved configuration in TOML: values first, then one section per table."""
    plain = {key: value for key, value in config.items() if not isinstance(value, dict)}
    lines = [f"{key} = {_toml_value(value)}" for key, value in plain.items()]
    for section, table in config.items():
        if isinstance(table, dict):
            lines += ["", f"[{section}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    if isinstance(value, str):
        # names only: the resolved configuration has no free text
        return f'"{value}"'
    return repr(value)


def model_names() -> list[str]:
    """The models that ``build_model`` knows."""
    return list(_MODELS)


def load_data(config: dict):
    """(training, validation, test), each a pair of ``scaled`` images and labels (N,); validation may be None.

    The validation part is the last of the training data, taken before any augmentation.
    """
    import importlib

    module = importlib.import_module(f"jitnet.datasets.{config['dataset']}")
    training, test = ((scaled(x, config["dataset"]), y.reshape(-1)) for x, y in module.load_data())
    validation = None
    if config["validation_split"]:
        kept = round(len(training[0]) * (1 - config["validation_split"]))
        if not 0 < kept < len(training[0]):
            raise invalid(
                f"validation_split leaves one part of the {len(training[0])} training images empty.",
                validation_split=config["validation_split"],
            )
        validation = tuple(part[kept:] for part in training)
        training = tuple(part[:kept] for part in training)
    if config["shift"]:
        training = with_shifts(*training)
    return training, validation, test


def scaled(images, dataset: str):
    """Images (N, H, W) or (N, H, W, C) of the dataset's pixel values as float32 (N, H, W, C) from 0 to 1."""
    import numpy as np

    images = np.asarray(images)
    images = images[..., None] if images.ndim == 3 else images
    return images.astype(np.float32) / np.float32(_LARGEST_PIXEL[dataset])


def largest_pixel(dataset: str) -> int:
    """The largest pixel value of the dataset's images; the smallest is 0."""
    return _LARGEST_PIXEL[dataset]


def with_shifts(x, y):
    """The images (N, H, W, C), and the same moved by one pixel down, up, right and left: (5N, H, W, C), (5N,).

    What leaves the image is lost, what enters it is 0.
    """
    import numpy as np

    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    return np.concatenate([padded[:, i : i + height, j : j + width] for i, j in places]), np.tile(y, len(places))


def build_model(config: dict, image_shape: tuple, samples: int):
    """The compiled model of a run.

    image_shape: (H, W, C); samples: number of training images, which with the batch size gives the schedule's length.
    """
    import jitnet
    from jitnet import layers

    part = config["model"]
    stack = {"mlp": _mlp, "cnn": _cnn, "lenet5": _lenet5}[part["name"]](part)
    model = jitnet.Sequential(
        [jitnet.Input(image_shape), *stack, layers.Dense(10, activation="softmax")], name=part["name"]
    )
    steps = config["epochs"] * math.ceil(samples / config["batch_size"])
    model.compile(
        optimizer=_optimizer(config["optimizer"], steps),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


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


def _optimizer(part: dict, steps: int):
    from jitnet import optimizers, schedules

    arguments = {key: value for key, value in part.items() if key not in ("name", "schedule")}
    if part["schedule"] == "cosine":
        arguments["learning_rate"] = schedules.CosineDecay(part["learning_rate"], steps)
    return {"adam": optimizers.Adam, "sgd": optimizers.SGD}[part["name"]](**arguments)
