"""``python -m gatewright.harness.fuzz``; see :mod:`gatewright.harness.fuzz.run`."""

import sys

from gatewright.harness.fuzz.run import main

if __name__ == "__main__":
    sys.exit(main())
