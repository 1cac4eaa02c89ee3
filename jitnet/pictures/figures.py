"""Figures by matplotlib, which is an extra: ``pip install 'jitnet[plots]'``."""

from ..core.errors import invalid


def new_figure(what: str, path, width: float, height: float):
    """A figure of so many inches for ``what``: one of pyplot's, which ``pyplot.show()`` shows, unless it has a path.

    Raises ImportError without matplotlib.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"{what} needs matplotlib: pip install 'jitnet[plots]'.") from error
    make = pyplot.figure if path is None else Figure
    return make(figsize=(width, height), layout="constrained")


def finished(figure, path, dpi: int = 150):
    """The figure, written to ``path`` if there is one.

    Raises ValueError for a suffix that matplotlib doesn't know.
    """
    if path is not None:
        check_suffix(figure, path)
        figure.savefig(path, dpi=dpi)
    return figure


def check_suffix(figure, path) -> None:
    """Raise ValueError for a suffix that matplotlib doesn't know."""
    known = figure.canvas.get_supported_filetypes()
    if str(path).rpartition(".")[2].lower() not in known:
        raise invalid(f"Figures are written as {', '.join(sorted(known))}: the suffix says which.", path=str(path))
