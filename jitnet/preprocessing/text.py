"""Texts as numbers of words, by the names of older Keras scripts; ``layers.TextVectorization`` does it in a model."""

import hashlib
import json
from collections import Counter, OrderedDict, defaultdict

import numpy as np

from jitnet.core import checks
from jitnet.core.errors import invalid, module_getattr

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]

__getattr__ = module_getattr(__name__, "function")

PUNCTUATION = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_MODES = ("binary", "count", "freq", "tfidf")
_COUNTED = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")


def text_to_word_sequence(input_text, filters=PUNCTUATION, lower=True, split=" ") -> list[str]:
    """The words of a text, in order.

    filters: characters that stand between words, as ``split`` does; lower: whether to make letters small.

    Example:
        >>> text_to_word_sequence("The cat, the mat.")
        ['the', 'cat', 'the', 'mat']
    """
    text = (input_text.lower() if lower else input_text).translate(dict.fromkeys(map(ord, filters), split))
    return [word for word in text.split(split) if word]


def hashing_trick(text, n, hash_function=None, filters=PUNCTUATION, lower=True, split=" ", analyzer=None) -> list[int]:
    """A number from 1 to n - 1 for each word of a text, the same for the same word; different words may share one.

    hash_function: from a word to an integer; "md5"; or None for Python's ``hash``, which differs from process to
        process.
    filters, lower, split: as of ``text_to_word_sequence``; analyzer: a function from a text to its words instead.
    """
    n = checks.integer("hashing_trick", "n", n, least=2)
    if hash_function == "md5":

        def hash_function(word):
            return int.from_bytes(hashlib.md5(word.encode(), usedforsecurity=False).digest(), "big")

    number = hash_function or hash
    words = analyzer(text) if analyzer else text_to_word_sequence(text, filters, lower, split)
    return [1 + number(word) % (n - 1) for word in words]


def one_hot(input_text, n, filters=PUNCTUATION, lower=True, split=" ", analyzer=None) -> list[int]:
    """``hashing_trick`` with Python's ``hash``; despite its name, Keras's, it returns numbers."""
    return hashing_trick(input_text, n, None, filters, lower, split, analyzer)


class Tokenizer:
    """Numbers for words, from 1 for the most frequent one on, of those that ``fit_on_texts`` has counted.

    Arguments:
        num_words: words of this number and above are left out; None: all stay.
        filters, lower, split: as of ``text_to_word_sequence``.
        char_level: whether characters are counted instead of words.
        oov_token: None, or what stands for words that are left out or unknown; its number is 1.
        analyzer: None, or a function from a text to its words, instead of the three above.
        document_count: the texts that were counted before.

    A text may also be a list of words.  ``word_index`` has the numbers of words, ``index_word`` the words of numbers,
    ``word_counts`` how often each was seen, ``word_docs`` and ``index_docs`` in how many texts, ``document_count`` how
    many texts there were.

    Example:
        >>> tokenizer = Tokenizer(num_words=3)
        >>> tokenizer.fit_on_texts(["the cat sat on the mat", "a cat"])
        >>> tokenizer.texts_to_sequences(["the black cat", "the mat"])
        [[1, 2], [1]]
    """

    def __init__(
        self, num_words=None, filters=PUNCTUATION, lower=True, split=" ", char_level=False, oov_token=None,
        analyzer=None, document_count=0,
    ):  # fmt: skip
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.analyzer = analyzer
        self.document_count = document_count
        self.word_counts = OrderedDict()
        self.word_docs = defaultdict(int)
        self.index_docs = defaultdict(int)
        self.word_index = {}
        self.index_word = {}

    def _words(self, text):
        if self.char_level or isinstance(text, list):
            if not self.lower:
                return text
            return [word.lower() for word in text] if isinstance(text, list) else text.lower()
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts) -> None:
        """Counts the words of texts, beside those counted before, and numbers all."""
        if isinstance(texts, str):
            raise invalid("Tokenizer expects a list of texts.", texts=texts)
        for text in texts:
            words = list(self._words(text))
            self.document_count += 1
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        # of equally frequent words the one that came first
        by_count = sorted(self.word_counts, key=self.word_counts.get, reverse=True)
        ranked = by_count if self.oov_token is None else [self.oov_token, *by_count]
        self.word_index = {word: number for number, word in enumerate(ranked, 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences) -> None:
        """Counts in how many sequences each number is, which ``sequences_to_matrix`` needs for "tfidf"."""
        for sequence in sequences:
            self.document_count += 1
            for number in set(sequence):
                self.index_docs[number] += 1

    def _known(self, number) -> bool:
        return number is not None and not (self.num_words and number >= self.num_words)

    def texts_to_sequences_generator(self, texts):
        """Makes the list of numbers of each text, one after the other."""
        other = self.word_index.get(self.oov_token)
        for text in texts:
            numbers = map(self.word_index.get, self._words(text))
            numbers = (number if self._known(number) else other for number in numbers)
            yield [number for number in numbers if number is not None]

    def texts_to_sequences(self, texts) -> list[list[int]]:
        """The numbers of the words of each text; words without one become ``oov_token``'s, or are left out."""
        return list(self.texts_to_sequences_generator(texts))

    def sequences_to_texts_generator(self, sequences):
        """Makes the text of each sequence, one after the other."""
        other = self.oov_token if self.oov_token in self.word_index else None
        for sequence in sequences:
            words = (self.index_word.get(number) if self._known(number) else other for number in sequence)
            yield " ".join(word for word in (other if word is None else word for word in words) if word is not None)

    def sequences_to_texts(self, sequences) -> list[str]:
        """The words of the numbers of each sequence, with spaces between."""
        return list(self.sequences_to_texts_generator(sequences))

    def texts_to_matrix(self, texts, mode="binary") -> np.ndarray:
        """``sequences_to_matrix`` of the numbers of texts."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences, mode="binary") -> np.ndarray:
        """A row for each sequence, a column for each number: (len(sequences), num_words), float64.

        mode: "binary", 1 where the number occurs; "count", how often; "freq", that divided by the sequence's length;
            "tfidf", (1 + log count) * log(1 + texts / (1 + texts with it)).

        Raises ValueError where there is no ``num_words`` and no text was counted, and for another mode.
        """
        if mode not in _MODES:
            raise invalid(f"Tokenizer knows the modes {', '.join(_MODES)}.", mode=mode)
        columns = self.num_words or (len(self.word_index) + 1 if self.word_index else 0)
        if not columns:
            raise invalid("Tokenizer needs num_words, or texts that it has counted.", num_words=self.num_words)
        if mode == "tfidf" and not self.document_count:
            raise invalid('Tokenizer needs fit_on_texts or fit_on_sequences before "tfidf".', mode=mode)
        found = np.zeros((len(sequences), columns))
        for row, sequence in zip(found, sequences, strict=True):
            for number, count in Counter(sequence).items():
                if number < columns:
                    row[number] = self._weight(mode, number, count, len(sequence))
        return found

    def _weight(self, mode: str, number: int, count: int, length: int) -> float:
        if mode == "binary":
            return 1.0
        if mode == "tfidf":
            return (1 + np.log(count)) * np.log(1 + self.document_count / (1 + self.index_docs.get(number, 0)))
        return count / length if mode == "freq" else count

    def get_config(self) -> dict:
        """The arguments but ``analyzer``, and what was counted, as JSON texts."""
        names = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")
        return {name: getattr(self, name) for name in names} | {n: json.dumps(getattr(self, n)) for n in _COUNTED}

    def to_json(self, **kwargs) -> str:
        """What ``tokenizer_from_json`` makes a Tokenizer of; kwargs: of ``json.dumps``."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The Tokenizer whose ``to_json`` this is, Keras's included."""
    config = dict(json.loads(json_string)["config"])
    counted = {name: json.loads(config.pop(name)) for name in _COUNTED}
    tokenizer = Tokenizer(**config)
    for name, table in counted.items():
        by_number = name.startswith("index_")  # whose keys JSON has made texts
        setattr(tokenizer, name, {int(key): value for key, value in table.items()} if by_number else table)
    return tokenizer
