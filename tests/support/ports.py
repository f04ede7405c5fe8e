"""Ports of this machine that nobody listens on, and that nobody is given by chance while a test counts on it."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A port of 127.0.0.1 that is free, below those that a kernel hands out by itself (32768 and up on Linux)."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
