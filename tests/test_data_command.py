"""jitnet data: what there is of the datasets, downloads from a local server, and checks of what is there."""

import pytest

# the places of the tests of datasets: a cache and a data folder of the test's own, no mirrors, a local server
from test_datasets import Server, idx_files, places, published, server, write  # noqa: F401

from jitnet.cli import main
from jitnet.datasets import _catalogue, mnist

EXAMPLE = ((5, 28, 28), (5,), (3, 28, 28), (3,))


@pytest.fixture
def small(monkeypatch):
    """MNIST is published with a few images."""
    entry = _catalogue.ENTRIES["mnist"]
    monkeypatch.setitem(_catalogue.ENTRIES, "mnist", _catalogue.Entry(1000, *_rest(entry), EXAMPLE, entry.own))


def _rest(entry):
    return entry.licence, entry.source


def said(capsys, arguments, status=0):
    capsys.readouterr()
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out if status == 0 else captured.err


def line_of(text, name):
    (line,) = (line for line in text.splitlines() if line.startswith(name + " "))
    return line


def test_list_fetch_verify(places, published, server, small, capsys):  # noqa: F811
    listed = said(capsys, ["data", "list"])
    assert line_of(listed, "mnist").endswith("not there")
    assert "bundled: " in line_of(listed, "digits")
    assert "CC BY-SA 3.0; LeCun" in listed
    assert server.requests == []
    assert "mnist is not there" in said(capsys, ["data", "verify", "mnist"], 3)
    assert "mnist: not there" in said(capsys, ["data", "verify"])
    assert server.requests == []

    cache = places / "cache" / "datasets" / "mnist"
    assert said(capsys, ["data", "fetch", "mnist"]) == f"mnist: cache: {cache}\n"
    assert len(server.requests) == 4
    assert line_of(said(capsys, ["data", "list", "mnist"]), "mnist").endswith(f"cache: {cache}")
    assert said(capsys, ["data", "verify", "mnist", "digits"]) == (
        "mnist: hashes and shapes (5, 28, 28), (5,), (3, 28, 28), (3,)\n"
        "digits: hashes and shapes (1438, 8, 8), (1438,), (359, 8, 8), (359,)\n"
    )
    assert len(server.requests) == 4

    damaged = cache / "t10k-labels-idx1-ubyte.gz"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert f"{damaged} is damaged: expected the hash" in said(capsys, ["data", "verify"], 3)
    assert len(server.requests) == 4  # to verify is not to repair
    said(capsys, ["data", "fetch", "mnist"])
    assert len(server.requests) == 5 and damaged.read_bytes() == whole


def test_hashes_may_be_right_and_shapes_wrong(places, published, capsys):  # noqa: F811
    said(capsys, ["data", "fetch", "mnist"])
    message = said(capsys, ["data", "verify", "mnist"], 3)
    assert "x_train of mnist must have the shape (60000, 28, 28). Received: (5, 28, 28)" in message


def test_files_of_ones_own(places, capsys):  # noqa: F811
    files, _ = idx_files()
    folder = places / "data" / "mnist"
    write(folder, files)
    assert line_of(said(capsys, ["data", "list"]), "mnist").endswith(f"own: {folder}")
    assert said(capsys, ["data", "verify", "mnist"]) == "mnist: shapes (5, 28, 28), (5,), (3, 28, 28), (3,)\n"
    assert said(capsys, ["data", "fetch", "mnist"]) == f"mnist: own: {folder}\n"
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1])
    assert "truncated" in said(capsys, ["data", "verify", "mnist"], 3)
    # the same where it is trained on
    assert "truncated" in said(capsys, ["train", "mnist", "--out", str(places / "run")], 3)
    labels.unlink()
    assert "incomplete" in line_of(said(capsys, ["data", "list"]), "mnist")
    assert "a folder without t10k-labels" in said(capsys, ["data", "verify", "mnist"], 3)
    assert not (places / "run").exists()


def test_what_cannot_be_fetched(places, capsys):  # noqa: F811
    assert "no mirror delivered" in said(capsys, ["data", "fetch", "mnist"], 3)
    assert "Did you mean 'mnist'?" in said(capsys, ["data", "fetch", "mnits"], 2)
    assert "fetch expects names of datasets" in said(capsys, ["data", "fetch"], 2)


def test_every_dataset_is_listed():
    import jitnet
    from jitnet.configuration import datasets

    assert list(_catalogue.ENTRIES) == sorted(jitnet.datasets.__all__)
    assert set(_catalogue.ENTRIES) == set(datasets.NAMES)
    for name, entry in _catalogue.ENTRIES.items():
        assert entry.own or name == "digits"
        if entry.own:
            assert all(len(file_hash) == 64 for file_hash in _catalogue._published(name).values())
    assert set(mnist.SHA256) == set(_catalogue._published("mnist"))
