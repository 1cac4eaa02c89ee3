"""Where a dataset's files come from: the user's own folder, the cache, or a download, checked before it is named."""

import gzip
import hashlib
import os
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

from jitnet.files import atomic
from jitnet.files.cache import cache_directory

TIMEOUT_SECONDS = 30
"""How long a mirror may stay silent before the next one is tried."""

_CHUNK_BYTES = 1 << 18
_LARGEST_DOWNLOAD = 1 << 28  # bytes; the largest file is CIFAR-10's, of 170 million


class _MirrorFailure(Exception):
    """One mirror did not deliver; the message says why."""


def find_user_files(dataset: str, names: list[str], folder: str = "") -> dict[str, Path] | None:
    """The user's own copies of ``names`` in ``JITNET_DATA_DIR/<dataset>/<folder>``, each as ``name`` or ``name.gz``.

    None when the variable is unset or the folder holds none of them. A folder with only some of them raises
    FileNotFoundError: images of one origin must never meet labels of another.
    """
    chosen = os.environ.get("JITNET_DATA_DIR")
    if not chosen:
        return None
    directory = Path(chosen).expanduser() / dataset / folder
    found = {}
    for name in names:
        for candidate in (directory / name, directory / f"{name}.gz"):
            if candidate.is_file():
                found[name] = candidate
                break
    missing = [name for name in names if name not in found]
    if found and missing:
        raise FileNotFoundError(
            f"{directory} must hold all of {dataset}'s files, each gzipped or not: {', '.join(names)}. "
            f"Received: a folder without {', '.join(missing)}"
        )
    return found or None


def read_unzipped(path: Path, largest: int) -> bytes:
    """The contents of a file, decompressed if it is gzipped (told by its first bytes, not by its name).

    Of contents longer than ``largest`` bytes, one byte more than that is returned: a few compressed bytes can stand for
    any number, and who asks knows how many there should be.
    """
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return _read_up_to(file, largest + 1)
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                return _read_up_to(unzipped, largest + 1)
        except (EOFError, OSError, zlib.error) as error:
            size = os.fstat(file.fileno()).st_size
            raise ValueError(f"{path}: expected a whole gzip file. Received: {size} bytes ({error})") from error


def _read_up_to(file, count: int) -> bytes:
    # in pieces, because read(count) asks for all the memory at once, and count may come from a header that lies
    pieces = []
    while count > 0 and (piece := file.read(min(count, _CHUNK_BYTES))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def find_or_fetch(dataset: str, path, name: str, file_hash: str, mirrors: tuple[str, ...]) -> Path:
    """The path of a dataset's one file: ``path`` if it is absolute, else found by that name, or fetched as ``name``."""
    chosen = Path(path)
    if chosen.is_absolute():
        return chosen
    if chosen.name != str(path):
        raise ValueError(f"path is the name of a file, or an absolute path. Received: path={path!r}")
    found = find_user_files(dataset, [str(path)])
    return found[str(path)] if found else fetch(dataset, name, file_hash, mirrors)


def fetch(dataset: str, name: str, file_hash: str, mirrors: tuple[str, ...]) -> Path:
    """The path of file ``name`` in the user's cache, downloaded from the first mirror that delivers it whole.

    A cached file whose SHA-256, or MD5 where only that is published, is wrong is downloaded again. Raises OSError
    naming every mirror's failure.
    """
    target = cache_directory() / "datasets" / dataset / name
    algorithm = "md5" if len(file_hash) == 32 else "sha256"
    if target.is_file():
        with target.open("rb") as file:
            if hashlib.file_digest(file, algorithm).hexdigest() == file_hash:
                return target
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        try:
            _download(url, target, file_hash, algorithm, _LARGEST_DOWNLOAD)
            return target
        except _MirrorFailure as failure:
            failures.append(f"\n  {url}: {failure}")
    raise OSError(
        f"{dataset}: no mirror delivered {name}:{''.join(failures) or ' the list of mirrors is empty'}\n"
        f"Put {dataset}'s files into a folder <somewhere>/{dataset}/ and set JITNET_DATA_DIR=<somewhere>, or set "
        f"jitnet.datasets.{dataset}.MIRRORS. Received: JITNET_DATA_DIR={os.environ.get('JITNET_DATA_DIR')!r}"
    )


def download(url: str, target: Path, file_hash: str | None, algorithm: str, largest: int | None) -> None:
    """Download a file of up to ``largest`` bytes, and check its hash; raises OSError, or ValueError for another hash.

    It is there as a whole or not at all.
    """
    try:
        _download(url, target, file_hash, algorithm, largest)
    except _MirrorFailure as failure:
        kind = ValueError if "checksum" in str(failure) else OSError
        raise kind(f"{url} could not be downloaded: {failure}") from failure.__cause__


def _download(url: str, target: Path, file_hash: str | None, algorithm: str, largest: int | None) -> None:
    # A name of its own for every attempt: several processes may fetch the same file, and the last rename wins.
    temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    atomic.sweep(target.parent, r".+\.[0-9a-f]{32}\.part")
    digest = hashlib.new(algorithm)
    try:
        with temporary.open("xb") as file:
            for chunk in _chunks(url, target.name, largest):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if file_hash is not None and digest.hexdigest() != file_hash.lower():
            name = {"sha256": "SHA-256", "md5": "MD5"}[algorithm]
            raise _MirrorFailure(f"wrong checksum: expected {name} {file_hash}, received {digest.hexdigest()}")
        atomic.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _chunks(url: str, name: str, largest: int | None) -> Iterator[bytes]:
    """The body of ``url``, piece by piece, under a progress bar. What goes wrong in here is the mirror's failure."""
    import http.client
    import urllib.request

    from tqdm import tqdm

    try:
        request = urllib.request.Request(url, headers={"User-Agent": "jitnet"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            expected = int(length) if length else None
            received = 0
            # disable=None: no bar where standard error is not a terminal.
            with tqdm(total=expected, desc=name, unit="B", unit_scale=True, disable=None) as progress:
                while chunk := response.read(_CHUNK_BYTES):
                    received += len(chunk)
                    if largest is not None and received > largest:
                        raise _MirrorFailure(f"more than {largest} bytes")
                    progress.update(len(chunk))
                    yield chunk
            if expected is not None and received != expected:
                raise _MirrorFailure(f"truncated: expected {expected} bytes, received {received}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _MirrorFailure(str(error) or type(error).__name__) from error
