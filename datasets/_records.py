"""Fixed-length records of one label byte and the image's bytes: CIFAR-10's binary version, and the bundled digits."""

from pathlib import Path

import numpy as np

from jitnet.datasets._labels import check_labels


def parse_records(data: bytes, count: int, image_bytes: int, source: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """``count`` records as (images: (count, image_bytes), labels: (count,)), both uint8 and views of ``data``.

    Raises ValueError on a wrong size or a label above 9; ``source`` names the file.
    """
    expected = count * (1 + image_bytes)
    if len(data) != expected:
        problem, more = ("truncated", "") if len(data) < expected else ("bytes after the last record", " or more")
        raise ValueError(
            f"{source}: {problem}, {count} records of 1 + {image_bytes} bytes are {expected} bytes. "
            f"Received: {len(data)}{more}"
        )
    records = np.frombuffer(data, np.uint8).reshape(count, 1 + image_bytes)
    check_labels(records[:, 0], source)
    return records[:, 1:], records[:, 0]
