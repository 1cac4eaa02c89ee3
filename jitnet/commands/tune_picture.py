"""The picture of a search: how much each setting matters, and how the best value came to be."""

import math
from pathlib import Path

from jitnet.commands import trials
from jitnet.pictures import figures


class Picture:
    """Of a search, to be written to a file; what would hinder that is known before the search begins.

    Raises:
        OSError: there is no matplotlib, or no such folder.
        ValueError: matplotlib knows no such suffix.
    """

    def __init__(self, path: str):
        self.path = Path(path)
        try:
            self._figure = figures.new_figure("jitnet tune --plot", path, 10, 4)
        except ImportError as error:
            raise OSError(f"{error}") from error
        figures.check_suffix(self._figure, path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"--plot: there is no folder {self.path.parent}.")

    def write(self, found, search: dict) -> None:
        """Draw a study that has finished trials, and say where it is."""
        bars, course = self._figure.subplots(1, 2)
        parts = trials.importances(found)
        bars.barh(list(parts)[::-1], list(parts.values())[::-1])
        bars.set(xlim=(0, 1), xlabel="importance (all together 1)")
        if not parts:
            bars.text(0.5, 0.5, "too few finished trials", ha="center", va="center", transform=bars.transAxes)
            bars.set_yticks([])

        best = max if trials.direction(search) == "maximize" else min
        told = [t for t in found.get_trials(deepcopy=False) if t.value is not None and math.isfinite(t.value)]
        finished, pruned = ([t for t in told if t.state.name == state] for state in ("COMPLETE", "PRUNED"))
        places, values = [t.number for t in finished], [t.value for t in finished]
        course.plot(places, values, "o", label="trained to the end")
        if pruned:
            course.plot([t.number for t in pruned], [t.value for t in pruned], "x", color="0.6", label="pruned")
        # to the last trial, whatever became of that
        ends = [*places, told[-1].number]
        so_far = [best(values[: i + 1]) for i in range(len(ends))]
        course.step(ends, so_far, where="post", color="tab:red", label="best so far")
        course.set(xlabel="trial", ylabel=search["monitor"])
        if best is min and min(t.value for t in told) > 0:
            course.set_yscale("log")
        course.grid(alpha=0.3, which="both")
        course.legend()
        figures.finished(self._figure, self.path)
        print(f"Picture: {self.path}")
