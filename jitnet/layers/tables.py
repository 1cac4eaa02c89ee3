"""Columns of tables as numbers: computed by NumPy, on arrays, before a model's step."""

import itertools
import math
from collections import Counter

import numpy as np

from .. import ops
from ..core import checks
from ..core.errors import invalid
from ..core.policy import floatx
from ..core.values import Value
from ._fingerprints import farmhash64, siphash64
from .base import Layer

_MODES = ("int", "one_hot", "multi_hot", "count")


class _BeforeTheStep(Layer):
    """A layer of arrays of strings or numbers, whose result is an array.

    A model's step has no strings and no tables to look them up in: give a model what this returns, or let it begin
    with this layer, after an ``Input``.
    """

    before_the_step = True

    def __call__(self, inputs, *arguments, **keywords):
        keywords.pop("training", None)
        if isinstance(inputs, Value):
            from .._before_the_step import applied

            return applied(self, inputs)
        self.built = True
        return self.call(inputs, *arguments, **keywords)

    def adapt(self, data, steps=None) -> None:
        """Learn from data: an array, a list, or an iterable of batches of them, of which ``steps`` are used."""
        self.reset_state()
        arrays = isinstance(data, list | tuple | np.ndarray) or hasattr(data, "__array__")
        if arrays and steps is not None:
            raise invalid("steps is for iterables of batches.", steps=steps)
        for number, batch in enumerate([data] if arrays else data):
            if steps is not None and number >= steps:
                break
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget what ``update_state`` was given."""

    def update_state(self, data) -> None:
        """Learn from a batch."""

    def finalize_state(self) -> None:
        """Make of all batches what ``call`` needs."""

    def result_shape(self, found: np.ndarray) -> tuple:
        """The shape of a sample of any result, of which ``found`` is one; None where others may differ."""
        return found.shape[1:]


def _check_mode(layer: str, mode, sparse, modes=_MODES) -> str:
    if checks.boolean(layer, "sparse", sparse):
        raise invalid(f"{layer} returns whole arrays: sparse must be False.", sparse=sparse)
    return checks.one_of(layer, "output_mode", mode, modes)


def encoded(indices, mode: str, depth: int, dtype, weights=None) -> np.ndarray:
    """Indices (...) as they are, or as rows of so many numbers: one for each, or one for each sample of the last axis.

    An index beyond the rows counts nowhere.
    """
    indices = np.asarray(indices)
    if mode == "int":
        return indices
    if mode == "one_hot":
        if indices.ndim > 1 and indices.shape[-1] == 1:
            indices = indices[..., 0]
        return (indices[..., None] == np.arange(depth)).astype(dtype)
    indices = np.atleast_1d(indices)
    rows = (indices[..., None] == np.arange(depth)).astype(dtype)
    if mode == "multi_hot":
        return rows.max(axis=-2, initial=0)
    return (rows if weights is None else rows * np.asarray(weights, dtype)[..., None]).sum(axis=-2)


class CategoryEncoding(_BeforeTheStep):
    """Rows for integers: which of ``num_tokens`` categories a sample has, or how often.

    Input integers (..., samples' length), output (..., num_tokens); for "one_hot" a row for each integer.  Unlike its
    kin it may stand in a model, too: there integers outside of the categories have a row of zeros.

    Arguments:
        num_tokens: the number of categories; integers are from 0 to one below it.
        output_mode: "multi_hot", "count" or "one_hot".
        sparse: accepted for Keras's sake; must be False.
    """


    def __init__(self, num_tokens=None, output_mode="multi_hot", sparse=False, **kwargs):
        super().__init__(**kwargs)
        kind = "CategoryEncoding"
        if num_tokens is None:
            raise invalid(f"{kind} needs num_tokens; IntegerLookup finds out how many there are.", num_tokens=None)
        self.num_tokens = checks.integer(kind, "num_tokens", num_tokens, least=1)
        self.output_mode = _check_mode(kind, output_mode, sparse, _MODES[1:])

    before_the_step = False

    def __call__(self, inputs, *arguments, **keywords):
        of_model = isinstance(inputs, Value)
        return (Layer if of_model else _BeforeTheStep).__call__(self, inputs, *arguments, **keywords)

    def _in_a_model(self, inputs, count_weights):
        if count_weights is not None:
            raise invalid("In a model, CategoryEncoding counts without weights.", count_weights=count_weights)
        rows = ops.one_hot(inputs, self.num_tokens, dtype=self.dtype)
        if self.output_mode == "one_hot":
            return ops.squeeze(rows, -2) if inputs.ndim > 1 and inputs.shape[-1] == 1 else rows
        if inputs.ndim == 1:
            return rows
        return ops.max(rows, axis=-2) if self.output_mode == "multi_hot" else ops.sum(rows, axis=-2)

    def call(self, inputs, count_weights=None):
        """``count_weights``: of the integers, in mode "count"."""
        if isinstance(inputs, Value):
            return self._in_a_model(inputs, count_weights)
        given = np.asarray(inputs)
        if given.dtype.kind not in "iub" and not (given.dtype.kind == "f" and (given == np.floor(given)).all()):
            raise invalid("CategoryEncoding takes integers.", dtype=given.dtype)
        if given.size and (given.min() < 0 or given.max() >= self.num_tokens):
            raise invalid(
                f"CategoryEncoding takes integers from 0 to {self.num_tokens - 1}.",
                smallest=int(given.min()), largest=int(given.max()),
            )  # fmt: skip
        if count_weights is not None and self.output_mode != "count":
            raise invalid('count_weights goes with output_mode="count".', output_mode=self.output_mode)
        return encoded(given.astype(np.int64), self.output_mode, self.num_tokens, self.dtype, count_weights)

    def get_config(self):
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode}


class Discretization(_BeforeTheStep):
    """The number of the interval that a number lies in.

    Input numbers (...), output int64 (...), or rows as of ``CategoryEncoding``.

    Arguments:
        bin_boundaries: ascending; interval i is [boundary i - 1, boundary i).
        num_bins: instead of them; ``adapt`` then finds boundaries between which there are about equally many numbers.
        epsilon: accepted for Keras's sake: quantiles are exact.
        output_mode: "int", "one_hot", "multi_hot" or "count".
        sparse: accepted for Keras's sake; must be False.
    """

    def __init__(
        self, bin_boundaries=None, num_bins=None, epsilon=0.01, output_mode="int", sparse=False, dtype=None, name=None,
        **kwargs,
    ):  # fmt: skip
        super().__init__(name=name, dtype=dtype, **kwargs)
        kind = "Discretization"
        if (bin_boundaries is None) == (num_bins is None):
            raise invalid(
                f"{kind} takes either bin_boundaries or num_bins.", bin_boundaries=bin_boundaries, num_bins=num_bins
            )
        self.num_bins = None if num_bins is None else checks.integer(kind, "num_bins", num_bins, least=1)
        self.bin_boundaries = None if bin_boundaries is None else self._checked(bin_boundaries)
        self.epsilon = checks.number(kind, "epsilon", epsilon)
        self.output_mode = _check_mode(kind, output_mode, sparse)
        self._seen: list = []

    @staticmethod
    def _checked(boundaries) -> list:
        found = [checks.number("Discretization", "bin_boundaries", b) for b in boundaries]
        if sorted(found) != found:
            raise invalid("Discretization expects bin_boundaries to be ascending.", bin_boundaries=boundaries)
        return found

    def reset_state(self):
        if self.num_bins is None:
            raise invalid("Discretization with bin_boundaries does not learn: give num_bins.", num_bins=None)
        self._seen = []

    def update_state(self, data):
        self._seen.append(np.asarray(data, np.float64).reshape(-1))

    def finalize_state(self):
        values = np.sort(np.concatenate(self._seen or [np.empty(0)]))
        self._seen = []
        if not values.size:
            raise ValueError("Discretization learns from at least one number. Received: none")
        shares = np.arange(1, self.num_bins) / self.num_bins
        self.bin_boundaries = np.quantile(values, shares, method="inverted_cdf").astype(np.float32).tolist()

    def call(self, inputs):
        if self.bin_boundaries is None:
            raise ValueError(f"{self._described()} has no boundaries yet: call adapt first. Received: none")
        indices = np.digitize(np.asarray(inputs, np.float64), self.bin_boundaries)
        return encoded(indices, self.output_mode, len(self.bin_boundaries) + 1, floatx())

    def get_config(self):
        names = ("bin_boundaries", "num_bins", "epsilon", "output_mode")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config):
        boundaries = config.get("bin_boundaries")
        if boundaries is None or config.get("num_bins") is None:
            return cls(**config)
        layer = cls(**{**config, "bin_boundaries": None})
        layer.bin_boundaries = cls._checked(boundaries)
        return layer


class Hashing(_BeforeTheStep):
    """A number from 0 to num_bins - 1 for each string or integer, the same on every machine (FarmHash, or SipHash).

    Input strings or integers (...), output int64 (...), or rows as of ``CategoryEncoding``.

    Arguments:
        num_bins: how many numbers there are.
        mask_value: becomes 0, and nothing else does.
        salt: an integer or a pair of them, keys of SipHash-2-4; None: FarmHash64 without a key.
        output_mode: "int", "one_hot", "multi_hot" or "count".
        sparse: accepted for Keras's sake; must be False.
    """

    def __init__(self, num_bins, mask_value=None, salt=None, output_mode="int", sparse=False, **kwargs):
        super().__init__(**kwargs)
        self.num_bins = checks.integer("Hashing", "num_bins", num_bins, least=1)
        self.mask_value = mask_value
        self.salt = _checked_salt("Hashing", salt)
        self.output_mode = _check_mode("Hashing", output_mode, sparse)

    def call(self, inputs):
        given = _column("Hashing", inputs)
        masks = self.mask_value is not None and self.num_bins > 1
        bins = hashed(given, self.num_bins - masks, self.salt)
        if masks:
            bins = np.where(given == np.asarray(self.mask_value, given.dtype), 0, bins + 1)
        return encoded(bins, self.output_mode, self.num_bins, floatx())

    def get_config(self):
        names = ("num_bins", "mask_value", "salt", "output_mode")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _checked_salt(owner: str, salt):
    if salt is None:
        return None
    pair = list(salt) if isinstance(salt, list | tuple) else [salt, salt]
    if len(pair) != 2:
        raise invalid(f"{owner} expects salt to be an integer or a pair of them.", salt=salt)
    return [checks.integer(owner, "salt", part, least=0) for part in pair]


def _column(owner: str, values) -> np.ndarray:
    """Strings (as objects) or integers; floating-point numbers are cut to integers, as in Keras."""
    array = np.asarray(values)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8").astype(object)
    if array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.reshape(-1)):
        return array
    if array.dtype.kind not in "iubf":
        raise invalid(f"{owner} takes strings or integers.", dtype=array.dtype)
    return array.astype(np.int64)


def hashed(values: np.ndarray, bins: int, salt=None) -> np.ndarray:
    """The bin of each string or integer, which counts as the string of its digits."""
    different, places = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)
    texts = [str(value).encode() for value in different]
    numbers = [farmhash64(text) if salt is None else siphash64(text, tuple(salt)) for text in texts]
    return np.array([number % bins for number in numbers], np.int64)[places].reshape(values.shape)


def refuse_a_path(owner: str, config: dict) -> None:
    """Raise for the path of a vocabulary: what a model's file describes opens no other file."""
    if isinstance(config.get("vocabulary"), str):
        raise invalid(f"The description of {owner} has the words themselves.", vocabulary=config["vocabulary"])


class _Lookup(_BeforeTheStep):
    """Numbers of words of a vocabulary."""

    dtype_of_words: type

    def _set_up(
        self, max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
        pad_to_max_tokens, salt,
    ) -> None:  # fmt: skip
        kind = type(self).__name__
        self.max_tokens = None if max_tokens is None else checks.integer(kind, "max_tokens", max_tokens, least=2)
        self.num_oov_indices = checks.integer(kind, "num_oov_indices", num_oov_indices, least=0)
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert = checks.boolean(kind, "invert", invert)
        self.output_mode = _check_mode(kind, output_mode, sparse, (*_MODES, "tf_idf"))
        if self.invert and self.output_mode != "int":
            raise invalid(f'{kind} with invert=True has output_mode="int".', output_mode=output_mode)
        if self.invert and self.num_oov_indices > 1:
            raise invalid(f"{kind} with invert=True has one num_oov_indices at most.", num_oov_indices=num_oov_indices)
        self.pad_to_max_tokens = checks.boolean(kind, "pad_to_max_tokens", pad_to_max_tokens)
        if self.pad_to_max_tokens and max_tokens is None:
            raise invalid(f"{kind} with pad_to_max_tokens needs max_tokens.", max_tokens=None)
        self.salt = _checked_salt(kind, salt)
        self.idf_weights = None
        self._words: list | None = None
        self._given = vocabulary is not None
        self.reset_state()
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = [self.dtype_of_words(line.rstrip("\n")) for line in file if line.rstrip("\n")]
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        elif idf_weights is not None:
            raise invalid(f"{kind} takes idf_weights with a vocabulary.", idf_weights=idf_weights)

    # ---- the vocabulary

    def _specials(self) -> list:
        """What stands before the words: the mask, in mode "int", and those that are not known."""
        masks = self.mask_token is not None and self.output_mode == "int"
        return [self.mask_token] * masks + [self.oov_token] * self.num_oov_indices

    def set_vocabulary(self, vocabulary, idf_weights=None) -> None:
        """Use these words, which may begin with the mask and the word for those that are not known.

        idf_weights: of the words, for output_mode="tf_idf".

        Raises ValueError for words that repeat, for too many, and for weights that lack or are too many.
        """
        kind = type(self).__name__
        words = _column(kind, vocabulary).reshape(-1).tolist()
        if words and not isinstance(words[0], self.dtype_of_words):
            raise invalid(f"{kind} takes words of the type {self.dtype_of_words.__name__}.", vocabulary=words[:3])
        specials = self._specials()
        if specials and words[: len(specials)] == specials:
            words = words[len(specials) :]
        repeated = sorted({word for word in words if words.count(word) > 1} if len(set(words)) < len(words) else ())
        if repeated:
            raise invalid(f"{kind} takes a vocabulary without repetitions.", repeated=repeated[:5])
        misplaced = [word for word in (self.mask_token, *([self.oov_token] * self.invert)) if word in words and word]
        if misplaced:
            raise invalid(f"{kind} has the mask and what is not known at the beginning alone.", vocabulary=misplaced)
        total = len(words) + len(specials)
        if self.max_tokens is not None and total > self.max_tokens:
            raise invalid(f"{kind} has {self.max_tokens} words at most.", words=total)
        if self.output_mode == "tf_idf":
            if idf_weights is None or len(idf_weights) != len(words):
                expected = f'{kind} with output_mode="tf_idf" needs a weight for each word.'
                raise invalid(expected, idf_weights=idf_weights)
            self._weigh(np.asarray(idf_weights, np.float64))
        elif idf_weights is not None:
            raise invalid(f'{kind} takes idf_weights with output_mode="tf_idf".', output_mode=self.output_mode)
        self._use(words)

    def _use(self, words: list) -> None:
        self._words = words
        first = len(self._specials())
        self._numbers = {word: first + i for i, word in enumerate(words)}
        if self.mask_token is not None and self.output_mode == "int":
            self._numbers[self.mask_token] = 0

    def _weigh(self, weights) -> None:
        """Weights of the words, before them their mean for what is not known."""
        before = np.full(self.num_oov_indices, weights.mean() if len(weights) else 0.0)
        self.idf_weights = np.concatenate([before, weights])

    def get_vocabulary(self, include_special_tokens=True) -> list:
        """The words in the order of their numbers; ``include_special_tokens``: those before them, too."""
        return [*(self._specials() if include_special_tokens else []), *(self._words or [])]

    def vocabulary_size(self) -> int:
        """The number of words, those before them included."""
        return len(self.get_vocabulary())

    def reset_state(self):
        self._counts: dict = {}
        self._documents: dict = {}
        self._number_of_documents = 0

    def update_state(self, data):
        array = _column(type(self).__name__, data)
        self.learn((array.reshape(1, -1) if array.ndim < 2 else array.reshape(len(array), -1)).tolist())

    def learn(self, rows: list) -> None:
        """``update_state`` with samples that are lists of words, or strings of characters."""
        if self._given:
            raise ValueError(f"{self._described()} was given its vocabulary: it does not learn another one.")
        for word, count in Counter(itertools.chain.from_iterable(rows)).items():
            self._counts[word] = self._counts.get(word, 0) + count
        if self.output_mode == "tf_idf":
            for word, count in Counter(word for row in rows for word in set(row)).items():
                self._documents[word] = self._documents.get(word, 0) + count
            self._number_of_documents += len(rows)

    def adapt(self, data, steps=None):
        """Learn the vocabulary: words by how often they are there, the last of the alphabet first where that is equal.

        data: an array or a list, (samples,) or (samples, ...); or an iterable of batches, of which ``steps`` are used.
        """
        if isinstance(data, list | tuple | np.ndarray) and np.ndim(data) == 1:
            data = np.asarray(data)[:, None]  # samples of one word each
        super().adapt(data, steps)

    def finalize_state(self):
        for special in (self.mask_token, self.oov_token):
            self._counts.pop(special, None)
        words = sorted(self._counts, key=lambda word: (self._counts[word], word), reverse=True)
        if self.max_tokens is not None:
            words = words[: self.max_tokens - len(self._specials())]
        if self.output_mode == "tf_idf":
            having = np.array([self._documents[word] for word in words], np.float64)
            self._weigh(np.log(1 + self._number_of_documents / (1 + having)))
        self._use(words)
        self.reset_state()

    # ---- looking up

    def _require_vocabulary(self) -> None:
        if self._words is None:
            raise ValueError(f"{self._described()} has no vocabulary yet: call adapt or set_vocabulary first.")

    def call(self, inputs):
        if self.invert:
            self._require_vocabulary()
            return self._words_of(inputs)
        array = _column(type(self).__name__, inputs)
        numbers = self.numbers_of(array.reshape(-1).tolist()).reshape(array.shape)
        if self.output_mode in ("int", "one_hot"):
            return encoded(numbers, self.output_mode, self._depth(), floatx())
        rows = np.atleast_1d(numbers)
        found = self.counted(rows.reshape(-1), np.full(math.prod(rows.shape[:-1]), rows.shape[-1]))
        return found.reshape(*rows.shape[:-1], found.shape[1])

    def _depth(self) -> int:
        return self.max_tokens if self.pad_to_max_tokens else self.vocabulary_size()

    def counted(self, numbers: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Rows (len(lengths), depth) of samples that have so many of the numbers each, one sample's after another's."""
        depth = self._depth()
        cells = np.repeat(np.arange(len(lengths)) * depth, lengths) + numbers
        found = np.bincount(cells, minlength=len(lengths) * depth).reshape(len(lengths), depth)
        if self.output_mode == "multi_hot":
            found = found > 0
        elif self.output_mode == "tf_idf":
            weights = np.zeros(depth)
            weights[: len(self.idf_weights)] = self.idf_weights
            found = found * weights
        return found.astype(floatx())

    def numbers_of(self, words: list) -> np.ndarray:
        """The number of each word."""
        self._require_vocabulary()
        get = self._numbers.get
        numbers = np.fromiter((get(word, -1) for word in words), np.int64, len(words))
        (places,) = np.nonzero(numbers < 0)
        if len(places):
            unknown = [words[place] for place in places]
            if not self.num_oov_indices:
                raise invalid(
                    f"{self._described()} has no number for what is not in its vocabulary: num_oov_indices=0.",
                    inputs=unknown[:5],
                )
            first = len(self._specials()) - self.num_oov_indices
            several = self.num_oov_indices > 1
            numbers[places] = first + (self._bins(_column(type(self).__name__, unknown)) if several else 0)
        return numbers

    def numbers_of_characters(self, text: str) -> np.ndarray:
        """The number of each character of a string."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        (different,) = np.nonzero(np.bincount(codes))
        table = np.zeros(int(different.max(initial=0)) + 1, np.int64)
        table[different] = self.numbers_of([chr(code) for code in different])
        return table[codes]

    def _bins(self, unknown) -> np.ndarray:
        return hashed(unknown, self.num_oov_indices, self.salt)

    def _words_of(self, inputs) -> np.ndarray:
        words = np.array([*self.get_vocabulary(), self.oov_token], self._array_type())
        numbers = np.asarray(inputs, np.int64)
        known = (numbers >= 0) & (numbers < len(words) - 1)
        return words[np.where(known, numbers, len(words) - 1)]

    def _array_type(self):
        return str if self.dtype_of_words is str else np.int64

    def get_config(self):
        names = (
            "max_tokens", "num_oov_indices", "mask_token", "oov_token", "invert", "output_mode", "pad_to_max_tokens",
            "salt",
        )  # fmt: skip
        config = {**super().get_config(), **{name: getattr(self, name) for name in names}}
        config["vocabulary"] = None if self._words is None else list(self._words)
        weights = self.idf_weights
        config["idf_weights"] = None if weights is None else weights[self.num_oov_indices :].tolist()
        return config

    @classmethod
    def from_config(cls, config):
        refuse_a_path(cls.__name__, config)
        return cls(**config)


class StringLookup(_Lookup):
    """The number of each string in a vocabulary, or with ``invert`` the string of each number.

    Input strings (...), output int64 (...), or rows as of ``CategoryEncoding``.  Numbers begin with that of the mask,
    if there is one, and those of strings that are not known.

    Arguments:
        max_tokens: the most numbers that ``adapt`` gives, those before the words included; None: as many as there are.
        num_oov_indices: how many numbers strings that are not known share, by their hash; 0: they are refused.
        mask_token: a string of the number 0, in mode "int"; None: none.
        oov_token: what stands for strings that are not known, where numbers become strings.
        vocabulary: a list of strings, or the path of a file with one in each line; None: ``adapt`` finds it.
        idf_weights: of the strings, for "tf_idf".
        invert: from numbers to strings.
        output_mode: "int", "one_hot", "multi_hot", "count", or "tf_idf": counts times weights.
        pad_to_max_tokens: whether rows have max_tokens numbers.
        sparse: accepted for Keras's sake; must be False.
        encoding: must be "utf-8".
        salt: as of ``Hashing``, for num_oov_indices above 1.
    """

    dtype_of_words = str

    def __init__(
        self, max_tokens=None, num_oov_indices=1, mask_token=None, oov_token="[UNK]", vocabulary=None, idf_weights=None,
        invert=False, output_mode="int", pad_to_max_tokens=False, sparse=False, encoding="utf-8", name=None, salt=None,
        **kwargs,
    ):  # fmt: skip
        super().__init__(name=name, **kwargs)
        if encoding != "utf-8":
            raise invalid('StringLookup takes strings, and bytes of the encoding "utf-8".', encoding=encoding)
        self._set_up(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, salt,
        )  # fmt: skip


class IntegerLookup(_Lookup):
    """The place of each integer in a vocabulary, or with ``invert`` the integer of each place.

    Input integers (...), output int64 (...), or rows as of ``CategoryEncoding``.

    Arguments:
        vocabulary_dtype: "int64" or "int32".
        oov_method: "floormod": integers that are not known share numbers by their remainder; "farmhash": by their hash.
        others: as of ``StringLookup``.
    """

    dtype_of_words = int

    def __init__(
        self, max_tokens=None, num_oov_indices=1, mask_token=None, oov_token=-1, vocabulary=None,
        vocabulary_dtype="int64", idf_weights=None, invert=False, output_mode="int", sparse=False,
        pad_to_max_tokens=False, oov_method="floormod", salt=None, name=None, **kwargs,
    ):  # fmt: skip
        super().__init__(name=name, **kwargs)
        self.vocabulary_dtype = checks.one_of("IntegerLookup", "vocabulary_dtype", vocabulary_dtype, ("int64", "int32"))
        self.oov_method = checks.one_of("IntegerLookup", "oov_method", oov_method, ("floormod", "farmhash"))
        if salt is not None and oov_method != "farmhash":
            raise invalid('IntegerLookup takes a salt with oov_method="farmhash".', salt=salt)
        self._set_up(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, salt,
        )  # fmt: skip

    def _bins(self, unknown):
        return unknown % self.num_oov_indices if self.oov_method == "floormod" else super()._bins(unknown)

    def get_config(self):
        own = {"vocabulary_dtype": self.vocabulary_dtype, "oov_method": self.oov_method}
        return {**super().get_config(), **own}
