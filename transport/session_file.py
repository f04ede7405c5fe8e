"""A session in a file, so that a process that was killed can be followed by one that goes on where it was."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path

import trio

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.session import Session, SessionInvalid

_MAX_BYTES = 64 * 1024


class FileSessionStore:
    """A :class:`~gatewright.transport.seams.SessionStore` in one file, for one shard.

    A save replaces the file in one step: whoever is killed in the middle leaves the old one. Only its owner may read
    it. Files are touched in threads, never in trio's.

    Args:
        path: the file; its folder must exist. Each shard has a file of its own.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._newest = 0

    async def load(self) -> Session | None:
        """The session of the file; ``None`` when there is no file.

        Raises:
            SessionInvalid: if the file holds no session.
            ConfigurationError: if there is no folder in which it could be.
            OSError: if the file cannot be read.
        """
        return await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)

    async def save(self, session: Session | None) -> None:
        """Replaces the file, or removes it for ``None``. A save that was overtaken by a newer one does nothing.

        Raises:
            OSError: if it cannot be written; the old file is still there.
        """
        self._newest += 1
        text = None if session is None else session.to_json()
        await trio.to_thread.run_sync(self._write, text, self._newest, abandon_on_cancel=True)

    def __repr__(self) -> str:
        return f"FileSessionStore({str(self._path)!r})"

    def _read(self) -> Session | None:
        try:
            with self._path.open("rb") as file:
                text = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            if not self._path.parent.is_dir():
                raise ConfigurationError(
                    f"the folder {str(self._path.parent)!r} of the session file does not exist; make it first"
                ) from None
            return None
        if not text:
            raise SessionInvalid("the session file is empty")
        return Session.from_json(text)

    def _write(self, text: str | None, number: int) -> None:
        with self._lock:
            if number != self._newest:  # whoever waited for it has gone, and a newer one was asked for
                return
            if text is None:
                self._path.unlink(missing_ok=True)
                return
            # mkstemp's file is its owner's alone (0600), and in the same folder, so that it can be moved in one step.
            handle, temporary = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(self._path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
                raise
