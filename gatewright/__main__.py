"""`python -m gatewright`: the same program as the `gatewright` command."""

import sys

from gatewright.cli import main

if __name__ == "__main__":
    sys.exit(main())
