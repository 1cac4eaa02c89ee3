"""Several runs side by side, as text and as a page."""

import math

from jitnet.core.errors import invalid
from jitnet.reports import files, page, svg
from jitnet.reports.text import chart_title, number, plain, plural, quantity, shown_value

_NONE = "\u2013"
_MOST = 18  # lines that colours and dashes tell apart
_LONGEST = 48  # characters of a setting in the text's columns


class Comparison:
    """What is known of several runs, by rows.

    settings: [(key, a text for each run)] of the settings that differ; figures: the same of what the runs reached.
    """

    def __init__(self, folders):
        if len(folders) < 2:
            raise invalid("compare expects at least two runs.", runs=len(folders))
        if len(folders) > _MOST:
            raise invalid(f"compare expects at most {_MOST} runs.", runs=len(folders))
        self.runs = [files.read(folder) for folder in folders]
        self.names = _distinct([run.name for run in self.runs])
        self.settings = _differences(self.runs)
        self.figures = _figures(self.runs)

    def text(self) -> str:
        """Both tables as text."""
        settings = self.settings or [("no setting differs", [""] * len(self.runs))]
        blocks = [[("", self.names)], [("Settings", [""] * len(self.runs)), *settings]]
        blocks.append([("Figures", [""] * len(self.runs)), *self.figures])
        cut = [
            [(plain(key, _LONGEST), [plain(value, _LONGEST) for value in values]) for key, values in block]
            for block in blocks
        ]
        rows = [[key, *values] for block in cut for key, values in block]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.runs) + 1)]
        lines = []
        for block in cut:
            lines += [
                "  ".join(cell.ljust(width) for cell, width in zip([key, *values], widths, strict=True)).rstrip()
                for key, values in block
            ]
            lines.append("")
        return "\n".join(lines[:-1])

    def page(self) -> str:
        """The tables and the curves as a page."""
        columns = ["", *self.names]
        settings = [[key, *values] for key, values in self.settings]
        figures = [[key, *values] for key, values in self.figures]
        sections = [
            page.Section("figures", "Figures", page.table(columns, figures, numeric=range(1, len(columns)))),
            page.Section("curves", "Curves", self._curves()),
            page.Section(
                "settings",
                "Settings that differ",
                page.table(columns, settings) if settings else page.absent("None: the configurations are the same."),
            ),
        ]
        return page.page(f"{plural(len(self.runs), 'run')} compared", ", ".join(self.names), "", sections)

    def _curves(self) -> str:
        names = dict.fromkeys(name for run in self.runs for name in files.curves(run))
        if not names:
            return page.absent("None of the runs has a history of its epochs.")
        charts = [self._chart(column) for name in names for column in (name, f"val_{name}")]
        charts.append(self._chart("learning_rate"))
        return f'<div class="charts">{"".join(charts)}</div>'

    def _chart(self, column: str) -> str:
        """A quantity of all runs that have it; nothing if none has."""
        places = [i for i, run in enumerate(self.runs) if column in (run.history or {}) and run.epochs]
        if not places:
            return ""
        histories = [self.runs[i].history[column] for i in places]
        curves = [
            svg.Curve(self.names[i], self.runs[i].epochs, values, i % svg.COLOURS, i // svg.COLOURS)
            for i, values in zip(places, histories, strict=True)
        ]
        values = [value for history in histories for value in history if math.isfinite(value)]
        logarithmic = files.is_loss(column) and all(value > 0 for value in values)
        title = chart_title(column, logarithmic)
        chart = svg.lines(curves, title, "epoch", logarithmic, svg.axis_format(column, values))
        return page.figure(title, chart, page.legend([(c.name, c.colour, c.dash) for c in curves]))


def _distinct(names: list[str]) -> list[str]:
    """The names, with numbers where they repeat."""
    seen, found = {}, []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if names.count(name) == 1 else f"{name} ({seen[name]})")
    return found


def _differences(runs) -> list[tuple]:
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.config):
        values = [_setting(run.config[key]) if key in run.config else _NONE for run in runs]
        if len(set(values)) > 1:
            rows.append((key, values))
    return rows


def _setting(value) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _figures(runs) -> list[tuple]:
    rows = [("epochs", [str(len(run.epochs)) for run in runs])]
    for name in dict.fromkeys(name for run in runs for name in run.history or {}):
        if name in files.NO_QUANTITIES:
            continue
        histories = [(run.history or {}).get(name, []) for run in runs]
        rows.append((f"{quantity(name)}, last epoch", [_last(name, values) for values in histories]))
        best = [files.best_of(name, values) for values in histories]
        if any(place is not None for place in best):
            shown = [
                _NONE if place is None else f"{shown_value(name, values[place])} (epoch {run.epochs[place]})"
                for run, values, place in zip(runs, histories, best, strict=True)
            ]
            rows.append((f"{quantity(name)}, best epoch", shown))
    times = [_seconds(run) for run in runs]
    if any(seconds is not None for seconds in times):
        shown = [_NONE if seconds is None else f"{number(seconds, 3)} s" for seconds in times]
        rows.append(("Time per epoch", shown))
    return rows


def _last(name: str, values: list) -> str:
    return shown_value(name, values[-1]) if values else _NONE


def _seconds(run) -> float | None:
    """The median time of an epoch, where the history has it."""
    for name in files.SECONDS:
        values = sorted(value for value in (run.history or {}).get(name, []) if math.isfinite(value))
        if values:
            return values[len(values) // 2]
    return None
