"""jitnet predict: classify images."""

import math
import os
from pathlib import Path

from jitnet import _recipes
from jitnet.commands import runs


def run(options) -> int:
    """Print labels, or write probabilities."""
    config, model = runs.load(options.run)
    images = read_images(Path(options.file), config["dataset"], model.input_shape[1:])
    probabilities = model.predict(images, batch_size=256, verbose=0)
    if options.out is None:
        print("\n".join(str(label) for label in probabilities.argmax(axis=1)))
        return 0

    import numpy as np

    out = Path(options.out)
    # through a file object: numpy.save would add a suffix to the name
    with out.open("wb") as file:
        np.save(file, probabilities)
    print(f"Saved: {out} {probabilities.shape}")
    return 0


def read_images(path: Path, dataset: str, expected: tuple):
    """The images in a .npy file, as the model takes them."""
    import numpy as np

    images = _read_npy(path)
    if images.shape in (expected, expected[:2]):
        images = images[None]
    # a grey image may come without the axis of its one channel
    if images.shape[1:] != expected and (*images.shape[1:], 1) != expected:
        shape = ", ".join(str(length) for length in expected)
        raise ValueError(f"{path} must hold images of shape (N, {shape}), or one. Received: shape={images.shape}")
    if not len(images):
        raise ValueError(f"{path} holds no images. Received: shape={images.shape}")
    # NaN is left to the model's own check, which says where it is
    with np.errstate(invalid="ignore"):
        low, high = np.fmin.reduce(images, axis=None), np.fmax.reduce(images, axis=None)
    if low < 0 or high > _recipes.largest_pixel(dataset):
        raise ValueError(
            f"{path} must hold pixel values from 0 to {_recipes.largest_pixel(dataset)}, as {dataset} has them. "
            f"Received: values from {low} to {high}"
        )
    return _recipes.scaled(images, dataset)


def _read_npy(path: Path):
    """The array of numbers in a .npy file.

    Raises OSError if the file cannot be read, ValueError if it is anything else than one whole array of numbers.  Its
    header is compared with the file's size before any memory is asked for.
    """
    import warnings

    import numpy as np

    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the parser, about headers of Python 2 and odd escapes
                shape, fortran_order, dtype = readers[version](file)
        except OSError:
            raise
        except Exception as error:
            # the header is a Python literal, and its parser raises whatever a Python parser can
            raise ValueError(f"{path} is not a .npy file of numbers: {error or type(error).__name__}") from None
        if dtype.kind not in "buif":
            raise ValueError(f"{path} is not a .npy file of numbers: expected one array of numbers. Received: {dtype}")
        found = os.fstat(file.fileno()).st_size - file.tell()
        if any(isinstance(size, bool) or size < 0 for size in shape) or len(shape) > 32:
            raise ValueError(f"{path} is not a .npy file of numbers. Received: shape={shape}")
        needed = math.prod(shape) * dtype.itemsize
        if needed != found:
            problem = "truncated" if found < needed else "bytes after the array"
            raise ValueError(
                f"{path} is damaged: {problem}, {dtype} of shape {shape} takes {needed} bytes. Received: {found}"
            )
        values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape, order="F" if fortran_order else "C")
