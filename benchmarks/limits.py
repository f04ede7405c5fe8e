"""A thousand connections need as many open files, at both ends."""

from __future__ import annotations


def raise_open_files() -> None:
    """As many as this process may have; where there is no such limit, nothing."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
