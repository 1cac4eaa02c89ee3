"""jitnet evaluate: loss and accuracy of a trained model on the test set."""

from pathlib import Path

from jitnet import _recipes
from jitnet.commands import runs


def run(options) -> int:
    """Print loss and accuracy of a run's model on its dataset's test set."""
    config, model = runs.load(options.run)
    if model.optimizer is None or len(model._record_names()) != 2:
        raise ValueError(f"{Path(options.run) / runs.WEIGHTS} was not compiled with one loss and the accuracy.")
    _, _, test = _recipes.load_data({**config, "shift": False})
    runs.report(model, test)
    return 0
