"""What this process holds in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
MIB: Final = 1024 * 1024


def resident() -> float | None:
    """MiB of memory that this process has resident now; ``None`` where nobody says."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB
