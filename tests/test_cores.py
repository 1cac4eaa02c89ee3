"""How many threads: what the process is bound to and what its control group allows, not what the machine has."""

import math
import os
import subprocess
import sys

import pytest

from jitnet.cli import main
from jitnet.kernels.cpu.runtime import threads

VERSION_2 = "0::/a/b\n"
VERSION_1 = "5:memory:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process can't be bound to cores here")
def test_a_process_bound_to_one_core_has_one_thread():
    core = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{core}}})\n"
        "import jitnet; assert jitnet.get_num_threads() == 1, jitnet.get_num_threads()\n"
        "jitnet.set_num_threads(3); assert jitnet.get_num_threads() == 3"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def control_groups(tmp_path, monkeypatch):
    """A function that makes a process a member of groups: (text of /proc/self/cgroup, {file: text})."""

    def make(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(threads, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(threads, "_CGROUPS", tmp_path / "groups")
    return make


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        (VERSION_2, {"a/b/cpu.max": "200000 100000\n"}, 2),
        (VERSION_2, {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        (VERSION_2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "30000 10000\n"}, 3),  # the group above limits, too
        (VERSION_2, {"a/b/cpu.max": "max 100000\n"}, math.inf),
        (VERSION_2, {"cpu.max": "50000 100000\n"}, 0.5),  # in a container, which sees its group as the root
        (VERSION_2, {"a/b/cpu.max": "nonsense"}, math.inf),
        (VERSION_2, {"a/b/cpu.max": "1 0"}, math.inf),
        (VERSION_2, {}, math.inf),
        (VERSION_1, {"cpu/a/b/cpu.cfs_quota_us": "250000\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, 2.5),
        (VERSION_1, {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        (VERSION_1, {"cpu/a/b/cpu.cfs_quota_us": "-1\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, math.inf),
        ("", {"cpu.max": "100000 100000"}, math.inf),
    ],
)
def test_quota(control_groups, membership, files, cores):
    control_groups(membership, files)
    assert threads._quota() == cores
    monkeyed = 8
    with pytest.MonkeyPatch.context() as patch:
        name = next(n for n in ("process_cpu_count", "sched_getaffinity", "cpu_count") if hasattr(os, n))
        patch.setattr(os, name, (lambda pid: set(range(monkeyed))) if name == "sched_getaffinity" else lambda: monkeyed)
        patch.setattr(threads, "_threads", None)
        patch.delenv("NUMBA_NUM_THREADS", raising=False)
        assert threads.get_num_threads() == max(1, math.ceil(min(cores, monkeyed)))


@pytest.mark.parametrize("text", ["3", " 3 "])
def test_numbas_variable_says_how_many(monkeypatch, text):
    monkeypatch.setenv("NUMBA_NUM_THREADS", text)
    monkeypatch.setattr(threads, "_threads", None)
    assert threads.get_num_threads() == 3


@pytest.mark.parametrize("text", ["0", "-1", "257", "two", "1.5", "²"])
def test_numbas_variable_with_no_number(monkeypatch, text):
    monkeypatch.setenv("NUMBA_NUM_THREADS", text)
    monkeypatch.setattr(threads, "_threads", None)
    with pytest.raises(ValueError, match=f"NUMBA_NUM_THREADS expects a number from 1 to 256. Received: '{text}'"):
        threads.get_num_threads()


def test_info_tells_the_usable_cores(control_groups, capsys, monkeypatch):
    control_groups(VERSION_2, {"a/b/cpu.max": "10000 100000\n"})
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads, "_threads", None)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert ", 1 of 4 cores\n" in said
    assert "1 of jitnet's own pool" in said
