"""Damaged and lying files, in numbers: every reader must answer each with a result or with an error it documents.

    python scripts/fuzz_files.py --mutants 10000 --others 3000 --seed 0
    python scripts/fuzz_files.py --search --minutes 10

The first makes 10,000 mutants of saved models and 3,000 of the files of every other reader (.npy, TOML and --set, IDX,
CIFAR, digits, .npz, CSV, words, histories, checkpoints), reads each in a process whose memory is limited, and counts
what came of it.  A model that loads also has its steps written out, and some predict.  Mutant number i of a reader is a
function of the seed alone: ``--only model:1234`` makes and reads that one again, with its traceback.

With --search Hypothesis chooses what is done to a file, and of what is bad it looks for the smallest; --minutes are
shared by the readers, instead of numbers of mutants.

Exit status 1 if anything undocumented was raised, a process died or hung, or a failed load changed the process; the
mutants that did so are kept in the folder --out.
"""

import argparse
import collections
import contextlib
import itertools
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from file_mutants import READERS, Reader

MEMORY = 3 << 30  # bytes that a mutant may ask for beyond what the process has
USED = 1 << 30  # bytes that reading one may make the process grow by
HANG_SECONDS = 20  # of the processor's time; the machine may be busy with other things


class Hang(BaseException):
    """The reader did not come back."""


def made(kind: str, reader: Reader, samples: list[bytes], seed: int, index: int) -> tuple[bytes, random.Random]:
    """Mutant number ``index``, and the generator of what is done with it."""
    rng = random.Random(f"{seed} {kind} {index}")
    return reader.mutant(rng, samples), rng


def outcome_of(reader: Reader, folder: Path, data: bytes, rng: random.Random, verbose: bool = False) -> str:
    """What reading it comes to; "BAD ..." is what must not be."""

    def hang(number, frame):
        raise Hang

    if hasattr(signal, "SIGPROF"):
        signal.signal(signal.SIGPROF, hang)
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
    before = _largest_size()
    try:
        outcome = reader.read(folder, data, rng)
    except BaseException as error:
        if verbose:
            traceback.print_exc()
        # not of a subclass: the texts of UnicodeDecodeError and its like are no help
        known = type(error) in reader.documented
        if isinstance(error, KeyboardInterrupt):
            raise
        text = str(error).encode("ascii", "backslashreplace").decode().replace("\n", " ")
        outcome = type(error).__name__ if known else f"BAD {type(error).__name__}: {text[:200]}"
    finally:
        if hasattr(signal, "SIGPROF"):
            signal.setitimer(signal.ITIMER_PROF, 0)
    grown = _largest_size() - before
    return outcome if grown < USED else f"BAD memory: {grown >> 20} MiB more"


def _largest_size() -> int:
    """Bytes of memory that the process has had at most; 0 where nobody says."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def limit_memory() -> None:
    """No more memory than the process has and MEMORY: what lies about its size fails at once."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def work(kind: str, seed: int, first: int, last: int, out: Path | None) -> None:
    """Read mutants ``first`` to ``last``; a line for each on standard output.

    out: of a search, the folder for what is bad.
    """
    import jitnet

    warnings.simplefilter("ignore")  # NumPy's, about values
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints
    jitnet.utils.set_random_seed(0)
    reader = READERS[kind]()
    samples = reader.samples()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        limit_memory()
        if out is not None:
            search(kind, reader, samples, seed, first, last, out, report)
            last = first
        for index in range(first, last):
            print("start", index, file=report, flush=True)
            data, rng = made(kind, reader, samples, seed, index)
            print("end", index, outcome_of(reader, Path(folder), data, rng), file=report, flush=True)
        os.chdir("/")


def search(kind: str, reader: Reader, samples: list, seed: int, first: int, last: int, out: Path, report) -> None:
    """Let Hypothesis choose mutants and, if one is bad, look for the smallest such, which ends it.

    The mutant that is being read lies in ``out``, where it stays if the process dies of it.
    """
    import hypothesis
    from hypothesis import strategies

    out.mkdir(parents=True, exist_ok=True)
    kept, found, counter = out / f"{kind}-{seed}-{first}-search", [], itertools.count(first)

    @hypothesis.seed(f"{seed} {kind} {first}")
    @hypothesis.settings(
        max_examples=last - first, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink), verbosity=hypothesis.Verbosity.quiet,
        report_multiple_bugs=False, print_blob=False,
    )  # fmt: skip
    @hypothesis.given(strategies.randoms(use_true_random=False))
    def one(rng):
        data = reader.mutant(rng, samples)
        index = next(counter)
        kept.write_bytes(data)
        print("start", index, file=report, flush=True)
        outcome = outcome_of(reader, Path.cwd(), data, rng)
        if outcome.startswith("BAD"):
            found[:] = [outcome]
            outcome = "bad, smaller ones are tried"
        print("end", index, outcome, file=report, flush=True)
        assert not outcome.startswith("bad"), found

    try:
        one()
    except BaseException:
        if not found:
            raise
        print("start", last - 1, file=report, flush=True)
        print("end", last - 1, f"{found[0]} (the smallest: {kept})", file=report, flush=True)
    else:
        kept.unlink()


def run(
    kind: str, count: int, seed: int, seconds: float, out: Path, searching: bool
) -> tuple[collections.Counter, list[str]]:
    """Counts of outcomes, and what was bad; a process that dies or hangs is replaced."""
    counts, bad = collections.Counter(), []
    end = time.monotonic() + seconds
    next_index = 0
    while next_index < count and time.monotonic() < end:
        command = [sys.executable, __file__, "--worker", kind, str(seed), str(next_index), str(count)]
        command += ["--search", "--out", str(out.resolve())] if searching else []
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        running, problem = None, None
        pending = b""
        while True:
            ready = select.select([child.stdout], [], [], 30 * HANG_SECONDS)[0]
            piece = os.read(child.stdout.fileno(), 1 << 16) if ready else None
            if not piece:
                problem = "BAD hang" if piece is None else None
                break
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                state, index, *rest = line.decode().split(" ", 2)
                running = int(index) if state == "start" else None
                if state == "end":
                    next_index = int(index) + 1
                    counts[rest[0].partition(":")[0]] += 1
                    if rest[0].startswith("BAD"):
                        bad.append(f"{kind}:{index} {rest[0]}")
            if time.monotonic() > end:
                break
        if child.poll() is None and (problem or time.monotonic() > end):
            child.kill()
        status = child.wait()
        child.stdout.close()
        if running is not None and time.monotonic() < end:
            problem = problem or f"BAD exit status {status}"
            counts[problem] += 1
            bad.append(f"{kind}:{running} {problem}")
            next_index = running + 1
        elif status and running is None and time.monotonic() < end:
            bad.append(f"{kind}: the process did not start (exit status {status})")
            break
    if searching and not bad:
        for path in out.glob(f"{kind}-{seed}-*-search"):  # what was being read as the time was over
            path.unlink()
    if bad and not searching:
        out.mkdir(parents=True, exist_ok=True)
        reader = READERS[kind]()
        samples = reader.samples()
        for text in bad:
            index = text.partition(" ")[0].partition(":")[2]
            if index:
                (out / f"{kind}-{seed}-{index}").write_bytes(made(kind, reader, samples, seed, int(index))[0])
    return counts, bad


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=1000, help="of model files (1000)")
    parser.add_argument("--others", type=int, help="of every other reader's files (--mutants)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="most that one reader takes (3600)")
    parser.add_argument("--minutes", type=float, help="shared by all readers, instead of numbers of mutants")
    parser.add_argument("--search", action="store_true", help="Hypothesis chooses, and looks for the smallest")
    parser.add_argument("--readers", default=",".join(READERS), help=f"of {', '.join(READERS)}, with commas (all)")
    parser.add_argument("--out", type=Path, default=Path("fuzz-files"), help="folder for the mutants that were bad")
    parser.add_argument("--only", metavar="READER:INDEX", help="this one alone, with its traceback")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, *numbers = options.worker
        work(kind, *map(int, numbers), options.out if options.search else None)
        return 0
    if options.only:
        kind, _, index = options.only.partition(":")
        reader = READERS[kind]()
        samples = reader.samples()
        data, rng = made(kind, reader, samples, options.seed, int(index))
        with tempfile.TemporaryDirectory() as folder:
            result = outcome_of(reader, Path(folder), data, rng, verbose=True)
        print(result)
        return int(result.startswith("BAD"))
    failed, kinds = False, options.readers.split(",")
    for kind in kinds:
        count = options.mutants if kind == "model" or options.others is None else options.others
        if options.minutes is not None:
            count, options.seconds = 10**6, 60 * options.minutes / len(kinds)
        start = time.monotonic()
        counts, bad = run(kind, count, options.seed, options.seconds, options.out, options.search)
        listed = ", ".join(f"{name} {number:,}" for name, number in counts.most_common())
        print(f"{kind}: {sum(counts.values()):,} of {count:,} mutants in {time.monotonic() - start:.0f} s: {listed}")
        for text in bad[:20]:
            print(f"  {text}")
        failed |= bool(bad)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
