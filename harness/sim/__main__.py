"""``python -m gatewright.harness.sim``."""

import sys

from gatewright.harness.sim.run import main

if __name__ == "__main__":
    sys.exit(main())
