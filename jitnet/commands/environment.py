"""What a run was made with: versions, machine, threads, device, commit, the command line; beside its configuration."""

import json
import os
import subprocess
from pathlib import Path

from jitnet import __version__
from jitnet.commands import runs
from jitnet.files import atomic


def write(folder: Path, command_line: list[str]) -> None:
    """Write the file; ``command_line``: the command's arguments."""
    text = json.dumps(describe(command_line), indent=2, ensure_ascii=False)
    atomic.write(str(folder / runs.ENVIRONMENT), f"{text}\n".encode())


def describe(command_line: list[str]) -> dict:
    """{"versions": ..., "machine": ..., "threads": ..., "device": ..., "commit": ..., "command_line": ...}"""
    import platform
    from importlib.metadata import version

    import jitnet
    from jitnet.kernels.cpu.runtime import processor, threads

    packages = {name: version(name) for name in ("numpy", "numba", "llvmlite", "safetensors")}
    return {
        "versions": {"jitnet": __version__, "python": platform.python_version(), **packages},
        "machine": {
            "platform": platform.platform(),
            "processor": processor.name(),
            "cores": os.cpu_count(),
            "usable_cores": threads.usable_cores(),
        },
        "threads": jitnet.get_num_threads(),
        "device": jitnet.device(),
        "commit": commit(),
        "command_line": ["jitnet", *map(_readable, command_line)],
    }


def _readable(argument: str) -> str:
    """An argument as UTF-8: where the locale has another encoding, Python gives what it can't decode as surrogates."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def commit() -> dict | None:
    """{"hash": ..., "changed": whether files differ} of the checkout that this is run in; None outside of one."""
    answers = []
    for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode:
            return None
        answers.append(done.stdout.strip())
    return {"hash": answers[0], "changed": bool(answers[1])}
