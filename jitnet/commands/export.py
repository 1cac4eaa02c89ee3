"""jitnet export: a run's model as a C library."""

from pathlib import Path

from jitnet import configuration
from jitnet.commands import runs


def run(options) -> int:
    """Write header, object file and shared library of a run's predictions."""
    config, model = runs.load(options.run)
    target = Path(options.run) / "library" / "model" if options.out is None else Path(options.out)
    model.export(target, batch_size=options.batch_size)
    if configuration.are_images(config):
        largest = configuration.largest_pixel(config.get("dataset"))
        print(f"Its images have values from 0 to 1: pixel values from 0 to {largest}, divided by {largest}.")
    return 0
