"""Positions and blocks of the Transformer against their equations and PyTorch; the decoder's caches."""

import keras_cases
import numpy as np
import pytest
from graphs import Draw, Suite, normal

import jitnet
from jitnet import Input, Model, layers, ops
from jitnet.core.values import Variable
from jitnet.eager import vector_jacobian_product
from jitnet.kernels.cpu.fast.matrix_multiply import MatrixMultiplyTransposed
from jitnet.targets.cpu import thresholds

STEPS, KEYS, FEATURES, HEADS, HIDDEN = 5, 4, 6, 2, 7


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def redrawn(layer, scale=0.5):
    """The layer with other weights, none of them 0 or 1."""
    layer.set_weights([w + scale * random(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())])
    return layer


# ---- positions


def test_sines_are_those_of_the_paper():
    x = random(2, STEPS, FEATURES + 1)
    found = layers.SinePositionEncoding(max_wavelength=100)(x, start_index=3)
    for position in range(STEPS):
        for i in range(FEATURES + 1):
            angle = (position + 3) / 100 ** (i // 2 * 2 / (FEATURES + 1))
            expected = np.cos(angle) if i % 2 else np.sin(angle)
            np.testing.assert_allclose(found[:, position, i], expected, atol=1e-6)


def test_rotations_are_those_of_the_paper():
    x = random(2, STEPS, 3, FEATURES)
    layer = layers.RotaryEmbedding(max_wavelength=100, scaling_factor=2)
    found = layer(x)
    as_complex = x[..., : FEATURES // 2] + 1j * x[..., FEATURES // 2 :]
    rates = 100 ** (-2 * np.arange(FEATURES // 2) / FEATURES)
    turned = as_complex * np.exp(1j * np.arange(STEPS)[:, None, None] / 2 * rates)
    np.testing.assert_allclose(found, np.concatenate([turned.real, turned.imag], -1), atol=1e-6)
    # the product of two vectors depends on their distance alone
    q, k = random(1, 1, 1, FEATURES), random(1, 1, 1, FEATURES, seed=1)
    products = [(layer(q, start_index=a) * layer(k, start_index=b)).sum() for a, b in ((7, 4), (23, 20))]
    np.testing.assert_allclose(*products, rtol=1e-5)
    features_first = layers.RotaryEmbedding(100, 2, sequence_axis=3, feature_axis=2)
    np.testing.assert_allclose(features_first(x.transpose(0, 2, 3, 1)), found.transpose(0, 2, 3, 1), atol=1e-6)


LAYERS = [
    lambda: layers.SinePositionEncoding(),
    lambda: layers.RotaryEmbedding(),
    lambda: layers.PositionEmbedding(9),
    lambda: layers.TokenAndPositionEmbedding(8, 9, FEATURES),
]


@pytest.mark.parametrize("make", LAYERS)
def test_where_positions_begin(make):
    layer = make()
    tokens = isinstance(layer, layers.TokenAndPositionEmbedding)
    x = np.arange(2 * STEPS).reshape(2, STEPS) % 8 if tokens else random(2, STEPS, FEATURES)
    from_two = layer(x, start_index=2)
    whole = layer(np.concatenate([x[:, :2], x], 1))
    np.testing.assert_allclose(from_two, whole[:, 2:], atol=1e-6)
    np.testing.assert_allclose(layer(x, start_index=np.array([2, 2])), from_two, atol=1e-6)
    apart = layer(x, start_index=np.array([0, 2]))
    np.testing.assert_allclose(apart[0], layer(x)[0], atol=1e-6)
    np.testing.assert_allclose(apart[1], from_two[1], atol=1e-6)
    places = np.array([[4, 0, 1, 8, 2], [2, 3, 4, 5, 6]])
    found = layer(x, positions=places)
    np.testing.assert_allclose(found[1], from_two[1], atol=1e-6)
    inputs = [Input(a.shape[1:], dtype=str(a.dtype)) for a in (x, places)]
    model = Model(inputs, layer(inputs[0], positions=inputs[1]))
    np.testing.assert_allclose(model.predict_on_batch([x, places]), found, atol=1e-6)


def test_bad_positions():
    x, learned, turned = random(2, STEPS, 4), layers.PositionEmbedding(6), layers.RotaryEmbedding()
    cases = [
        (lambda: learned(x, start_index=2), "positions from 0 to 5. Received: position=6"),
        (lambda: learned(x, start_index=-1), "Received: start_index=-1"),
        (lambda: learned(x, positions=np.zeros((2, 4), int)), r"positions of shape \(batch, 5\) or \(5,\)"),
        (lambda: turned(x[..., :3]), "Received: features=3"),
        (lambda: layers.RotaryEmbedding(sequence_axis=0)(x), "Received: sequence_axis=0"),
        (lambda: layers.RotaryEmbedding(sequence_axis=2)(x), "two axes"),
        (lambda: layers.SinePositionEncoding()(x[:, 0]), r"Received: shape=\(None, 4\)"),
        (lambda: layers.SinePositionEncoding(0.5), "Received: max_wavelength=0.5"),
        (lambda: layers.RotaryEmbedding(scaling_factor=0), "Received: scaling_factor=0"),
        (lambda: layers.TokenAndPositionEmbedding(0, 5, 3), "Received: input_dim=0"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_embeddings_that_go_back():
    tokens = np.array([[1, 2, 0]])
    tied = layers.ReversibleEmbedding(5, 3, logit_soft_cap=0.1)
    vectors = tied(tokens)
    found = tied(vectors, reverse=True)
    np.testing.assert_allclose(found, 0.1 * np.tanh(vectors @ tied.embeddings.numpy().T / 0.1), rtol=1e-5)
    apart = layers.ReversibleEmbedding(5, 3, tie_weights=False)
    vectors = apart(tokens)
    assert [w.shape for w in apart.weights] == [(5, 3), (3, 5)]
    expected = vectors @ apart.reverse_embeddings.numpy()
    np.testing.assert_allclose(apart(vectors, reverse=True), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:::keras")
def test_embeddings_that_go_back_are_keras():
    keras = keras_cases.load_keras()
    if keras is None:
        pytest.skip("needs Keras with its torch backend")
    tokens, vectors = np.array([[1, 2, 0]]), random(2, 4, 3)
    for options in ({}, {"tie_weights": False, "logit_soft_cap": 0.5}):
        ours, theirs = layers.ReversibleEmbedding(5, 3, **options), keras.layers.ReversibleEmbedding(5, 3, **options)
        ours(tokens), theirs(tokens)
        redrawn(ours)
        assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
        theirs.set_weights(ours.get_weights())
        for x, reverse in ((tokens, False), (vectors, True)):
            expected = keras.ops.convert_to_numpy(theirs(x, reverse=reverse))
            np.testing.assert_allclose(ours(x, reverse=reverse), expected, rtol=1e-5, atol=1e-6)


# ---- blocks against PyTorch


def attention_weights(prefix, arrays):
    """{PyTorch's name: array} of the weights of a MultiHeadAttention."""
    q, qb, k, kb, v, vb, o, ob = arrays
    kernels = [w.reshape(len(w), -1).T for w in (q, k, v)]
    return {
        f"{prefix}.in_proj_weight": np.concatenate(kernels),
        f"{prefix}.in_proj_bias": np.concatenate([b.reshape(-1) for b in (qb, kb, vb)]),
        f"{prefix}.out_proj.weight": o.reshape(-1, o.shape[-1]).T,
        f"{prefix}.out_proj.bias": ob,
    }


def torch_weights(arrays, decoder):
    """{PyTorch's name: array} for what our block has in its order of weights."""
    arrays = list(arrays)

    def take(count):
        taken, arrays[:] = arrays[:count], arrays[count:]
        return taken

    found = attention_weights("self_attn", take(8))
    found["norm1.weight"], found["norm1.bias"] = take(2)
    last = "norm2"
    if decoder:
        found |= attention_weights("multihead_attn", take(8))
        found["norm2.weight"], found["norm2.bias"] = take(2)
        last = "norm3"
    found[f"{last}.weight"], found[f"{last}.bias"] = take(2)
    for name in ("linear1", "linear2"):
        kernel, found[f"{name}.bias"] = take(2)
        found[f"{name}.weight"] = kernel.T
    assert not arrays
    return found


def torch_block(torch, kind, block, activation, first):
    made = getattr(torch.nn, kind)(
        FEATURES, HEADS, HIDDEN, 0.0, activation, layer_norm_eps=1e-5, batch_first=True, norm_first=first
    )
    weights = torch_weights(block.get_weights(), kind.endswith("DecoderLayer"))
    made.load_state_dict({name: torch.tensor(np.ascontiguousarray(w)) for name, w in weights.items()})
    return made.train()


def assert_equal_gradients(torch, block, made, function, arrays, theirs):
    """Output and all gradients of ``function`` of our block and of PyTorch's result."""
    dy = random(*theirs.shape, seed=9)
    theirs.backward(torch.tensor(dy))
    output, _, gradients = vector_jacobian_product(function, arrays, dy, block.weights)
    np.testing.assert_allclose(output, theirs.detach().numpy(), rtol=1e-4, atol=2e-5)
    found = torch_weights(gradients, isinstance(block, layers.TransformerDecoder))
    for name, parameter in made.named_parameters():
        np.testing.assert_allclose(found[name], parameter.grad.numpy(), rtol=1e-3, atol=5e-4, err_msg=name)


@pytest.mark.parametrize("first", [False, True], ids=["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_is_pytorchs(first, activation):
    torch = pytest.importorskip("torch")
    x, padding = random(3, STEPS, FEATURES), np.arange(STEPS) < np.array([[5], [3], [1]])
    pairs = np.tri(STEPS, dtype=bool)[None].repeat(3, 0)
    block = layers.TransformerEncoder(HIDDEN, HEADS, activation=activation, normalize_first=first)
    block(x)
    made = torch_block(torch, "TransformerEncoderLayer", redrawn(block), activation, first)
    theirs = made(torch.tensor(x), src_mask=torch.tensor(~pairs[0]), src_key_padding_mask=torch.tensor(~padding))

    def function(x, padding, pairs):
        return block(x, padding_mask=padding, attention_mask=pairs)

    assert_equal_gradients(torch, block, made, function, [x, padding, pairs], theirs)
    output, scores = block(x, padding_mask=padding, attention_mask=pairs, return_attention_scores=True)
    assert scores.shape == (3, HEADS, STEPS, STEPS)
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)
    assert np.abs(scores[1, :, :, 3:]).max() == 0
    np.testing.assert_allclose(output, theirs.detach().numpy(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("first", [False, True], ids=["post", "pre"])
def test_decoder_is_pytorchs(first):
    torch = pytest.importorskip("torch")
    x, memory = random(3, STEPS, FEATURES), random(3, KEYS, FEATURES, seed=1)
    padding, of_keys = np.arange(STEPS) < np.array([[5], [3], [1]]), np.arange(KEYS) < np.array([[1], [4], [2]])
    block = layers.TransformerDecoder(HIDDEN, HEADS, normalize_first=first)
    block(x, memory)
    made = torch_block(torch, "TransformerDecoderLayer", redrawn(block), "relu", first)
    theirs = made(
        torch.tensor(x), torch.tensor(memory), tgt_mask=torch.tensor(~np.tri(STEPS, dtype=bool)),
        tgt_key_padding_mask=torch.tensor(~padding), memory_key_padding_mask=torch.tensor(~of_keys),
    )  # fmt: skip

    def function(x, memory, padding, of_keys):
        return block(x, memory, decoder_padding_mask=padding, encoder_padding_mask=of_keys)

    assert_equal_gradients(torch, block, made, function, [x, memory, padding, of_keys], theirs)


# ---- gradients, in float64

suite = Suite()


def weights_of(layer):
    """(the layer or one in it, the attribute) of all weights."""
    for name, value in list(vars(layer).items()):
        if isinstance(value, Variable):
            yield layer, name
        elif isinstance(value, layers.Layer):
            yield from weights_of(value)


def block_of(kind, first, memory):
    block = kind(HIDDEN, HEADS, activation="gelu", normalize_first=first)
    block.build((None, 3, 4), *([(None, 2, 4)] if memory else []))
    return block


def given_weights(kind, first):
    """A block of given weights; it sees no steps that begin with a low number."""

    def function(x, *others):
        memory = kind is layers.TransformerDecoder
        block = block_of(kind, first, memory)
        inputs, values = ([x, others[0]], others[1:]) if memory else ([x], others)
        for (owner, name), value in zip(weights_of(block), values, strict=True):
            setattr(owner, name, value)
        masks = [ops.greater(value[:, :, 0], -1.0) for value in inputs]
        if memory:
            return block(*inputs, decoder_padding_mask=masks[0], encoder_padding_mask=masks[1])
        return block(x, padding_mask=masks[0])

    return function


for block_kind in (layers.TransformerEncoder, layers.TransformerDecoder):
    for before in (False, True):
        decodes = block_kind is layers.TransformerDecoder
        owners = weights_of(block_of(block_kind, before, decodes))
        drawn = tuple(Draw(tuple(getattr(owner, name).shape)) for owner, name in owners)
        suite.add(
            "blocks", f"{block_kind.__name__}, {'pre' if before else 'post'}", given_weights(block_kind, before),
            (normal(3, 4), normal(2, 4)) if decodes else normal(3, 4), drawn,
        )  # fmt: skip


@pytest.mark.parametrize("case", suite.cases, ids=repr)
def test_central_differences(case):
    suite.check_differences(case, 2)


# ---- caches


def cached(block, x, memory, sizes):
    """A decoder's output for parts of x of these sizes, one after the other, with both caches."""
    size = (2, x.shape[1], HEADS, FEATURES // HEADS)
    cache, cross = np.zeros((len(x), *size), np.float32), np.zeros((len(x), 2, KEYS, *size[2:]), np.float32)
    found, at = [], 0
    for number, steps in enumerate(sizes):
        given = {"self_attention_cache": cache, "self_attention_cache_update_index": at, "cross_attention_cache": cross}
        if number == 0:
            given["cross_attention_cache_update_index"] = 0
        part, cache, cross = block(x[:, at : at + steps], memory if number == 0 else None, **given)
        found.append(part)
        at += steps
    return np.concatenate(found, 1)


def test_caches_give_what_the_whole_sequence_gives():
    x, memory = random(3, STEPS, FEATURES), random(3, KEYS, FEATURES, seed=1)
    block = layers.TransformerDecoder(HIDDEN, HEADS, activation="gelu", normalize_first=True)
    block(x, memory)
    whole = redrawn(block)(x, memory)
    for sizes in ([1] * STEPS, [2, 1, 2], [STEPS]):
        np.testing.assert_allclose(cached(block, x, memory, sizes), whole, rtol=1e-4, atol=1e-5)
    alone = layers.TransformerDecoder(HIDDEN, HEADS)
    whole = alone(x)
    cache = np.zeros((3, 2, 8, HEADS, FEATURES // HEADS), np.float32)
    first, cache = alone(x[:, :3], self_attention_cache=cache, self_attention_cache_update_index=np.zeros(3, int))
    rest, cache = alone(x[:, 3:], self_attention_cache=cache, self_attention_cache_update_index=np.full(3, 3))
    np.testing.assert_allclose(np.concatenate([first, rest], 1), whole, rtol=1e-4, atol=1e-5)
    assert (cache[:, :, 5:] == 0).all() and (cache[:, :, :5] != 0).any()


def test_a_cache_with_masks_gives_what_the_whole_sequence_gives():
    x = random(3, STEPS, FEATURES)
    block = layers.TransformerDecoder(HIDDEN, HEADS, normalize_first=True)
    block(x)
    padding = np.array([[1, 1, 0, 1, 1], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], bool)
    pairs = np.random.default_rng(1).random((3, STEPS, STEPS)) < 0.8
    there = np.tril(padding[:, None] & pairs).any(-1)  # steps that see something
    whole = redrawn(block)(x, decoder_padding_mask=padding, decoder_attention_mask=pairs)
    cache, at = np.zeros((3, 2, 8, HEADS, FEATURES // HEADS), np.float32), 0
    padding, pairs = (np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, 3)]) for mask in (padding, pairs))
    for steps in (2, 1, 2):
        found, cache = block(
            x[:, at : at + steps], self_attention_cache=cache, self_attention_cache_update_index=at,
            decoder_padding_mask=padding, decoder_attention_mask=pairs[:, at : at + steps],
        )  # fmt: skip
        seen = there[:, at : at + steps]
        np.testing.assert_allclose(found[seen], whole[:, at : at + steps][seen], rtol=1e-4, atol=1e-5)
        assert np.isfinite(found).all()
        at += steps


def test_bad_calls():
    x, memory = random(2, STEPS, FEATURES), random(2, KEYS, FEATURES)
    encoder, decoder = layers.TransformerEncoder(HIDDEN, HEADS), layers.TransformerDecoder(HIDDEN, HEADS)
    encoder(x), decoder(x)
    cache = np.zeros((2, 2, 8, HEADS, FEATURES // HEADS), np.float32)
    cases = [
        (lambda: encoder(x, padding_mask=np.ones((2, 3), bool)), r"padding_mask of shape \(batch, 5\)"),
        (lambda: encoder(x, attention_mask=np.ones((2, 3, 5), bool)), r"attention_mask of shape \(batch, 5, 5\)"),
        (lambda: decoder(x, decoder_padding_mask=np.ones((2, 3), bool)), r"decoder_padding_mask of shape \(batch, 5\)"),
        (lambda: decoder(x, memory), "built without an encoder_sequence"),
        (lambda: decoder(x, self_attention_cache=cache), "together"),
        (lambda: layers.TransformerEncoder(HIDDEN, 7)(x), "at least as many features as heads, 7"),
        (lambda: layers.TransformerEncoder(0, 2), "Received: intermediate_dim=0"),
        (lambda: layers.TransformerDecoder(3, 2, dropout=1), "Received: dropout=1"),
        (
            lambda: decoder(x, self_attention_cache=cache[..., :2], self_attention_cache_update_index=0),
            "takes keys and values",
        ),
        (
            lambda: decoder(
                x, self_attention_cache=cache, self_attention_cache_update_index=0, use_causal_mask=False
            ),
            "with a cache sees steps up to its own only",
        ),
        (
            lambda: decoder(
                x, self_attention_cache=cache, self_attention_cache_update_index=0,
                decoder_padding_mask=np.ones((2, STEPS), bool),
            ),
            r"decoder_padding_mask of shape \(batch, 8\)",
        ),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_masks_of_embeddings_reach_the_blocks():
    tokens = np.array([[3, 1, 2, 0, 0], [1, 2, 3, 4, 5]])
    inputs = [Input((None,), dtype="int32") for _ in range(2)]
    embedding = layers.TokenAndPositionEmbedding(7, 9, FEATURES, mask_zero=True)
    encoder, decoder = layers.TransformerEncoder(HIDDEN, HEADS), layers.TransformerDecoder(HIDDEN, HEADS)
    memory = encoder(embedding(inputs[0]))
    output = decoder(embedding(inputs[1]), memory)
    assert memory.mask is not None and output.mask is not None
    model = Model(inputs, output)
    redrawn(model)
    found = model.predict_on_batch([tokens, tokens])
    short = model.predict_on_batch([tokens[:1, :3], tokens[:1, :3]])
    np.testing.assert_allclose(found[:1, :3], short, rtol=1e-5, atol=1e-5)
    unmasked = layers.TokenAndPositionEmbedding(7, 9, FEATURES)
    unmasked(tokens)
    unmasked.set_weights(embedding.get_weights())
    given = tokens != 0
    expected = encoder(unmasked(tokens), padding_mask=given)
    expected = decoder(unmasked(tokens), expected, decoder_padding_mask=given, encoder_padding_mask=given)
    np.testing.assert_allclose(found[given], expected[given], rtol=1e-5, atol=1e-5)


# ---- in models


def classifier(dropout=0.0):
    tokens = Input((None,), dtype="int32")
    x = layers.TokenAndPositionEmbedding(11, 12, FEATURES)(tokens)
    for _ in range(2):
        x = layers.TransformerEncoder(HIDDEN, HEADS, dropout, "gelu", normalize_first=True)(x)
    x = layers.LayerNormalization()(x)
    model = Model(tokens, layers.Dense(3)(ops.mean(x, axis=1)))
    model.compile("adamw", "mse", jit_compile=True)
    return model


def test_sums_are_part_of_the_products_before_them():
    x = Input((STEPS, FEATURES))
    model = Model(x, layers.TransformerEncoder(HIDDEN, HEADS, normalize_first=True)(x))
    redrawn(model)
    source = model.step_source("predict")
    assert source.count("_bias_add(") == 2 and "add_forward(" not in source
    data = random(3, STEPS, FEATURES)
    found = model.predict_on_batch(data)
    step = model._step("predict", fuse=False)
    arrays = {"x": data, "seed": 0, "t": 0, "results": np.zeros(step.results), "predictions": np.empty_like(found)}
    step.run(3, 1, arrays, compiled=False)
    np.testing.assert_allclose(found, arrays["predictions"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("length", [1, 48, None])
def test_weight_gradients_of_sequences(length, copied, monkeypatch):
    """They are summed chunk by chunk if that takes little memory, else, and of single rows, over the whole batch."""
    if not copied:
        monkeypatch.setattr(thresholds, "COPIED_PRODUCTS", 0)
    jitnet.utils.set_random_seed(1)
    x = Input((length, 96))
    model = Model(x, layers.Dense(90)(x))
    model.compile(jitnet.optimizers.SGD(1.0), "mse")
    data, targets = random(33, length or 5, 96), random(33, length or 5, 90)
    kernel, bias = (w.astype(float) for w in model.get_weights())
    model.fit(data, targets, batch_size=33, epochs=1, verbose=0)
    gradient = 2 * (data @ kernel + bias - targets) / targets.size
    expected = kernel - np.einsum("bti,btj->ij", data, gradient)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4, atol=1e-5)
    (call,) = [c for c in model._step("train").program.calls if isinstance(c.kernel, MatrixMultiplyTransposed)]
    by_chunk = copied and length != 1
    assert (call.axis is None, call.kernel.packed) == (by_chunk, not by_chunk and length != 1)


def test_training_saving_and_other_lengths(tmp_path):
    jitnet.utils.set_random_seed(1)
    model = classifier(dropout=0.1)
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 11, (12, STEPS)), random(12, 3)
    losses = model.fit(x, y, epochs=8, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    path = tmp_path / "model.jitnet"
    model.save(path)
    loaded = jitnet.load_model(path)
    for tokens in (x, generator.integers(0, 11, (3, 1)), generator.integers(0, 11, (3, 12))):
        np.testing.assert_array_equal(loaded.predict_on_batch(tokens), model.predict_on_batch(tokens))
    with pytest.raises(ValueError, match="positions from 0 to 11"):
        model.predict_on_batch(generator.integers(0, 11, (3, 13)))
    jitnet.utils.set_random_seed(1)
    again = classifier(dropout=0.1)
    again.compile("adamw", "mse", jit_compile=False)
    again.fit(x, y, epochs=8, batch_size=4, verbose=0)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
