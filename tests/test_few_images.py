"""Predictions of few images run along blocks of rows of each image or along filters, whatever the number of threads."""

import numpy as np
import pytest

import jitnet
from jitnet import layers
from jitnet.targets.axes import ImageRows, Rows
from jitnet.targets.cpu import few_images, thresholds

THREADS = (1, 2, 3, 64)


@pytest.fixture
def small(monkeypatch):
    """Small networks count as heavy ones."""
    monkeypatch.setattr(thresholds, "HEAVY_WORK", 1)
    monkeypatch.setattr(thresholds, "PART_WORK", 100)
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 1)


@pytest.fixture
def direct():
    jitnet.set_conv_algorithm("direct")
    yield
    jitnet.set_conv_algorithm("auto")


def model_of(shape, body):
    jitnet.utils.set_random_seed(1)
    inputs = jitnet.Input(shape)
    model = jitnet.Model(inputs, body(inputs), name="few")
    generator = np.random.default_rng(2)
    model.set_weights([w + 0.1 * generator.random(w.shape, np.float32) for w in model.get_weights()])
    return model


def odd(inputs):
    """Strides, kernels larger than the image, padding, branches; what runs by rows and what doesn't."""
    x = layers.Conv2D(5, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(5, 3, strides=(2, 1), padding="same")(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.BatchNormalization()(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    y = layers.Conv2D(3, 2, strides=3, padding="same", activation="tanh")(x)  # a stride larger than the kernel
    z = layers.AveragePooling2D(2, padding="same")(x)
    x = layers.Concatenate()([layers.Flatten()(y), layers.GlobalMaxPooling2D()(z), layers.Flatten()(z)])
    x = layers.BatchNormalization()(x)  # of channels, which are no rows
    return layers.Dense(4, activation="softmax")(x)


def halves(inputs):
    """Pooling by 2 x 2, whose last row nothing reads, and ReLU, bias and other functions of elements alone."""
    x = layers.Conv2D(8, 3)(inputs)
    x = layers.ReLU()(layers.MaxPooling2D(2)(x))
    x = layers.Activation("silu")(layers.Conv2D(8, 1)(x) * x)
    return layers.GlobalAveragePooling2D()(x)


def predictions(model, x):
    """By every number of threads, which give the same bits, also on the short way; by the step for many."""
    found = []
    for threads in THREADS:
        jitnet.set_num_threads(threads)
        found.append(model.predict(x, batch_size=len(x), verbose=0))
        for _ in range(2):
            assert (model.predict_on_batch(x) == found[0]).all(), threads
        assert (found[-1] == found[0]).all(), threads
    jitnet.set_num_threads(2)
    step = model._prediction(len(x))
    assert step.schedule.few
    many = model._step("predict")
    outputs = np.empty_like(found[0])
    given = {"x": x, "predictions": outputs, "seed": 0, "t": 0, "results": np.zeros(many.results)}
    many.run(len(x), 1, given, compiled=False)
    return found[0], outputs, step.schedule


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (11, 3), (13, 10), (5, 1)], ids=str)
@pytest.mark.parametrize("samples", [1, 3])
def test_any_rows_and_any_threads_give_the_same_bits(small, direct, size, samples):
    model = model_of((*size, 3), odd)
    x = np.random.default_rng(0).standard_normal((samples, *size, 3)).astype("float32")
    few, many, schedule = predictions(model, x)
    assert (few == many).all()
    blocks = [section.axis.blocks for section in schedule.sections if isinstance(section.axis, ImageRows)]
    assert size[0] == 1 or max(blocks) > 1


def test_pooling_and_pointwise_calls_run_by_rows(small, direct):
    model = model_of((15, 9, 3), halves)
    x = np.random.default_rng(0).standard_normal((2, 15, 9, 3)).astype("float32")
    few, many, schedule = predictions(model, x)
    assert (few == many).all()
    rows = [call.opcode for s in schedule.sections if isinstance(s.axis, ImageRows) for call in s.calls]
    assert any("max_pool2d_2x2" in opcode for opcode in rows)
    assert sum("conv2d_forward" in opcode for opcode in rows) == 2
    together = [s for s in schedule.sections if isinstance(s.axis, ImageRows) and len(s.calls) > 1]
    assert together, "layers that need no other rows do not meet"


@pytest.mark.parametrize("algorithm", ["auto", "direct"])
def test_layers_with_more_weights_than_pixels_run_along_filters(small, algorithm):
    def wide(inputs):
        x = layers.Conv2D(96, 3, padding="same", activation="relu")(inputs)
        x = layers.ReLU()(layers.Add()([layers.Conv2D(96, 3, padding="same")(x), x]))
        return layers.GlobalAveragePooling2D()(x)

    jitnet.set_conv_algorithm(algorithm)
    try:
        model = model_of((6, 5, 32), wide)
        x = np.random.default_rng(0).standard_normal((3, 6, 5, 32)).astype("float32")
        few, many, schedule = predictions(model, x)
    finally:
        jitnet.set_conv_algorithm("auto")
    axes = [section.axis for section in schedule.sections if isinstance(section.axis, ImageRows)]
    assert sum(axis.filters > 1 for axis in axes) == 2 and any(axis.blocks > 1 and axis.filters > 1 for axis in axes)
    if algorithm == "direct":
        assert (few == many).all()
    np.testing.assert_allclose(few, many, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("height", [1, 4, 13])
def test_blocks_of_winograds_tiles(small, height):
    model = model_of((height, 17, 16), lambda x: layers.Conv2D(16, 3, padding="same", activation="relu")(x))
    x = np.random.default_rng(0).standard_normal((2, height, 17, 16)).astype("float32")
    few, many, _ = predictions(model, x)
    np.testing.assert_allclose(few, many, rtol=1e-4, atol=1e-4)


def test_shapes_alone_decide_how_many_parts_there_are():
    for height, tile, work in [(1, 1, 1e9), (7, 4, 1e9), (224, 4, 1e9), (32, 2, 1e6), (13, 1, 1e9)]:
        blocks = few_images.blocks(height, tile, few_images.parts_of(work))
        groups = -(-height // tile)
        sizes = [groups * (b + 1) // blocks - groups * b // blocks for b in range(blocks)]
        assert sum(sizes) == groups and min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
        assert blocks <= thresholds.MAXIMUM_PARTS


def test_other_batches_and_light_networks_keep_to_the_batch():
    model = model_of((4, 4, 3), halves)
    for samples in (1, 20):
        assert not model._prediction(samples).schedule.few
    model = model_of((40, 40, 16), lambda x: layers.Conv2D(16, 3)(x))
    assert model._prediction(thresholds.FEW_IMAGES - 1).schedule.few
    assert not model._prediction(thresholds.FEW_IMAGES).schedule.few
    assert model._prediction(1).runner.has_run is False
    assert "first = " in model._prediction(1).source


@pytest.mark.parametrize("samples", [1, 5])
def test_products_with_large_weights_run_along_their_rows(samples, monkeypatch):
    monkeypatch.setattr(thresholds, "HEAVY_WORK", 1e5)

    def body(inputs):
        x = layers.Dense(261, activation="relu")(inputs)
        return layers.Dense(3)(layers.Dense(301)(x))

    model = model_of((257,), body)
    x = np.random.default_rng(0).standard_normal((samples, 257)).astype("float32")
    few, many, schedule = predictions(model, x)
    np.testing.assert_allclose(few, many, rtol=1e-4, atol=1e-4)
    products = [s for s in schedule.sections if isinstance(s.axis, Rows)]
    source = model._prediction(samples).source
    assert len(products) == 2 and all(f"{s.name}(parts, threads" in source for s in products)
