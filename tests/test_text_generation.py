"""Generation: with and without what is kept between tokens, by chance, by a search, and its arguments."""

import itertools

import numpy as np
import pytest

import jitnet
from jitnet import Input, Model, Sequential, layers, models, text
from jitnet.text import stepping

VOCABULARY, POSITIONS = 11, 40
PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8], [9]]


def sharpened(model):
    """The model with weights that make it certain of one token or another."""
    for number, weight in enumerate(model.weights):
        generator = np.random.default_rng(number)
        weight.assign(weight.numpy() + generator.standard_normal(weight.shape).astype(np.float32))
    return model


def tokens(length=None, name=None):
    return Input((length,), dtype="int32", name=name)


def decoder():
    x = tokens()
    y = layers.TokenAndPositionEmbedding(VOCABULARY, POSITIONS, 6)(x)
    for first in (True, False):
        y = layers.TransformerDecoder(7, 2, 0.1, "gelu", normalize_first=first)(y)
    return Model(x, layers.Dense(VOCABULARY)(layers.LayerNormalization()(y)))


def attention():
    """The user's own block, with operations between the layers, and rotary positions of another kind beside them."""
    x = tokens()
    y = layers.Embedding(VOCABULARY, 6)(x)
    y = y * 2.0 + layers.SinePositionEncoding()(y)
    y = layers.Add()([y, layers.GroupQueryAttention(3, 4, 2)(y, y, use_causal_mask=True)])
    y = layers.RMSNormalization()(layers.RotaryEmbedding()(y))
    return Model(x, layers.Dense(VOCABULARY)(y))


def recurrent():
    cells = [layers.GRUCell(5), layers.LSTMCell(6)]
    return Sequential([
        tokens(), layers.Embedding(VOCABULARY, 6), layers.LSTM(5, return_sequences=True), layers.Dropout(0.5),
        layers.RNN(cells, return_sequences=True), layers.Dense(VOCABULARY),
    ])  # fmt: skip


def translation():
    source, target = tokens(4, "source"), tokens(None, "target")
    memory = layers.TokenAndPositionEmbedding(VOCABULARY, 4, 6)(source)
    memory = layers.TransformerEncoder(7, 2)(memory)
    y = layers.TokenAndPositionEmbedding(VOCABULARY, POSITIONS, 6)(target)
    y = layers.TransformerDecoder(7, 2)(y, memory)
    return Model([source, target], layers.Dense(VOCABULARY)(y))


def recurrent_translation():
    source, target = tokens(4), tokens()
    embedding = layers.Embedding(VOCABULARY, 5)
    _, *states = layers.LSTM(6, return_state=True)(embedding(source))
    y = layers.LSTM(6, return_sequences=True)(embedding(target), initial_state=states)
    return Model([source, target], layers.Dense(VOCABULARY)(y))


NEVER = np.where(np.arange(VOCABULARY) == 0, -1e4, 0).astype(np.float32)  # chosen is token 0, which is padding


def masked_decoder(positions=False):
    x = tokens()
    embedding = layers.TokenAndPositionEmbedding(VOCABULARY, POSITIONS, 6, mask_zero=True)
    y = (embedding if positions else layers.Embedding(VOCABULARY, 6, mask_zero=True))(x)
    for first in (True, False):
        y = layers.TransformerDecoder(7, 2, normalize_first=first)(y)
    y = layers.GroupQueryAttention(3, 4, 1)(y, y, use_causal_mask=True)
    return Model(x, layers.Dense(VOCABULARY)(y) + NEVER)


def masked_recurrent():
    x = tokens()
    y = layers.Embedding(VOCABULARY, 6, mask_zero=True)(x)
    y = layers.GRU(5, return_sequences=True)(layers.LSTM(6, return_sequences=True)(y))
    y = layers.SimpleRNN(6, return_sequences=True, zero_output_for_mask=True)(y)
    return Model(x, layers.Dense(VOCABULARY)(y) + NEVER)


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [decoder, attention, recurrent, translation, recurrent_translation])
def test_what_is_kept_changes_nothing(make):
    jitnet.utils.set_random_seed(1)
    model = sharpened(make())
    others = len(model.inputs) > 1
    inputs = np.random.default_rng(0).integers(0, VOCABULARY, (3, 4)) if others else None
    long = [list(np.arange(36) % VOCABULARY)]  # read in one part, and the rest token by token
    cases = [
        (PROMPTS, 9, {}), (PROMPTS, 9, {"method": "beam", "num_beams": 3, "length_penalty": 0.7, "stop_token": 3}),
        (PROMPTS, 9, {"method": "sample", "temperature": 0.8, "top_k": 5, "top_p": 0.9, "seed": 7, "stop_token": 2}),
        (long, 4, {}),
    ]  # fmt: skip
    for prompts, new, options in cases:
        given = {} if inputs is None else {"inputs": inputs[: len(prompts)]}
        kept = text.generate(model, prompts, new, cache=True, **given, **options)
        same(kept, text.generate(model, prompts, new, cache=False, **given, **options))
        same(kept, text.generate(model, prompts, new, **given, **options))
        assert all(list(found[: len(p)]) == list(p) for found, p in zip(kept, prompts, strict=True))
        if not options:
            assert [len(found) for found in kept] == [len(p) + new for p in prompts]
    # prompts have nothing to do with one another
    given = {} if inputs is None else {"inputs": inputs[1:2]}
    alone = text.generate(model, PROMPTS[1], 9, method="greedy", **given)
    assert alone.dtype == np.int64
    given = {} if inputs is None else {"inputs": inputs}
    np.testing.assert_array_equal(alone, text.generate(model, PROMPTS, 9, **given)[1])


@pytest.mark.parametrize("make", [masked_decoder, masked_recurrent, lambda: masked_decoder(positions=True)])
def test_padding_on_the_left_is_not_seen(make):
    """Prompts of unequal length side by side: what each alone is gone on with."""
    jitnet.utils.set_random_seed(1)
    model = sharpened(make())
    prompts = [[1, 2, 3], [4, 5, 6, 7, 8], [9], list(1 + np.arange(35) % (VOCABULARY - 1))]
    for chosen, new in ((prompts[:3], 9), (prompts, 4)):
        longest = max(map(len, chosen))
        padded = np.array([[0] * (longest - len(prompt)) + list(prompt) for prompt in chosen])
        kept = text.generate(model, padded, new, cache=True)
        same(kept, text.generate(model, padded, new, cache=False))
        same(kept, [text.generate(model, row, new, cache=True) for row in padded])
        beams = {"method": "beam", "num_beams": 3, "cache": True}
        same(text.generate(model, padded, new, **beams), text.generate(model, padded, new, **{**beams, "cache": False}))
        if any(isinstance(layer, layers.TokenAndPositionEmbedding) for layer in model.layers):
            continue  # a position is a position, of padding too
        for prompt, row in zip(chosen, kept, strict=True):
            alone = text.generate(model, prompt, new, cache=True)
            np.testing.assert_array_equal(row[longest - len(prompt) :], alone)


def test_padding_between_is_not_seen():
    """What recurrent layers put out in steps that don't count, which others read: also from one part to the next."""
    jitnet.utils.set_random_seed(1)
    model = sharpened(masked_recurrent())
    prompt = np.random.default_rng(0).integers(0, VOCABULARY, (2, 67)) * np.repeat([1, 0, 1], [30, 10, 27])
    prompt[:, -1] = 5
    same(text.generate(model, prompt, 6, cache=True), text.generate(model, prompt, 6, cache=False))


@pytest.fixture(scope="module")
def small():
    jitnet.utils.set_random_seed(1)
    return sharpened(recurrent())


def log_probabilities(model, prompt, sequence):
    """The sum of the logarithms of the probabilities of what comes after the prompt."""
    logits = model.predict_on_batch(np.array([sequence]))[0].astype(float)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(logs[i - 1, sequence[i]] for i in range(len(prompt), len(sequence)))


def test_greedy_takes_the_most_probable(small):
    found = text.generate(small, [1, 2], 4)
    for step in range(2, 6):
        assert found[step] == small.predict_on_batch(found[None, :step])[0, -1].argmax()
    stopped = text.generate(small, [1, 2], 4, stop_token=[int(found[3]), 99])
    np.testing.assert_array_equal(stopped, found[: list(found[2:]).index(found[3]) + 3])


def test_enough_beams_find_the_best_sequence(small):
    prompt = [1, 2]
    every = [[*prompt, *rest] for rest in itertools.product(range(VOCABULARY), repeat=2)]
    scores = [log_probabilities(small, prompt, sequence) for sequence in every]
    found = text.generate(small, prompt, 2, method="beam", num_beams=VOCABULARY)
    assert list(found) == every[int(np.argmax(scores))]
    # one beam is greedy
    np.testing.assert_array_equal(
        text.generate(small, prompt, 6, method="beam", num_beams=1), text.generate(small, prompt, 6)
    )
    # sequences that end early, by the mean of the logarithms
    stop = 3
    ended = [[*prompt, stop], *(s for s in every if s[2] != stop)]
    means = [log_probabilities(small, prompt, s) / (len(s) - 2) for s in ended]
    options = {"method": "beam", "num_beams": VOCABULARY, "stop_token": stop, "length_penalty": 1.0}
    assert list(text.generate(small, prompt, 2, **options)) == ended[int(np.argmax(means))]


def test_chance_follows_the_probabilities():
    logits = np.log(np.array([[0.5, 0.2, 0.2, 0.1]]))
    draws = (np.arange(4000) + 0.5) / 4000
    counts = np.bincount(text.sample(logits.repeat(4000, 0), draws), minlength=4) / 4000
    np.testing.assert_allclose(counts, [0.5, 0.2, 0.2, 0.1], atol=1e-3)
    cases = [
        ({"top_k": 2}, [5 / 7, 2 / 7, 0, 0]),
        ({"top_p": 0.6}, [5 / 7, 2 / 7, 0, 0]),
        ({"top_p": 0.49}, [1, 0, 0, 0]),
        ({"top_p": 0.01}, [1, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.95}, [5 / 9, 2 / 9, 2 / 9, 0]),
        ({"top_k": 9, "top_p": 1.0}, [0.5, 0.2, 0.2, 0.1]),
        ({"temperature": 0.5}, np.array([25, 4, 4, 1]) / 34),
        ({"temperature": 1e-3}, [1, 0, 0, 0]),
    ]
    for options, expected in cases:
        np.testing.assert_allclose(text.probabilities(logits[0], **options), expected, atol=1e-12)
    # extremes: nothing is drawn that has no probability
    logits = np.array([[-np.inf, 3, -np.inf, 800.0]])
    for draw in (0.0, 0.5, 1 - 2.0**-53):
        assert text.sample(logits, [draw]) == [3]
    assert text.sample(np.array([[-np.inf, 3, -np.inf]]), [0.0]) == [1]


def test_seeds(small):
    options = {"method": "sample", "temperature": 3.0}
    found = text.generate(small, PROMPTS, 12, seed=1, **options)
    same(found, text.generate(small, PROMPTS, 12, seed=1, **options))
    same(found[:1], text.generate(small, PROMPTS[:1], 12, seed=1, **options))
    assert any((a != b).any() for a, b in zip(found, text.generate(small, PROMPTS, 12, seed=2, **options), strict=True))
    first = []
    for _ in range(2):
        jitnet.utils.set_random_seed(5)
        first.append([text.generate(small, PROMPTS, 12, **options) for _ in range(2)])
    same(first[0][0], first[1][0])
    same(first[0][1], first[1][1])
    assert any((a != b).any() for a, b in zip(*first[0], strict=True))


def test_changed_weights_are_read(small):
    before = text.generate(small, [1], 5)
    weights = small.get_weights()
    small.set_weights([-w for w in weights])
    changed = text.generate(small, [1], 5)
    np.testing.assert_array_equal(changed, text.generate(small, [1], 5, cache=False))
    assert (before != changed).any()
    small.set_weights(weights)
    np.testing.assert_array_equal(text.generate(small, [1], 5), before)


class Own(models.Model):
    def __init__(self):
        super().__init__()
        self.embedding, self.dense = layers.Embedding(VOCABULARY, 6), layers.Dense(VOCABULARY)
        self.gru = layers.GRU(6, return_sequences=True)

    def call(self, inputs):
        return self.dense(self.gru(self.embedding(inputs)))


class SaidToBe(Own):
    stepwise = True


def test_models_of_the_users_own():
    for kind, kept in ((Own, False), (SaidToBe, True)):
        model = kind()
        model(np.zeros((1, 8), np.int32))
        sharpened(model)
        if kept:
            stepping.stepper_of(model, 8, False)
        else:
            with pytest.raises(stepping.NotStepwise, match="what the call of Own does"):
                stepping.stepper_of(model, 8, False)
        same(text.generate(model, PROMPTS, 3), text.generate(model, PROMPTS, 3, cache=True))


class Leaky(layers.Layer):
    """A cell of the user's own."""

    state_size = 6

    def call(self, inputs, states):
        return inputs + states[0], [inputs + 0.5 * states[0]]


def wrong(*between):
    return Sequential([tokens(), layers.Embedding(VOCABULARY, 6), *between, layers.Dense(VOCABULARY)])


def encoded(function, **options):
    x = tokens()
    return Model(x, layers.Dense(VOCABULARY)(function(layers.Embedding(VOCABULARY, 6, **options)(x))))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: wrong(layers.Conv1D(6, 3, padding="causal")), "the layer 'conv1d"),
        (lambda: wrong(layers.UnitNormalization(axis=1)), "the layer 'unit_normalization"),
        (lambda: wrong(layers.GRU(6, return_sequences=True, go_backwards=True)), "goes backwards"),
        (lambda: encoded(layers.RNN(Leaky(), return_sequences=True), mask_zero=True), "by a cell of another kind"),
        (lambda: wrong(layers.TransformerEncoder(7, 2)), "is not causal self-attention"),
        (lambda: encoded(lambda y: layers.MultiHeadAttention(2, 3)(y, y)), "is not causal self-attention"),
        (lambda: encoded(lambda y: jitnet.ops.cumsum(y, axis=1)), "an operation 'cumsum'"),
    ],
)
def test_what_looks_at_other_steps_is_computed_again(make, reason):
    model = make()
    with pytest.raises(stepping.NotStepwise, match=reason):
        stepping.stepper_of(model, 8, False)
    if "conv1d" in reason:
        same(text.generate(model, PROMPTS, 2), text.generate(model, PROMPTS, 2, cache=False))
        with pytest.raises(ValueError, match=r"can't go step by step.*conv1d.*Received: cache=True"):
            text.generate(model, [1], 2, cache=True)


def test_bad_arguments(small):
    x = tokens(6)
    y = layers.TokenAndPositionEmbedding(VOCABULARY, 6, 6)(x)
    limited = Model(x, layers.Dense(VOCABULARY)(layers.TransformerDecoder(7, 2)(y)))
    last = Sequential([tokens(), layers.Embedding(VOCABULARY, 6), layers.LSTM(5), layers.Dense(VOCABULARY)])
    kept = Sequential([
        Input(batch_shape=(1, 1), dtype="int32"), layers.Embedding(VOCABULARY, 6),
        layers.LSTM(5, return_sequences=True, stateful=True), layers.Dense(VOCABULARY),
    ])  # fmt: skip
    cases = [
        (lambda: text.generate(kept, [1], 3), "keeps states by itself"),
        (lambda: text.generate(limited, [1, 2], 6), "has 6 positions.*Received: tokens=8"),
        (lambda: text.generate(limited, [1, 2], 6, cache=False), "sequences of 6 tokens.*Received: tokens=8"),
        (lambda: text.generate(small, [VOCABULARY], 3), f"from 0 to {VOCABULARY - 1}. Received: index={VOCABULARY}"),
        (lambda: text.generate(small, [[1], []], 3), "at least one. Received: number=1"),
        (lambda: text.generate(small, [], 3), "at least one prompt"),
        (lambda: text.generate(small, [1.5], 3), "integers from 0 on"),
        (lambda: text.generate(small, [-1], 3), "integers from 0 on"),
        (lambda: text.generate(small, "abc", 3), "Received: prompts='abc'"),
        (lambda: text.generate(small, [1], 0), "Received: max_new_tokens=0"),
        (lambda: text.generate(small, [1], 3, method="bem"), "Unknown method"),
        (lambda: text.generate(small, [1], 3, method="beam", num_beams=0), "Received: num_beams=0"),
        (lambda: text.generate(small, [1], 3, method="sample", temperature=0), "Received: temperature=0"),
        (lambda: text.generate(small, [1], 3, method="sample", top_p=1.5), "Received: top_p=1.5"),
        (lambda: text.generate(small, [1], 3, method="sample", top_k=0), "Received: top_k=0"),
        (lambda: text.generate(small, [1], 3, stop_token=-1), "Received: stop_token=-1"),
        (lambda: text.generate(small, [1], 3, inputs=np.zeros((1, 4))), "Received: inputs=1"),
        (lambda: text.generate(translation(), [1], 3), "Received: inputs=0"),
        (lambda: text.generate(translation(), [1], 3, inputs=np.zeros((2, 4))), r"'source' of shape \(1, 4\)"),
        (lambda: text.generate(translation(), [1], 3, inputs={"sauce": 1}), "by the names.*source"),
        (lambda: text.sample(np.zeros((2, 3)), [0.5]), "draws from 0 up to 1"),
        (lambda: text.probabilities(np.array([0, np.nan])), "are NaN"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="Received: 3"):
        text.generate(3, [1], 2)
    with pytest.raises(TypeError, match=r"Received: an output of shape \(None, 11\)"):
        text.generate(last, [1], 2)
