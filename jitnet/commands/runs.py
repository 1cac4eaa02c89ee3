"""The folder of a run: its files, and its configuration and model read from them."""

from pathlib import Path

from jitnet import _recipes

CONFIG, HISTORY, WEIGHTS, CHECKPOINTS = "config.toml", "history.csv", "model.safetensors", "checkpoints"


def load(run: str):
    """(configuration, model) of a run."""
    import jitnet

    folder = Path(run)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is no folder of a finished run: it has no {name}.")
    config = _recipes.resolve(_recipes.read_config(folder / CONFIG), {})
    use_threads(config)
    model = jitnet.load_model(folder / WEIGHTS)
    expected = (None, *_recipes.IMAGE_SHAPES[config["dataset"]]), (None, 10)
    if model._graph_inputs is None or (model.input_shape, model.output_shape) != expected:
        raise ValueError(
            f"{folder / WEIGHTS} must be a model from shape {expected[0]} to {expected[1]}, as {config['dataset']} "
            f"needs it. Received: {model!r}"
        )
    return config, model


def use_threads(config: dict) -> None:
    import jitnet

    if config["threads"]:
        jitnet.set_num_threads(config["threads"])


def report(model, test) -> None:
    x, y = test
    loss, accuracy = model.evaluate(x, y, batch_size=256, verbose=0)
    print(f"Test accuracy: {100 * accuracy:.2f} % ({round(accuracy * len(x)):,} of {len(x):,}), loss: {loss:.4f}")
