"""Ctrl-C during a training: it waits for the end of the step, so that nothing is cut in two or lost.

Python raises KeyboardInterrupt wherever its interpreter happens to be: where garbage is collected, which swallows it;
where LLVM gives memory back, which ends the process.  SIGTERM, with which clusters and ``kill`` ask a process to end,
waits likewise where the training is kept in checkpoints.
"""

import contextlib
import os
import signal
import threading

_requested: int | None = None  # the signal that waits
_taken: dict = {}  # {signal: the handler before}, while signals wait
_notice = b""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, between two steps."""


class Terminated(SystemExit):
    """SIGTERM, between two steps; the process's status is a shell's for it."""

    def __init__(self):
        super().__init__(128 + signal.SIGTERM)


STOPS = (Interrupted, Terminated)


@contextlib.contextmanager
def held(terminates: bool = False, notice: bytes = b""):
    """Within the block Ctrl-C waits for the next ``check`` or for the block's end; a second one waits for nothing.

    Only the main thread gets signals, and a handler of the program's own stays in charge: then nothing changes.

    terminates: SIGTERM waits as well.
    notice: written to standard error when a signal begins to wait.
    """
    global _requested, _notice
    wanted = [(signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)][: 2 if terminates else 1]
    wanted = [(number, handler) for number, handler in wanted if number not in _taken]
    if not _is_main_thread() or not any(signal.getsignal(number) is handler for number, handler in wanted):
        yield
        return
    outermost = not _taken
    if outermost:
        _requested, _notice = None, notice
    here = []
    try:
        for number, handler in wanted:
            if signal.getsignal(number) is handler:
                _taken[number] = handler
                here.append(number)
                signal.signal(number, _wait)
        yield
    except BaseException:
        _requested = None  # what ends the training already
        raise
    finally:
        for number in here:
            signal.signal(number, _taken.pop(number))
    if outermost:
        check()


def check() -> None:
    """Raise what the signal that waits stands for, if there is one."""
    global _requested
    if waits():
        number, _requested = _requested, None
        raise Interrupted if number == signal.SIGINT else Terminated


def waits() -> bool:
    """Whether the next ``check`` raises."""
    return _requested is not None and _is_main_thread()


def _wait(number, frame) -> None:
    global _requested
    if _requested is None:
        _requested = number
        if _notice:  # print is not safe in a signal's handler
            os.write(2, _notice)
    elif number == signal.SIGINT:
        signal.default_int_handler(number, frame)
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
