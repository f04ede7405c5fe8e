"""``python -m gatewright.harness.grades``."""

import sys

from gatewright.harness.grades.command import main

if __name__ == "__main__":
    sys.exit(main())
