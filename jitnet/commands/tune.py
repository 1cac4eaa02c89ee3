"""jitnet tune: search for the best settings on validation data, by Optuna."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from multiprocessing import connection
from pathlib import Path

from jitnet import configuration
from jitnet.commands import runs, train
from jitnet.files import atomic, folder_lock
from jitnet.running import interrupts

SEARCH, BEST = "tune.toml", "best"
_NOTICE = b"\nStopping after this step; Ctrl-C again stops at once.\n"


def run(options) -> int:
    """Make the trials, keep the best."""
    is_new = options.resume is None
    folder, given = (None, configuration.read_config(Path(options.source))) if is_new else _resumed(options)
    flags = {
        "seed": options.seed, "threads": options.threads, "tune.trials": options.trials,
        "tune.workers": options.workers,
    }  # fmt: skip
    settings = {key: value for key, value in flags.items() if value is not None}
    settings.update(configuration.parse_setting(text) for text in options.settings)
    config, search = configuration.resolve_search(given, settings)
    from jitnet.commands import trials, tune_picture

    trials.pruner(search["pruner"])
    trials.direction(search)
    picture = None if options.plot is None else tune_picture.Picture(options.plot)
    if is_new:
        folder = train.new_folder(options.out, config, "-tune")
    with folder_lock.held(str(folder)):
        if is_new:
            header = "# The search of this folder. Go on with it: jitnet tune --resume FOLDER\n\n"
            text = header + configuration.to_toml({**config, "tune": search})
            atomic.write(str(folder / SEARCH), text.encode())
        else:
            trials.repair(folder)
        found = trials.study(folder, config, search)
        again = [t.number for t in found.get_trials(deepcopy=False) if not t.state.is_finished()]
        done = len(found.get_trials(deepcopy=False)) - len(again)
        print(f"Search: {folder}, {done} of {search['trials']} trials are made", flush=True)
        try:
            _make(folder, config, search, done, again, options.command_line)
            status = 0
        except interrupts.Interrupted:
            status = 130
        except interrupts.Terminated as error:
            status = error.code
        finally:
            trials.write_table(folder, found, search)
        if _keep_best(folder, found, search) and picture is not None:
            picture.write(found, search)
    if status:
        print(f"Interrupted. Go on with: jitnet tune --resume {folder}", file=sys.stderr)
    elif not (folder / BEST).is_dir():
        raise ValueError("No trial came to an end with a finite value: see trials.csv there, and the lines above.")
    return status


def _resumed(options) -> tuple[Path, dict]:
    """(folder, configuration with [tune]) of a search that goes on."""
    given = [name for name in ("source", "seed", "out", "settings") if getattr(options, name) not in (None, [])]
    if given:
        raise ValueError(
            "--resume goes on with a search as it was configured; only --trials, --workers and --threads may differ. "
            f"Received: {', '.join(given)}"
        )
    folder = Path(options.resume)
    if not (folder / SEARCH).is_file():
        raise FileNotFoundError(f"{folder} is no folder of a search: it has no {SEARCH}.")
    return folder, configuration.read_config(folder / SEARCH)


def _make(folder: Path, config: dict, search: dict, done: int, again: list[int], command_line: list[str]) -> None:
    """Make what is missing, here or in several processes."""
    context = multiprocessing.get_context("spawn")
    count = context.Value("q", 0)
    left = max(len(again), search["trials"] - done)
    workers = min(search["workers"], left)
    arguments = (folder, config, {**search, "trials": left}, count, again, command_line)
    if workers < 2:
        from jitnet.commands import trials

        runs.use_device(config)
        runs.use_threads(config)
        with interrupts.held(terminates=True, notice=_NOTICE):
            trials.make(*arguments)
        return
    from jitnet.kernels.cpu.runtime import threads

    own = max(1, (config["threads"] or threads.usable_cores()) // workers)
    processes, answers = [], []
    with interrupts.held(terminates=True, notice=_NOTICE):
        try:
            for _ in range(workers):
                answer, question = context.Pipe(duplex=False)
                processes.append(context.Process(target=work, args=(own, question, *arguments)))
                answers.append(answer)
                with _without_ctrl_c():
                    processes[-1].start()
                question.close()
            _await(processes)
        finally:
            for process in processes:
                if process.is_alive():  # Ctrl-C again
                    process.kill()
                process.join()
    for answer in answers:
        with contextlib.suppress(EOFError):
            raise answer.recv()
    ended = [process.exitcode for process in processes if process.exitcode]
    if ended:
        raise ChildProcessError(
            f"A worker has ended with status {ended[0]}; what was tried is kept. Go on with: "
            f"jitnet tune --resume {folder}"
        )


def work(threads: int, question, folder: Path, config: dict, *arguments) -> None:
    """What a process does that makes trials; an error that is not jitnet's own goes to ``question``."""
    import jitnet
    from jitnet.commands import trials

    try:
        runs.use_device(config)
        jitnet.set_num_threads(threads)
        with interrupts.held(terminates=True):
            trials.make(folder, config, *arguments)
    except interrupts.Terminated:
        return
    except (ValueError, OSError, MemoryError) as error:
        question.send(error)


def _await(processes) -> None:
    """Wait for all; when one fails or the search is to stop, ask the others to stop after their step."""
    stopping = False
    while any(process.is_alive() for process in processes):
        connection.wait([process.sentinel for process in processes if process.is_alive()], timeout=0.2)
        if not stopping and (interrupts.waits() or any(process.exitcode for process in processes)):
            stopping = True
            for process in processes:
                if process.is_alive():
                    process.terminate()


@contextlib.contextmanager
def _without_ctrl_c():
    """A process that starts within is not ended by Ctrl-C, which a terminal sends to all: its parent sees to that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _keep_best(folder: Path, found, search: dict) -> bool:
    """Copy the best trial's run, and say which it is and what made the difference; False if none has ended yet."""
    from jitnet.commands import trials

    try:
        best = found.best_trial
    except ValueError:
        return False
    fresh = folder / f".{BEST}"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(folder / trials.FOLDER / f"{best.number:04d}", fresh)
    shutil.rmtree(folder / BEST, ignore_errors=True)
    fresh.rename(folder / BEST)
    parts = [f"{key} {100 * part:.0f} %" for key, part in trials.importances(found).items()]
    if parts:
        print(f"Importance: {', '.join(parts)}")
    print(f"Best: trial {best.number}, {search['monitor']} {best.value:.6g}: {trials.described(best, search)}")
    print(f"Saved: {folder / BEST}{os.sep}. Repeat it: jitnet train {folder / BEST / runs.CONFIG}")
    return True
