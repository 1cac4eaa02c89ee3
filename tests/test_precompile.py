"""Several processes compile what a step needs, and the first step finds it in the cache; none of them is waited for
for ever, or left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os
import time
import numpy as np
import jitnet
from jitnet import layers
from jitnet.kernels.cpu.runtime import dispatchers as _jit, precompile

jitnet.set_num_threads({threads})
counts = []
compile_all = precompile._compile

def counted(tasks):
    tasks = list(tasks)
    missing = [t for t in tasks if not precompile._is_there(*t)]
    compile_all(tasks)
    counts.append((len(tasks), len(missing), sum(precompile._is_there(*t) for t in tasks)))

precompile._compile = counted
main, work = os.getpid(), precompile._work

def leave_some(tasks, reader):
    # on a busy machine, the other process might else come too late for any
    end = time.monotonic() + 120
    while {threads} > 1 and os.getpid() == main and not any(precompile._is_there(*task) for task in tasks):
        assert time.monotonic() < end
        time.sleep(0.01)
    return work(tasks, reader)

precompile._work = leave_some
saved = []
save = _jit._Cache.save_overload

def save_and_note(self, signature, data):
    saved.append(self._py_func.__name__)
    return save(self, signature, data)

_jit._Cache.save_overload = save_and_note
jitnet.utils.set_random_seed(1)
model = jitnet.Sequential(
    [jitnet.Input((5, 6, 2)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten(), layers.Dense(4)]
)
model.compile("adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
saved.clear()
x = np.random.default_rng(0).standard_normal((8, 5, 6, 2)).astype("float32")
model.train_on_batch(x, np.arange(8) % 4)
print(counts, len(saved), [w.sum().item().hex() for w in model.get_weights()], sep="\\n")
"""


def first_step(folder, threads):
    environment = {**os.environ, "JITNET_CACHE_DIR": str(folder), "JITNET_COMPILER": "numba"}
    command = [sys.executable, "-c", SCRIPT.format(threads=threads)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    counts, saved, weights = result.stdout.splitlines()
    return eval(counts), int(saved), weights


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not copied here")
def test_processes_share_the_compilation(tmp_path):
    (kernels, functions), saved, weights = first_step(tmp_path / "shared", 2)
    for tasks, missing, there in (kernels, functions):
        assert missing == there == tasks
    # nothing is left to compile; the same bits from the cache, and where one process compiles all
    counts, saved_again, again = first_step(tmp_path / "shared", 2)
    assert [missing for _, missing, _ in counts] == [0, 0]
    assert saved_again == 0
    _, saved_alone, alone = first_step(tmp_path / "alone", 1)
    assert saved_alone >= kernels[0] + functions[0]
    assert saved <= saved_alone - 2, "another process compiled at least one kernel and one function"
    assert weights == again == alone


# ---- processes of every kind

KINDS = [
    pytest.param("copy", marks=pytest.mark.skipif(sys.platform != "linux", reason="processes are not copied here")),
    pytest.param("afresh", marks=pytest.mark.skipif(os.name != "posix", reason="nobody else compiles here")),
]
BY_A_PIPE = pytest.param("afresh by a pipe", marks=KINDS[1].marks)
# compiles eight small kernels; the other process writes the file FLAG, and KIND is its kind
MANY = """
import os, sys, time
from pathlib import Path
from numba import types
import jitnet
from jitnet.kernels.cpu import elementwise
from jitnet.kernels.cpu.runtime import precompile

flag = Path(FLAG)
jitnet.set_num_threads(2)
if KIND != "copy":
    sys.modules["torch"] = os  # a library that a copy might not survive
    precompile.LEAST_AFRESH = 2
assert precompile._can_copy() == (KIND == "copy")
function = elementwise.relu_forward
tasks = [(function, (types.Array(t, n, "C"),) * 2) for n in (1, 2, 3, 4) for t in (types.float32, types.float64)]
main, work = os.getpid(), precompile._work

def until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)

def children():
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
"""
SHARED = """
import tqdm
bar = tqdm.tqdm(total=1, file=open(os.devnull, "w"))  # has a thread of its own, that does no harm
assert tqdm.tqdm.monitor.is_alive() and precompile._can_copy() == (KIND == "copy")

def leave_some(tasks, reader):
    if os.getpid() == main:
        until(lambda: any(precompile._is_there(*task) for task in tasks))
    return work(tasks, reader)

precompile._work = leave_some
"""
# the other process takes a task and doesn't come back
SILENT = """
def silent(tasks, reader):
    if os.getpid() != main:
        os.read(reader, 4)
        flag.with_suffix(".new").write_text(str(os.getpid()))
        os.replace(flag.with_suffix(".new"), flag)
        time.sleep(1000)
    until(flag.exists)
    return work(tasks, reader)

precompile._work = silent
precompile.COMMAND = '''
import os, pickle, sys, time
sys.path[:] = pickle.load(sys.stdin.buffer)
from jitnet.kernels.cpu.runtime import compiling_process as process
def silent(reader):
    os.read(reader, 4)
    open(FLAG + ".new", "w").write(str(os.getpid()))
    os.replace(FLAG + ".new", FLAG)
    time.sleep(1000)
process.next_task = silent
if KIND == "afresh by a pipe":
    process.end_with = lambda parent: None
process.main()
'''
"""


def started(folder, kind, code):
    """A process that runs ``MANY`` and ``code``, and the file that the other process will write."""
    flag = folder / "flag"
    code = (MANY + code).replace("FLAG", repr(str(flag))).replace("KIND", repr(kind))
    environment = {**os.environ, "JITNET_CACHE_DIR": str(folder / "cache")}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True), flag


def ends_well(process):
    _, errors = process.communicate(timeout=300)
    return process.returncode == 0 or errors


@pytest.mark.parametrize("kind", KINDS)
def test_others_take_part(tmp_path, kind):
    code = """
precompile._compile(tasks)
assert all(precompile._is_there(*task) for task in tasks)
assert 1 <= len(function.overloads) < len(tasks), len(function.overloads)
assert not children()
"""
    assert ends_well(started(tmp_path, kind, SHARED + code)[0]) is True


@pytest.mark.parametrize("kind", KINDS)
def test_who_does_not_answer_is_given_up(tmp_path, kind):
    code = """
precompile.PATIENCE = 0.1
precompile._compile(tasks)
assert len(function.overloads) == len(tasks) - 1
assert not children()
import numpy as np
x, y = np.array([-1.0, 2.0], np.float32), np.empty(2, np.float32)
function(x, y)
assert list(y) == [0, 2]
"""
    process, flag = started(tmp_path, kind, SILENT + code)
    assert ends_well(process) is True
    assert is_gone(int(flag.read_text()))


def is_gone(number):
    try:
        os.kill(number, 0)
        # somebody may have to take notice of its end yet
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


@pytest.mark.parametrize("kind", [*KINDS, BY_A_PIPE])
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_nobody_outlives_the_process(tmp_path, kind, how):
    process, flag = started(tmp_path, kind, SILENT + "precompile.PATIENCE = 1000\nprecompile._compile(tasks)")
    end = time.monotonic() + 120
    while not flag.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    other = int(flag.read_text())
    assert not is_gone(other)
    for attempt in range(10, -1, -1):
        process.send_signal(getattr(signal, how))
        try:
            process.communicate(timeout=6)
            break
        except subprocess.TimeoutExpired:  # Python swallows Ctrl-C where it happens to free one of LLVM's objects
            if not attempt:
                process.kill()
                raise
    assert process.returncode != 0
    end = time.monotonic() + 60
    while not is_gone(other):
        assert time.monotonic() < end, "the other process is still there"
        time.sleep(0.01)


TWO_THREADS = """
import sys, threading
import numpy as np
import jitnet
from jitnet import layers
from jitnet.kernels.cpu.runtime import precompile

jitnet.set_num_threads(2)
if sys.argv[1:] == ["afresh"]:
    precompile.LEAST_AFRESH = 4

def network(units):
    model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(units, activation="relu"), layers.Dense(2)])
    model.compile("sgd", "mse")
    return model

def run(model):
    model.train_on_batch(x, x[:, :2])
    results.append(model.predict(x, verbose=0))

x = np.ones((4, 3), np.float32)
results = []
threads = [threading.Thread(target=run, args=(network(units),)) for units in (5, 6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(results) == 2
"""


@pytest.mark.parametrize("how", ["here", "afresh"])
def test_two_threads_with_new_models_on_an_empty_cache(tmp_path, how):
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", TWO_THREADS, how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
