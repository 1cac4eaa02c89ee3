"""Reuters: 11,228 newswires as numbers of words, of 46 topics.

Source: D. Lewis, the Reuters-21578 collection; in the form that Keras publishes, words by how often they are used.
"""

from jitnet.datasets._arrays import read_arrays
from jitnet.datasets._files import find_or_fetch
from jitnet.datasets._texts import check_sequences, marked, of_known_words, shuffled, without_long, word_index

MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)
"""Folders the files are fetched from, tried in order; assign another tuple to use a mirror of your own.

Neither the address nor the hashes could be tried where this was written: they are those that Keras 3.15 has."""

SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
"""Of the published ``reuters.npz``; a download that differs is thrown away."""

INDEX_MD5 = "4d44cc38712099c9e383dc6e5f11a921"
"""Of the published ``reuters_word_index.json``."""

_TOPICS = """cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton
carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi
iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"""


def load_data(
    path="reuters.npz", num_words=None, skip_top=0, maxlen=None, test_split=0.2, seed=113, start_char=1, oov_char=2,
    index_from=3,
):  # fmt: skip
    """Newswires as ``(x_train, y_train), (x_test, y_test)``.

    x_train: (8982,) lists of numbers of words, y_train: (8982,) int64, 0 to 45; x_test, y_test: (2246,).

    test_split: the last part, which is the test set; others as of ``imdb.load_data``.

    Looks for ``reuters.npz`` in ``JITNET_DATA_DIR/reuters/`` (your own file: no checksum), then in the user's cache,
    then on ``MIRRORS``.  Raises ValueError for a file that is not what it should be, OSError if no mirror delivers.
    """
    found = find_or_fetch("reuters", path, "reuters.npz", SHA256, MIRRORS)
    x, y = read_arrays(found, ("x", "y"))
    check_sequences(x, y, found)
    x, y = shuffled(seed, x, y)
    x, y = without_long(marked(x, start_char, index_from), y, maxlen)
    x = of_known_words(x, num_words, skip_top, oov_char)
    train = int(len(x) * (1 - test_split))
    return (x[:train], y[:train]), (x[train:], y[train:])


def get_word_index(path="reuters_word_index.json") -> dict[str, int]:
    """{word: its number}, to which ``load_data`` adds ``index_from``; found as the data are."""
    return word_index("reuters", path, "reuters_word_index.json", INDEX_MD5, MIRRORS)


def get_label_names() -> tuple[str, ...]:
    """The topics, by their labels."""
    return tuple(_TOPICS.split())
