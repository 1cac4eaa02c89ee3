"""What the recipes share: their command line, the bundled digits, and the writing of one picture."""

import argparse
from pathlib import Path

import numpy as np

import jitnet


def arguments(documentation: str, **numbers) -> argparse.Namespace:
    """The command line of a recipe: ``--quick``, ``--output``, ``--seed``, and its own ``numbers``.

    numbers: {option: (value, value of the quick form)}.
    """
    parser = argparse.ArgumentParser(description=documentation.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small form, in seconds")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder of the picture")
    parser.add_argument("--seed", type=int, default=0)
    for name, (full, _) in numbers.items():
        parser.add_argument(f"--{name}", type=type(full), default=None, help=f"{full} by default")
    given = parser.parse_args()
    for name, values in numbers.items():
        if getattr(given, name) is None:
            setattr(given, name, values[given.quick])
    jitnet.utils.set_random_seed(given.seed)
    return given


def digits(train: int | None = None):
    """((x, y), (x of the test, y of the test)): images (N, 64) from 0 to 1; ``train`` of those for training."""
    (x, y), (x_test, y_test) = jitnet.datasets.digits.load_data()
    x, x_test = (images.reshape(-1, 64).astype("float32") / 16 for images in (x, x_test))
    return (x[:train], y[:train]), (x_test, y_test)


def mnist(quick: bool):
    """((x, y), (x of the test, y of the test)) of MNIST, images (N, 28, 28, 1) from 0 to 1.

    It is looked for in $JITNET_DATA_DIR/mnist/ and downloaded otherwise; quick: some of the bundled digits, enlarged.
    """
    if quick:
        parts = [(x.reshape(-1, 8, 8)[:256], y[:256]) for x, y in digits()]
        enlarged = [(x.repeat(3, 1).repeat(3, 2), y) for x, y in parts]
        return tuple((np.pad(x, ((0, 0), (2, 2), (2, 2)))[..., None], y) for x, y in enlarged)
    return tuple((x[..., None].astype("float32") / 255, y) for x, y in jitnet.datasets.mnist.load_data())


def figure(rows: int, columns: int, width: float = 9.0, height: float = 3.6):
    """A figure and its axes, (rows, columns) of them."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("The picture needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def save(picture, output: Path, name: str) -> None:
    """Write a figure as NAME.png."""
    output.mkdir(parents=True, exist_ok=True)
    picture.savefig(output / f"{name}.png", dpi=90)
    print(f"Picture: {output / f'{name}.png'}")
