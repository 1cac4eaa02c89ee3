"""jitnet compare: runs side by side."""

from jitnet.reports import page
from jitnet.reports.compare import Comparison


def run(options) -> int:
    """Print what differs between runs, and write a page if one is asked for."""
    comparison = Comparison(options.runs)
    print(comparison.text())
    if options.out is not None:
        page.write(options.out, comparison.page())
        print(f"\nSaved: {options.out}")
    return 0
