"""The model of a run: one of the recipes', or layers that the configuration lists."""

import math

from jitnet.configuration import datasets, objects, recipes, training, values
from jitnet.configuration.errors import DataError


def completed(given: dict, dataset: str | None, pictures: bool) -> dict:
    """[model], complete: with ``layers`` as they are described, without as the recipe of its name.

    pictures: whether the data are, or may be.
    """
    if "layers" not in given:
        if not pictures:
            raise ValueError("The recipes' models are for pictures: describe the model by [[model.layers]].")
        return recipes.model(given, dataset)
    known = ("name", "layers")
    for key in given:
        if key not in known:
            raise values.unknown_key(f"model.{key}", [f"model.{name}" for name in known])
    name = values.text("model.name", given.get("name", "model"))
    if not name or "/" in name or not name.isprintable():
        raise values.wrong("model.name must be a name without '/'.", "model.name", name)
    tables = values.tables("model.layers", given["layers"])
    if not tables:
        raise values.wrong("model.layers must list at least one layer.", "model.layers", tables)
    layers = [objects.completed(f"model.layers.{index}", table, "layer") for index, table in enumerate(tables)]
    named = [layer["name"] for layer in layers if "name" in layer]
    for index, layer in enumerate(layers):
        if named.count(layer.get("name")) > 1:
            raise values.wrong("Layers need different names.", f"model.layers.{index}.name", layer["name"])
        if index and _adapts(layer):
            raise ValueError(
                f"model.layers.{index}: a {layer['class']} that learns from the data must be the first layer, or be "
                f"given what it would learn."
            )
    return {"name": name, "layers": layers}


def augmentation(given) -> list[dict]:
    """[[augmentation]], complete."""
    tables = values.tables("augmentation", given)
    return [objects.completed(f"augmentation.{index}", table, "augmentation") for index, table in enumerate(tables)]


# what layers that learn from data before training are given instead
_LEARNT = {
    "Discretization": "bin_boundaries", "IntegerLookup": "vocabulary", "MinMaxScaling": "minimum",
    "Normalization": "mean", "StringLookup": "vocabulary", "TextVectorization": "vocabulary",
}  # fmt: skip


def _adapts(layer: dict) -> bool:
    return layer["class"] in _LEARNT and _LEARNT[layer["class"]] not in layer


def classifies(config: dict) -> bool:
    """Whether the model's outputs are one probability for each class."""
    loss = config["loss"]
    name = loss["class"] if isinstance(loss, dict) else loss
    return "categorical" in name.lower() and "crossentropy" in name.lower().replace("_", "")


def build_model(config: dict, sample_shape: tuple, samples: int, classes: int = 10):
    """The compiled model of a run.

    sample_shape: of one sample, (H, W, C) of pictures; samples: number of training samples, which with the batch size
    gives the lengths of schedules; classes: the outputs of a recipe's model.
    """
    from jitnet import layers
    from jitnet.models import Sequential

    part = config["model"]
    steps_per_epoch = math.ceil(samples / config["batch_size"])
    first = [
        objects.make(f"augmentation.{index}", table, "augmentation", steps_per_epoch)
        for index, table in enumerate(config["augmentation"])
    ]
    if "layers" in part:
        stack = [
            objects.make(f"model.layers.{index}", table, "layer", steps_per_epoch)
            for index, table in enumerate(part["layers"])
        ]
    else:
        if len(sample_shape) != 3:
            raise ValueError(
                f"The recipe {part['name']!r} is for pictures of shape (height, width, channels): describe the model "
                f"by [[model.layers]]. Received: samples of shape {tuple(sample_shape)}"
            )
        stack = [*recipes.stack(part), layers.Dense(classes, activation="softmax")]
    stack = [*first, *stack]
    # layers that work on arrays say themselves what the rest takes
    start = [] if stack[0].before_the_step else [layers.Input(sample_shape)]
    model = Sequential([*start, *stack], name=part["name"])
    model.compile(**training.compilation(config, steps_per_epoch))
    return model


def adapt(model, config: dict, x) -> None:
    """Let the first layer that the configuration lists learn from the samples, if it is one that does.

    A model that begins with layers of tables, which work on arrays, is then built.
    """
    listed = config["model"].get("layers")
    if listed and _adapts(listed[0]):
        model.layers[len(config["augmentation"])].adapt(x)
    if model._leading():
        model._prepare_inputs(x[:1])


def known_classes(config: dict) -> int:
    """How many classes a dataset of pictures has."""
    if config["dataset"] != "cifar100":
        return 10
    return 20 if config["data"]["label_mode"] == "coarse" else 100


def count_classes(config: dict, y) -> int:
    """How many classes the targets ``y`` of the training data are from; 1 where they are no classes."""
    if config.get("dataset") in datasets.IMAGE_SHAPES:
        return known_classes(config)
    named = config.get("data", {}).get("classes")
    if named:
        return len(named)
    return max(1, int(y.max()) + 1) if y.dtype.kind in "iu" and y.ndim == 1 else 1


def check_data(model, *parts) -> None:
    """Raise DataError if targets of a part, (samples, targets) or None, don't fit the model's outputs."""
    from jitnet.losses.base import prepare_targets, target_shape

    expected = target_shape(model.loss, model.output_shape)
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if part is None:
            continue
        try:
            found = prepare_targets(model.loss, part[1], model.output_shape, "float32").shape[1:]
        except ValueError as error:
            raise DataError(f"The targets of the {name} data don't fit the model: {error}") from error
        if expected is not None and not fits(found, expected):
            raise DataError(
                f"The targets of the {name} data don't fit the model, whose outputs are of shape {model.output_shape}: "
                f"expected targets of shape {(None, *expected)}. Received: shape={part[1].shape}"
            )


def fits(shape: tuple, expected: tuple) -> bool:
    """Whether a shape is as expected, where None stands for any length."""
    if len(shape) != len(expected):
        return False
    return all(length in (size, None) for size, length in zip(shape, expected, strict=True))
