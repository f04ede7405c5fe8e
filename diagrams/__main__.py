"""`python -m gatewright.diagrams`: write every generated drawing and page of this checkout again."""

import sys
from pathlib import Path

from gatewright.diagrams.export import write_all


def main() -> int:
    """Write what is out of date, and say what it was."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "pyproject.toml").is_file():
        sys.stderr.write(
            "The drawings are files of a checkout, and this gatewright was installed without one.\n"
            "  In a checkout: pip install --editable . && python -m gatewright.diagrams\n"
            "  To print one:  gatewright diagram\n"
        )
        return 1
    written = write_all(root)
    sys.stdout.write("".join(f"{path}\n" for path in written) or "Everything is as the table has it.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
