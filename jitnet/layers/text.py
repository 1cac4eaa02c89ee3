"""Texts as numbers of words, characters or n-grams: computed by NumPy, on arrays of strings, before a model's step."""

import codecs
import itertools
import re
import string

import numpy as np

from .. import _registry
from ..core import checks
from ..core.errors import invalid, unknown_name
from .tables import StringLookup, _BeforeTheStep, refuse_a_path

# letters of other alphabets stay as they are: what Keras's vocabularies are made with
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NO_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))
STANDARDS = {
    "lower_and_strip_punctuation": {**_LOWER, **_NO_PUNCTUATION},
    "lower": _LOWER,
    "strip_punctuation": _NO_PUNCTUATION,
}
SPLITS = ("whitespace", "character")
_OLDER = {"binary": "multi_hot", "tf-idf": "tf_idf"}
_words = re.compile(r"\S+", re.ASCII).findall


def texts_of(owner: str, inputs, encoding: str = "utf-8", errors: str = "strict") -> tuple[list, tuple]:
    """A list of the strings in an array, in nested lists or alone, and its shape; bytes are decoded."""
    if isinstance(inputs, str | bytes):
        shape, texts = (), [inputs]
    elif isinstance(inputs, list | tuple) and all(isinstance(text, str | bytes) for text in inputs):
        shape, texts = (len(inputs),), list(inputs)
    else:
        try:
            array = np.array(inputs, dtype=object)
        except ValueError:
            raise invalid(f"{owner} takes lists of one length.", inputs=type(inputs).__name__) from None
        shape, texts = array.shape, array.reshape(-1).tolist()
    for place, text in enumerate(texts):
        if isinstance(text, bytes):
            try:
                texts[place] = text.decode(encoding, errors)
            except UnicodeDecodeError as error:
                expected = f"{owner} takes bytes in encoding={encoding!r}: text {place} is not."
                raise invalid(expected, error=str(error)) from None
        elif not isinstance(text, str):
            raise invalid(f"{owner} takes strings: number {place} is none.", given=text)
    return texts, shape


def padded(numbers: np.ndarray, lengths: np.ndarray, length: int | None) -> np.ndarray:
    """Rows (rows, length) of the ``lengths`` numbers that each has, cut off or filled with zeros; None: the longest."""
    length = int(lengths.max(initial=0)) if length is None else length
    rows = np.zeros((len(lengths), length), np.int64)
    if numbers.size == rows.size and (lengths == length).all():
        return numbers.reshape(rows.shape)
    places = np.arange(len(numbers)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = places < length
    rows[np.repeat(np.arange(len(lengths)), lengths)[kept], places[kept]] = numbers[kept]
    return rows


class TextVectorization(_BeforeTheStep):
    """Texts as numbers of their words, or as rows that say which words there are.

    Input strings (batch,) or (batch, 1), as lists or arrays; output int64 (batch, length) with zeros after the last
    word, or (batch, vocabulary's size) in the other modes.  Numbers begin with 0, for padding, and 1, for words that
    are not known; without padding in the other modes.

    As the first layer of a ``Sequential`` it makes a model of texts: the vocabulary is saved with it.

    Arguments:
        max_tokens: the most numbers that ``adapt`` gives, those before the words included; None: as many as there are.
        standardize: "lower_and_strip_punctuation", "lower" (A to Z), "strip_punctuation" (of ASCII), None, or a
            function from an array of strings to one of the same shape.
        split: "whitespace" (of ASCII), "character", None: every string is a word, or a function from an array of
            strings (batch,) to a list of each one's words.
        ngrams: an integer n: besides words, what 2, ..., n of them in a row make, joined by blanks; a tuple of
            integers: what so many make, alone.
        output_mode: "int", "multi_hot": which words a text has, "count": how often, "tf_idf": counts times weights.
        output_sequence_length: in mode "int", the length of rows; None: that of the longest.
        pad_to_max_tokens: whether rows of the other modes have max_tokens numbers.
        vocabulary: a list of words, or the path of a file with one in each line; None: ``adapt`` finds it.
        idf_weights: of the words, for "tf_idf".
        sparse, ragged: accepted for Keras's sake; must be False.
        encoding: of bytes.

    A function that is to be saved is registered by ``@jitnet.saving.register_keras_serializable()``.
    """

    def __init__(
        self, max_tokens=None, standardize="lower_and_strip_punctuation", split="whitespace", ngrams=None,
        output_mode="int", output_sequence_length=None, pad_to_max_tokens=False, vocabulary=None, idf_weights=None,
        sparse=False, ragged=False, encoding="utf-8", name=None, **kwargs,
    ):  # fmt: skip
        super().__init__(name=name, **kwargs)
        kind = "TextVectorization"
        if checks.boolean(kind, "ragged", ragged):
            raise invalid(f"{kind} returns whole arrays: ragged must be False.", ragged=ragged)
        self.standardize = _choice(kind, "standardize", standardize, STANDARDS)
        self.split = _choice(kind, "split", split, SPLITS)
        self.ngrams = ngrams if ngrams is None else _checked_ngrams(kind, ngrams)
        self.output_mode = checks.one_of(
            kind, "output_mode", _OLDER.get(output_mode, output_mode), ("int", "multi_hot", "count", "tf_idf")
        )
        if output_sequence_length is not None:
            checks.integer(kind, "output_sequence_length", output_sequence_length, least=1)
            if self.output_mode != "int":
                expected = f'{kind} takes output_sequence_length with output_mode="int".'
                raise invalid(expected, output_mode=output_mode)
        self.output_sequence_length = output_sequence_length
        self.encoding = checks.text(kind, "encoding", encoding)
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise invalid(f"{kind} expects encoding to be one that Python knows.", encoding=encoding) from None
        self._lookup = StringLookup(
            max_tokens, mask_token="", vocabulary=vocabulary, idf_weights=idf_weights, output_mode=self.output_mode,
            pad_to_max_tokens=pad_to_max_tokens, sparse=sparse, name=self.name,
        )  # fmt: skip

    # ---- from texts to words

    def _standardized(self, texts: list, shape: tuple) -> list:
        if self.standardize is None:
            return texts
        if isinstance(self.standardize, str):
            table = STANDARDS[self.standardize]
            return [text.translate(table) for text in texts]
        found = np.asarray(self.standardize(np.array(texts, dtype=str).reshape(shape)))
        if found.shape != shape:
            raise invalid("standardize returns an array of the shape that it gets.", given=shape, returned=found.shape)
        return texts_of("TextVectorization's split", found, self.encoding)[0]

    def _rows(self, inputs) -> tuple[list, tuple]:
        """Each text's words, a list or a string of characters, and the shape without them."""
        texts, shape = texts_of("TextVectorization", inputs, self.encoding)
        texts = self._standardized(texts, shape)
        if self.split is None:
            if self.output_sequence_length is not None and len(shape) < 2:
                expected = "TextVectorization with split=None and output_sequence_length takes rows of words."
                raise invalid(expected, shape=shape)
            step = shape[-1] if shape else 1
            return [texts[i : i + step] for i in range(0, len(texts), step or 1)], shape[:-1]
        if len(shape) > 1:
            if shape[-1] != 1:
                raise invalid("TextVectorization splits texts (batch,) or (batch, 1).", shape=shape)
            shape = shape[:-1]
        if self.split == "whitespace":
            return [_words(text) for text in texts], shape
        if self.split == "character":
            return texts, shape
        rows = [list(row) for row in self.split(np.array(texts, dtype=str))]
        if len(rows) != len(texts) or not all(isinstance(word, str) for row in rows for word in row):
            raise invalid("split returns a list of words for each text.", texts=len(texts), returned=rows[:2])
        return rows, shape

    def _with_ngrams(self, rows: list) -> list:
        if self.ngrams is None:
            return rows
        return [[" ".join(row[i : i + n]) for n in self._widths() for i in range(len(row) - n + 1)] for row in rows]

    def _widths(self):
        return range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams

    # ---- the vocabulary

    def adapt(self, data, batch_size=None, steps=None) -> None:
        """Learn the vocabulary: words by how often they are there, the last of the alphabet first where that is equal.

        data: texts (samples,) or (samples, 1), or an iterable of batches of them, of which ``steps`` are used.
        batch_size: accepted for Keras's sake.
        """
        super().adapt(data, steps)

    def reset_state(self):
        self._lookup.reset_state()

    def update_state(self, data):
        rows, shape = self._rows(data)
        if self.split is None and not shape:
            rows = [[word] for row in rows for word in row]  # samples of one word each
        self._lookup.learn(self._with_ngrams(rows))

    def finalize_state(self):
        self._lookup.finalize_state()

    def set_vocabulary(self, vocabulary, idf_weights=None) -> None:
        """Use these words; arguments and errors as of ``StringLookup.set_vocabulary``."""
        self._lookup.set_vocabulary(vocabulary, idf_weights)

    def get_vocabulary(self, include_special_tokens=True) -> list:
        """The words in the order of their numbers; ``include_special_tokens``: those before them, too."""
        return self._lookup.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """The number of words, those before them included."""
        return self._lookup.vocabulary_size()

    # ---- from words to numbers

    def call(self, inputs):
        rows, shape = self._rows(inputs)
        rows = self._with_ngrams(rows)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        if self.split == "character" and self.ngrams is None:
            numbers = self._lookup.numbers_of_characters("".join(rows))
        else:
            numbers = self._lookup.numbers_of(list(itertools.chain.from_iterable(rows)))
        if self.output_mode != "int":
            found = self._lookup.counted(numbers, lengths)
        else:
            found = padded(numbers, lengths, self.output_sequence_length)
        return found.reshape(*shape, found.shape[1])

    def result_shape(self, found):
        varies = self.output_mode == "int" and self.output_sequence_length is None and self.split is not None
        return (*found.shape[1:-1], None) if varies else found.shape[1:]

    def get_config(self):
        config = self._lookup.get_config()
        own = ("ngrams", "output_mode", "output_sequence_length", "encoding")
        return {
            **super().get_config(),
            **{name: config[name] for name in ("max_tokens", "pad_to_max_tokens", "vocabulary", "idf_weights")},
            **{name: getattr(self, name) for name in own},
            "standardize": _described(self.standardize, STANDARDS), "split": _described(self.split, SPLITS),
            "sparse": False, "ragged": False,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config):
        refuse_a_path(cls.__name__, config)
        return cls(**config)


def _choice(owner: str, argument: str, value, known):
    """One of ``known``, None or a function; a function that is registered may be given by its name."""
    if value is None or callable(value) or (isinstance(value, str) and value in known):
        return value
    found = _registry.get_registered_object(value) if isinstance(value, str) else None
    if found is None:
        if isinstance(value, str):
            raise unknown_name(f"{owner}'s {argument}", value, known)
        expected = f"{owner} expects {argument} to be {', '.join(map(repr, known))}, None or a function."
        raise invalid(expected, **{argument: value})
    return found


def _described(value, known):
    return value if value is None or isinstance(value, str) else _registry.serialize(value)


def _checked_ngrams(owner: str, ngrams):
    if isinstance(ngrams, list | tuple) and ngrams:
        return tuple(checks.integer(owner, "ngrams", n, least=1) for n in ngrams)
    return checks.integer(owner, "ngrams", ngrams, least=1)
