"""``python -m jitnet`` is the command ``jitnet``."""

import sys

from jitnet.cli import main

sys.exit(main())
