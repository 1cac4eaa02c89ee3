"""The cache directory: what is in it, what clearing it must leave alone, and which of its files are trusted."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pytest

from jitnet.cli import main
from jitnet.files.cache import cached_files, clear_cache
from jitnet.kernels.cpu.runtime import cache as files

OWN = {
    "compiled kernels and steps": f"objects/conv2d_forward_{'3c' * 12}-0123456789abcdef.o",
    "kernels by Numba": "kernels/conv-0123456789abcdef/conv.conv2d_forward-120.py311.89abcdef01234567.nbc",
    "generated kernels by Numba": f"kernels/k_{'1a' * 12}-0123456789abcdef/k_{'1a' * 12}.f-14.py311.0123.nbc",
    "steps by Numba": f"kernels/jitnet_step_{'2b' * 10}-0123456789abcdef/jitnet_step_{'2b' * 10}.f-9.py311.0123.nbc",
    "reasons for Numba": "fallbacks/0123456789abcdef.txt",
    "files of killed processes": "unfinished/0123456789abcdef.tmp",
    "files of earlier versions": f"steps/__pycache__/step_{'2b' * 10}.cpython-311.pyc",
}
EARLIER = (
    f"kernels/k_{'1a' * 12}-0123456789abcdef/k_{'1a' * 12}.f-14.py311.12.34", f"simd/k_{'1a' * 12}.py",
    "kernels/pool-0123456789abcdef/pool.f-9.py311.nbi", f"steps/step_{'2b' * 10}.py", "steps/tmp1234.tmp",
)  # fmt: skip
OTHERS = (
    "datasets/mnist/train-images-idx3-ubyte.gz", "kernels/notes.txt", "kernels/mine/conv.f.nbc",
    "kernels/conv-0123456789abcdef/readme", "steps/step_of_mine.py", "simd/__init__.py", "runs/model.safetensors",
)  # fmt: skip


def write(path, text="12345"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache directory with one file of each kind, and some files that are none of jitnet's business."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("JITNET_CACHE_DIR", str(folder))
    for name in (*OWN.values(), *OTHERS):
        write(folder / name)
    return folder


def remaining(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_kinds(cache):
    assert {kind: [path.relative_to(cache).as_posix() for path in paths] for kind, paths in cached_files().items()} == {
        kind: [name] for kind, name in OWN.items()
    }


def test_files_of_earlier_versions(cache):
    for name in EARLIER:
        write(cache / name)
    found = cached_files()["files of earlier versions"]
    assert {path.relative_to(cache).as_posix() for path in found} == {*EARLIER, OWN["files of earlier versions"]}


def test_clear_removes_only_what_jitnet_wrote(cache):
    assert clear_cache() == {kind: (1, 5) for kind in OWN}
    assert remaining(cache) == set(OTHERS)
    folders = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_dir()}
    assert "kernels/conv-0123456789abcdef" in folders, "somebody else's readme is there"
    assert "unfinished" not in folders
    assert "steps/__pycache__" not in folders
    assert "kernels/mine" in folders
    assert clear_cache() == {kind: (0, 0) for kind in OWN}


@pytest.mark.parametrize("place", ["kernels", "kernels/conv-fedcba9876543210", "kernels/conv-fedcba9876543210/f.nbc"])
def test_links_are_not_followed(tmp_path, monkeypatch, place):
    outside = tmp_path / "outside"
    kept = write(outside / OWN["kernels by Numba"])
    folder = tmp_path / "cache"
    monkeypatch.setenv("JITNET_CACHE_DIR", str(folder))
    link = folder / place
    link.parent.mkdir(parents=True)
    target = {"kernels": outside / "kernels", "kernels/conv-fedcba9876543210": kept.parent}.get(place, kept)
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")
    assert not any(cached_files().values())
    clear_cache()
    assert kept.read_text() == "12345"
    assert link.is_symlink()


def test_command(cache, capsys):
    assert main(["cache", "info"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Cache: {cache}"
    assert [line.split()[-4:-2] for line in said[1:]] == [["1", "files"]] * len(OWN) + [[str(len(OWN)), "files"]]
    assert remaining(cache) == {*OWN.values(), *OTHERS}
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["total", str(len(OWN))]
    assert remaining(cache) == set(OTHERS)


def test_a_directory_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path / "none"))
    assert main(["cache", "info"]) == main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.count(" 0 files") == 2 * (len(OWN) + 1)
    assert not (tmp_path / "none").exists()


def test_every_file_that_jitnet_writes_has_a_kind(tmp_path):
    code = (
        "import numpy as np, jitnet\n"
        "model = jitnet.Sequential([jitnet.Input((3,)), jitnet.layers.Dense(2)])\n"
        "model.predict(np.zeros((4, 3)), verbose=0)\n"
        "from jitnet.files.cache import cache_directory, cached_files\n"
        "files = {p for p in cache_directory().rglob('*') if p.is_file()}\n"
        "known = {p for paths in cached_files().values() for p in paths}\n"
        "assert files == known and len(files) > 2, files - known\n"
        "assert not any('unfinished' in str(p) for p in files)"
    )
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_does_not_wait_for_numba():
    code = "import sys; from jitnet.cli import main; main(['cache', 'info']); assert 'numba' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


# ---- which files are trusted

NAME = "kernels/conv-0123456789abcdef/conv.f-1.py311.0123456789abcdef.nbc"
CONTENT = bytes(range(256)) * 20
OTHER_USER = 12345
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
posix = pytest.mark.skipif(os.name != "posix", reason="files have no owner and mode here")
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty cache that no process has seen yet."""
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "_warned", False)
    files._root_at.cache_clear()
    yield tmp_path / "cache"
    files._root_at.cache_clear()


def flipped(position):
    def damage(path):
        data = bytearray(path.read_bytes())
        data[position] ^= 4
        path.write_bytes(data)

    return damage


def link_to_elsewhere(path):
    elsewhere = path.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "bit of the hash": flipped(3), "bit": flipped(1000), "last bit": flipped(-1),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "shorter than the hash": lambda path: path.write_bytes(b"jitnet"), "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "text": lambda path: path.write_text("import this\n" * 100),
    "gone": lambda path: path.unlink(),
}  # fmt: skip
if os.name == "posix":
    DAMAGES |= {"link": link_to_elsewhere, "pipe": pipe}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_none_and_is_replaced(root, damage):
    files.write(NAME, CONTENT)
    assert files.read(NAME) == CONTENT
    damage(root / NAME)
    assert files.read(NAME) is None
    files.write(NAME, CONTENT)
    assert files.read(NAME) == CONTENT
    assert not list((root / files.UNFINISHED).iterdir())


def test_a_file_counts_under_its_own_name_alone(root):
    files.write(NAME, CONTENT)
    other = NAME.replace("conv.f", "conv.g")
    shutil.copy(root / NAME, root / other)
    assert files.contains(other)
    assert files.read(other) is None


@posix
@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_modes_whatever_the_umask(root, umask, monkeypatch):
    monkeypatch.setenv("JITNET_CACHE_DIR", str(root / "above"))
    before = os.umask(umask)
    try:
        files.write(NAME, CONTENT)
    finally:
        os.umask(before)
    assert files.read(NAME) == CONTENT
    for path in [root, *root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def refused(path, *fixes):
    """That nothing is read or written, for a reason that names the path and the fix, said once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert files.read(NAME) is None
        assert not files.contains(NAME)
        files.write(NAME.replace("conv.f", "conv.g"), CONTENT)
        assert files.read(NAME) is None
    (warning,) = caught
    assert warning.category is RuntimeWarning
    assert f"{path} " in str(warning.message)
    for fix in fixes:
        assert fix in str(warning.message)


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
@pytest.mark.parametrize("place", [".", "kernels", "kernels/conv-0123456789abcdef"])
def test_a_folder_that_others_can_write_is_refused(root, place, mode):
    files.write(NAME, CONTENT)
    files._root_at.cache_clear()
    (root / place).chmod(mode)
    refused(root / place, f"chmod go-w {root / place}", "JITNET_CACHE_DIR")
    (root / place).chmod(0o755)
    files._root_at.cache_clear()
    assert files.read(NAME) == CONTENT


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(root, mode):
    files.write(NAME, CONTENT)
    (root / NAME).chmod(mode)
    with pytest.warns(RuntimeWarning, match=f"conv.f.* can be written by others .chmod go-w {root / NAME}"):
        assert files.read(NAME) is None
    files.write(NAME, CONTENT)
    assert files.read(NAME) == CONTENT
    assert stat.S_IMODE((root / NAME).stat().st_mode) == 0o600


@posix
def test_a_folder_above_that_others_can_write(root):
    root.mkdir()
    above = root.parent
    above.chmod(0o777)
    refused(above, f"chmod go-w {above}")
    above.chmod(0o1777)  # like /tmp
    files._root_at.cache_clear()
    files.write(NAME, CONTENT)
    assert files.read(NAME) == CONTENT


@needs_root
@pytest.mark.parametrize("place", ["..", ".", "kernels", "kernels/conv-0123456789abcdef"])
def test_a_folder_of_another_user_is_refused(root, place):
    files.write(NAME, CONTENT)
    files._root_at.cache_clear()
    folder = Path(os.path.normpath(root / place))
    os.chown(folder, OTHER_USER, -1)
    refused(folder, f"belongs to user {OTHER_USER}", "JITNET_CACHE_DIR")


@needs_root
def test_a_file_of_another_user_is_refused(root):
    files.write(NAME, CONTENT)
    os.chown(root / NAME, OTHER_USER, -1)
    with pytest.warns(RuntimeWarning, match=f"belongs to user {OTHER_USER}"):
        assert files.read(NAME) is None


@posix
def test_a_linked_cache_directory_is_resolved(root, monkeypatch):
    files.write(NAME, CONTENT)
    link = root.parent / "link"
    link.symlink_to(root)
    monkeypatch.setenv("JITNET_CACHE_DIR", str(link))
    assert files.read(NAME) == CONTENT
    root.chmod(0o777)
    files._root_at.cache_clear()
    refused(root)
    root.chmod(0o700)
    if IS_ROOT:
        files._root_at.cache_clear()
        files._warned = False
        os.chown(link, OTHER_USER, -1, follow_symlinks=False)
        refused(link, f"belongs to user {OTHER_USER}")


def as_other_user(code, folder):
    """Run code, with ``files`` and ``warned`` (a list) at hand, as a user who owns nothing."""
    script = f"""
import os, stat, sys, warnings
from jitnet.kernels.cpu.runtime import cache as files
files._is_private_group(0)
warned = []
warnings.showwarning = lambda message, *_: warned.append(str(message))
os.setgroups([]); os.setgid({OTHER_USER}); os.setuid({OTHER_USER})
NAME, CONTENT = {NAME!r}, {CONTENT!r}
{code}
"""
    environment = {**os.environ, "JITNET_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@needs_root
def test_a_cache_of_roots_is_read_by_others(root, monkeypatch):
    # not below pytest's own folder, which is closed to other users
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "cache"
        monkeypatch.setenv("JITNET_CACHE_DIR", str(place))
        files.write(NAME, CONTENT)
        as_other_user("assert files.read(NAME) is None and not files.can_write() and len(warned) == 1, warned", place)
        subprocess.run(["chmod", "-R", "go+rX", place], check=True)
        as_other_user(
            "assert files.read(NAME) == CONTENT and files.contains(NAME) and not warned, warned\n"
            "files.write(NAME + '2', CONTENT); files.write(NAME + '3', CONTENT)\n"
            "assert len(warned) == 1 and 'nothing can be written' in warned[0] and 'JITNET_CACHE_DIR' in warned[0]\n"
            "assert files.read(NAME) == CONTENT",
            place,
        )
        assert sorted(path.name for path in place.rglob("*") if path.is_file()) == [Path(NAME).name]


# ---- where nothing can be written


def unwritable(root):
    """That writing is given up with one warning, and raises nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in (NAME, NAME.replace("conv.f", "conv.g")):
            files.write(name, CONTENT)
            assert files.read(name) is None
        assert not files.can_write()
    assert [w.category for w in caught] == [RuntimeWarning]
    assert str(root) in str(caught[0].message)


@pytest.mark.parametrize("place", [".", "kernels", "kernels/conv-0123456789abcdef", files.UNFINISHED])
def test_a_file_in_the_place_of_a_folder(root, place):
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    unwritable(root)
    assert path.read_text() == "a file"


def test_a_full_disk(root, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.write("kernels/before", CONTENT)
    monkeypatch.setattr(os, "fsync", full)
    unwritable(root)
    assert not list((root / files.UNFINISHED).iterdir())
    assert files.read("kernels/before") == CONTENT


def test_a_file_that_another_process_holds_open(root, monkeypatch):
    """As on Windows."""

    def held(source, target):
        raise PermissionError(errno.EACCES, "The process cannot access the file", str(target))

    files.write("kernels/before", CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", held)
        patch.setattr(files, "_WINDOWS", True)
        files.write(NAME, CONTENT)  # no warning, which would be an error
    assert files.read(NAME) is None
    assert not list((root / files.UNFINISHED).iterdir())
    files.write(NAME, CONTENT)
    assert files.read(NAME) == CONTENT


def test_a_user_without_a_home(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("JITNET_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    assert files.cache_directory().parent == Path(tempfile.gettempdir())


def test_what_killed_processes_left_is_swept(root):
    left, written = (write(root / files.UNFINISHED / name) for name in ("1.tmp", "2.tmp"))
    root.chmod(0o700)
    (root / files.UNFINISHED).chmod(0o700)
    os.utime(left, (time.time() - 7200,) * 2)
    files.write(NAME, CONTENT)
    assert not left.exists()
    assert written.exists(), "another process may be writing it"


# ---- whole programs

PROGRAM = """
import os, sys
user = int(sys.argv[1])
if user:
    # a user who owns nothing; may read all that root may, Python's own files among it
    import ctypes, struct
    libc = ctypes.CDLL(None)
    libc.prctl(8, 1)
    os.setgroups([]); os.setgid(user); os.setuid(user)
    read_all = struct.pack("6I", 4, 4, 0, 0, 0, 0)
    assert libc.capset(struct.pack("Ii", 0x20080522, 0), read_all) == 0
import numpy as np, jitnet
from jitnet.kernels.cpu.runtime import cache
compiled, write = [], cache.write
cache.write = lambda *a: (compiled.append(1), write(*a))
jitnet.utils.set_random_seed(1)
model = jitnet.Sequential([jitnet.Input((3,)), jitnet.layers.Dense(2)])
model.compile("sgd", "mse")
x = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")
loss = model.train_on_batch(x, x[:, :2])
print(len(compiled), float(loss).hex(), model.predict(x, verbose=0).tobytes().hex())
"""


def run_program(folder, user=0):
    environment = {**os.environ, "JITNET_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", PROGRAM, str(user)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    compiled, *results = done.stdout.split()
    return int(compiled), results, done.stderr


@pytest.fixture(scope="module")
def clean():
    """A cache that holds all that the program needs, and the program's results."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "cache"
        _, results, stderr = run_program(place)
        assert not stderr
        yield place, results


def test_a_program_finds_what_an_earlier_one_compiled(clean):
    place, results = clean
    assert run_program(place) == (0, results, "")


def test_damaged_files_change_nothing_and_are_rebuilt(clean, tmp_path):
    place, results = clean
    shutil.copytree(place, tmp_path / "cache")
    paths = sorted((tmp_path / "cache" / "objects").rglob("*.o"))
    assert len(paths) >= 5
    damages = list(DAMAGES.values())
    for number, path in enumerate(paths):
        damages[number % len(damages)](path)
    _, after, stderr = run_program(tmp_path / "cache")
    assert (after, stderr) == (results, "")
    assert run_program(tmp_path / "cache") == (0, results, "")


def test_without_a_cache_there_is_one_warning(clean, tmp_path):
    (tmp_path / "cache").write_text("a file")
    compiled, after, stderr = run_program(tmp_path / "cache")
    assert after == clean[1]
    assert compiled > 5
    assert stderr.count("RuntimeWarning") == 1
    assert str(tmp_path / "cache") in stderr


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's capabilities")
def test_a_program_of_another_user_reads_the_cache_of_an_image(clean):
    place, results = clean
    subprocess.run(["chmod", "-R", "go+rX", place], check=True)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert run_program(place, OTHER_USER) == (0, results, "")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
