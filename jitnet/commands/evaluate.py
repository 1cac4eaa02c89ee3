"""jitnet evaluate: loss and accuracy of a trained model on the test set."""

from pathlib import Path

from jitnet import configuration
from jitnet.commands import runs


def run(options) -> int:
    """Print loss and accuracy of a run's model on its dataset's test set."""
    config, model = runs.load(options.run)
    if model.optimizer is None or len(model._record_names()) != 1 + len(config["metrics"]):
        names = ", ".join(item if isinstance(item, str) else item["class"] for item in config["metrics"])
        raise configuration.DataError(
            f"{Path(options.run) / runs.WEIGHTS} was not compiled with one loss and the metrics of its configuration, "
            f"{names or 'none'}."
        )
    _, _, test = configuration.load_data({**config, "shift": False})
    if test is None:
        raise configuration.DataError(f"{options.run} has no test data: its configuration names none under [data].")
    runs.report(model, test)
    return 0
