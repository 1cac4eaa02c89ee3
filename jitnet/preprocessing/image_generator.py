"""Pictures that are varied at random, batch by batch, as older Keras scripts have it: ``ImageDataGenerator``.

Newer ones have layers for this, ``RandomFlip`` and its kin, which run within the step.
"""

import os
import warnings

import numpy as np

from jitnet import ops
from jitnet.core import checks
from jitnet.core.errors import NamesArguments, invalid
from jitnet.utils import PyDataset, array_to_img, img_to_array, load_img, to_categorical
from jitnet.utils.folders import indexed
from jitnet.utils.image_folders import CHANNELS, Pictures

_KIND = "ImageDataGenerator"
_SMALL = 1e-6  # added to standard deviations, as in Keras
_CLASS_MODES = ("binary", "categorical", "input", "raw", "sparse", None)


class ImageDataGenerator(NamesArguments):
    """Varies pictures (height, width, channels) at random, and scales them.

    Arguments:
        featurewise_center, featurewise_std_normalization, zca_whitening, zca_epsilon: channels of mean 0, of standard
            deviation 1, pixels that are not correlated (Krizhevsky 2009, appendix A): of the pictures given to ``fit``.
        samplewise_center, samplewise_std_normalization: mean 0 and standard deviation 1 of each picture.
        rotation_range: up to how many degrees.
        width_shift_range, height_shift_range: up to which fraction, or from 1 on how many pixels; an integer: whole
            numbers of pixels below it; a list: one of its numbers, to either side.
        brightness_range: None, or a pair of factors; results are cut off at 0 and 255.
        shear_range: up to how many degrees.
        zoom_range: a pair of factors, or a number: from 1 - it to 1 + it, drawn for width and height (below 1: larger).
        channel_shift_range: up to what is added to all pixels, cut off at the picture's smallest and largest number.
        fill_mode: what lies beyond the edges, "nearest", "constant" (``cval``), "reflect" or "wrap".
        horizontal_flip, vertical_flip: whether half of the pictures are mirrored.
        rescale: None, or a factor; preprocessing_function: of a varied picture, before it is scaled.
        validation_split: the fraction of the ``subset`` "validation".
        interpolation_order: 1 (bilinear) or 0 (nearest).
        data_format, dtype: None, "channels_last" and "float32".

    Raises ValueError for other values.

    Example:
        >>> images, labels = np.zeros((8, 4, 4, 1)), np.arange(8)
        >>> batches = ImageDataGenerator(rotation_range=10, rescale=1 / 255).flow(images, labels, batch_size=4)
        >>> len(batches), batches[0][0].shape, batches[0][1].shape
        (2, (4, 4, 4, 1), (4,))
    """

    def __init__(
        self, featurewise_center=False, samplewise_center=False, featurewise_std_normalization=False,
        samplewise_std_normalization=False, zca_whitening=False, zca_epsilon=1e-6, rotation_range=0,
        width_shift_range=0.0, height_shift_range=0.0, brightness_range=None, shear_range=0.0, zoom_range=0.0,
        channel_shift_range=0.0, fill_mode="nearest", cval=0.0, horizontal_flip=False, vertical_flip=False,
        rescale=None, preprocessing_function=None, data_format=None, validation_split=0.0, interpolation_order=1,
        dtype=None,
    ):  # fmt: skip
        checks.channels_last(_KIND, data_format)
        if str(np.dtype(dtype or "float32")) != "float32":
            raise invalid(f"{_KIND} makes float32.", dtype=dtype)
        self.samplewise_center = bool(samplewise_center or samplewise_std_normalization)
        self.samplewise_std_normalization = bool(samplewise_std_normalization)
        self.featurewise_std_normalization = bool(featurewise_std_normalization and not zca_whitening)
        self.featurewise_center = bool(featurewise_center or featurewise_std_normalization or zca_whitening)
        self.zca_whitening, self.zca_epsilon = bool(zca_whitening), checks.number(_KIND, "zca_epsilon", zca_epsilon)
        self.rotation_range = checks.number(_KIND, "rotation_range", rotation_range, least=0)
        self.shear_range = checks.number(_KIND, "shear_range", shear_range, least=0)
        self.channel_shift_range = checks.number(_KIND, "channel_shift_range", channel_shift_range, least=0)
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.zoom_range = _pair("zoom_range", zoom_range, around=1)
        self.brightness_range = None if brightness_range is None else _pair("brightness_range", brightness_range)
        modes = ("constant", "nearest", "reflect", "wrap")
        self.fill_mode, self.cval = checks.one_of(_KIND, "fill_mode", fill_mode, modes), float(cval)
        self.horizontal_flip, self.vertical_flip = bool(horizontal_flip), bool(vertical_flip)
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        if not 0 <= validation_split < 1:
            raise invalid(f"{_KIND} expects a validation_split from 0 to 1.", validation_split=validation_split)
        self.validation_split = validation_split
        order = checks.integer(_KIND, "interpolation_order", interpolation_order, least=0)
        if order > 1:
            raise invalid(f"{_KIND} interpolates by order 0, nearest, or 1, bilinear.", interpolation_order=order)
        self.interpolation_order = order
        self.mean = self.std = self.zca_whitening_matrix = None

    def fit(self, x, augment=False, rounds=1, seed=None) -> None:
        """Learn what ``featurewise_*`` and ``zca_whitening`` need of pictures (N, height, width, channels).

        augment: of ``rounds`` varied forms of each picture instead; seed: of those.
        """
        x = _pictures("fit", x) * np.float32(self.rescale or 1)
        if augment:
            random = _generator(seed)
            x = np.concatenate([self._varied(x, self._drawn(len(x), x.shape[1:], random)) for _ in range(rounds)])
        if self.featurewise_center:
            self.mean = x.mean(axis=(0, 1, 2), keepdims=True)[0]
            x = x - self.mean
        if self.featurewise_std_normalization:
            self.std = x.std(axis=(0, 1, 2), keepdims=True)[0]
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            directions, sizes, _ = np.linalg.svd(flat.T, full_matrices=False)
            scaled = directions * (np.sqrt(len(x)) / (sizes + self.zca_epsilon))
            self.zca_whitening_matrix = (scaled @ directions.T).astype("float32")

    def standardize(self, x):
        """One picture (height, width, channels) or several (N, height, width, channels), scaled; x stays as it is."""
        x = np.array(x, "float32")
        if self.preprocessing_function is not None:
            function = self.preprocessing_function
            x = np.asarray(function(x) if x.ndim == 3 else [function(one) for one in x], "float32")
        if self.rescale:
            x = x * np.float32(self.rescale)
        if self.samplewise_center:
            x = x - x.mean(axis=(-3, -2, -1), keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (x.std(axis=(-3, -2, -1), keepdims=True) + _SMALL)
        if self.featurewise_center:
            x = x - self._fitted("mean")
        if self.featurewise_std_normalization:
            x = x / (self._fitted("std") + _SMALL)
        if self.zca_whitening:
            matrix = self._fitted("zca_whitening_matrix")
            x = (x.reshape(-1, len(matrix)) @ matrix).reshape(x.shape)
        return x

    def _fitted(self, name):
        found = getattr(self, name)
        if found is None:
            raise ValueError(f"{_KIND} has no {name} yet: call fit(images) first.")
        return found

    def get_random_transform(self, img_shape, seed=None) -> dict:
        """What ``apply_transform`` does with a picture of that shape: numbers drawn at random, by name."""
        return {name: values[0] for name, values in self._drawn(1, img_shape, _generator(seed)).items()}

    def apply_transform(self, x, transform_parameters: dict):
        """A picture (height, width, channels), varied.

        transform_parameters: "theta" and "shear", in degrees; "tx" and "ty", how many pixels further to the right and
            down each pixel is read; "zx" and "zy", factors of width and height; "channel_shift_intensity", which is
            added; "flip_horizontal", "flip_vertical"; "brightness", a factor.
        """
        given = {name: np.array([value]) for name, value in transform_parameters.items() if value is not None}
        return self._varied(_pictures("apply_transform", np.asarray(x)[None]), given)[0]

    def random_transform(self, x, seed=None):
        """A picture (height, width, channels), varied at random."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def _drawn(self, count: int, shape, random) -> dict:
        """Parameters of ``apply_transform``, an array of one for each picture; without those that change nothing."""
        found, (height, width) = {}, shape[:2]
        for name, most in (("theta", self.rotation_range), ("shear", self.shear_range),
                           ("channel_shift_intensity", self.channel_shift_range)):  # fmt: skip
            if most:
                found[name] = random.uniform(-most, most, count)
        for name, most, size in (("tx", self.width_shift_range, width), ("ty", self.height_shift_range, height)):
            if np.any(most):
                found[name] = _shifts(most, count, random) * (size if np.max(most) < 1 else 1)
        if self.zoom_range != (1, 1):
            found["zx"], found["zy"] = random.uniform(*self.zoom_range, (2, count))
        for name, wanted in (("flip_horizontal", self.horizontal_flip), ("flip_vertical", self.vertical_flip)):
            if wanted:
                found[name] = random.random(count) < 0.5
        if self.brightness_range is not None:
            found["brightness"] = random.uniform(*self.brightness_range, count)
        return found

    def _varied(self, x, given: dict):
        """Pictures (N, height, width, channels) by parameters of each."""
        if given.keys() & {"theta", "tx", "ty", "shear", "zx", "zy"}:
            interpolation = ("nearest", "bilinear")[self.interpolation_order]
            transforms = _transforms(len(x), x.shape[1:3], given)
            x = ops.image.affine_transform(x, transforms, interpolation, self.fill_mode, self.cval)
        each = (-1, 1, 1, 1)
        if "channel_shift_intensity" in given:
            least, most = x.min(axis=(1, 2, 3), keepdims=True), x.max(axis=(1, 2, 3), keepdims=True)
            x = np.clip(x + given["channel_shift_intensity"].reshape(each), least, most)
        for name, axis in (("flip_horizontal", 2), ("flip_vertical", 1)):
            if name in given:
                x = np.where(np.asarray(given[name], bool).reshape(each), np.flip(x, axis), x)
        if "brightness" in given:
            x = np.clip(x * given["brightness"].reshape(each), 0, 255)
        return x.astype("float32", copy=False)

    def flow(
        self, x, y=None, batch_size=32, shuffle=True, sample_weight=None, seed=None, save_to_dir=None, save_prefix="",
        save_format="png", ignore_class_split=False, subset=None,
    ):  # fmt: skip
        """Batches of varied pictures, without an end where they are iterated over; ``fit`` takes epochs of them.

        x: pictures (N, height, width, channels), or a pair of them and other arrays (N, ...); y, sample_weight: arrays
            (N, ...) or None.
        seed: of the order and the variations; None: one from NumPy's global generator.
        save_to_dir, save_prefix, save_format: a folder for what is made, to look at.
        subset: "training" or "validation", the first ``validation_split`` of the pictures.
        ignore_class_split: accepted for Keras's sake; that each part has all classes isn't asked for.
        """
        x, others = (x[0], x[1]) if isinstance(x, list | tuple) else (x, [])
        others = list(others) if isinstance(others, list | tuple) else [others]
        arrays = [_pictures("flow", x), *(np.asarray(one) for one in others)]
        targets = [np.asarray(one) for one in (y, sample_weight) if one is not None]
        if sample_weight is not None and y is None:
            raise invalid(f"{_KIND}.flow takes sample_weight beside y.", y=y)
        counts = {len(one) for one in [*arrays, *targets]}
        if len(counts) != 1:
            raise invalid(f"{_KIND}.flow takes arrays of as many samples.", lengths=counts)
        part = self._part(counts.pop(), subset)
        arrays, targets = ([one[part] for one in found] for found in (arrays, targets))
        saved = save_to_dir, save_prefix, save_format
        return _ArrayIterator(self, batch_size, shuffle, seed, saved, arrays, targets)

    def flow_from_directory(
        self, directory, target_size=(256, 256), color_mode="rgb", classes=None, class_mode="categorical",
        batch_size=32, shuffle=True, seed=None, save_to_dir=None, save_prefix="", save_format="png",
        follow_links=False, subset=None, interpolation="nearest", keep_aspect_ratio=False,
    ):  # fmt: skip
        """Batches of varied pictures of files, in a folder for each class; needs Pillow.

        target_size, color_mode, interpolation, keep_aspect_ratio: as of ``load_img``.
        classes: the folders that are classes, in the order of their numbers; by default all, sorted.
        class_mode: "categorical" (rows of 0 and 1), "binary" or "sparse" (numbers), "input" (the pictures once more) or
            None.
        subset: "training" or "validation", the first ``validation_split`` of each class; the others as of ``flow``.

        The result has ``filenames``, ``classes``, ``class_indices``, ``samples`` and ``image_shape``.
        """
        paths, numbers, names = indexed(Pictures, directory, "inferred", classes, follow_links)
        chosen = [np.flatnonzero(numbers == i) for i in range(len(names))]
        chosen = np.concatenate([of_class[self._part(len(of_class), subset)] for of_class in chosen])
        files = [os.path.relpath(paths[i], directory) for i in chosen]
        loading = _loading(target_size, color_mode, interpolation, keep_aspect_ratio)
        saved = save_to_dir, save_prefix, save_format
        found = _FileIterator(
            self, batch_size, shuffle, seed, saved, directory, files, numbers[chosen], names, class_mode, loading
        )
        print(f"Found {found.n} pictures of {len(names)} classes.")
        return found

    def flow_from_dataframe(
        self, dataframe, directory=None, x_col="filename", y_col="class", weight_col=None, target_size=(256, 256),
        color_mode="rgb", classes=None, class_mode="categorical", batch_size=32, shuffle=True, seed=None,
        save_to_dir=None, save_prefix="", save_format="png", subset=None, interpolation="nearest",
        validate_filenames=True,
    ):  # fmt: skip
        """Batches of varied pictures of the files that a table names; needs Pillow.

        dataframe: has columns ``x_col``, paths within ``directory``, and ``y_col``: names of classes, or with the
            class_mode "raw" what is returned as it is, of one column or a list of them.
        weight_col: None; Keras's weights of samples are not there.  validate_filenames: whether rows whose file is
            missing are left out, with a warning.  All others as of ``flow_from_directory``.
        """
        if weight_col is not None:
            raise invalid(f"{_KIND}.flow_from_dataframe has no weights.", weight_col=weight_col)
        files = [str(name) for name in dataframe[x_col]]
        kept = np.arange(len(files))
        if validate_filenames:
            there = [os.path.isfile(os.path.join(directory or "", name)) for name in files]
            kept = np.flatnonzero(there)
            if len(kept) < len(files):
                missing, count = files[there.index(False)], len(files) - len(kept)
                warnings.warn(f"{count} files are missing and left out, {missing!r} the first.", stacklevel=2)
        targets, names = np.zeros(len(files), int), []
        if class_mode == "raw":
            targets = np.asarray(dataframe[y_col])
        elif class_mode in ("binary", "categorical", "sparse"):
            of_rows = [str(name) for name in dataframe[y_col]]
            names = list(classes) if classes else sorted(set(of_rows))
            kept = kept[np.isin(np.array(of_rows)[kept], names)]
            targets = np.array([names.index(name) if name in names else -1 for name in of_rows])
        kept = kept[self._part(len(kept), subset)]
        loading = _loading(target_size, color_mode, interpolation, False)
        saved = save_to_dir, save_prefix, save_format
        files = [files[i] for i in kept]
        return _FileIterator(
            self, batch_size, shuffle, seed, saved, directory or "", files, targets[kept], names, class_mode, loading
        )

    def _part(self, count: int, subset) -> slice:
        if subset is None:
            return slice(None)
        if subset not in ("training", "validation"):
            raise invalid('`subset` is "training" or "validation".', subset=subset)
        held = int(count * self.validation_split)
        return slice(held) if subset == "validation" else slice(held, None)


class _Iterator(PyDataset):
    """Batches of a generator: an epoch's in a new order, each varied by the seed, the epoch and its number."""

    def __init__(self, generator, count, batch_size, shuffle, seed, saved):
        super().__init__()
        if not count:
            raise ValueError(f"{_KIND} has no pictures to make batches of.")
        self.n = self.samples = count
        self.batch_size = checks.integer(_KIND, "batch_size", batch_size, least=1)
        self.shuffle, self.seed = bool(shuffle), seed
        self._generator, self._saved = generator, saved
        self._number = _drawn_unless(seed)
        self._epoch, self._place = 0, 0
        self._order = self._drawn_order()

    def __len__(self):
        return -(-self.n // self.batch_size)

    def _drawn_order(self):
        if not self.shuffle:
            return np.arange(self.n)
        return np.random.default_rng([self._number, self._epoch]).permutation(self.n)

    def on_epoch_end(self):
        self._epoch += 1
        self._order = self._drawn_order()

    def reset(self):
        """Begin with the first batch again."""
        self._place = 0

    def __iter__(self):
        return self

    def __next__(self):
        found = self[self._place]
        self._place += 1
        if self._place == len(self):
            self.reset()
            self.on_epoch_end()
        return found

    next = __next__

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: index={index}")
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images, random = self._read(chosen), np.random.default_rng([self._number, self._epoch, index])
        images = self._generator._varied(images, self._generator._drawn(len(images), images.shape[1:], random))
        images = self._generator.standardize(images)
        folder, prefix, suffix = self._saved
        if folder is not None:
            for number, image in zip(chosen, images, strict=True):
                array_to_img(image).save(os.path.join(folder, f"{prefix}_{number}_{self._epoch}.{suffix}"))
        return self._batch(images, chosen)


class _ArrayIterator(_Iterator):
    def __init__(self, generator, batch_size, shuffle, seed, saved, arrays, targets):
        super().__init__(generator, len(arrays[0]), batch_size, shuffle, seed, saved)
        (self.x, *self._others), self._targets = arrays, targets

    def _read(self, chosen):
        return self.x[chosen]

    def _batch(self, images, chosen):
        x = [images, *(one[chosen] for one in self._others)] if self._others else images
        return (x, *(one[chosen] for one in self._targets)) if self._targets else x


class _FileIterator(_Iterator):
    def __init__(
        self, generator, batch_size, shuffle, seed, saved, directory, files, targets, names, class_mode, loading
    ):  # fmt: skip
        super().__init__(generator, len(files), batch_size, shuffle, seed, saved)
        if class_mode not in _CLASS_MODES:
            raise invalid(f"`class_mode` is one of {_CLASS_MODES}.", class_mode=class_mode)
        if class_mode == "binary" and len(names) != 2:
            raise invalid('class_mode="binary" needs two classes.', classes=names)
        self.directory, self.filenames, self.class_mode = directory, files, class_mode
        self.classes, self.class_indices = targets, {name: i for i, name in enumerate(names)}
        self.num_classes, self._loading = len(names), loading
        self.image_shape = (*loading["target_size"], CHANNELS[loading["color_mode"]])

    @property
    def filepaths(self) -> list:
        return [os.path.join(self.directory, name) for name in self.filenames]

    def _read(self, chosen):
        paths = [os.path.join(self.directory, self.filenames[i]) for i in chosen]
        return np.stack([img_to_array(load_img(path, **self._loading)) for path in paths])

    def _batch(self, images, chosen):
        if self.class_mode is None:
            return images
        if self.class_mode == "input":
            return images, images.copy()
        targets = self.classes[chosen]
        if self.class_mode == "categorical":
            return images, to_categorical(targets, self.num_classes)
        return images, targets if self.class_mode == "raw" else targets.astype("float32")


def _drawn_unless(seed) -> int:
    """The seed, or one from NumPy's global generator."""
    return int(np.random.randint(10**6)) if seed is None else seed


def _generator(seed):
    return np.random.default_rng(_drawn_unless(seed))


def _pictures(method: str, x):
    x = np.asarray(x, "float32")
    if x.ndim != 4:
        raise invalid(f"{_KIND}.{method} takes pictures (height, width, channels).", shape=x.shape)
    return x


def _pair(name: str, value, around=None) -> tuple:
    """A pair of numbers, or with ``around`` what lies so far on both sides of it."""
    if around is not None and np.ndim(value) == 0:
        return around - value, around + value
    if np.shape(value) != (2,):
        raise invalid(f"{_KIND} expects {name} to be a pair of numbers.", **{name: value})
    return tuple(float(number) for number in value)


def _shifts(most, count: int, random):
    if np.ndim(most) == 0 and not isinstance(most, int | np.integer):
        return random.uniform(-most, most, count)
    return random.choice(most, count) * random.choice([-1, 1], count)


def _loading(target_size, color_mode, interpolation, keep_aspect_ratio) -> dict:
    size = tuple(checks.sizes(_KIND, "target_size", target_size))
    color_mode = checks.one_of(_KIND, "color_mode", color_mode, tuple(CHANNELS))
    return {
        "target_size": size, "color_mode": color_mode, "interpolation": interpolation,
        "keep_aspect_ratio": keep_aspect_ratio,
    }  # fmt: skip


def _transforms(count: int, size, given: dict):
    """Where each pixel is read, for ``ops.image.affine_transform``: (count, 8).

    About the middle of the picture, (x, y) is zoomed, sheared, shifted and turned, one after the other.
    """

    def of(name, default=0.0):
        return np.broadcast_to(np.asarray(given.get(name, default), np.float64), (count,))

    theta, shear = np.deg2rad(of("theta")), np.deg2rad(of("shear"))
    turned = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    sheared = np.array([[np.ones(count), -np.sin(shear)], [np.zeros(count), np.cos(shear)]])
    zoomed = np.array([of("zx", 1.0), of("zy", 1.0)])
    linear = np.einsum("ijn,jkn,kn->ikn", turned, sheared, zoomed)
    middle = (np.array(size[::-1], np.float64) - 1)[:, None] / 2
    shifted = np.einsum("ijn,jn->in", turned, np.array([of("tx"), of("ty")]))
    offset = middle + shifted - np.einsum("ijn,jn->in", linear, np.broadcast_to(middle, (2, count)))
    rows = [np.array([*linear[i], offset[i]]) for i in range(2)]
    return np.concatenate([*rows, np.zeros((2, count))]).T.astype("float32")
