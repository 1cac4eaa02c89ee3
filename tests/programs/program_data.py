"""Small data for the programs beside it: handwritten digits, and numbers drawn by a generator."""

import numpy as np

from jitnet.datasets.digits import load_data


def digits():
    """Images (N, 8, 8, 1) from 0 to 1 and labels, for training and for testing."""
    (x, y), (x_test, y_test) = load_data()
    return (scaled(x), y.astype("int64")), (scaled(x_test), y_test.astype("int64"))


def scaled(images):
    return images[..., None].astype("float32") / 16


def waves(count, steps=64, seed=0):
    """Noisy series (count, steps, 1) of three kinds, sine, saw tooth and square wave, and their kinds."""
    random = np.random.default_rng(seed)
    kind = random.integers(3, size=count)
    frequency, phase = random.uniform(2, 5, (count, 1)), random.uniform(0, 1, (count, 1))
    turns = frequency * np.linspace(0, 1, steps) + phase
    sine = np.sin(2 * np.pi * turns)
    forms = np.stack([sine, 2 * (turns % 1) - 1, np.sign(sine)])
    series = forms[kind, np.arange(count)] + 0.3 * random.standard_normal((count, steps))
    return series[..., None].astype("float32"), kind.astype("int64")


def loans(count, seed=0):
    """A table, {column: values}, of loans, and whether each was paid back."""
    random = np.random.default_rng(seed)
    purposes = np.array(["car", "house", "education", "holiday"])
    purpose = random.integers(4, size=count)
    income = random.lognormal(10, 0.5, count)
    amount = random.lognormal(9, 0.7, count)
    years = random.integers(1, 31, size=count)
    score = 1.5 * np.log(income / amount) + np.array([0.2, 1.0, 0.5, -1.5])[purpose] + 0.05 * years
    paid = random.random(count) < 1 / (1 + np.exp(-score))
    columns = {"income": income.astype("float32"), "amount": amount.astype("float32"), "years": years}
    return {**columns, "purpose": purposes[purpose]}, paid.astype("float32")


def rare(count, seed=0):
    """Measurements (count, 12) of which one in fifty is a fault, and which are."""
    random = np.random.default_rng(seed)
    fault = random.random(count) < 0.02
    x = random.standard_normal((count, 12)) + 1.5 * fault[:, None] * (np.arange(12) < 4)
    return x.astype("float32"), fault.astype("float32")


def reviews(count, seed=0):
    """Lists of word numbers from 2 on, and whether more of them praise (2 to 4) than blame (5 to 7)."""
    random = np.random.default_rng(seed)
    texts = [random.integers(2, 20, random.integers(2, 7)).tolist() for _ in range(count)]
    scores = [sum((w < 5) - (5 <= w < 8) for w in words) + random.normal(0, 0.1) for words in texts]
    return texts, (np.array(scores) > 0).astype("float32")


def tagged(count, seed=0):
    """Lists of word numbers from 1 to 11, and of tags from 0 to 2, of a word and the one after it."""
    random = np.random.default_rng(seed)
    texts = [random.integers(1, 12, random.integers(2, 7)) for _ in range(count)]
    return texts, [(words % 3 + np.append(words[1:] % 2, 0)) % 3 for words in texts]


def rhymes(count, seed=0):
    """A text of so many characters, of words that come in a fixed order but for chance."""
    random = np.random.default_rng(seed)
    words = ["red", "blue", "green"]
    return "".join(words[(n + (random.random() < 0.1)) % 3] + " " for n in range(count // 4))[:count]
