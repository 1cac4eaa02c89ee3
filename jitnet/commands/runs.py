"""The folder of a run: its files, and its configuration and model read from them."""

from pathlib import Path

from jitnet import configuration

CONFIG, HISTORY, WEIGHTS, CHECKPOINTS = "config.toml", "history.csv", "model.safetensors", "checkpoints"
ENVIRONMENT = "environment.json"


def load(run: str):
    """(configuration, model) of a run."""
    import jitnet

    folder = Path(run)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is no folder of a finished run: it has no {name}.")
    config = configuration.resolve(configuration.read_config(folder / CONFIG), {})
    use_threads(config)
    with configuration.bad_data():
        model = jitnet.load_model(folder / WEIGHTS)
        _check(model, config, folder / WEIGHTS)
    return config, model


def _check(model, config: dict, path: Path) -> None:
    """Raise ValueError if the model takes or returns something else than the run's data need."""
    shape = configuration.IMAGE_SHAPES.get(config.get("dataset"))
    if shape is None:
        return
    sizes, inputs = "", (None, *shape)
    if model._graph_inputs is not None:
        sizes = model.input_shape, model.output_shape
    if "layers" in config["model"]:
        if not sizes or sizes[0] != inputs:
            raise ValueError(f"{path} must be a model of inputs {inputs}. Received: {model!r}")
        return
    expected = inputs, (None, configuration.known_classes(config))
    if sizes != expected:
        raise ValueError(
            f"{path} must be a model from shape {expected[0]} to {expected[1]}, as {config['dataset']} "
            f"needs it. Received: {model!r}"
        )


def use_threads(config: dict) -> None:
    import jitnet

    if config["threads"]:
        jitnet.set_num_threads(config["threads"])


def report(model, test) -> None:
    """Print the loss and the metrics on a test set."""
    x, y = test
    found = model.evaluate(x, y, batch_size=256, verbose=0, return_dict=True)
    loss, accuracy = found.pop("loss"), found.get("accuracy")
    if list(found) == ["accuracy"]:
        print(f"Test accuracy: {100 * accuracy:.2f} % ({round(accuracy * len(x)):,} of {len(x):,}), loss: {loss:.4f}")
        return
    others = [f", {name}: {value:.4f}" for name, value in found.items()]
    print(f"Test loss: {loss:.4f}{''.join(others)} ({len(x):,} samples)")
