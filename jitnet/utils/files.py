"""Files from the web, kept in the cache."""

import hashlib
import os
import shutil
import tarfile
import urllib.parse
import uuid
import zipfile
from pathlib import Path

from jitnet.core.errors import invalid

__all__ = ["get_file"]

_ALGORITHMS = {32: "md5", 64: "sha256"}  # by the length of a hash in hexadecimal digits


def get_file(
    fname=None, origin=None, untar=False, md5_hash=None, file_hash=None, cache_subdir="datasets", hash_algorithm="auto",
    extract=False, archive_format="auto", cache_dir=None, force_download=False,
) -> str:  # fmt: skip
    """The path of a file from the web, downloaded when it is not in the cache; of an archive, that of its contents.

    fname: its name in the cache, without folders; by default the last part of ``origin``.
    origin: its URL.
    file_hash: in hexadecimal digits; a file with another one is downloaded again, and refused then.  hash_algorithm:
        "sha256", "md5", or "auto": by its length; md5_hash: the same by an older name.
    cache_subdir, cache_dir: the folder is ``cache_dir/cache_subdir``; cache_dir: by default jitnet's cache.
    extract, untar: whether it is an archive, whose contents are wanted: the path is a folder, the name without what
        follows its first dot and with ``_extracted``, or without fname the last part of ``origin``.
    archive_format: "tar" (also compressed), "zip", "auto", a list of these, or None.
    force_download: whether it is downloaded though it is there.

    Nothing of an archive is written outside of its folder: one that tries is refused.

    Raises ValueError for other arguments, a wrong hash or archive, OSError if the download fails.
    """
    if origin is None:
        raise invalid("`origin` is the URL of the file.", origin=origin)
    name = os.fspath(fname) if fname else os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name or name in (".", "..") or any(mark in name for mark in ("/", "\\", "\0")):
        raise invalid("`fname` is the name of a file, without folders: these are `cache_dir`'s.", fname=name)
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    algorithm = _algorithm(hash_algorithm, file_hash)
    formats = _formats("tar" if untar else archive_format)
    folder = _folder(cache_dir) / cache_subdir
    extract = extract or untar
    target, contents = folder / name, None
    if extract:
        if fname and "." in name:
            contents = folder / f"{name.partition('.')[0]}_extracted"
        else:
            target, contents = folder / f"{name}_archive", folder / name

    fresh = force_download or not target.is_file() or not _has_hash(target, file_hash, algorithm)
    if fresh:
        from jitnet.datasets import _files

        folder.mkdir(parents=True, exist_ok=True)
        _files.download(origin, target, file_hash, algorithm, largest=None)
    if not extract:
        return str(target)
    if fresh or not contents.is_dir():
        _extract(target, contents, formats)
    return str(contents)


def _folder(cache_dir) -> Path:
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    from jitnet.files.cache import cache_directory

    return cache_directory()


def _algorithm(name, file_hash) -> str:
    if name == "auto":
        name = _ALGORITHMS.get(len(file_hash or ""), "sha256")
    if name not in _ALGORITHMS.values():
        raise invalid('`hash_algorithm` is "sha256", "md5" or "auto".', hash_algorithm=name)
    return name


def _formats(given) -> tuple:
    formats = ("tar", "zip") if given == "auto" else (given,) if isinstance(given, str) else tuple(given or ())
    if not set(formats) <= {"tar", "zip"}:
        raise invalid('`archive_format` is "tar", "zip", "auto", a list of these or None.', archive_format=given)
    return formats


def _has_hash(path: Path, file_hash, algorithm: str) -> bool:
    if file_hash is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == file_hash.lower()


def _extract(archive: Path, contents: Path, formats: tuple) -> None:
    """Unpack an archive into a folder, which is there as a whole or not at all."""
    temporary = contents.with_name(f"{contents.name}.{uuid.uuid4().hex}.part")
    try:
        temporary.mkdir()
        if "tar" in formats and tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                try:
                    opened.extractall(temporary, filter="data")  # refuses devices, and what leads outside
                except tarfile.TarError as error:
                    raise ValueError(f"{archive}: refused or damaged archive. Received: {error}") from error
        elif "zip" in formats and zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                for name in opened.namelist():
                    parts = name.replace("\\", "/").split("/")
                    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
                        raise ValueError(f"{archive}: a member of the archive leads outside. Received: {name!r}")
                opened.extractall(temporary)
        else:
            raise ValueError(f"{archive} is no archive of the expected kind. Expected: {', '.join(formats) or 'none'}")
        if contents.is_dir():
            shutil.rmtree(contents)
        os.replace(temporary, contents)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
