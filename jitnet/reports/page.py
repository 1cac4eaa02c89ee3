"""A page of its own: sections, figures and tables in one file that asks for nothing from elsewhere."""

from dataclasses import dataclass

from jitnet import __version__
from jitnet.files import atomic
from jitnet.reports.style import STYLE
from jitnet.reports.text import escaped

# no script runs and nothing is fetched, whatever stands in the page
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass
class Section:
    """A part of the page.  identifier: a name for links; content: HTML."""

    identifier: str
    title: str
    content: str


def page(title: str, lead: str, head: str, sections: list[Section]) -> str:
    """A whole page; title and lead are texts, head is HTML that stands before the sections."""
    links = "".join(f'<a href="#{part.identifier}">{escaped(part.title)}</a>' for part in sections)
    body = "".join(
        f'<section id="{part.identifier}"><h2>{escaped(part.title)}</h2>{part.content}</section>\n' for part in sections
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n<body><main><header><h1>{escaped(title)}</h1>"
        f'<p class="lead">{escaped(lead)}</p>{head}<nav>{links}</nav></header>\n{body}'
        f"<footer>Written by jitnet {escaped(__version__)}.</footer></main></body></html>\n"
    )


def write(path, text: str) -> None:
    """Write a page; an earlier one is replaced at once, or stays whatever fails.

    Raises FileExistsError for another kind of file, such as a model's: its name was a slip.
    """
    if not atomic.begins(path, b"<!DOCTYPE html"):
        raise FileExistsError(f"The page would replace {path}, which is no page: give another name.")
    try:
        atomic.write(str(path), text.encode("utf-8"))
    except OSError as error:
        raise OSError(f"The page cannot be written to {path}: {error.strerror or error}.") from error


def tiles(values: dict) -> str:
    """Figures that stand at the top, by their names."""
    return (
        '<dl class="tiles">'
        + "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in values.items())
        + "</dl>"
    )


def note(text: str) -> str:
    """A sentence about what is seen."""
    return f'<p class="note">{escaped(text)}</p>'


def absent(text: str) -> str:
    """A sentence in place of something that there isn't."""
    return f'<p class="none">{escaped(text)}</p>'


def figure(title: str, content: str, legend: str = "") -> str:
    """A drawing under its title."""
    return f"<figure><figcaption>{escaped(title)}</figcaption>{legend}{content}</figure>"


def legend(entries: list[tuple]) -> str:
    """What lines mean: (text, colour, dash) each; a colour of None stands for the mark of a change."""
    shown = []
    for text, colour, dash in entries:
        if colour is None:
            sample = '<svg viewBox="0 0 26 10"><path class="mark" d="M13 1l5 8h-10z"/></svg>'
            if dash:
                sample = '<svg viewBox="0 0 26 10"><path class="change" d="M13 0V10"/></svg>'
        else:
            sample = f'<svg viewBox="0 0 26 10"><path class="line s{colour} d{dash}" d="M0 5H26"/></svg>'
        shown.append(f"<span>{sample}{escaped(text)}</span>")
    return f'<div class="legend">{"".join(shown)}</div>'


def table(heading: list[str], rows: list, numeric=(), last_is_sum: bool = False) -> str:
    """A table of texts; numeric: the columns that stand to the right."""

    def cell(kind, column, text):
        return f"<{kind}{' class=n' if column in numeric else ''}>{escaped(text)}</{kind}>"

    lines = [f"<tr>{''.join(cell('th', i, text) for i, text in enumerate(heading))}</tr>"] if heading else []
    for place, row in enumerate(rows):
        kind = ' class="sum"' if last_is_sum and place == len(rows) - 1 else ""
        lines.append(f"<tr{kind}>{''.join(cell('td', i, text) for i, text in enumerate(row))}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'
