"""Ctrl-C during a training: it waits for the end of the step, so that nothing is cut in two or lost.

Python raises KeyboardInterrupt wherever its interpreter happens to be: where garbage is collected, which swallows it;
where LLVM gives memory back, which ends the process.
"""

import contextlib
import signal
import threading

_requested = False
_waiting = False  # whether Ctrl-C waits


@contextlib.contextmanager
def held():
    """Within the block Ctrl-C waits for the next ``check`` or for the block's end; a second one waits for nothing.

    Only the main thread gets signals, and a handler of the program's own stays in charge: then nothing changes.
    """
    global _requested, _waiting
    if _waiting or not _is_main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _requested, _waiting = False, True
    signal.signal(signal.SIGINT, _wait)
    try:
        yield
    except BaseException:
        _requested = False  # what ends the training already
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _waiting = False
    check()


def check() -> None:
    """Raise the KeyboardInterrupt that waits, if there is one."""
    global _requested
    if _requested and _is_main_thread():
        _requested = False
        raise KeyboardInterrupt


def _wait(number, frame) -> None:
    global _requested
    if _requested:
        signal.default_int_handler(number, frame)
    _requested = True


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
