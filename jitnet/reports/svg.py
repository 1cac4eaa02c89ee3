"""Charts as SVG that stands in a page: lines, histograms, bars and a matrix, coloured by the page's style.

Written here rather than drawn by matplotlib: a report then needs no other package, its text is the page's and can be
searched, and its colours follow the reader's light or dark mode.
"""

import math
from dataclasses import dataclass, field

from jitnet.reports.text import escaped, is_share, number

COLOURS = 6  # .s0 to .s5 in the page's style
_MOST_POINTS = 1000  # of a curve; a screen has no more
_MOST_DOTS = 60
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 280, 62, 22, 14, 40


@dataclass
class Curve:
    """A line in a chart.

    colour: 0 to 5; dash: 0 (solid) to 2; marks: places where something happens, with what.
    """

    name: str
    x: list
    y: list
    colour: int = 0
    dash: int = 0
    marks: dict = field(default_factory=dict)


def axis_format(name: str, values: list):
    """How an axis shows the values of a quantity in the logs: shares as percentages."""
    share = is_share(name) and all(0 <= value <= 1 for value in values)
    return (lambda value: f"{number(100 * value)}\u202f%") if share else number


def lines(curves: list[Curve], label: str, x_label: str, logarithmic: bool = False, formatted=number) -> str:
    """A chart of curves; values that are not finite are left out of them.

    label: what the chart shows, in words; x_label: what stands below the axis; formatted: a value as a text.
    """
    shown = [_drawable(curve, logarithmic) for curve in curves]
    xs = [x for curve in shown for part in curve for x, _ in part]
    ys = [y for curve in shown for part in curve for _, y in part]
    if not xs:
        return f'<p class="none">No values: {escaped(label)} is not finite in any place.</p>'
    whole = all(float(x).is_integer() for x in xs)
    left, right = min(xs), max(xs)
    if left == right:
        left, right = left - 1, right + 1
    ticks, place_y = _logarithmic_axis(ys) if logarithmic else _linear_axis(ys)

    def across(x):
        return _LEFT + (x - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def down(y):
        return _TOP + (1 - place_y(y)) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escaped(label)}">']
    for tick in ticks:
        y = down(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="end">{escaped(formatted(tick))}</text>')
    base = _HEIGHT - _BOTTOM
    for tick in _ticks(left, right, 7, whole):
        if left <= tick <= right and not (len(set(xs)) == 1 and tick != xs[0]):
            parts.append(f'<path class="axis" d="M{across(tick):.1f} {base}v4"/>')
            parts.append(f'<text x="{across(tick):.1f}" y="{base + 18}" class="mid">{escaped(number(tick))}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {base}H{_WIDTH - _RIGHT}"/>')
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 5}" class="mid">{escaped(x_label)}</text>')
    parts += _marks({x: said for curve in curves for x, said in curve.marks.items()}, across, base)
    for curve, pieces in zip(curves, shown, strict=True):
        parts += _drawn(curve, pieces, across, down, f"{x_label} ", formatted)
    return "".join([*parts, "</svg>"])


def _drawable(curve: Curve, logarithmic: bool) -> list[list[tuple]]:
    """The pieces of a curve between values that can't be drawn."""
    places = range(len(curve.x))
    if len(curve.x) > _MOST_POINTS:
        places = sorted({round(i * (len(curve.x) - 1) / (_MOST_POINTS - 1)) for i in range(_MOST_POINTS)})
    pieces = [[]]
    for i in places:
        y = curve.y[i]
        if math.isfinite(y) and abs(y) < 1e300 and (y > 1e-300 or not logarithmic):
            pieces[-1].append((curve.x[i], y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _drawn(curve: Curve, pieces, across, down, x_label: str, formatted) -> list[str]:
    parts = [f'<g class="s{curve.colour % COLOURS} d{curve.dash}" data-curve="{escaped(curve.name)}">']
    for piece in pieces:
        points = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in piece)
        parts.append(f'<polyline points="{points}"/>')
    if sum(map(len, pieces)) <= _MOST_DOTS:
        for x, y in (point for piece in pieces for point in piece):
            said = escaped(f"{curve.name}, {x_label}{number(x)}: {formatted(y)}")
            parts.append(f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="2.6"><title>{said}</title></circle>')
    return [*parts, "</g>"]


def _marks(marks: dict, across, base: float) -> list[str]:
    """Where something changes: few changes as lines with what they say, many as triangles on the axis."""
    parts, free = [], -math.inf
    for x, said in sorted(marks.items()):
        place, title = across(x), f"<title>{escaped(said)}</title>"
        if len(marks) > 6:
            parts.append(f'<path class="mark" d="M{place:.1f} {base - 7}l4 7h-8z">{title}</path>')
            continue
        parts.append(f'<path class="change" d="M{place:.1f} {_TOP}V{base}">{title}</path>')
        short = said.rpartition(" ")[2]
        width = 7 * len(short)
        start = place + 3 if place + 3 + width < _WIDTH else place - 3 - width
        if start > free:
            parts.append(f'<text class="small" x="{start:.1f}" y="{_TOP + 8}">{escaped(short)}</text>')
            free = start + width + 4
    return parts


def _ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Round numbers from below ``low`` to above ``high``, at most about ``most``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    if whole:
        step = max(1, round(step))
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) if abs(step) > 1e-6 else i * step for i in range(first, last + 1)]


def _linear_axis(values):
    low, high = min(values), max(values)
    if high - low <= max(1e-12 * max(abs(low), abs(high)), 1e-300):
        spare = abs(high) / 2 or 1.0
        low, high = low - spare, high + spare
    ticks = _ticks(low, high, 5)
    low, high = ticks[0], ticks[-1]
    return ticks, lambda y: (y - low) / (high - low)


def _logarithmic_axis(values):
    """Ticks at 1, 2 and 5 times powers of ten, at powers alone where they are many, or closer where values are."""
    low, high = min(values), max(values)
    if high < low * 1.2:
        low, high = low / 1.5, high * 1.5
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if high < 4 * low:
        ticks = [tick for tick in _ticks(low, high, 5) if tick > 0]
        return ticks, _between(math.log(min(low, ticks[0])), math.log(ticks[-1]))
    decades = last - first
    factors = (1, 2, 5) if decades <= 3 else (1,)
    every = max(1, decades // 7)
    ticks = [float(f"{factor}e{power}") for power in range(first, last + 1, every) for factor in factors]
    below = max((tick for tick in ticks if tick <= low), default=ticks[0])
    above = min((tick for tick in ticks if tick >= high), default=ticks[-1])
    ticks = [tick for tick in ticks if below <= tick <= above]
    return ticks, _between(math.log(min(low, ticks[0])), math.log(max(high, ticks[-1])))


def _between(low: float, high: float):
    """How far, from 0 to 1, a value's logarithm lies between two."""
    return lambda y: (math.log(y) - low) / (high - low)


def histogram(counts, low: float, high: float, label: str, colour: int = 0) -> str:
    """The bars of a histogram from ``low`` to ``high``."""
    width, height, base = 170, 84, 66
    largest, step = max(*counts, 1), (width - 8) / len(counts)
    bars = "".join(
        f"M{4 + i * step:.1f} {base}v{-(base - 6) * count / largest:.1f}h{step:.2f}V{base}z"
        for i, count in enumerate(counts) if count
    )  # fmt: skip
    zero, ends = "", (number(low, 2), number(high, 2))
    if low < 0 < high:
        place = 4 - low / (high - low) * (width - 8)
        zero = f'<path class="zero" d="M{place:.1f} 4V{base + 3}"/>'
        if 16 + 7 * len(ends[0]) < place < width - 16 - 7 * len(ends[1]):
            zero += f'<text x="{place:.1f}" y="{base + 15}" class="mid small">0</text>'
    return (
        f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(label)}">'
        f'<path class="bars s{colour}" d="{bars}"/><path class="axis" d="M4 {base}H{width - 4}"/>{zero}'
        f'<text x="4" y="{base + 15}" class="small">{escaped(ends[0])}</text>'
        f'<text x="{width - 4}" y="{base + 15}" class="end small">{escaped(ends[1])}</text></svg>'
    )


def bars(names: list, shares: list, right: int | None, label: str, formatted) -> str:
    """Shares as horizontal bars, a row each; right: the row that should be the longest."""
    row, left = 22, 8 + 8 * max(len(str(name)[:14]) for name in names)
    width, height = 420, row * len(names) + 4
    parts = [f'<svg class="rows" viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(label)}">']
    for i, (name, share) in enumerate(zip(names, shares, strict=True)):
        y, length = 2 + i * row, max(0.5, min(1, share) * (width - left - 70)) if math.isfinite(share) else 0.5
        parts.append(f'<text x="{left - 8}" y="{y + 15}" class="end">{escaped(str(name)[:14])}</text>')
        colour = "s2" if i == right else "s0"
        parts.append(f'<path class="bars {colour}" d="M{left} {y + 3}h{length:.1f}v{row - 6}h{-length:.1f}z"/>')
        parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 15}">{escaped(formatted(share))}</text>')
    return "".join([*parts, "</svg>"])


def matrix(counts, names: list, label: str) -> str:
    """A confusion matrix, a row for each true class, with the share of each row that is right."""
    most = max(len(str(name)) for name in names)
    shown = [str(name)[:12] for name in names]
    upright = most <= 3
    cell, left, top = (38 if len(names) <= 12 else max(8, 456 // len(names))), 34 + 8 * min(most, 12), 26
    top += 14 if upright else 7 * min(most, 12)
    size = cell * len(names)
    width, height = left + size + 62, top + size + 6
    parts = [
        f'<svg class="matrix" style="max-width:{round(1.15 * width)}px" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escaped(label)}">'
    ]
    parts.append(f'<text x="{left + size / 2}" y="14" class="mid">predicted</text>')
    parts.append(f'<text transform="translate(12 {top + size / 2}) rotate(-90)" class="mid">true</text>')
    parts.append(f'<text x="{width - 4}" y="{top - 8}" class="end">correct</text>')
    for i, name in enumerate(shown):
        centre = cell * (i + 0.5)
        if cell >= 14:
            parts.append(f'<text x="{left - 6}" y="{top + centre + 4.5}" class="end">{escaped(name)}</text>')
            place = f"translate({left + centre} {top - 8})" if upright else f"translate({left + centre + 4} {top - 6})"
            turned = ' class="mid"' if upright else ""
            turn = "" if upright else " rotate(-60)"
            parts.append(f'<text transform="{place}{turn}"{turned}>{escaped(name)}</text>')
        total = sum(counts[i])
        for j, count in enumerate(counts[i]):
            x, y = left + j * cell, top + i * cell
            place = f'x="{x + 0.5}" y="{y + 0.5}" width="{cell - 1}" height="{cell - 1}"'
            parts.append(f'<rect {place} class="cell"/>')
            if not count:
                continue
            # the square root lets few mistakes be seen beside many right answers
            strength = round(math.sqrt(count / total), 3)
            said = f"true {names[i]}, predicted {names[j]}: {count:,} of {total:,}"
            kind = "right" if i == j else "wrong"
            parts.append(f'<g><title>{escaped(said)}</title><rect {place} class="{kind}" fill-opacity="{strength}"/>')
            if cell >= 30:
                strong = " strong" if strength > 0.6 else ""
                small = " small" if count > 999 else ""
                place = f'x="{x + cell / 2}" y="{y + cell / 2 + 4.5}"'
                parts.append(f'<text {place} class="mid{strong}{small}">{count}</text>')
            parts.append("</g>")
        if total and cell >= 14:
            said = f"{100 * counts[i][i] / total:.1f}\u202f%"
            parts.append(f'<text x="{width - 4}" y="{top + centre + 4.5}" class="end">{said}</text>')
    return "".join([*parts, "</svg>"])
