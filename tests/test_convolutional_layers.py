"""Transposed and 1-D convolutions and resizing: in fused steps on the fast kernels, their values, their errors."""

import numpy as np
import pytest
from graphs import Graphs, Suite, normal

import jitnet
from jitnet import Input, Sequential, layers, ops

CASES = {  # input shape, filters, window, what else conv_transpose is told, its kernel in the fused step
    "stride 1": ((7, 9, 16), 6, (5, 3), {"padding": "same"}, "conv2d_backward_data_5x3_6_16_bias_relu"),
    "stride 2": ((5, 6, 16), 20, (3, 3), {"strides": 2, "padding": "same"}, "_3x3_20_16_stride2x2_bias_relu"),
    "2x2": ((4, 5, 8), 16, (2, 2), {"strides": 2}, "conv2d_backward_data_2x2_16_8_stride2x2_bias_relu"),
    "stride over the window": (
        (3, 4, 5), 3, (1, 2), {"strides": (3, 4), "output_padding": (2, 1)}, "_1x2_3_5_stride3x4_bias_relu",
    ),
    "winograd": ((12, 13, 64), 64, (3, 3), {"padding": "same"}, "winograd4x4_3x3_64_64_bias_relu"),
    "dilation": ((5, 6, 4), 3, (3, 2), {"dilation_rate": 2}, "conv2d_backward_data_3x2_3_4_bias_relu"),
    "of sequences": ((9, 16), 20, (3,), {"strides": 2, "padding": "same"}, "_1x3_20_16_stride1x2_bias_relu"),
}  # fmt: skip


def kernels(step) -> list[str]:
    """The names of all kernels of a step that were made for their shapes."""
    return [call.kernel.name for call in step.program.calls if call.kernel is not None]


@pytest.mark.parametrize("case", CASES)
def test_fused(case):
    """Bias and ReLU in the store, the gradient's mask, and gradients on the kernels of convolutions."""
    shape, filters, window, arguments, name = CASES[case]
    suite = Suite()

    def function(x, kernel, bias):
        y = ops.conv_transpose(ops.tanh(x), kernel, **arguments)
        return ops.relu(ops.bias_add(y, bias))

    suite.add("", case, function, normal(*shape), (normal(*window, filters, shape[-1]), normal(filters)))
    fused, plain = (Graphs(suite.cases, "float32", fuse) for fuse in (True, False))
    names = [n.replace("_whole_rows", "") for n in kernels(fused.step)]
    assert any(n.endswith(name) for n in names), names
    assert any("backward_filter" in n for n in kernels(fused.step))
    assert any("conv2d_forward" in n for n in kernels(fused.step))  # backward to the input
    arrays, gradients = fused.draw(5)
    found, expected = fused.run(arrays, gradients), plain.run(arrays, gradients)
    for one, other in zip(found.values(), expected.values(), strict=True):
        for ours, right in zip([one.output, *one.gradients], [other.output, *other.gradients], strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-3, atol=2e-5 * abs(right).max())


def autoencoder(activation="relu"):
    jitnet.utils.set_random_seed(4)
    parts = [
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation=activation),
        layers.UpSampling2D(2, interpolation="bilinear"), layers.SeparableConv2D(3, 3, padding="same"),
    ]  # fmt: skip
    return Sequential([Input((6, 8, 3)), *parts])


def test_one_image_alone_is_as_among_others():
    model = autoencoder()
    x = np.random.default_rng(0).random((20, 6, 8, 3), np.float32)
    many = model.predict(x, batch_size=20, verbose=0)
    for few in (1, 3):
        np.testing.assert_allclose(model.predict_on_batch(x[:few]), many[:few], rtol=1e-5, atol=1e-6)


def test_training_lowers_the_loss_and_other_activations_fuse_too():
    x = np.random.default_rng(0).random((8, 6, 8, 3), np.float32)
    y = np.repeat(np.repeat(x, 2, 1), 2, 2)
    for activation in ("relu", "tanh", None):
        model = autoencoder(activation)
        model.compile("adam", "mse")
        losses = model.fit(x, y, batch_size=4, epochs=30, verbose=0).history["loss"]
        assert losses[-1] < 0.7 * losses[0]


def test_a_tensor_for_two_convolutions():
    """A tensor that is read twice: the second gradient is added to the first."""
    suite = Suite()

    def function(x, v, w):
        y = ops.relu(x)
        return ops.conv_transpose(y, v, 2) * ops.conv_transpose(y, w, 2)

    suite.add("", "twice", function, normal(4, 5, 8), (normal(2, 2, 16, 8), normal(2, 2, 16, 8)))
    fused, plain = (Graphs(suite.cases, "float32", fuse) for fuse in (True, False))
    arrays, gradients = fused.draw(3)
    found, expected = fused.run(arrays, gradients), plain.run(arrays, gradients)
    for one, other in zip(found.values(), expected.values(), strict=True):
        for ours, right in zip([one.output, *one.gradients], [other.output, *other.gradients], strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-3, atol=2e-5 * abs(right).max())


# ---- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv1D(4, 5)(Input((3, 2))), r"Conv1D.*padded input of length 3.*Received: input shape="),
        (lambda: layers.Conv1D(4, 5)(Input((3, 2, 1))), r"Conv1D expects an input \(batch, length, channels\)"),
        (lambda: layers.Conv1D(4, (5, 1)), r"integer from 1 up\. Received: kernel_size=\(5, 1\)"),
        (lambda: layers.Conv1D(4, 3, data_format="channels_first"), "Received: data_format='channels_first'"),
        (lambda: layers.SeparableConv1D(4, 3, padding="causal"), "SeparableConv1D expects padding.*'causal'"),
        (lambda: layers.MaxPooling1D(5)(Input((3, 2))), r"MaxPooling1D.*window of size 5.*length 3"),
        (lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2), r"than strides=\(2, 2\)\. Received: output"),
        (lambda: layers.Conv2DTranspose(4, 3, 2, dilation_rate=2), r"not both\. Received: strides="),
        (lambda: layers.Cropping1D(3)(Input((5, 2))), r"leave something of axis 1.*Received: cropping=\(3, 3\)"),
        (lambda: layers.UpSampling2D(interpolation="bicubic"), "Known: bilinear, nearest"),
        (lambda: layers.UpSampling1D(0), r"positive integer\. Received: size=0"),
        (lambda: layers.Resizing(3, 3, antialias=True), "Received: antialias=True"),
        (lambda: layers.Resizing(3, 3, "nearest", True, True), "Received: crop_to_aspect_ratio=True, pad_to_aspect"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_values_of_cropped_and_resized_images():
    image = np.arange(24, dtype=np.float32).reshape(1, 4, 6, 1)
    np.testing.assert_array_equal(layers.CenterCrop(2, 2)(image), image[:, 1:3, 2:4])
    np.testing.assert_array_equal(
        layers.CenterCrop(5, 2)(image), ops.image.resize(image[:, :, 2:3], (5, 2))
    )  # smaller: what is kept of 4 x 6 has the ratio of 5 to 2
    np.testing.assert_array_equal(layers.UpSampling1D(2)(image[:, :, 0]), np.repeat(image[:, :, 0], 2, 1))
    np.testing.assert_array_equal(layers.UpSampling2D((1, 2))(image), np.repeat(image, 2, 2))
    whole = ops.image.resize(image.astype("int64")[0], (2, 3), "nearest")
    assert whole.dtype == np.int64  # pixel (2 i + 1) / 2 of each pair
    np.testing.assert_array_equal(whole[..., 0], [[7, 9, 11], [19, 21, 23]])
    np.testing.assert_allclose(ops.image.resize(image, (2, 3))[0, ..., 0], [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]])


def test_a_causal_convolution_does_not_see_the_future():
    layer = layers.Conv1D(3, 3, padding="causal", dilation_rate=2)
    x = np.random.default_rng(0).random((2, 9, 4), np.float32)
    before = layer(x)
    x[:, 5:] += 1
    after = layer(x)
    assert before.shape == (2, 9, 3)
    np.testing.assert_array_equal(after[:, :5], before[:, :5])
    assert (after[:, 5:] != before[:, 5:]).all()
