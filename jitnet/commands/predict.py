"""jitnet predict: classify images."""

import io
import os
from pathlib import Path

from jitnet import configuration
from jitnet.commands import runs
from jitnet.configuration import files
from jitnet.files import atomic


def run(options) -> int:
    """Print labels, or write probabilities."""
    _check_out(options.out, options.file)
    config, model = runs.load(options.run)
    with configuration.bad_data():
        samples = _read(Path(options.file), config, model)
        found = model.predict(samples, batch_size=256, verbose=0)
    if options.out is None:
        print("\n".join(_lines(found, config)))
        return 0

    import numpy as np

    # through a file object: numpy.save would add a suffix to the name
    content = io.BytesIO()
    np.save(content, found)
    try:
        atomic.write(options.out, content.getvalue())
    except OSError as error:
        raise OSError(f"The outputs cannot be written to {options.out}: {error.strerror or error}.") from error
    print(f"Saved: {options.out} {found.shape}")
    return 0


def _check_out(out: str | None, file: str) -> None:
    """Nothing that cannot be made again is replaced by a slip: neither the images nor a model."""
    if out is None or not os.path.isfile(out):
        return
    if not atomic.begins(out, b"\x93NUMPY"):
        raise FileExistsError(f"--out would replace {out}, which is no .npy file: give another name.")
    if os.path.isfile(file) and os.path.samefile(out, file):
        raise FileExistsError(f"--out would replace the images themselves: give another name. Received: {out}")


def _lines(found, config: dict) -> list[str]:
    """A line per sample: the most probable class, by its name where there are names, or else the outputs."""
    if not configuration.classifies(config) or found.ndim != 2:
        return [" ".join(f"{value:.9g}" for value in outputs.reshape(-1)) for outputs in found]
    labels, names = found.argmax(axis=1), config.get("data", {}).get("classes")
    return [names[label] if names and label < len(names) else str(label) for label in labels]


def _read(path: Path, config: dict, model):
    """The samples in a file, as the model takes them."""
    expected = model.input_shape[1:]
    if configuration.are_images(config):
        return read_images(path, config.get("dataset"), expected)
    samples = files.read_npy(path)
    if not len(samples) or not (model._leading() or configuration.fits(samples.shape[1:], expected)):
        raise ValueError(
            f"{path} must hold samples of shape {tuple(model.input_shape)}, at least one. Received: "
            f"shape={samples.shape}"
        )
    return samples


def read_images(path: Path, dataset: str | None, expected: tuple):
    """The images in a .npy file, as the model takes them."""
    import numpy as np

    images = files.read_npy(path)
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
    if low < 0 or high > configuration.largest_pixel(dataset):
        raise ValueError(
            f"{path} must hold pixel values from 0 to {configuration.largest_pixel(dataset)}, as "
            f"{dataset or 'a folder of pictures'} has them. Received: values from {low} to {high}"
        )
    return configuration.scaled(images, dataset)
