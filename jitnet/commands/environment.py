"""What a run was made with: versions, machine, threads, device, commit, the command line; beside its configuration."""

import json
import os
import subprocess
from pathlib import Path

from jitnet import __version__
from jitnet.commands import runs


def write(folder: Path, command_line: list[str]) -> None:
    """Write the file; ``command_line``: the command's arguments."""
    # as ASCII: a path of the command line may be bytes that are no UTF-8
    text = json.dumps(describe(command_line), indent=2)
    (folder / runs.ENVIRONMENT).write_text(text + "\n", encoding="utf-8")


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
        "command_line": ["jitnet", *command_line],
    }


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
