"""Proxies for tests: programs of their own on this machine (tinyproxy, microsocks), with credentials."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import attrs

from tests.support.ports import free_port
from tests.support.requires import program
from tests.support.threads import PATIENCE

USER: Final = "alice"
PASSWORD: Final = "s3cret-0f-alice"

Kind = Literal["http", "socks5h"]
PROGRAMS: Final[dict[Kind, str]] = {"http": "tinyproxy", "socks5h": "microsocks"}


@attrs.frozen
class RunningProxy:
    """A proxy that asks for credentials."""

    kind: Kind
    port: int
    _log: Path

    @property
    def url(self) -> str:
        """With the right credentials."""
        return f"{self.kind}://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    @property
    def bare_url(self) -> str:
        """Without credentials."""
        return f"{self.kind}://127.0.0.1:{self.port}"

    def tunnels(self, port: int) -> int:
        """How many connections to `port` of this machine it says to have been asked for with the right credentials."""
        wanted = rf"CONNECT 127\.0\.0\.1:{port} " if self.kind == "http" else rf"connected to 127\.0\.0\.1:{port}\b"
        return len(re.findall(wanted, self._log.read_text(encoding="utf-8", errors="replace")))


@contextmanager
def running_proxy(kind: Kind, folder: Path) -> Generator[RunningProxy]:
    """Starts the proxy of this kind, and ends it with the block; `folder` gets its files."""
    port, log = free_port(), folder / f"{kind}.log"
    log.touch()
    command = [program(PROGRAMS[kind])]
    if kind == "http":
        settings = folder / "tinyproxy.conf"
        settings.write_text(
            f'Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogFile "{log}"\nLogLevel Info\n'
            f"BasicAuth {USER} {PASSWORD}\n",
            encoding="utf-8",
        )
        command += ["-d", "-c", os.fspath(settings)]
    else:
        command += ["-i", "127.0.0.1", "-p", str(port), "-u", USER, "-P", PASSWORD]
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait_for(port, process)
            yield RunningProxy(kind, port, log)
        finally:
            process.send_signal(signal.SIGKILL)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"the proxy did not start: {process.args!r}")
