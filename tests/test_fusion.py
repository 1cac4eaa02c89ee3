"""The CPU's rewrites together: a fused step computes what the unfused one does, in float64 to rounding."""

import numpy as np
import pytest

import jitnet
from jitnet import layers
from jitnet.layers.base import clear_names
from jitnet.targets.cpu import thresholds


def lenet():
    return jitnet.Sequential(
        [
            jitnet.Input((14, 13, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(7, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(11, activation="relu"),
            layers.Dense(5),
        ]
    )


def strides_dilation_groups():
    return jitnet.Sequential(
        [
            jitnet.Input((13, 11, 3)),
            layers.Conv2D(8, (3, 2), strides=2, padding="same", activation="relu"),
            layers.Conv2D(5, 3, dilation_rate=2, padding="same"),
            layers.ReLU(),
            layers.Conv2D(6, (1, 3), strides=(1, 2), use_bias=False),
            layers.Conv2D(6, 1, groups=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="tanh"),
        ]
    )


def branches():
    """Gradients of a tensor that is read several times accumulate; a layer is used twice."""
    x = jitnet.Input((6, 6, 3))
    shared = layers.Conv2D(4, 3, padding="same")
    a = layers.ReLU()(layers.BatchNormalization()(shared(x)))
    b = layers.Conv2D(4, 1)(a)
    c = layers.Conv2D(3, 3, padding="same", activation="relu")(a)
    d = shared(c)
    e = layers.ReLU()(layers.Add()([a, b, d]))
    e = layers.ReLU()(layers.Add()([e, layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(e))]))
    f = layers.MaxPooling2D(2)(layers.Conv2D(3, 1)(e))
    return jitnet.Model(x, layers.Dense(5)(layers.Flatten()(layers.Multiply()([f, f]))))


def pooled_branches():
    """Pooled convolutions without bias, without ReLU, with inputs and outputs that are read several times."""
    x = jitnet.Input((15, 13, 1))
    first = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    a = layers.MaxPooling2D(2)(first)
    b = layers.MaxPooling2D(2)(layers.Conv2D(5, 3, use_bias=False)(a))
    c = layers.Conv2D(4, (2, 3), activation="relu")(a)
    d = layers.MaxPooling2D(2)(c)
    e = layers.MaxPooling2D(2)(layers.Conv2D(6, 4, padding="same")(x))
    read = [layers.Flatten()(b), layers.GlobalAveragePooling2D()(c), layers.Flatten()(d), layers.Flatten()(e)]
    return jitnet.Model(x, layers.Dense(5)(layers.Concatenate()(read)))


def gradients(build, shape, fuse, batch=37):
    clear_names()
    jitnet.set_floatx("float64")
    jitnet.utils.set_random_seed(5)
    model = build()
    optimizer = jitnet.optimizers.SGD(0.0)  # the weights stay as they are
    model.compile(optimizer, jitnet.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    rng = np.random.default_rng(0)
    arrays, samples, shapes = model._prepare(rng.standard_normal((batch, *shape)), rng.integers(0, 5, batch))
    step = model._step("train", shapes, fuse=fuse, regions=True)
    results = np.zeros(step.results)
    values = {**arrays, "order": np.arange(samples), "seed": 1, "t": 0, "results": results}
    step.run(batch, 1, values, compiled=False)
    return results, {v.name: g.copy() for v, g in step.variable_gradients().items()}, step


@pytest.mark.parametrize(
    "build, shape, kernels",
    [
        (lenet, (14, 13, 1), ["conv2d_pooled_backward_filter_5x5_1_6(", "matrix_multiply_bias_relu(", "mask("]),
        (
            strides_dilation_groups,
            (13, 11, 3),
            ["conv2d_forward_3x2_3_8_stride2x2_", "conv2d_forward_1x1_6_6_groups2_"],
        ),
        (
            pooled_branches,
            (15, 13, 1),
            ["conv2d_pooled_backward_filter_3x3_1_6(", "conv2d_backward_data_2x3_6_4", "max_pool2d_2x2_backward("],
        ),
        (
            branches,
            (6, 6, 3),
            [
                "_accumulate(",
                "batch_norm_relu_apply(",
                "batch_norm_relu_backward_data(",
                "batch_norm_add_relu_apply(",
            ],
        ),
    ],
)
def test_fused_step_equals_unfused(build, shape, kernels):
    fused_results, fused, fused_step = gradients(build, shape, fuse=True)
    results, unfused, unfused_step = gradients(build, shape, fuse=False)
    np.testing.assert_allclose(fused_results, results, rtol=1e-12)
    for name, gradient in unfused.items():
        scale = max(abs(gradient).max(), 1e-3)
        np.testing.assert_allclose(fused[name], gradient, rtol=0, atol=1e-12 * scale, err_msg=name)
    for kernel in kernels:
        assert kernel in fused_step.source
    assert "_relu_mask" not in unfused_step.source


def perceptron():
    """Products of 23 and 13 rows of weights in four parts, the first of them with the samples' columns."""
    return jitnet.Sequential(
        [
            jitnet.Input((23,)),
            layers.Dense(13, activation="relu"),
            layers.Dense(9),
            layers.Dense(5, use_bias=False),
        ]
    )


@pytest.mark.parametrize("batch", [1, 2, 37])
def test_products_with_large_weights_run_in_parts(batch, monkeypatch):
    monkeypatch.setattr(thresholds, "SMALL_KERNEL", 1)
    monkeypatch.setattr(thresholds, "SPLIT_KERNEL", 100)
    fused_results, fused, fused_step = gradients(perceptron, (23,), fuse=True, batch=batch)
    results, unfused, _ = gradients(perceptron, (23,), fuse=False, batch=batch)
    np.testing.assert_allclose(fused_results, results, rtol=1e-12)
    for name, gradient in unfused.items():
        np.testing.assert_allclose(fused[name], gradient, rtol=0, atol=1e-12 * abs(gradient).max(), err_msg=name)
    for kernel, count in (("matrix_multiply_part", 2), ("parts_sum", 2), ("gather_columns", 1)):
        assert fused_step.source.count(f"    {kernel}(") == count


def test_large_transposed_weights_lie_in_panels(monkeypatch):
    def network():
        hidden = [layers.Dense(67, activation="relu"), layers.Dense(71, activation="tanh")]
        return jitnet.Sequential([jitnet.Input((5, 3)), *hidden, layers.Flatten(), layers.Dense(5)])

    monkeypatch.setattr(thresholds, "PANEL_KERNEL", 1)
    _, fused, fused_step = gradients(network, (5, 3), fuse=True)
    _, unfused, _ = gradients(network, (5, 3), fuse=False)
    for name, gradient in unfused.items():
        np.testing.assert_allclose(fused[name], gradient, rtol=0, atol=1e-12 * abs(gradient).max(), err_msg=name)
    for kernel in ("transpose_to_panels", "matrix_multiply_panels", "matrix_multiply_panels_relu_mask"):
        assert f"    {kernel}(" in fused_step.source


def test_relu_moves_behind_max_pooling():
    _, _, step = gradients(lenet, (14, 13, 1), fuse=True)
    body = step.source[step.source.index("def ") :]
    assert body.index(" max_pool2d") < body.index(" relu_forward(")
    # the unfused step keeps the order of the layers
    _, _, unfused = gradients(lenet, (14, 13, 1), fuse=False)
    body = unfused.source[unfused.source.index("def ") :]
    assert body.index(" relu_forward(") < body.index(" max_pool2d")


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "depthwise"),
    [(5, 5, 5, True), (4, 4, 2, False), (3, 6, 3, False), (1, 1, 1, False)],
)
def test_groups_of_one_channel_and_one_filter_are_depthwise(channels, filters, groups, depthwise):
    model = jitnet.Sequential([jitnet.Input((4, 4, channels)), layers.Conv2D(filters, 3, groups=groups)])
    model.compile("sgd", "mse")
    source = model.step_source()
    assert ("depthwise_conv2d_forward(" in source) == depthwise
    assert ("depthwise_conv2d_backward_filter(" in source) == depthwise


def normalised():
    """Every kind of layer before a batch normalisation, and normalisations that nothing can be folded into."""
    x = jitnet.Input((8, 8, 3))
    first = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(17, 3, padding="same", use_bias=False)(x)))
    second = layers.BatchNormalization(center=False)(layers.Conv2D(17, 3, strides=2)(first))
    shared = layers.Conv2D(17, 3, padding="same")
    third = layers.BatchNormalization(scale=False)(shared(second))
    read_twice = shared(third)
    fourth = layers.Add()([layers.BatchNormalization()(read_twice), read_twice])
    fifth = layers.ReLU()(layers.Add()([fourth, layers.BatchNormalization()(layers.Conv2D(17, 1)(fourth))]))
    sixth = layers.BatchNormalization()(layers.Dense(6)(layers.GlobalAveragePooling2D()(fifth)))
    return jitnet.Model(x, layers.Dense(5)(layers.BatchNormalization()(layers.Activation("tanh")(sixth))))


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-13), ("float32", 2e-6)])
def test_inference_folds_batch_normalisation_into_the_weights(dtype, tolerance):
    jitnet.set_floatx(dtype)
    model = normalised()
    rng = np.random.default_rng(3)
    # every weight and every moving statistic different from where it starts
    weights = model.get_weights()
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) * rng.choice([-1, 1], w.shape) ** (w.ndim > 1) for w in weights])
    x = rng.standard_normal((5, 8, 8, 3)).astype(dtype)
    folded, (expected,) = model.predict(x, verbose=0), [np.empty((5, 5), dtype)]
    step = model._step("predict", fuse=False)
    step.run(5, 1, {"x": x, "predictions": expected, "seed": 0, "t": 0, "results": np.zeros(step.results)}, False)
    np.testing.assert_allclose(folded, expected, rtol=0, atol=tolerance * abs(expected).max())
    source = model._step("predict").source
    body = source[source.index("def ") :]
    assert body.count("batch_norm_fold(") == 1 and body.count("batch_norm_fold_bias(") == 4
    assert body.count(" batch_norm_apply(") == 2 and body.count("_bias_add_relu(") == 1
    # weights that change are folded anew
    model.set_weights([w * 1.5 for w in model.get_weights()])
    assert abs(model.predict(x, verbose=0) - folded).max() > 1e-3


def residuals():
    """Residuals that are the convolution's input, computed before or after it, read again or not, with ReLU or not."""
    x = jitnet.Input((7, 6, 3))

    def block(y, filters=17, size=3, **arguments):
        convolution = layers.Conv2D(filters, size, padding="same", **arguments)
        return layers.BatchNormalization()(convolution(y)) if arguments else convolution(y)

    first = layers.ReLU()(block(x, use_bias=False))
    own = layers.ReLU()(layers.Add()([first, block(first)]))  # the input, read here only
    inner = block(layers.Activation("tanh")(own), use_bias=False)
    again = layers.ReLU()(layers.Add()([inner, own]))
    late = layers.ReLU()(layers.Add()([block(again, 5, strides=2), block(again, 5, 1, strides=2)]))
    linear = layers.Add()([late, block(layers.Activation("tanh")(late), 5, dilation_rate=2)])
    doubled = block(linear, 5, use_bias=False)
    doubled = layers.ReLU()(layers.Add()([doubled, doubled]))  # no residual
    narrow = layers.Add()([block(doubled, 5), layers.GlobalAveragePooling2D(keepdims=True)(doubled)])  # nor this
    return jitnet.Model(x, layers.Dense(5)(layers.Flatten()(narrow)))


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 5e-6)])
def test_a_residual_is_added_in_the_store_of_a_convolution(dtype, tolerance, monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    jitnet.set_floatx(dtype)
    model = residuals()
    rng = np.random.default_rng(4)
    model.set_weights([w + rng.uniform(0.1, 0.4, w.shape) * rng.choice([-1, 1], w.shape) ** (w.ndim > 1)
                       for w in model.get_weights()])  # fmt: skip
    x = rng.standard_normal((37, 7, 6, 3)).astype(dtype)
    step = model._step("predict")
    reference = model._step("predict", fuse=False)

    def run(step, threads):
        jitnet.set_num_threads(threads)
        y = np.empty((37, 5), dtype)
        step.run(37, 1, {"x": x, "predictions": y, "seed": 0, "t": 0, "results": np.zeros(1)}, compiled=False)
        return y

    expected = run(reference, 1)
    found = run(step, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * abs(expected).max())
    for threads in (2, 3):
        assert (run(step, threads) == found).all()
    body = step.source[step.source.index("def ") :]
    assert body.count("_bias_add_relu(") == 3 and body.count("_bias_add(") == 1
    assert body.count(" batch_norm_apply(") == 0 and body.count(" add_forward(") == 1
    assert body.count(" pointwise_add_relu(") == 1


def test_residuals_in_training():
    for_training = (residuals, (7, 6, 3))
    fused_results, fused, step = gradients(*for_training, fuse=True)
    results, unfused, _ = gradients(*for_training, fuse=False)
    assert step.source.count("_bias_add_relu(") == 1
    np.testing.assert_allclose(fused_results, results, rtol=1e-12)
    for name, gradient in unfused.items():
        scale = max(abs(gradient).max(), 1e-3)
        np.testing.assert_allclose(fused[name], gradient, rtol=0, atol=1e-12 * scale, err_msg=name)


def test_frozen_batch_normalisation_is_folded_in_training_and_passes_gradients():
    def build():
        model = lenet()
        model.add(layers.Dense(7))
        frozen = layers.BatchNormalization()
        frozen.trainable = False
        model.add(frozen)
        model.add(layers.Dense(5))
        return model

    _, fused, step = gradients(build, (14, 13, 1), fuse=True)
    _, unfused, _ = gradients(build, (14, 13, 1), fuse=False)
    assert "batch_norm_fold_bias(" in step.source
    for name, gradient in unfused.items():
        scale = max(abs(gradient).max(), 1e-3)
        np.testing.assert_allclose(fused[name], gradient, rtol=0, atol=1e-12 * scale, err_msg=name)


def test_a_residual_block_copies_no_gradient():
    def build():
        x = jitnet.Input((6, 5, 3))
        y = first = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        for _ in range(2):
            inner = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(y))
            y = layers.ReLU()(layers.Add()([inner, y]))
        return jitnet.Model(x, layers.Dense(5)(layers.Flatten()(layers.Add()([y, first]))))

    _, fused, step = gradients(build, (6, 5, 3), fuse=True)
    _, unfused, reference = gradients(build, (6, 5, 3), fuse=False)

    def large(step):
        return [c for c in step.program.calls if c.opcode == "shape.copy_backward" and c.batched]

    assert len(large(reference)) == 3 and not large(step)
    for name, gradient in unfused.items():
        scale = max(abs(gradient).max(), 1e-3)
        np.testing.assert_allclose(fused[name], gradient, rtol=0, atol=1e-12 * scale, err_msg=name)
