"""A progress bar for loops of one's own."""

import sys
import time

from jitnet.core.errors import NamesArguments, invalid

__all__ = ["Progbar"]


class Progbar(NamesArguments):
    """Shows how far a loop is, and averages of values.

    Arguments:
        target: the number of steps, None if it isn't known.
        width: of the bar, in characters.
        verbose: 0: nothing, 1: a bar that is written anew, 2: one line at the end.
        interval: the least number of seconds between two writings.
        stateful_metrics: names of values that are shown as they are, not averaged over the steps.
        stateless_metrics: names of the only values that are averaged.
        unit_name: what a step is called.

    Raises ValueError for both kinds of metrics at once.
    """

    def __init__(
        self, target, width=20, verbose=1, interval=0.05, stateful_metrics=None, stateless_metrics=None,
        unit_name="step",
    ):  # fmt: skip
        if stateful_metrics and stateless_metrics:
            raise invalid(
                "Progbar takes either the names that are averaged or those that are not.",
                stateful_metrics=stateful_metrics, stateless_metrics=stateless_metrics,
            )  # fmt: skip
        self.target, self.width, self.verbose, self.interval, self.unit_name = (
            target,
            width,
            verbose,
            interval,
            unit_name,
        )
        self._as_they_are = set(stateful_metrics or [])
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict = {}  # {name: (sum, count)}
        self._seen, self._started, self._written, self._finished = 0, time.perf_counter(), None, False

    def update(self, current: int, values=None, finalize=None) -> None:
        """``current`` steps are done; values: [(name, value of these steps)]; finalize: whether it was the last one."""
        steps = max(1, current - self._seen)
        for name, value in values or []:
            total, count = self._sums.get(name, (0.0, 0))
            averaged = name not in self._as_they_are if self._averaged is None else name in self._averaged
            self._sums[name] = (total + float(value) * steps, count + steps) if averaged else (float(value), 1)
        self._seen = current
        last = finalize if finalize is not None else self.target is not None and current >= self.target
        now = time.perf_counter()
        due = self._written is None or now - self._written >= self.interval
        if self._finished or not self.verbose or not (last or (due and self.verbose == 1)):
            return
        self._written, self._finished = now, last
        sys.stdout.write(("\r" if self.verbose == 1 else "") + self._line(now) + ("\n" if last else ""))
        sys.stdout.flush()

    def add(self, n: int, values=None) -> None:
        """``n`` more steps are done."""
        self.update(self._seen + n, values)

    def _line(self, now: float) -> str:
        parts = [f"{self._seen}/{self.target}" if self.target is not None else f"{self._seen}"]
        if self.target:
            full = min(self.width, self.width * self._seen // self.target)
            parts.append("━" * full + " " * (self.width - full))
        seconds = now - self._started
        parts.append(f"{seconds:.0f}s {1000 * seconds / max(1, self._seen):.0f}ms/{self.unit_name}")
        values = [f"{name}: {total / count:.4f}" for name, (total, count) in self._sums.items()]
        return " ".join(parts) + "".join(f" - {value}" for value in values)
