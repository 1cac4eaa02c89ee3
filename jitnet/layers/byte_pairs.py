"""Byte pairs: texts as numbers of parts of words that are frequent, from which each byte comes back."""

import heapq
import itertools
import re
from collections import Counter, defaultdict

import numpy as np

from ..core import checks
from ..core.errors import invalid
from .tables import _BeforeTheStep
from .text import padded, texts_of

LONGEST = 128  # bytes of a token
# what no token crosses: a word with the blank before it, a number, signs in a row, white space (as of GPT-2); cut off
# where the time that grows with the square of the length would count
_parts = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]{1,512}| ?\d{1,512}| ?(?:[^\s\w]|_){1,512}|\s{1,512}(?!\S)|\s{1,512}"
).findall
_REMEMBERED = 200_000  # words whose tokens are kept


class BytePairTokenizer(_BeforeTheStep):
    """Texts as numbers of byte pairs (Sennrich et al. 2016), on bytes (Radford et al. 2019): no text is unknown.

    Input strings or bytes (batch,) or (batch, 1), output int64 (batch, length) with zeros after the last token.
    Numbers are: 0 for padding, one for each special token, 256 bytes, and the pairs of tokens that were joined, in this
    order.  ``detokenize`` is the inverse, to the byte.

    As the first layer of a ``Sequential`` it makes a model of texts: the vocabulary is saved with it.

    Arguments:
        max_tokens: the most numbers that ``adapt`` gives; None: until no pair is there twice.
        merges: pairs of numbers that are joined, [(a, b), ...] in the order of their own numbers; None: ``adapt`` finds
            them.
        sequence_length: of rows, cut off or filled; None: that of the longest.
        special_tokens: strings that are one token each wherever they are, such as "<end>".
    """

    def __init__(self, max_tokens=None, merges=None, sequence_length=None, special_tokens=(), name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        kind = "BytePairTokenizer"
        if not isinstance(special_tokens, list | tuple) or not all(isinstance(s, str) and s for s in special_tokens):
            raise invalid(f"{kind} expects special_tokens to be strings.", special_tokens=special_tokens)
        if len(set(special_tokens)) < len(special_tokens):
            raise invalid(f"{kind} expects special_tokens to be different.", special_tokens=special_tokens)
        self.special_tokens = list(special_tokens)
        self._first_byte = 1 + len(special_tokens)
        least = self._first_byte + 256
        self.max_tokens = None if max_tokens is None else checks.integer(kind, "max_tokens", max_tokens, least=least)
        self.sequence_length = sequence_length
        if sequence_length is not None:
            checks.integer(kind, "sequence_length", sequence_length, least=1)
        # the longest first: one may begin another
        longest_first = sorted(special_tokens, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if special_tokens else None
        self._given = merges is not None
        self._words: Counter = Counter()
        self._merges: list | None = None
        if merges is not None:
            self._use(merges)

    def _use(self, merges) -> None:
        tokens = [b"", *map(self._bytes, self.special_tokens), *(bytes([i]) for i in range(256))]
        found = []
        if not isinstance(merges, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in merges):
            raise invalid("BytePairTokenizer expects merges to be a list of pairs.", merges=merges)
        for pair in merges:
            a, b = (checks.integer("BytePairTokenizer", "merges", n, self._first_byte, len(tokens) - 1) for n in pair)
            if len(tokens[a]) + len(tokens[b]) > LONGEST:
                raise invalid(f"A token of BytePairTokenizer has {LONGEST} bytes at most.", merges=(a, b))
            found.append((a, b))
            tokens.append(tokens[a] + tokens[b])
        if len(set(found)) < len(found):
            raise invalid("BytePairTokenizer takes merges without repetitions.", merges=len(found))
        if self.max_tokens is not None and len(tokens) > self.max_tokens:
            raise invalid(f"BytePairTokenizer has {self.max_tokens} tokens at most.", tokens=len(tokens))
        self._merges, self._tokens = found, tokens
        self._joined = {pair: self._first_byte + 256 + i for i, pair in enumerate(found)}
        self._known: dict = {}

    # ---- the vocabulary

    def reset_state(self):
        if self._given:
            raise ValueError(f"{self._described()} was given its merges: it does not learn others.")
        self._words = Counter()

    def update_state(self, data):
        for text in texts_of("BytePairTokenizer", data, errors="surrogateescape")[0]:
            for part in self._between_special(text)[::2]:
                self._words.update(_parts(part))

    def finalize_state(self):
        count = None if self.max_tokens is None else self.max_tokens - self._first_byte - 256
        words = {self._bytes(word): count for word, count in self._words.items()}
        self._use(learned_merges(words, self._first_byte, count))
        self._words = Counter()

    @property
    def merges(self) -> list:
        """The pairs of numbers that are joined, in the order of their own numbers."""
        self._require_merges()
        return list(self._merges)

    def _require_merges(self) -> None:
        if self._merges is None:
            raise ValueError(f"{self._described()} has no merges yet: call adapt first.")

    def get_vocabulary(self) -> list:
        """The bytes of each token in the order of their numbers; the first one stands for padding."""
        self._require_merges()
        return list(self._tokens)

    def vocabulary_size(self) -> int:
        """The number of tokens, with padding."""
        return len(self.get_vocabulary())

    def token_to_id(self, token) -> int:
        """The number of a special token, or of a token's bytes or text."""
        if token in self.special_tokens:
            return 1 + self.special_tokens.index(token)
        token = token.encode() if isinstance(token, str) else token
        try:
            return self.get_vocabulary().index(token, self._first_byte)
        except ValueError:
            raise invalid("BytePairTokenizer has no such token.", token=token) from None

    def id_to_token(self, id) -> bytes:
        """The bytes of a token."""
        last = self.vocabulary_size() - 1
        return self._tokens[checks.integer("BytePairTokenizer.id_to_token", "id", id, 0, last)]

    # ---- from texts to numbers

    def _between_special(self, text: str) -> list:
        """Pieces of a text, of which every second one is a special token."""
        return [text] if self._special is None else self._special.split(text)

    def _bytes(self, word: str) -> bytes:
        try:
            return word.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise invalid("BytePairTokenizer takes texts of whole Unicode characters.", text=word) from None

    def _numbers(self, word: str) -> list:
        """The tokens of a word: of all pairs the one that was learned first is joined, as often as there is one."""
        numbers = [self._first_byte + byte for byte in self._bytes(word)]
        while len(numbers) > 1:
            new = min(self._joined.get(pair, np.inf) for pair in itertools.pairwise(numbers))
            if new == np.inf:
                break
            numbers = _with_joined(numbers, self._merges[new - self._first_byte - 256], new)
        return numbers

    def _numbers_of_text(self, text: str) -> list:
        known, found = self._known, []
        for place, piece in enumerate(self._between_special(text)):
            if place % 2:
                found.append(1 + self.special_tokens.index(piece))
                continue
            for word in _parts(piece):
                numbers = known.get(word)
                if numbers is None:
                    if len(known) >= _REMEMBERED:
                        known.clear()
                    numbers = known[word] = self._numbers(word)
                found += numbers
        return found

    def call(self, inputs):
        self._require_merges()
        texts, shape = texts_of("BytePairTokenizer", inputs, errors="surrogateescape")
        if len(shape) > 1:
            if shape[-1] != 1:
                raise invalid("BytePairTokenizer takes texts (batch,) or (batch, 1).", shape=shape)
            shape = shape[:-1]
        rows = [self._numbers_of_text(text) for text in texts]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        numbers = np.fromiter(itertools.chain.from_iterable(rows), np.int64, int(lengths.sum()))
        found = padded(numbers, lengths, self.sequence_length)
        return found.reshape(*shape, found.shape[1])

    def result_shape(self, found):
        return found.shape[1:-1] + (self.sequence_length,)

    def detokenize(self, numbers, as_bytes=False):
        """The texts of rows of numbers (batch, length), a list; of one row a string.

        as_bytes: exactly the bytes; else those that are no UTF-8 (of a character that was cut, say) become "\\ufffd".

        Raises ValueError for a number that no token has.
        """
        self._require_merges()
        if len(numbers) and isinstance(numbers[0], list | tuple | np.ndarray):
            return [self.detokenize(row, as_bytes) for row in numbers]
        for place, number in enumerate(numbers):
            if not 0 <= number < len(self._tokens):
                expected = f"BytePairTokenizer has numbers from 0 to {len(self._tokens) - 1}."
                raise invalid(expected, number=int(number), place=place)
        found = b"".join([self._tokens[number] for number in numbers])
        return found if as_bytes else found.decode("utf-8", "replace")

    def get_config(self):
        return {
            **super().get_config(), "max_tokens": self.max_tokens, "sequence_length": self.sequence_length,
            "merges": None if self._merges is None else [list(pair) for pair in self._merges],
            "special_tokens": list(self.special_tokens),
        }  # fmt: skip


def _with_joined(numbers: list, pair: tuple, new: int) -> list:
    """Numbers with ``new`` in the place of every ``pair``, from the left."""
    found, place, last = [], 0, len(numbers) - 1
    while place <= last:
        if place < last and numbers[place] == pair[0] and numbers[place + 1] == pair[1]:
            found.append(new)
            place += 2
        else:
            found.append(numbers[place])
            place += 1
    return found


def learned_merges(words: dict, first_byte: int, count: int | None) -> list:
    """Up to ``count`` merges of the most frequent pairs of {word's bytes: how often it is there} (algorithm 1).

    Where several pairs are equally frequent, the one of the smallest numbers is the first.
    """
    spelled = [[first_byte + byte for byte in word] for word in words]
    often = list(words.values())
    total: Counter = Counter()
    places = defaultdict(set)  # words in which a pair is, or was
    for i, numbers in enumerate(spelled):
        for pair in itertools.pairwise(numbers):
            total[pair] += often[i]
            places[pair].add(i)
    length = dict.fromkeys(range(first_byte, first_byte + 256), 1)
    queue = [(-count, pair) for pair, count in total.items()]
    heapq.heapify(queue)
    merges: list = []
    while queue and (count is None or len(merges) < count):
        negative, pair = heapq.heappop(queue)
        if -negative != total[pair]:  # counted anew since then
            continue
        if -negative < 2:
            break
        if length[pair[0]] + length[pair[1]] > LONGEST:
            continue
        new = first_byte + 256 + len(merges)
        length[new] = length[pair[0]] + length[pair[1]]
        merges.append(pair)
        changed = set()
        for i in places.pop(pair):
            before = spelled[i]
            after = spelled[i] = _with_joined(before, pair, new)
            for old in itertools.pairwise(before):
                total[old] -= often[i]
                changed.add(old)
            for now in itertools.pairwise(after):
                total[now] += often[i]
                places[now].add(i)
                changed.add(now)
        for other in changed - {pair}:
            if total[other] > 0:
                heapq.heappush(queue, (-total[other], other))
    return merges
