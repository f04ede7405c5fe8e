"""The session: one value, replaced whole and dropped whole (I10, R32), that survives the process as JSON."""

from __future__ import annotations

import enum
import math
from typing import Final, Literal, Self

import attrs
import msgspec

from gatewright.spec.errors import GatewrightError
from gatewright.spec.protocol import DAY, MAX_SESSION_ID

MAX_SESSION_AGE: Final = 30 * DAY
"""Seconds since READY after which a session is not brought back, unless asked for.

Generous on purpose. A session that lives is often days old, and a dead one costs a round trip and no identify budget
(P29, A14): the server knows best, by opcode 9. The bound is for a file that was forgotten.
"""

_FORMAT: Final = "gatewright-session"
_VERSION: Final = 1
_MAX_TEXT: Final = 64 * 1024


class SessionInvalid(GatewrightError, ValueError):
    """A text is no session that can be read, or a session has a value that no session has. Begin a new one."""


class SessionRefusal(enum.StrEnum):
    """Why a session is not resumed here."""

    UNREADABLE = "unreadable"  # what was stored is no session
    SHARD = "shard"  # of another shard pair (P92)
    INTENTS = "intents"  # begun with other intents (P44)
    API_VERSION = "api_version"
    BOT = "bot"  # of another bot than the token's
    AGE = "age"


@attrs.frozen
class SessionRefused:
    """A session was brought along and is not resumed; `detail` says why in words, without secrets."""

    reason: SessionRefusal
    detail: str


@attrs.frozen(kw_only=True)
class Session:
    """What a later connection needs to RESUME.

    `seq` is the sequence that an export was taken at; inside a running shard the received sequence is kept beside the
    session, because it moves with every dispatch. `created` is Unix time in seconds (the only wall-clock value in the
    engine: it has to mean something to another process). `resume_url` is ``None`` when the server gave none that can
    be used; such a session resumes through the main URL (R20).
    """

    id: str
    resume_url: str | None
    seq: int
    shard: int = 0
    shard_count: int = 1
    intents: int = 0
    bot_id: str = ""
    api_version: int = 10
    created: float = 0.0

    def without_url(self) -> Session:
        """The same session, resumed through the main URL from now on (P40)."""
        return attrs.evolve(self, resume_url=None)

    def to_json(self) -> str:
        """The session as one line of JSON, for :meth:`from_json` in another process. There is no token in it.

        Raises:
            SessionInvalid: for a value that no session has, in one that was made by hand.
        """
        try:
            document = msgspec.convert(
                {"format": _FORMAT, "version": _VERSION, **attrs.asdict(self)}, _Document, strict=True
            )
            text = msgspec.json.encode(document).decode()
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            raise SessionInvalid(f"this session cannot be stored: {_words(error)}") from None
        _check(document)
        return text

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The session that :meth:`to_json` wrote.

        Strict: a field that is missing, unknown or of another type is an error, and so is another version.

        Raises:
            SessionInvalid: for anything but that; never with a word of the text in it.
        """
        if not isinstance(text, (str, bytes)):
            raise SessionInvalid(f"a session is read from text or bytes, not from {type(text).__name__}")
        if len(text) > _MAX_TEXT:
            raise SessionInvalid(f"a text of {len(text)} characters is no session")
        try:
            if isinstance(text, bytes):
                text = text.decode()
            label = msgspec.json.decode(text, type=_Label)
            if label.version != _VERSION:
                raise SessionInvalid(
                    f"the session was written in version {label.version} of its format, and this Gatewright reads "
                    f"version {_VERSION}; begin a new session"
                )
            document = msgspec.json.decode(text, type=_Document)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise SessionInvalid(f"the text is no session: {_words(error)}") from None
        _check(document)
        fields: dict[str, object] = msgspec.structs.asdict(document)
        return cls(**{name: value for name, value in fields.items() if name not in {"format", "version"}})  # type: ignore[arg-type]  # checked by _Document, whose fields are a session's

    def refused(
        self,
        *,
        shard: int,
        shard_count: int,
        intents: int,
        bot_id: str,
        api_version: int,
        now: float,
        max_age: float | None = MAX_SESSION_AGE,
    ) -> SessionRefused | None:
        """Why a shard with these values cannot resume this session, or ``None`` when it can try (P44, P92).

        Args:
            shard: number of the shard.
            shard_count: of how many.
            intents: that the shard asks for.
            api_version: that it speaks.
            bot_id: of its token; ``""`` when the token does not tell, and then it is not compared.
            now: Unix time in seconds. A session from the future is as good as a new one: clocks differ.
            max_age: seconds since the session began; ``None`` for no bound. A `created` of 0 is not known, and passes.
        """
        if (self.shard, self.shard_count) != (shard, shard_count):
            return SessionRefused(
                SessionRefusal.SHARD,
                f"it belongs to shard {self.shard} of {self.shard_count}, and this is shard {shard} of {shard_count}",
            )
        if self.intents != intents:
            return SessionRefused(
                SessionRefusal.INTENTS,
                f"it was begun with intents {self.intents}, and this shard asks for {intents}; "
                "intents change with a new session only",
            )
        if self.bot_id and bot_id and self.bot_id != bot_id:
            return SessionRefused(SessionRefusal.BOT, "it belongs to another bot than the token")
        if self.api_version != api_version:
            return SessionRefused(
                SessionRefusal.API_VERSION,
                f"it speaks version {self.api_version} of the gateway, and this is version {api_version}",
            )
        age = now - self.created
        if self.created and max_age is not None and age > max_age:
            return SessionRefused(
                SessionRefusal.AGE,
                f"it began {age / DAY:.1f} days ago, and the bound is {max_age / DAY:.1f} days",
            )
        return None


class _Label(msgspec.Struct):
    format: Literal["gatewright-session"]
    version: int


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["gatewright-session"]
    version: int
    id: str
    resume_url: str | None
    seq: int
    shard: int
    shard_count: int
    intents: int
    bot_id: str
    api_version: int
    created: float


def _words(error: Exception) -> str:
    # msgspec's own words name types and paths, never values; other errors may quote the text.
    return str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON in UTF-8"


def _check(document: _Document) -> None:
    """What types cannot say."""
    wrong = {
        "id": not 1 <= len(document.id) <= MAX_SESSION_ID,
        "seq": not 0 <= document.seq < 2**63,
        "shard": not 0 <= document.shard < document.shard_count,
        "intents": document.intents < 0,
        "api_version": document.api_version < 1,
        "bot_id": not (document.bot_id == "" or (document.bot_id.isascii() and document.bot_id.isdigit())),
        "created": not (math.isfinite(document.created) and document.created >= 0),
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if found:
        raise SessionInvalid(f"no session has such a value in: {', '.join(found)}")


@attrs.frozen(kw_only=True)
class Metadata:
    """The answer of ``GET /gateway/bot``.

    `url` is the main websocket URL; `shards` the recommended number of shards; `total`, `remaining` the identify budget
    and `reset_after` seconds (converted from milliseconds) until it is full again; `max_concurrency` the number of
    identify buckets (P01, P27, P30).
    """

    url: str
    shards: int = 1
    total: int = 1000
    remaining: int = 1000
    reset_after: float = 0.0
    max_concurrency: int = 1
