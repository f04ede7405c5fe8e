"""``python -m gatewright.harness.proof``."""

import sys

from gatewright.harness.proof.command import main

if __name__ == "__main__":
    sys.exit(main())
