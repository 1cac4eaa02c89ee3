"""Attention in models: in blocks and with all scores, beside PyTorch, of any length, with any number of threads."""

import numpy as np
import pytest

import jitnet
from jitnet import Input, Model, eager, layers, ops
from jitnet.builder import Computation
from jitnet.core.values import placeholder
from jitnet.ops.attention import attention
from jitnet.step import Step


@pytest.fixture
def fused(monkeypatch):
    """Functions of arrays run as models do, with the kernels of blocks."""
    monkeypatch.setattr(eager, "Step", lambda title, computation, **_: Step(title, computation))


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def heads_of(n, queries, keys, heads, size):
    """Queries, keys and values."""
    return [draw(n, steps, heads, size, seed=i) for i, steps in enumerate((queries, keys, keys))]


def value_and_gradients(function, arrays, gradient):
    y, gradients, _ = eager.vector_jacobian_product(function, arrays, gradient, draw=1)
    return [y, *gradients]


def assert_close(found, expected, tolerance=5e-6):
    for ours, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, right, rtol=0, atol=tolerance * max(1, np.abs(right).max()))


OPTIONS = {
    "plain": {},
    "causal": {"causal": True},
    "padding": {"mask": lambda n, heads, t, s: (np.arange(s) < np.arange(n)[:, None] * 50)[:, None, None]},
    "causal, padding in front, zeros": {
        "mask": lambda n, heads, t, s: (np.arange(s) >= np.arange(n)[:, None] * 30)[:, None, None],
        "causal": True, "mean": False,
    },
    "pairs": {"mask": lambda n, heads, t, s: draw(n, heads, t, s) > 0},
    "bias": {"bias": draw(4, 70, 133)},
    "dropout": {"dropout": (0.3, 5, 2), "causal": True},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_blocks_are_what_all_scores_are(fused, name):
    options = dict(OPTIONS[name])
    n, queries, keys, heads = 3, 70, 133, 4
    arrays = [draw(n, queries, heads, 24), draw(n, keys, 2, 24), draw(n, keys, 2, 5)]
    masked = "mask" in options
    if masked:
        arrays.append(options.pop("mask")(n, heads, queries, keys))

    def function(query, key, value, *mask, one_pass=True):
        mask = {"mask": mask[0]} if masked else {}
        return attention(query, key, value, **mask, **options, one_pass=one_pass)[0]

    gradient = draw(n, queries, heads, 5, seed=9)
    found = value_and_gradients(function, arrays, gradient)
    assert_close(found, value_and_gradients(lambda *x: function(*x, one_pass=False), arrays, gradient))


@pytest.mark.parametrize("causal", [False, True])
def test_beside_torch(fused, causal):
    torch = pytest.importorskip("torch")
    for n, queries, keys, heads, size in ((2, 1, 1, 1, 1), (1, 131, 131, 2, 24), (2, 67, 129, 2, 5)):
        arrays, gradient = heads_of(n, queries, keys, heads, size), draw(n, queries, heads, size, seed=9)
        found = value_and_gradients(lambda *x: ops.dot_product_attention(*x, is_causal=causal), arrays, gradient)
        given = [torch.tensor(x).transpose(1, 2).requires_grad_() for x in arrays]
        y = torch.nn.functional.scaled_dot_product_attention(*given, is_causal=causal)
        theirs = torch.autograd.grad(y, given, torch.tensor(gradient).transpose(1, 2))
        assert_close(found, [x.detach().transpose(1, 2).numpy() for x in (y, *theirs)])


@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention_of_torch(causal):
    torch = pytest.importorskip("torch")
    steps, features, heads = 6, 8, 2
    layer = layers.MultiHeadAttention(heads, features // heads, seed=1)
    x, padding = draw(3, steps, features), np.arange(steps) < np.array([[6], [4], [5]])
    model = Model(inputs := Input((steps, features)), layer(inputs, inputs))
    weights = [0.3 * draw(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())]
    layer.set_weights(weights)
    theirs = torch.nn.MultiheadAttention(features, heads, batch_first=True)
    kernels, biases = weights[:6:2], weights[1:6:2]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.tensor(np.concatenate([k.reshape(features, -1).T for k in kernels])))
        theirs.in_proj_bias.copy_(torch.tensor(np.concatenate([b.reshape(-1) for b in biases])))
        theirs.out_proj.weight.copy_(torch.tensor(weights[6].reshape(-1, features).T))
        theirs.out_proj.bias.copy_(torch.tensor(weights[7]))
    t = torch.tensor(x)
    unseen = torch.ones(steps, steps, dtype=torch.bool).triu(1) if causal else None
    y, scores = theirs(t, t, t, ~torch.tensor(padding), attn_mask=unseen, average_attn_weights=False)
    found = layer(x, x, value_mask=padding, use_causal_mask=causal)
    np.testing.assert_allclose(found, y.detach().numpy(), atol=2e-6)
    found, ours = layer(x, x, value_mask=padding, use_causal_mask=causal, return_attention_scores=True)
    np.testing.assert_allclose(found, y.detach().numpy(), atol=2e-6)
    np.testing.assert_allclose(ours, scores.detach().numpy(), atol=2e-6)
    # gradients of all weights, by a step of SGD
    model.compile(jitnet.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, np.zeros_like(x))
    (theirs(t, t, t)[0] ** 2).mean().backward()
    stacked = theirs.in_proj_weight.grad.numpy().reshape(heads + 1, features, features)
    for i in range(3):
        np.testing.assert_allclose(
            (kernels[i] - layer.get_weights()[2 * i]).reshape(features, -1), stacked[i].T, atol=2e-6
        )
    moved = (weights[6] - layer.get_weights()[6]).reshape(-1, features)
    np.testing.assert_allclose(moved, theirs.out_proj.weight.grad.numpy().T, atol=2e-6)


def test_steps_that_are_none():
    """A query that sees nothing gets the mean of all values; zeros from a layer with dropout, as in Keras."""
    x, there = draw(2, 4, 6), np.array([[1, 1, 1, 0], [0, 0, 0, 0]])
    for rate in (0.0, 0.5):
        layer = layers.MultiHeadAttention(2, 3, dropout=rate)
        whole = layer(x, x)
        found = layer(x, x, query_mask=there, value_mask=there)
        np.testing.assert_allclose(found[0, :3], layer(x[:1, :3], x[:1, :3])[0], atol=1e-6)
        values = np.einsum("btf,fhd->bthd", x, layer.get_weights()[4]) + layer.get_weights()[5]
        rest = np.einsum("bhd,hdf->bf", values.mean(1), layer.get_weights()[6]) * (rate == 0) + layer.get_weights()[7]
        np.testing.assert_allclose(found[0, 3], rest[0], atol=1e-6)
        np.testing.assert_allclose(found[1], np.broadcast_to(rest[1], (4, 6)), atol=1e-6)
        kept = layer(x, x, query_mask=there, value_mask=there, return_attention_scores=True)
        np.testing.assert_allclose(kept[0], layer(x, x, attention_mask=there[:, :, None] * there[:, None],
                                                  return_attention_scores=True)[0], atol=1e-6)  # fmt: skip
        assert np.isfinite(whole).all()


def attending(steps, heads=2, size=64, gradients=True, n=1):
    """A step of attention alone, with its gradients."""
    given = {name: placeholder(name, (steps, heads, size)) for name in ("query", "key", "value")}
    y = ops.dot_product_attention(*given.values(), is_causal=True)
    seeds = {y: placeholder("gradient", y.shape[1:])} if gradients else {}
    wanted = list(given.values()) if gradients else []
    every = {**given, **({"gradient": seeds[y]} if gradients else {})}
    step = Step("attention", Computation(every, [y], seeds=seeds, trainable=[], wanted_inputs=wanted))
    arrays = {name: draw(n, *value.shape[1:], seed=i) for i, (name, value) in enumerate(every.items())}
    results = {name: np.zeros((n, steps, heads, size), np.float32) for name in step.output_arguments}
    results |= {name: np.zeros((n, steps, heads, size), np.float32) for name in step.gradient_arguments}
    return step, {**arrays, **results, "seed": 0, "t": 0, "results": np.zeros(step.results)}, results


@pytest.mark.parametrize("heads", [2, 8])
def test_the_same_bits_with_any_number_of_threads(heads, monkeypatch):
    monkeypatch.setattr("jitnet.targets.cpu.thresholds.ATTENTION_WORK", 1e6)
    steps = 1031 // heads * 2  # few heads: keys are shared out in groups
    step, arrays, results = attending(steps, heads)
    assert "attention_forward_64_causal_shared" in step.source
    assert ("add_key_groups" in step.source) == (heads == 2)
    found = []
    for threads in (1, 2, 3):
        jitnet.set_num_threads(threads)
        for array in results.values():
            array[:] = np.nan
        step.run(1, 1, arrays, compiled=False, iteration=0)
        found.append([array.copy() for array in results.values()])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    right = value_and_gradients(
        lambda *x: attention(*x, causal=True, one_pass=False)[0],
        [arrays[name] for name in ("query", "key", "value")], arrays["gradient"],
    )  # fmt: skip
    assert_close(found[0], right, 1e-5)


def test_memory_grows_with_the_length_alone():
    sizes = [attending(steps)[0].schedule.arena_bytes(1) for steps in (4096, 8192, 16384)]
    assert sizes[2] - sizes[1] < 2.1 * (sizes[1] - sizes[0])
    assert sizes[2] < 16384 * 2 * 64 * 4 * 10


def test_bad_input_in_words():
    x, y = draw(2, 4, 6), draw(2, 3, 6)
    layer = layers.MultiHeadAttention(2, 3)
    for keywords, words in (
        ({"value_mask": np.ones((2, 5))}, r"value_mask of shape \(batch, 3\)\. Received: value_mask=\(None, 5\)"),
        ({"query_mask": np.ones((2, 3))}, r"query_mask of shape \(batch, 4\)\. Received: query_mask=\(None, 3\)"),
        (
            {"attention_mask": np.ones((2, 3, 4))},
            r"expects attention_mask of shape \(batch, queries, keys\) = \(None, 4, 3\), or for each head "
            r"\(None, 2, 4, 3\)\. Received: attention_mask=\(None, 3, 4\)",
        ),
        ({"key": x}, r"expects as many steps of the value as of the key\. Received: value=\(None, 3, 6\)"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            layer(x, y, **keywords)
    with pytest.raises(ValueError, match=r"keeps no scores .* Received: return_attention_scores=True"):
        layers.MultiHeadAttention(2, 3, flash_attention=True)(x, y, return_attention_scores=True)
    with pytest.raises(
        ValueError, match=r"attention_axes between the batch and the features, from 1 to 1\. Received: "
    ):
        layers.MultiHeadAttention(2, 3, attention_axes=2)(x, y)
    with pytest.raises(ValueError, match=r"num_query_heads to be a multiple of num_key_value_heads"):
        layers.GroupQueryAttention(2, 3, 2)
    with pytest.raises(ValueError, match=r"called on a list \[query, value\] or \[query, value, key\]"):
        layers.Attention()(x)
    with pytest.raises(ValueError, match=r"a mask of the value of shape \(batch, 3\)\. Received: mask=\(None, 4\)"):
        layers.Attention()([x, y], mask=[None, np.ones((2, 4))])
    q, k, v = heads_of(2, 4, 3, 2, 5)
    for arrays, keywords, words in (
        ((q, k[..., :4], v), {}, r"query and key of one size.* query=\(None, 4, 2, 5\), key=\(None, 3, 2, 4\)"),
        ((q, k, v[:, :2]), {}, r"a value of as many steps and heads as the key"),
        ((q[:, :, :1], k, v), {}, r"a query of as many heads as the key, or a multiple"),
        ((q, k, v), {"mask": np.ones((4, 4))}, r"expects a mask of the shape .* = \(None, 2, 4, 3\).* mask=\(4, 4\)"),
        ((q, k, v), {"mask": np.ones(3), "bias": np.ones(3)}, r"takes a bias or a mask"),
        ((q, k, v), {"attn_logits_soft_cap": 1.0}, r"has no attn_logits_soft_cap"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            ops.dot_product_attention(*arrays, **keywords)


def test_learned_biases_and_queries():
    """What the kernels have no gradient of, and queries that are the same for all samples, is computed with scores."""
    bias, query = jitnet.Variable(draw(2, 3, 4), name="bias"), jitnet.Variable(draw(3, 2, 5), name="query")
    x, gradient = draw(6, 4, 2, 5), draw(6, 3, 2, 5, seed=1)

    def function(x):
        spread = ops.broadcast_to(ops.expand_dims(query, 0), (None, 3, 2, 5)) + 0.0 * ops.mean(x)
        return ops.dot_product_attention(spread, x, x, bias=bias)

    _, _, (by_bias, by_query) = eager.vector_jacobian_product(function, [x], gradient, (bias, query))
    for variable, found in ((bias, by_bias), (query, by_query)):
        moved = variable.numpy()
        moved[0, 1, 2] += 1e-2
        variable.assign(moved)
        more = eager.evaluate_function(function, x)
        moved[0, 1, 2] -= 2e-2
        variable.assign(moved)
        less = eager.evaluate_function(function, x)
        np.testing.assert_allclose(((more - less) * gradient).sum() / 2e-2, found[0, 1, 2], rtol=2e-2, atol=1e-3)
