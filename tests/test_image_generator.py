"""ImageDataGenerator: single variations against Keras's, batches, folders and tables."""

import doctest
import importlib

import keras_cases
import numpy as np
import pytest

import jitnet
from jitnet import layers
from jitnet.preprocessing import image_generator
from jitnet.preprocessing.image import ImageDataGenerator, array_to_img

keras = keras_cases.load_keras()
PICTURES = np.random.default_rng(0).integers(0, 256, (7, 9, 12, 3)).astype("float32")
LABELS = np.arange(7)


def keras_generator(**options):
    if keras is None:
        pytest.skip("needs Keras with its torch backend")
    return importlib.import_module("keras.src.legacy.preprocessing.image").ImageDataGenerator(**options)


def test_examples():
    found = doctest.testmod(image_generator)
    assert found.attempted > 1 and found.failed == 0


@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize(
    "parameters",
    [
        {"theta": 25.0},
        {"tx": 2.0, "ty": -1.0},
        {"tx": 0.4, "ty": 1.7, "theta": -50.0},
        {"shear": 20.0},
        {"zx": 0.7, "zy": 1.4},
        {"theta": 10.0, "tx": 1.5, "ty": 0.5, "shear": -12.0, "zx": 1.2, "zy": 0.9},
        {"flip_horizontal": True, "theta": 5.0},
        {"flip_vertical": True, "channel_shift_intensity": -30.0},
        {"channel_shift_intensity": 40.0},
    ],
)
def test_single_variations_are_keras_s(parameters):
    square = PICTURES[0][:, :9]  # others Keras turns about another place than their middle
    wanted = keras_generator().apply_transform(square, parameters)
    found = ImageDataGenerator().apply_transform(square, parameters)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_pictures_are_turned_about_their_middle_and_shifted_along_their_width():
    turned = ImageDataGenerator().apply_transform(PICTURES[0], {"theta": 180.0})
    np.testing.assert_allclose(turned, PICTURES[0][::-1, ::-1], atol=1e-2)
    drawn = ImageDataGenerator(width_shift_range=[2])._drawn(20, (9, 12, 3), np.random.default_rng(0))
    shifted = ImageDataGenerator()._varied(np.tile(PICTURES[:1], (20, 1, 1, 1)), drawn)
    for picture, shift in zip(shifted, drawn["tx"], strict=True):
        columns = np.clip(np.arange(12) + shift, 0, 11)
        np.testing.assert_allclose(picture, PICTURES[0][:, columns], atol=1e-3)


def test_brightness_is_keras_s_before_it_rounds():
    wanted = keras_generator().apply_transform(PICTURES[0], {"brightness": 1.3})
    found = ImageDataGenerator().apply_transform(PICTURES[0], {"brightness": 1.3})
    np.testing.assert_allclose(found, wanted, atol=1.01)
    assert found.max() == 255


@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize(
    "options",
    [
        {"rescale": 1 / 255},
        {"samplewise_center": True},
        {"samplewise_std_normalization": True},
        {"featurewise_center": True},
        {"featurewise_std_normalization": True, "rescale": 0.1},
        {"preprocessing_function": lambda picture: picture[::-1] - 1.0, "rescale": 0.5},
    ],
)
def test_scaling_is_keras_s(options):
    ours, theirs = ImageDataGenerator(**options), keras_generator(**options)
    ours.fit(PICTURES)
    theirs.fit(PICTURES)
    wanted = np.stack([theirs.standardize(picture.copy()) for picture in PICTURES])
    np.testing.assert_allclose(ours.standardize(PICTURES), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.standardize(PICTURES[2]), wanted[2], rtol=1e-4, atol=1e-4)


def test_whitened_pixels_are_not_correlated():
    pictures = np.random.default_rng(1).normal(size=(400, 3, 3, 1)).astype("float32").cumsum(axis=2)
    generator = ImageDataGenerator(zca_whitening=True)
    generator.fit(pictures)
    flat = generator.standardize(pictures).reshape(400, 9)
    np.testing.assert_allclose(flat.T @ flat / 400, np.eye(9), atol=1e-3)


def test_drawn_numbers_lie_within_their_ranges():
    generator = ImageDataGenerator(
        rotation_range=30, width_shift_range=0.25, height_shift_range=[1, 3], shear_range=5, zoom_range=0.2,
        channel_shift_range=7, horizontal_flip=True, brightness_range=(0.5, 2),
    )  # fmt: skip
    drawn = generator._drawn(500, (8, 20, 3), np.random.default_rng(0))
    for name, least, most in (("theta", -30, 30), ("tx", -5, 5), ("shear", -5, 5), ("zx", 0.8, 1.2), ("zy", 0.8, 1.2),
                              ("channel_shift_intensity", -7, 7), ("brightness", 0.5, 2)):  # fmt: skip
        values = drawn[name]
        assert least <= values.min() < least + 0.1 * (most - least), name
        assert most - 0.1 * (most - least) < values.max() <= most, name
    assert set(drawn["ty"]) == {-3, -1, 1, 3}
    assert 0.4 < drawn["flip_horizontal"].mean() < 0.6
    assert set(ImageDataGenerator(width_shift_range=3)._drawn(200, (8, 8, 1), np.random.default_rng(0))["tx"]) == {
        -2, -1, 0, 1, 2,
    }  # fmt: skip
    assert ImageDataGenerator()._drawn(5, (8, 8, 1), np.random.default_rng(0)) == {}
    one = generator.get_random_transform((8, 20, 3), seed=4)
    assert one == generator.get_random_transform((8, 20, 3), seed=4) and -30 <= one["theta"] <= 30
    varied = generator.random_transform(PICTURES[0], seed=4)
    np.testing.assert_array_equal(varied, generator.random_transform(PICTURES[0], seed=4))
    assert not np.array_equal(varied, PICTURES[0])


def test_batches_of_arrays():
    plain = ImageDataGenerator()
    batches = plain.flow(PICTURES, LABELS, batch_size=3, shuffle=False, sample_weight=LABELS / 7)
    assert len(batches) == 3 and batches.n == 7
    x, y, weights = batches[2]
    np.testing.assert_array_equal(x, PICTURES[6:])
    assert y.tolist() == [6] and weights.tolist() == [6 / 7]
    with pytest.raises(IndexError, match="There are 3 batches"):
        _ = batches[3]
    # without an end, a new order in each epoch, the same by the same seed
    shuffled, again = (plain.flow(PICTURES, LABELS, batch_size=4, seed=1) for _ in range(2))
    seen = [next(shuffled)[1] for _ in range(4)]
    assert [y.tolist() for y in seen] == [again.next()[1].tolist() for _ in range(4)]
    first, second = np.concatenate(seen[:2]), np.concatenate(seen[2:])
    assert sorted(first) == sorted(second) == LABELS.tolist() and first.tolist() != second.tolist()
    images, others = next(plain.flow((PICTURES, LABELS), batch_size=2, shuffle=False))
    assert images.shape == (2, 9, 12, 3) and others.tolist() == [0, 1]
    held = ImageDataGenerator(validation_split=0.3)
    assert held.flow(PICTURES, LABELS, subset="validation", shuffle=False)[0][1].tolist() == [0, 1]
    assert held.flow(PICTURES, LABELS, subset="training", shuffle=False)[0][1].tolist() == [2, 3, 4, 5, 6]


def test_variations_depend_on_the_seed_the_epoch_and_the_batch():
    generator = ImageDataGenerator(rotation_range=40)
    one, same, other = (generator.flow(PICTURES, batch_size=7, shuffle=False, seed=seed) for seed in (1, 1, 2))
    first = one[0]
    np.testing.assert_array_equal(first, same[0])
    assert not np.array_equal(first, other[0])
    one.on_epoch_end()
    assert not np.array_equal(first, one[0])


def test_a_model_is_fitted_to_it():
    jitnet.utils.set_random_seed(0)
    generator = ImageDataGenerator(rotation_range=10, horizontal_flip=True, rescale=1 / 255)
    model = jitnet.Sequential([layers.Input((9, 12, 3)), layers.Flatten(), layers.Dense(7, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    batches = generator.flow(PICTURES, LABELS, batch_size=4)
    history = model.fit(batches, epochs=8, verbose=0, steps_per_epoch=len(batches))
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert np.isfinite(model.evaluate(batches, verbose=0, steps=2))
    assert model.predict(generator.flow(PICTURES, batch_size=4, shuffle=False), verbose=0).shape == (7, 7)


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("PIL")
    for name, count in (("cats", 3), ("dogs", 4)):
        (tmp_path / name).mkdir()
        for i in range(count):
            array_to_img(PICTURES[i], scale=False).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_batches_of_files(folder, capsys):
    generator = ImageDataGenerator(validation_split=0.5)
    options = {"target_size": (9, 12), "shuffle": False}
    found = generator.flow_from_directory(folder, **options)
    assert capsys.readouterr().out == "Found 7 pictures of 2 classes.\n"
    x, y = found[0]
    np.testing.assert_array_equal(x, PICTURES[[0, 1, 2, 0, 1, 2, 3]])
    assert y.tolist() == [[1, 0]] * 3 + [[0, 1]] * 4
    assert found.class_indices == {"cats": 0, "dogs": 1} and found.classes.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert found.filenames[0].endswith("0.png") and found.image_shape == (9, 12, 3) and found.num_classes == 2
    for mode, wanted in (("binary", [0, 0, 0, 1, 1, 1, 1]), ("sparse", [0, 0, 0, 1, 1, 1, 1])):
        assert generator.flow_from_directory(folder, class_mode=mode, **options)[0][1].tolist() == wanted
    assert generator.flow_from_directory(folder, class_mode=None, **options)[0].shape == (7, 9, 12, 3)
    twice = generator.flow_from_directory(folder, class_mode="input", **options)[0]
    np.testing.assert_array_equal(*twice)
    parts = [generator.flow_from_directory(folder, subset=part, **options) for part in ("validation", "training")]
    assert [part.classes.tolist() for part in parts] == [[0, 1, 1], [0, 0, 1, 1]]
    saved = folder / "made"
    saved.mkdir()
    generator.flow_from_directory(
        folder, classes=["dogs"], save_to_dir=saved, save_prefix="dog", color_mode="grayscale", target_size=(4, 5)
    )[0]
    assert len(list(saved.glob("dog_*.png"))) == 4


def test_batches_of_a_table(folder):
    files = ["cats/0.png", "dogs/3.png", "none.png"]
    table = {"filename": files, "class": ["cat", "dog", "dog"], "age": [1.0, 2.0, 3.0]}
    generator = ImageDataGenerator()
    options = {"target_size": (9, 12), "shuffle": False}
    with pytest.warns(UserWarning, match=r"1 files are missing and left out, 'none.png' the first"):
        x, y = generator.flow_from_dataframe(table, folder, **options)[0]
    np.testing.assert_array_equal(x, PICTURES[[0, 3]])
    assert y.tolist() == [[1, 0], [0, 1]]
    two = {name: values[:2] for name, values in table.items()}
    assert generator.flow_from_dataframe(two, folder, y_col="age", class_mode="raw", **options)[0][1].tolist() == [1, 2]
    of_one = generator.flow_from_dataframe(two, folder, classes=["dog"], class_mode="sparse", **options)
    assert of_one.filenames == ["dogs/3.png"] and of_one[0][1].tolist() == [0]
    with pytest.raises(ValueError, match="has no weights"):
        generator.flow_from_dataframe(two, folder, weight_col="age")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ImageDataGenerator(fill_mode="mirror"), "Unknown fill_mode of ImageDataGenerator"),
        (lambda: ImageDataGenerator(interpolation_order=3), "order 0, nearest, or 1"),
        (lambda: ImageDataGenerator(validation_split=1.5), "validation_split from 0 to 1"),
        (lambda: ImageDataGenerator(brightness_range=2.0), "brightness_range to be a pair"),
        (lambda: ImageDataGenerator(data_format="channels_first"), "channels_last"),
        (lambda: ImageDataGenerator(dtype="float64"), "makes float32"),
        (lambda: ImageDataGenerator(featurewise_center=True).flow(PICTURES)[0], r"no mean yet: call fit\(images\)"),
        (lambda: ImageDataGenerator().flow(PICTURES[0]), "takes pictures"),
        (lambda: ImageDataGenerator().flow(PICTURES, LABELS[:3]), "as many samples"),
        (lambda: ImageDataGenerator().flow(PICTURES, sample_weight=LABELS), "sample_weight beside y"),
        (lambda: ImageDataGenerator().flow(PICTURES, subset="test"), '"training" or "validation"'),
        (lambda: ImageDataGenerator().flow(PICTURES, subset="validation"), "no pictures"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(TypeError, match="ImageDataGenerator"):
        ImageDataGenerator(rotation=3)
