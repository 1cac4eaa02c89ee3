"""The dataset loaders: formats, the search order, downloads from a local server, and the bundled digits."""

import gzip
import hashlib
import http.server
import io
import os
import socket
import socketserver
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from jitnet.datasets import _files, cifar10, digits, fashion_mnist, mnist
from jitnet.datasets._idx import parse_idx
from jitnet.datasets._records import parse_records

ROOT = Path(__file__).resolve().parent.parent
RECORDS = 3  # in a small stand-in for a CIFAR-10 batch


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def idx_files(train=5, test=3, seed=0):
    """The four IDX files, not gzipped, by name, and the arrays they hold."""
    random = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = random.integers(0, 10, count).astype(np.uint8)
    return {name: idx_bytes(array) for name, array in arrays.items()}, arrays


def unreachable():
    """The address of a server that is down."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def assert_holds(data, arrays):
    (x_train, y_train), (x_test, y_test) = data
    for found, name in (
        (x_train, "train-images-idx3-ubyte"),
        (y_train, "train-labels-idx1-ubyte"),
        (x_test, "t10k-images-idx3-ubyte"),
        (y_test, "t10k-labels-idx1-ubyte"),
    ):
        assert found.dtype == np.uint8
        assert found.flags.writeable
        np.testing.assert_array_equal(found, arrays[name])


def write(folder, files, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (f"{name}.gz" if compress else name)).write_bytes(gzip.compress(data, mtime=0) if compress else data)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A cache and a data folder of the test's own, no mirrors, and no proxy between it and the local server."""
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("JITNET_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    for module in (mnist, fashion_mnist, cifar10):
        monkeypatch.setattr(module, "MIRRORS", ())
    return tmp_path


class Server:
    """An HTTP server on 127.0.0.1 with files by path; ``cut`` names paths that break off half-way."""

    def __init__(self):
        self.files, self.cut, self.requests = {}, set(), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                data = outer.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if self.path in outer.cut else data)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture
def published(server, monkeypatch):
    """Small MNIST files on the server's /good, with checksums to match; gives their arrays."""
    files, arrays = idx_files()
    zipped = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in files.items()}
    server.files.update({f"/good/{name}": data for name, data in zipped.items()})
    monkeypatch.setattr(mnist, "SHA256", {name: hashlib.sha256(data).hexdigest() for name, data in zipped.items()})
    monkeypatch.setattr(mnist, "MIRRORS", (f"{server.url}/good/",))
    return arrays


def cached(tmp_path, dataset="mnist"):
    folder = tmp_path / "cache" / "datasets" / dataset
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# Downloads


def test_download_once_then_from_the_cache(server, published, places):
    assert_holds(mnist.load_data(), published)
    assert len(server.requests) == 4
    assert cached(places) == sorted(mnist.SHA256)
    assert_holds(mnist.load_data(), published)
    assert len(server.requests) == 4


@pytest.mark.parametrize("fault", ["truncated", "wrong checksum", "404", "refused"])
def test_second_mirror_takes_over(server, published, places, monkeypatch, fault):
    bad = f"{server.url}/bad"
    if fault == "refused":
        bad = unreachable()
    elif fault != "404":
        for name in mnist.SHA256:
            data = server.files[f"/good/{name}"]
            server.files[f"/bad/{name}"] = data if fault == "truncated" else data[:-1] + bytes([data[-1] ^ 1])
            server.cut.add(f"/bad/{name}")
        if fault == "wrong checksum":
            server.cut.clear()
    monkeypatch.setattr(mnist, "MIRRORS", (bad, f"{server.url}/good"))
    assert_holds(mnist.load_data(), published)
    assert cached(places) == sorted(mnist.SHA256)
    if fault != "refused":
        assert len(server.requests) == 8


def test_every_mirrors_failure_is_named_and_nothing_is_left(server, published, places, monkeypatch):
    name = "train-images-idx3-ubyte.gz"
    server.files[f"/cut/{name}"] = server.files[f"/good/{name}"]
    server.cut.add(f"/cut/{name}")
    server.files[f"/page/{name}"] = b"<html>Please log in</html>"
    urls = (f"{server.url}/cut", f"{server.url}/page", f"{server.url}/none", unreachable(), "nonsense")
    monkeypatch.setattr(mnist, "MIRRORS", urls)
    with pytest.raises(OSError) as caught:
        mnist.load_data()
    message = str(caught.value)
    reasons = ("truncated|IncompleteRead", "wrong checksum", "404", "refused", "unknown url type")
    for url, reason in zip(urls, reasons, strict=True):
        (line,) = [line for line in message.splitlines() if f"{url}/{name}" in line]
        assert any(word in line for word in reason.split("|"))
    assert "JITNET_DATA_DIR" in message
    assert "mnist" in message
    assert cached(places) == []


def test_no_mirrors(places):
    with pytest.raises(OSError, match=r"cifar10: no mirror delivered cifar-10-binary\.tar\.gz: the list of mirrors is"):
        cifar10.load_data()


def test_a_silent_mirror_is_given_up(server, published, monkeypatch):
    listening = socketserver.TCPServer(("127.0.0.1", 0), None)  # accepts, never answers
    with listening:
        silent = f"http://127.0.0.1:{listening.server_address[1]}"
        monkeypatch.setattr(_files, "TIMEOUT_SECONDS", 0.05)
        monkeypatch.setattr(mnist, "MIRRORS", (silent,))
        with pytest.raises(OSError, match="timed out"):
            mnist.load_data()


def test_damaged_cache_is_fetched_again(server, published, places):
    mnist.load_data()
    path = places / "cache" / "datasets" / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-3])
    assert_holds(mnist.load_data(), published)
    assert server.requests[4:] == ["/good/t10k-labels-idx1-ubyte.gz"]


def test_leftovers_of_killed_downloads_are_removed(server, published, places):
    folder = places / "cache" / "datasets" / "mnist"
    folder.mkdir(parents=True)
    names = [f"t10k-images-idx3-ubyte.gz.{digit * 32}.part" for digit in "ab"]
    for name in names:
        (folder / name).write_bytes(b"a part")
    os.utime(folder / names[0], (0, 0))
    mnist.load_data()
    assert cached(places) == sorted([*mnist.SHA256, names[1]])


def test_a_failed_write_is_not_blamed_on_a_mirror(server, published, places, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        mnist.load_data()
    assert "mirror" not in str(caught.value)
    assert cached(places) == []


def test_two_at_once(server, published, places):
    errors = []

    def load():
        try:
            assert_holds(mnist.load_data(), published)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert cached(places) == sorted(mnist.SHA256)


# The user's own files


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_own_files(places, module, compress):
    files, arrays = idx_files(train=7, test=1)
    write(places / "data" / module.__name__.rpartition(".")[2], files, compress)
    assert_holds(module.load_data(), arrays)


def test_own_files_win_over_the_cache(server, published, places):
    mnist.load_data()
    files, arrays = idx_files(seed=1)
    write(places / "data" / "mnist", files)
    assert_holds(mnist.load_data(), arrays)


def test_own_folder_with_some_files_missing(server, published, places):
    files, _ = idx_files()
    del files["train-labels-idx1-ubyte"]
    write(places / "data" / "mnist", files)
    with pytest.raises(FileNotFoundError, match=r"mnist.*Received: a folder without train-labels-idx1-ubyte$"):
        mnist.load_data()
    assert server.requests == []


@pytest.mark.parametrize("folder", ["unset", "empty"])
def test_no_own_files(server, published, places, monkeypatch, folder):
    if folder == "unset":
        monkeypatch.delenv("JITNET_DATA_DIR")
    else:
        (places / "data" / "mnist").mkdir(parents=True)
    assert_holds(mnist.load_data(), published)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t10k-images-idx3-ubyte", idx_bytes(np.zeros((3, 28, 27))), r"28x28. Received: shape \(3, 28, 27\)"),
        ("t10k-images-idx3-ubyte", idx_bytes(np.zeros((0, 28, 28))), r"one or more images.*\(0, 28, 28\)"),
        ("train-labels-idx1-ubyte", idx_bytes(np.zeros(6)), "expected 5 labels.*train-images.*Received: 6"),
        ("train-labels-idx1-ubyte", idx_bytes(np.array([0, 9, 3, 10, 255])), "labels 0 to 9.*label 10 at position 3"),
        ("train-images-idx3-ubyte", idx_bytes(np.zeros((5, 28, 28)))[:-1], "truncated.*3920 bytes.*Received: 3919"),
        ("train-images-idx3-ubyte", gzip.compress(idx_bytes(np.zeros((5, 28, 28))), mtime=0)[:-9], "whole gzip file"),
        ("train-images-idx3-ubyte", gzip.compress(b"\0\0\x08\x03", mtime=0) + b"more", "whole gzip file"),
    ],
)
def test_own_files_are_validated(places, name, data, message):
    files, _ = idx_files()
    write(places / "data" / "mnist", files | {name: data})
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        mnist.load_data()


def test_no_more_is_unpacked_than_is_needed(places):
    """A gzipped megabyte of zeros is a kilobyte: 200 of them in a file must not be 200 MB of memory."""
    files, _ = idx_files()
    name = "train-images-idx3-ubyte"
    bomb = gzip.compress(files[name] + bytes(1 << 20), mtime=0) + gzip.compress(bytes(1 << 20), mtime=0) * 200
    lies = {
        "bytes after the data": bomb,
        "truncated": files[name][:4] + b"\xff" * 4 + files[name][8:],
        "truncated.*": gzip.compress(files[name][:4] + b"\xff" * 12, mtime=0),
    }
    for expected, content in lies.items():
        write(places / "data" / "mnist", files | {name: content})
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=f"{name}: {expected}"):
                mnist.load_data()
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()


def test_a_mirror_that_never_ends(server, published, monkeypatch):
    monkeypatch.setattr(_files, "_LARGEST_DOWNLOAD", 3)
    with pytest.raises(OSError, match="more than 3 bytes"):
        mnist.load_data()


# Formats

GOOD = idx_bytes(np.arange(6).reshape(3, 2, 1))


def test_parse_idx():
    np.testing.assert_array_equal(parse_idx(GOOD, 3, "file"), np.arange(6).reshape(3, 2, 1))
    np.testing.assert_array_equal(parse_idx(idx_bytes(np.arange(5)), 1, "file"), np.arange(5))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated.*header of 16 bytes. Received: 0"),
        (GOOD[:3], "truncated.*header of 16 bytes. Received: 3"),
        (GOOD[:15], "truncated.*header of 16 bytes. Received: 15"),
        (b"\x89PNG" + GOOD[4:], "magic number.*0x00000803. Received: 0x89504e47"),
        (b"\0\1" + GOOD[2:], "magic number.*Received: 0x00010803"),
        (b"\0\0\x0d" + GOOD[3:], "data type.*0x08.*Received: 0x0d"),
        (b"\0\0\x08\x01" + GOOD[4:], "3 dimensions. Received: 1"),
        (GOOD[:-1], r"truncated.*\(3, 2, 1\) needs 6 bytes of data. Received: 5"),
        (GOOD + b"\0", r"bytes after the data.*\(3, 2, 1\) needs 6 bytes of data. Received: 7"),
        (GOOD[:4] + b"\xff" * 12, "truncated.*Received: 0"),
    ],
)
def test_parse_idx_errors(data, message):
    with pytest.raises(ValueError, match=f"^some/file: .*{message}"):
        parse_idx(data, 3, "some/file")


def test_parse_records():
    images, labels = parse_records(bytes([9, 1, 2, 0, 3, 4]), 2, 2, "file")
    np.testing.assert_array_equal(images, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(labels, [9, 0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes([9, 1, 2, 0, 3]), "truncated, 2 records of 1 [+] 2 bytes are 6 bytes. Received: 5"),
        (bytes([9, 1, 2]), "truncated.*Received: 3"),
        (bytes([9, 1, 2, 0, 3, 4, 0]), "bytes after the last record.*Received: 7"),
        (bytes([9, 1, 2, 10, 3, 4]), "labels 0 to 9. Received: label 10 at position 1"),
    ],
)
def test_parse_records_errors(data, message):
    with pytest.raises(ValueError, match=f"^some/file: .*{message}"):
        parse_records(data, 2, 2, "some/file")


# CIFAR-10


@pytest.fixture
def batches(monkeypatch):
    """Six small batches: their files by name, images (18, 32, 32, 3) and labels (18, 1)."""
    monkeypatch.setattr(cifar10, "_RECORDS", RECORDS)
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (6 * RECORDS, 32, 32, 3)).astype(np.uint8)
    labels = random.integers(0, 10, (6 * RECORDS, 1)).astype(np.uint8)
    planes = [images[..., channel].reshape(-1, 1024) for channel in range(3)]
    records = np.concatenate([labels, *planes], axis=1).reshape(6, RECORDS * 3073)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return {name: row.tobytes() for name, row in zip(names, records, strict=True)}, images, labels


def tar_bytes(files, mode="w:gz", folder="cifar-10-batches-bin"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        # Another order than the loader's, and members it must leave alone.
        for name, data in [("../escape.bin", b"no"), ("readme.html", b"hello"), *reversed(files.items())]:
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def assert_cifar(images, labels):
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    train = 5 * RECORDS
    for found, expected in (
        (x_train, images[:train]),
        (y_train, labels[:train]),
        (x_test, images[train:]),
        (y_test, labels[train:]),
    ):
        assert found.dtype == np.uint8
        assert found.flags.writeable
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("form", ["tar.gz", "tar", "bin", "bin.gz", "folder"])
def test_cifar_own_files(places, batches, form):
    files, images, labels = batches
    folder = places / "data" / "cifar10"
    if form == "tar.gz":
        write(folder, {"cifar-10-binary.tar.gz": tar_bytes(files)})
    elif form == "tar":
        write(folder, {"cifar-10-binary.tar": tar_bytes(files, "w")})
    else:
        write(folder / ("cifar-10-batches-bin" if form == "folder" else ""), files, compress=form == "bin.gz")
    assert_cifar(images, labels)
    assert not list(places.rglob("escape.bin"))


def test_cifar_download(server, places, batches, monkeypatch):
    files, images, labels = batches
    archive = tar_bytes(files)
    server.files["/cifar-10-binary.tar.gz"] = archive
    monkeypatch.setattr(cifar10, "MIRRORS", (server.url,))
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(archive).hexdigest())
    assert_cifar(images, labels)
    assert_cifar(images, labels)
    assert server.requests == ["/cifar-10-binary.tar.gz"]
    assert cached(places, "cifar10") == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: b"not an archive", "whole tar archive"),
        (lambda files: tar_bytes(files)[:3000], "whole gzip file"),
        (lambda files: tar_bytes(files, folder="elsewhere"), "Received: no data_batch_1.bin"),
        (lambda files: tar_bytes(files | {"data_batch_4.bin": b"\0"}), "data_batch_4.bin: truncated.*Received: 1$"),
        (lambda files: tar_bytes(files | {"data_batch_4.bin": bytes(10_000)}), "data_batch_4.bin: bytes after"),
    ],
)
def test_cifar_archive_errors(places, batches, change, message):
    files, _, _ = batches
    write(places / "data" / "cifar10", {"cifar-10-binary.tar.gz": change(files)})
    with pytest.raises(ValueError, match=f"cifar-10-binary.tar.gz: .*{message}"):
        cifar10.load_data()


def test_cifar_archive_that_leads_back(places, batches):
    """A negative size of a member, which an older tarfile follows back for ever."""
    files, _, _ = batches
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in [*files.items(), ("readme.html", b"")]:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            if name == "readme.html":
                member.pax_headers = {"size": "-1536"}  # as long as its headers
            archive.addfile(member, io.BytesIO(data))
    write(places / "data" / "cifar10", {"cifar-10-binary.tar": stream.getvalue()})
    with pytest.raises(ValueError, match="whole tar archive"):
        cifar10.load_data()


def test_cifar_links_in_the_archive_are_not_followed(places, batches):
    files, _, _ = batches
    stream = io.BytesIO(tar_bytes({name: data for name, data in files.items() if name != "test_batch.bin"}, "w"))
    with tarfile.open(fileobj=stream, mode="a") as archive:
        link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "data_batch_1.bin"
        archive.addfile(link)
    write(places / "data" / "cifar10", {"cifar-10-binary.tar": stream.getvalue()})
    with pytest.raises(ValueError, match=r"Received: no test_batch\.bin"):
        cifar10.load_data()


def test_cifar_missing_and_damaged_batches(places, batches):
    files, _, _ = batches
    write(places / "data" / "cifar10", files | {"data_batch_2.bin": b"\x0a" + files["data_batch_2.bin"][1:]})
    with pytest.raises(ValueError, match=r"data_batch_2\.bin: expected labels 0 to 9\. Received: label 10 at pos"):
        cifar10.load_data()
    (places / "data" / "cifar10" / "test_batch.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"without test_batch\.bin"):
        cifar10.load_data()


# The bundled digits


def test_digits_split():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1438, 8, 8)
    assert y_train.shape == (1438,)
    assert x_test.shape == (359, 8, 8)
    assert y_test.shape == (359,)
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert x_train.max() == x_test.max() == 16
    counts = np.bincount(y_train) + np.bincount(y_test)
    np.testing.assert_array_equal(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert np.all(np.abs(np.bincount(y_test) - counts / 5) < 1)
    # Fixed for good: published accuracies are on this split.
    digest = hashlib.sha256(x_test.tobytes() + y_test.tobytes()).hexdigest()
    assert digest == "a8dee80a4bf306c6f44a15fde4ddba49ba2aec612a8ad1865237f46bcd43cb9b"
    train = {image.tobytes() for image in x_train}
    assert not any(image.tobytes() in train for image in x_test)


def test_digits_are_scikit_learns():
    reference = pytest.importorskip("sklearn.datasets").load_digits()
    held_out = digits._every_fifth(reference.target)
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    np.testing.assert_array_equal(x_train, reference.images[~held_out])
    np.testing.assert_array_equal(y_train, reference.target[~held_out])
    np.testing.assert_array_equal(x_test, reference.images[held_out])
    np.testing.assert_array_equal(y_test, reference.target[held_out])


def test_digits_checksum_is_documented():
    folder = digits._FILE.parent
    assert digits.SHA256 in (folder / "README.md").read_text()
    assert "CC BY 4.0" in (folder / "LICENSE.txt").read_text()


def test_damaged_digits(tmp_path, monkeypatch):
    data = bytearray(digits._FILE.read_bytes())
    data[1000] ^= 1
    damaged = tmp_path / "optdigits.bin.gz"
    monkeypatch.setattr(digits, "_FILE", damaged)
    with pytest.raises(ValueError, match="cannot be read, reinstall jitnet"):
        digits.load_data()
    damaged.write_bytes(data)
    with pytest.raises(ValueError, match=r"optdigits.bin.gz: damaged, reinstall jitnet.*Received: [0-9a-f]{64}$"):
        digits.load_data()


# The real MNIST, where it is at hand


@pytest.fixture
def real_mnist():
    folder = ROOT.parent / "shared" / "datasets" / "mnist"
    if not folder.is_dir():
        pytest.skip(f"no MNIST files in {folder}")
    return folder


def test_checksums_belong_to_the_published_bytes(real_mnist):
    # The two MD5 sums are the published ones; the SHA-256 must be of the same bytes.
    for name, md5 in (
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ):
        data = (real_mnist / name).read_bytes()
        assert hashlib.md5(data).hexdigest() == md5
        assert hashlib.sha256(data).hexdigest() == mnist.SHA256[name]


def test_real_mnist(real_mnist, monkeypatch):
    monkeypatch.setenv("JITNET_DATA_DIR", str(real_mnist.parent))
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert x_train.shape == (60000, 28, 28)
    assert x_test.shape == (10000, 28, 28)
    assert y_train.shape == (60000,)
    assert y_test.shape == (10000,)
    assert x_train.mean() / 255 == pytest.approx(0.1306605, abs=1e-6)
    assert x_train.std() / 255 == pytest.approx(0.3081078, abs=1e-6)
    np.testing.assert_array_equal(np.bincount(y_test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])


# The package


def test_import_is_light():
    code = (
        "import sys, jitnet.datasets; jitnet.datasets.digits.load_data()\n"
        "jitnet.datasets.mnist.load_data, jitnet.datasets.fashion_mnist.load_data, jitnet.datasets.cifar10.load_data\n"
        "print([name for name in ('numba', 'tqdm', 'urllib.request') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_bare_name_is_refused():
    code = "import datasets"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "imported as jitnet.datasets" in done.stderr
