"""`python -m tests.conformance`: write docs/conformance.md again."""

import sys

from tests.conformance.page import PATH, count, render


def main() -> int:
    """Write the page if it is out of date, and say how far the MUST rows are covered."""
    page = render()
    if not PATH.exists() or PATH.read_text(encoding="utf-8") != page:
        PATH.write_text(page, encoding="utf-8", newline="\n")
        sys.stdout.write("docs/conformance.md\n")
    sys.stdout.write(f"conformance: {count()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
