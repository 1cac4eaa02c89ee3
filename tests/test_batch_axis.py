"""Axes that go into the batch axis and out again, and tensors whose batch axis comes after others."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, ops

torch = pytest.importorskip("torch")

X = np.random.default_rng(0).normal(size=(6, 4, 6, 3)).astype("float32")


def windows(x, reshape, transpose):
    """Images (N, H, W, C) in windows of 2 x 2: (N * windows, 2, 2, C)."""
    _, height, width, channels = x.shape
    x = reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
    return reshape(transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2, 2, channels))


class WindowAttention(layers.Layer):
    """Attention within windows, queries, keys and values of one product, as Swin transformers have it."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads
        self.qkv = layers.Dense(3 * 2 * heads)

    def call(self, inputs):
        x = windows(inputs, ops.reshape, ops.transpose)
        x = ops.reshape(self.qkv(ops.reshape(x, (-1, 4, x.shape[-1]))), (-1, 4, 3, self.heads, 2))
        query, key, value = ops.transpose(x, (2, 0, 3, 1, 4))
        scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))))
        x = ops.transpose(ops.matmul(scores, value), (0, 2, 1, 3))
        return ops.reshape(x, (-1, 6 * 4 * 2 * self.heads))


def expected_attention(x, kernel, bias, heads):
    x = windows(x, torch.reshape, torch.permute)
    x = (x.reshape(-1, 4, x.shape[-1]) @ kernel + bias).reshape(-1, 4, 3, heads, 2)
    query, key, value = x.permute(2, 0, 3, 1, 4)
    x = torch.softmax(query @ key.mT, -1) @ value
    return x.permute(0, 2, 1, 3).reshape(-1, 6 * 4 * 2 * heads)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_attention_within_windows(jit_compile):
    layer = WindowAttention(2)
    model = jitnet.Sequential([jitnet.Input((4, 6, 3)), layers.Conv2D(3, 1), layer, layers.Dense(1)])
    weights = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]

    def forward():
        x = torch.tensor(X) @ weights[0][0, 0] + weights[1]
        return expected_attention(x, weights[2], weights[3], 2) @ weights[4] + weights[5]

    np.testing.assert_allclose(model.predict(X, verbose=0), forward().detach(), rtol=1e-4, atol=1e-6)
    y = np.linspace(-1, 1, 6, dtype="float32")[:, None]
    model.compile(jitnet.optimizers.SGD(0.3), "mse", jit_compile=jit_compile)
    model.fit(X, y, batch_size=6, epochs=3, verbose=0)
    for _ in range(3):
        gradients = torch.autograd.grad(torch.mean((forward() - torch.tensor(y)) ** 2), weights)
        weights = [(w - 0.3 * g).detach().requires_grad_() for w, g in zip(weights, gradients, strict=True)]
    for found, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(found, expected.detach(), rtol=1e-4, atol=1e-5)


def test_sizes_of_the_batch_say_what_goes_into_it():
    x = jitnet.Input((4, 6))
    samples = ops.shape(x)[0]
    parts = ops.reshape(x, (samples * 4, -1))
    assert parts.shape == (None, 6) and parts.batches == 4
    whole = ops.reshape(parts, (samples, -1, 3))
    assert whole.shape == (None, 8, 3) and whole.batches == 1
    assert ops.reshape(x, (-1, 2, 2)).batches == 6
    for shape in ((samples, 2, 3), (-1, 7), (samples * 3, 2)):
        with pytest.raises(ValueError, match=r"reshape cannot turn|puts whole axes into it"):
            ops.reshape(x, shape)
    with pytest.raises(ValueError, match="keeps the batch axis: newshape starts with -1"):
        ops.reshape(x, (4, -1, 6))
    with pytest.raises(ValueError, match="joins several batches"):
        model = jitnet.Model(x, layers.Lambda(lambda x: ops.reshape(x, (-1, 6)))(x))
        model.predict(np.ones((2, 4, 6)), verbose=0)


def test_tensors_whose_batch_axis_comes_later():
    x = jitnet.Input((4, 3, 2, 5))
    turned = ops.transpose(x, (2, 0, 3, 1, 4))
    assert turned.shape == (3, None, 2, 4, 5) and len(turned) == 3 and turned.dtype == "float32"
    stacked = ops.stack([turned[0], turned[2]])
    outputs = [
        turned[1], turned[-1, :, 0], turned[:, :, 1][2], ops.unstack(turned, 3)[0],
        ops.squeeze(ops.split(turned, 3, axis=0)[1], 0), ops.transpose(turned, (1, 3, 0, 2, 4)),
        ops.softmax(stacked, axis=0)[1], ops.log_softmax(stacked, axis=-1)[0], ops.swapaxes(turned, 0, 1),
        ops.moveaxis(ops.moveaxis(x, 0, 2), 2, 0), ops.transpose(ops.transpose(x))[..., None, :][..., 0, :],
    ]  # fmt: skip
    data = np.random.default_rng(1).normal(size=(2, 4, 3, 2, 5)).astype("float32")
    t = data.transpose(2, 0, 3, 1, 4)
    s = torch.tensor(np.stack([t[0], t[2]]))
    expected = [
        t[1], t[-1, :, 0], t[2, :, 1], t[0], t[1], t.transpose(1, 3, 0, 2, 4), torch.softmax(s, 0)[1].numpy(),
        torch.log_softmax(s, -1)[0].numpy(), t.swapaxes(0, 1), data, data,
    ]  # fmt: skip
    model = jitnet.Model(x, outputs)
    for found, wanted in zip(model.predict(data, verbose=0), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.exp(x), "has axes before its batch axis: take it apart"),
        (lambda x: np.sqrt(x), "has axes before its batch axis|ufunc"),
        (lambda x: ops.transpose(x, (0, 0, 1, 2)), "expects each axis of .* once"),
        (lambda x: ops.softmax(x, axis=1), "has other axes than the batch's. Received: axis=1"),
        (lambda x: x[:, 0], "The batch axis of .* stays whole"),
        (lambda x: x[None], "takes an integer or a slice for each axis"),
        (lambda x: x[0, :, 1, 2, 3], "takes an integer or a slice for each axis"),
        (lambda x: ops.swapaxes(x, 0, 7), "swapaxes expects axes from -4 to 3"),
        (lambda x: layers.Dense(2)(x), "has axes before its batch axis: take it apart"),
    ],
)
def test_what_needs_the_batch_axis_first(call, message):
    turned = ops.transpose(jitnet.Input((2, 3, 4)), (1, 0, 2, 3))
    with pytest.raises((TypeError, ValueError), match=message):
        call(turned)
