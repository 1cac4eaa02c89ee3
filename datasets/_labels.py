"""The one check that all label files share."""

from pathlib import Path

import numpy as np

CLASSES = 10


def check_labels(labels: np.ndarray, source: Path | str) -> None:
    """Raise ValueError unless every one of ``labels: (n,)`` is a class, 0 to 9."""
    wrong = np.flatnonzero(labels >= CLASSES)
    if wrong.size:
        raise ValueError(
            f"{source}: expected labels 0 to {CLASSES - 1}. Received: label {labels[wrong[0]]} at position {wrong[0]}"
        )
