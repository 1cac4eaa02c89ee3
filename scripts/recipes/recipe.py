"""What the recipes share: their command line, the bundled digits, files of data, and the writing of one picture."""

import argparse
import gzip
import itertools
import json
import os
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


def small_pictures(quick: bool):
    """((x, y), (x of the test, y of the test)) of CIFAR-10, images (N, 32, 32, 3) from 0 to 1.

    Of $JITNET_DATA_DIR/cifar10_jpeg/{train,validation}.npz where they are: 12,000 of the training images as JPEG files
    one after the other, beginning at ``offsets``; else what ``jitnet.datasets.cifar10`` finds or downloads. quick: some
    of the bundled digits, enlarged and coloured.
    """
    if quick:
        parts = [(x.reshape(-1, 8, 8, 1)[:128].repeat(4, 1).repeat(4, 2), y[:128]) for x, y in digits()]
        return tuple((x * np.array([1.0, 0.8, 0.6], np.float32), y) for x, y in parts)
    folder = Path(os.environ.get("JITNET_DATA_DIR", ".")).expanduser() / "cifar10_jpeg"
    if not folder.is_dir():
        return tuple((x.astype("float32") / 255, y[:, 0]) for x, y in jitnet.datasets.cifar10.load_data())
    return tuple(_jpeg_pictures(folder / f"{name}.npz") for name in ("train", "validation"))


def _jpeg_pictures(path: Path):
    import io

    from PIL import Image

    with np.load(path) as file:
        content, offsets, labels = file["jpeg"].tobytes(), file["offsets"], file["labels"]
    images = [np.asarray(Image.open(io.BytesIO(content[a:b]))) for a, b in itertools.pairwise(offsets)]
    return np.stack(images).astype("float32") / 255, labels.astype("int64")


def photographs(names) -> list:
    """Paths of pictures that scikit-image brings with it."""
    try:
        import skimage
    except ImportError:
        raise SystemExit("The pictures come with scikit-image: pip install scikit-image") from None
    return [Path(skimage.__file__).parent / "data" / name for name in names]


class Remembered:
    """Results of a long recipe by name, in a file, so that it goes on where it was stopped.

    path: of a JSON file; settings: what the results depend on; others than the file's begin anew.
    """

    def __init__(self, path: Path, settings: dict):
        self.path, self.content = path, {"settings": settings, "results": {}}
        if path.is_file():
            found = json.loads(path.read_text())
            self.content = found if found["settings"] == settings else self.content

    def get(self, name: str, function):
        """The result ``name``, from the file or of ``function()``: what JSON can hold."""
        results = self.content["results"]
        if name not in results:
            results[name] = function()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps(self.content))
            fresh.replace(self.path)
        return results[name]


SOURCES = {
    "text/addition.txt": "github.com/oreilly-japan/deep-learning-from-scratch-2, dataset/addition.txt",
    "text/dates.txt": "github.com/oreilly-japan/deep-learning-from-scratch-2, dataset/date.txt",
    "text/tinyshakespeare.txt": "github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt",
    "tagging/en_ewt_train.tsv.gz": "universaldependencies.org, UD_English-EWT: a line for each word, word and tag "
    "with a tab between them, an empty line after each sentence",
}


def data_file(name: str) -> Path:
    """The path of a file in $JITNET_DATA_DIR."""
    path = Path(os.environ.get("JITNET_DATA_DIR", ".")).expanduser() / name
    if not path.is_file():
        source = SOURCES.get(name, "the same source as the files beside it")
        raise SystemExit(f"No file {path}. It comes from {source}; JITNET_DATA_DIR names the folder.")
    return path


def sentences(name: str, count: int):
    """Lists of words, and lists of their tags, of a file of tagging/; of the first ``count`` sentences, 0: of all."""
    with gzip.open(data_file(f"tagging/{name}"), "rt", encoding="utf-8") as file:
        blocks = [block.split("\n") for block in file.read().strip("\n").split("\n\n")][: count or None]
    return tuple([[line.split("\t")[column] for line in block] for block in blocks] for column in (0, 1))


def flat(rows) -> list:
    """The rows' elements, one after the other."""
    return list(itertools.chain.from_iterable(rows))


def numbers_of_characters(lines: list):
    """Lines of one length as numbers of their characters (lines, characters), and the characters."""
    layer = jitnet.layers.TextVectorization(standardize=None, split="character")
    layer.adapt(lines)
    return layer(lines), layer.get_vocabulary()


def exact_answers(model, questions, answers):
    """Which answers (N, letters) a model of [questions, answers] writes exactly: (N,) of True and False.

    It starts from their first letter, and takes the likeliest one each time.
    """
    written = np.zeros_like(answers)
    written[:, 0] = answers[:, 0]
    for i in range(answers.shape[1] - 1):
        letters = model.predict([questions, written[:, :-1]], batch_size=500, verbose=0)[:, i]
        written[:, i + 1] = letters.argmax(axis=-1)
    return (written == answers).all(axis=1)


# what the mean of so many values must be of its standard error, for chance to give that in one case of twenty (Student)
_STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26, 15: 2.14, 20: 2.09}


def claim(sentence: str, differences, unit: str = "seeds") -> None:
    """Print a claim and whether the numbers bear it out.

    differences: of every seed by how much it holds, positive where it does, which Student's test decides at the level
    of 5 %; or True or False where chance has no part.
    """
    if isinstance(differences, bool | np.bool_):
        print(f"Claim: {sentence} {'Confirmed' if differences else 'Refuted'}.")
        return
    values = np.asarray(differences, np.float64)
    mean, verdict, spread = values.mean(), "Not decided here", ""
    if len(values) > 1:
        spread = f" ± {values.std(ddof=1):.2g}"
        least = _STUDENT[max(n for n in _STUDENT if n <= len(values))] * values.std(ddof=1) / np.sqrt(len(values))
        verdict = "Confirmed" if mean > least else "Refuted" if mean < -least else verdict
    print(f"Claim: {sentence} {verdict}: {mean:.3g}{spread} over {len(values)} {unit}.")


def figure(rows: int, columns: int, width: float = 9.0, height: float = 3.6):
    """A figure and its axes, (rows, columns) of them."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("The picture needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def mosaic(images):
    """One picture (rows * height, columns * width) of images (rows, columns, height, width) side by side."""
    rows, columns, height, width = images.shape
    return images.swapaxes(1, 2).reshape(rows * height, columns * width)


def save(picture, output: Path, name: str) -> None:
    """Write a figure as NAME.png."""
    output.mkdir(parents=True, exist_ok=True)
    picture.savefig(output / f"{name}.png", dpi=90)
    print(f"Picture: {output / f'{name}.png'}")
