"""jitnet report: one page about a run."""

import os

from jitnet.reports import report


def run(options) -> int:
    """Write the report on a run."""
    path = report.write(options.run, options.out)
    print(f"Saved: {path} ({os.path.getsize(path) / 1024:,.0f} KiB)")
    return 0
