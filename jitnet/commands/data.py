"""jitnet data: the datasets, where they are, and whether they are whole."""

from jitnet.configuration import DataError, bad_data
from jitnet.core.errors import unknown_name


def run(options) -> int:
    """List, fetch or verify datasets."""
    from jitnet.datasets import _catalogue

    for name in options.names:
        if name not in _catalogue.ENTRIES:
            raise unknown_name("dataset", name, _catalogue.ENTRIES)
    if options.action == "fetch" and not options.names:
        raise ValueError(f"fetch expects names of datasets. Known: {', '.join(_catalogue.ENTRIES)}.")
    names = list(dict.fromkeys(options.names or _catalogue.ENTRIES))
    return {"list": _list, "fetch": _fetch, "verify": _verify}[options.action](_catalogue, names, bool(options.names))


def _list(catalogue, names, asked: bool) -> int:
    for name in names:
        entry = catalogue.ENTRIES[name]
        try:
            found = catalogue.find(name)
            where = "not there" if found is None else f"{found[0]}: {found[1]}"
        except OSError as error:  # of a folder that has only some of the files
            where = f"incomplete: {error}"
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "-"
        print(f"{name:<19}{size:>9}  {where}")
        print(f"{'':<30}{'; '.join((entry.licence, entry.source))}")
    return 0


def _fetch(catalogue, names, asked: bool) -> int:
    for name in names:
        with bad_data():
            kind, folder = catalogue.fetch(name)
        print(f"{name}: {kind}: {folder}", flush=True)
    return 0


def _verify(catalogue, names, asked: bool) -> int:
    """asked: whether the datasets were named, so that those that are not there are missing."""
    failed = []
    for name in names:
        try:
            if not asked and catalogue.find(name) is None:
                print(f"{name}: not there")
                continue
            print(f"{name}: {catalogue.verify(name)}", flush=True)
        except (ValueError, OSError) as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise DataError("\n".join(failed))
    return 0
