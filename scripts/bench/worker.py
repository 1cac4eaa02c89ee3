"""A peer's process: reads requests, one JSON object a line, and answers each with one.

    python worker.py PEER
"""

import json
import os
import resource
import sys
import time

import numpy as np
from networks import digest
from peers import PEERS
from workloads import WORKLOADS


class Worker:
    def __init__(self, peer: str):
        self.peer = PEERS[peer]
        self.case = None
        self.seconds_per_step = None

    def prepare(self, workload: str, threads: int) -> dict:
        chosen = WORKLOADS[workload]
        self.case = self.peer.prepare(chosen, threads)
        self.seconds_per_step = None
        arrays = [*chosen.weights().values(), *chosen.data()] if chosen.network else []
        return {"digest": digest(*arrays)}

    def check(self, steps: int) -> dict:
        return {"values": [float(v) for v in self.case.check(steps)]}

    def tune(self) -> dict:
        self.case.tune()
        return {"form": self.case.form}

    def time(self, seconds: float) -> dict:
        """Seconds per step over a run of about ``seconds``, and how many cores were busy."""
        if self.seconds_per_step is None:
            self._calibrate(seconds)
        self.case.reset()
        cpu, start = time.process_time(), time.perf_counter()
        done = self.case.run(max(1, round(seconds / self.seconds_per_step)))
        elapsed = time.perf_counter() - start
        self.seconds_per_step = elapsed / done
        return {"seconds": elapsed / done, "cores": (time.process_time() - cpu) / elapsed}

    def _calibrate(self, seconds):
        self.case.reset()
        for _ in range(2):
            self.case.run(1)  # may compile
        count, elapsed = 1, 0.0
        while elapsed < seconds / 4:
            start = time.perf_counter()
            done = self.case.run(count)
            elapsed = time.perf_counter() - start
            count = 2 * done
        self.seconds_per_step = elapsed / done

    def gradients(self, batch: int, path: str) -> dict:
        """Writes the gradients of a batch at the initial weights into a file."""
        np.savez(path, **self.case.gradients(batch))
        return {}

    def memory(self) -> dict:
        """Peak resident bytes of this process."""
        try:
            with open("/proc/self/status") as file:
                peak = next(line for line in file if line.startswith("VmHWM"))
            return {"bytes": int(peak.split()[1]) * 1024}
        except OSError:  # not Linux; on Linux this figure would include that of the process that started this one
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return {"bytes": peak * (1 if sys.platform == "darwin" else 1024)}


def main() -> None:
    # what libraries print must not get between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
