"""IMDB: 50,000 reviews of films as numbers of words, half of them for the film and half against it.

Source: A. Maas, R. Daly, P. Pham, D. Huang, A. Ng and C. Potts (2011), "Learning word vectors for sentiment analysis",
ACL; in the form that Keras publishes, words by how often they are used.
"""

from jitnet.datasets._arrays import read_arrays
from jitnet.datasets._files import find_or_fetch
from jitnet.datasets._texts import check_sequences, marked, of_known_words, shuffled, without_long, word_index

MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)
"""Folders the files are fetched from, tried in order; assign another tuple to use a mirror of your own.

Neither the address nor the hashes could be tried where this was written: they are those that Keras 3.15 has."""

SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
"""Of the published ``imdb.npz``; a download that differs is thrown away."""

INDEX_MD5 = "bfafd718b763782e994055a2d397834f"
"""Of the published ``imdb_word_index.json``."""


def load_data(
    path="imdb.npz", num_words=None, skip_top=0, maxlen=None, seed=113, start_char=1, oov_char=2, index_from=3
):
    """IMDB's reviews as ``(x_train, y_train), (x_test, y_test)``.

    x_train, x_test: (25000,) lists of numbers of words, from the most frequent one on; y_train, y_test: (25000,) int64,
    1 for the film, 0 against it.

    path: of a file of your own, if it is absolute.
    num_words: words of higher numbers become ``oov_char``, as do the ``skip_top`` most frequent ones; None: all stay.
    maxlen: sequences that are not shorter are left out.
    seed: of the order.
    start_char: the first number of each sequence; None: none.
    oov_char: what stands for words that are left out; None: nothing.
    index_from: added to the words' numbers.

    Looks for ``imdb.npz`` in ``JITNET_DATA_DIR/imdb/`` (your own file: no checksum), then in the user's cache, then on
    ``MIRRORS``.  Raises ValueError for a file that is not what it should be, OSError if no mirror delivers.
    """
    found = find_or_fetch("imdb", path, "imdb.npz", SHA256, MIRRORS)
    arrays = read_arrays(found, ("x_train", "y_train", "x_test", "y_test"))
    parts = []
    for x, y in (arrays[:2], arrays[2:]):
        check_sequences(x, y, found)
        x, y = shuffled(seed, x, y)
        parts.append(without_long(marked(x, start_char, index_from), y, maxlen))
    (x_train, y_train), (x_test, y_test) = parts
    x = of_known_words(x_train + x_test, num_words, skip_top, oov_char)
    return (x[: len(x_train)], y_train), (x[len(x_train) :], y_test)


def get_word_index(path="imdb_word_index.json") -> dict[str, int]:
    """{word: its number}, to which ``load_data`` adds ``index_from``; found as the data are."""
    return word_index("imdb", path, "imdb_word_index.json", INDEX_MD5, MIRRORS)
