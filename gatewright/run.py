"""`gatewright run`: one shard in a process of its own, which says what it does and ends with a status that says why.

For trying a token, for watching a gateway, and as an example of a program around a shard. The token comes from the
environment only, because arguments are seen by everybody on the machine.
"""

from __future__ import annotations

import contextlib
import enum
import fnmatch
import logging
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn, TextIO, TypeVar, cast
from urllib.parse import urlsplit

import attrs
import msgspec
import trio

from gatewright.fsm.errors import IllegalTransition
from gatewright.fsm.journal import Record
from gatewright.fsm.metrics import Metrics
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import SlotRefusal
from gatewright.spec.intents import Intents
from gatewright.spec.session import Metadata
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import AuthenticationFailed, DisallowedIntents, MetadataRefused, ShardFailed
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.inflate import CompressionName
from gatewright.transport.metadata import HttpMetadataSource, StaticMetadataSource
from gatewright.transport.seams import GateUnavailable, MetadataSource, Slot
from gatewright.transport.session_file import FileSessionStore
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

TOKEN_VARIABLE: Final = "DISCORD_TOKEN"  # noqa: S105 - the name of it


class Status(enum.IntEnum):
    """What the process ends with. 1 is an error that is not the shard's, such as a file that cannot be read."""

    STOPPED = 0  # by SIGTERM
    USAGE = 2
    TOKEN_REFUSED = 3
    INTENTS_DISALLOWED = 4
    BUDGET_SPENT = 5
    FAILED = 6
    INTERRUPTED = 130  # by Ctrl-C; as a shell says it


@attrs.frozen(kw_only=True)
class Options:
    """What is asked for. `events` are patterns of names; the others are those of the command line."""

    intents: int
    gateway_url: str | None = None
    api_url: str | None = None
    shard_id: int = 0
    shard_count: int = 1
    compress: CompressionName = "none"
    events: tuple[str, ...] = ("*",)
    json: bool = False
    wait: bool = False
    session: Path | None = None
    log_level: str = "WARNING"


# -- what the command line says ----------------------------------------------------------------------------------------


def parse_intents(text: str) -> int:
    """Intents as names, separated by commas, or as their number.

    Raises:
        ConfigurationError: for a name that is none; the message has those that are.
    """
    with contextlib.suppress(ValueError):
        number = int(text, 0)
        if number >= 0:
            return number
    groups = {"ALL": Intents.all, "NONE": Intents.none, "PRIVILEGED": Intents.privileged}
    groups["UNPRIVILEGED"] = Intents.unprivileged
    found = Intents.none()
    for name in (part.strip().upper() for part in text.replace("|", ",").split(",")):
        if name in groups:
            found |= groups[name]()
        elif name in Intents.__members__:
            found |= Intents[name]
        else:
            raise ConfigurationError(
                f"{name or text!r} is no intent; there are: {', '.join(Intents.__members__)}; and all, none, "
                "privileged, unprivileged, or a number"
            )
    return int(found)


def parse_shard(text: str) -> tuple[int, int]:
    """A shard pair, ``0/1`` for the first of one.

    Raises:
        ConfigurationError: for anything else.
    """
    shard_id, slash, count = text.partition("/")
    if not (slash and shard_id.isdecimal() and count.isdecimal() and int(shard_id) < int(count)):
        raise ConfigurationError(f"{text!r} is no shard pair; write the shard's number and the count, such as 0/1")
    return int(shard_id), int(count)


# -- what is printed ---------------------------------------------------------------------------------------------------


class Printer:
    """Writes moves and events, one a line, as text or as JSON.

    Args:
        out: where to.
        events: patterns of the names that are wanted.
        json: one object a line.
        shard_id: goes into each object.
    """

    def __init__(self, out: TextIO, *, events: tuple[str, ...] = ("*",), json: bool = False, shard_id: int = 0) -> None:
        self._out = out
        self._events = tuple(pattern.upper() for pattern in events)
        self._json = json
        self._shard_id = shard_id

    def move(self, record: Record) -> None:
        """The shard has entered another state."""
        if self._json:
            self._object("transition", **record.as_dict())
        else:
            reason = f" ({record.reason})" if record.reason else ""
            self._text(f"{record.state.value:<22} -> {record.to.value:<22} {record.event}{reason}")

    def event(self, dispatch: Dispatch) -> None:
        """A dispatch has come, if its name is wanted."""
        if not any(fnmatch.fnmatchcase(dispatch.type, pattern) for pattern in self._events):
            return
        if self._json:
            self._object("event", name=dispatch.type, seq=dispatch.seq, replayed=dispatch.replayed)
        else:
            self._text(f"  {dispatch.type} {dispatch.seq}{' (replayed)' if dispatch.replayed else ''}")

    def summary(self, status: Status, reason: str, metrics: Metrics) -> None:
        """The last line."""
        if self._json:
            self._object("summary", status=int(status), reason=reason, metrics=metrics.as_dict())
            return
        counted = ", ".join(
            f"{name} {count}"
            for name in ("connections", "identifies", "resumes_good", "resumes_failed", "zombies", "dispatches")
            if (count := getattr(metrics, name))
        )
        self._text(f"{reason}{f'   ({counted})' if counted else ''}")

    def _object(self, kind: str, /, **fields: object) -> None:
        self._line(msgspec.json.encode({"type": kind, "at": time.time(), "shard": self._shard_id, **fields}).decode())

    def _text(self, text: str) -> None:
        self._line(f"{datetime.now().astimezone():%H:%M:%S}  {text}")

    def _line(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()


# -- the budget --------------------------------------------------------------------------------------------------------


class BudgetWatch(InMemoryIdentifyGate):
    """The identify gate of this process, which tells when the day's budget does not allow another IDENTIFY."""

    def __init__(self) -> None:
        super().__init__()
        self.spent = trio.Event()
        self.retry_after = 0.0

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        """As the gate; a refusal because only the reserve is left is noted, one that merely slows down is not."""
        try:
            return await super().acquire(shard_id=shard_id, on_queued=on_queued)
        except GateUnavailable as refusal:
            if refusal.refusal is SlotRefusal.BUDGET and self.budget().usable < 1:
                self.retry_after = refusal.retry_after
                self.spent.set()
            raise


# -- the run -----------------------------------------------------------------------------------------------------------


def run(options: Options, out: TextIO | None = None) -> Status:
    """Runs a shard until it fails, the budget is spent, or a signal stops it.

    Raises:
        BrokenPipeError: whoever read `out` has gone.
        OSError: the session file cannot be read.
    """
    logging.basicConfig(level=options.log_level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    printer = Printer(
        sys.stdout if out is None else out, events=options.events, json=options.json, shard_id=options.shard_id
    )
    try:
        program = _Program(options, printer)
    except ConfigurationError as error:
        sys.stderr.write(f"gatewright run: {error}\n")
        return Status.USAGE
    trouble: OSError | None = None
    status = Status.FAILED
    try:
        status = trio.run(program.main)
    except* KeyboardInterrupt:  # before the signals were listened to
        status = Status.INTERRUPTED
    except* ConfigurationError as group:  # the session file has no folder
        sys.stderr.write(f"gatewright run: {_first(group)}\n")
        status = Status.USAGE
    except* OSError as group:  # as itself, and not in the groups of those who were printing
        trouble = _first(group)
    if trouble is not None:
        raise trouble
    return status


ErrorT = TypeVar("ErrorT", bound=Exception)


def _first(group: ExceptionGroup[ErrorT]) -> ErrorT:
    error = group.exceptions[0]
    return _first(cast("ExceptionGroup[ErrorT]", error)) if isinstance(error, ExceptionGroup) else error


class _Program:
    """One run: the shard, and what watches over it."""

    def __init__(self, options: Options, printer: Printer) -> None:
        token = Token(os.environ.get(TOKEN_VARIABLE) or _no_token())
        self._options = options
        self._printer = printer
        self._gate = BudgetWatch()
        self._shard = Shard(
            token,
            intents=options.intents,
            settings=_settings(options),
            compress=options.compress,
            metadata=_metadata(options, token),
            gate=self._gate,
            store=None if options.session is None else FileSessionStore(options.session),
        )
        self._signal: signal.Signals | None = None
        self._failure: ShardFailed | None = None
        self._over = trio.Event()
        self._drained = trio.Event()

    async def main(self) -> Status:
        async with self._shard as shard:
            for record in shard.journal:
                if record.moved:
                    self._printer.move(record)
            moves = shard.transitions()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop_on_a_signal, nursery)
                nursery.start_soon(self._print_moves, moves)
                nursery.start_soon(self._print_events)
                if not self._options.wait:
                    nursery.start_soon(self._leave_when_spent)
                await self._over.wait()
                if shard.state is not State.SUSPENDED:  # from there it could come back, so its events never end
                    await self._drained.wait()
                nursery.cancel_scope.cancel()
        status, reason = self._verdict()
        self._printer.summary(status, reason, shard.metrics())
        if status not in {Status.STOPPED, Status.INTERRUPTED}:
            sys.stderr.write(f"gatewright run: {reason}\n")
        return status

    async def _print_moves(self, moves: AsyncIterator[Record]) -> None:
        async for record in moves:
            self._printer.move(record)
            if record.to in {State.SUSPENDED, State.STOPPED, State.FAILED}:
                break
        self._over.set()

    async def _print_events(self) -> None:
        try:
            async for dispatch in self._shard:
                self._printer.event(dispatch)
        except ShardFailed as failure:
            self._failure = failure
        self._drained.set()

    async def _stop_on_a_signal(self, nursery: trio.Nursery) -> None:
        # One that is ignored, as in the background of a shell, stays ignored.
        wanted = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
        if not wanted:
            return
        with trio.open_signal_receiver(*wanted) as received:
            async for number in received:
                if self._signal is not None:
                    # Asked for twice: leaving in order takes seconds, and whoever asks again wants none of them.
                    os._exit(128 + number)
                self._signal = signal.Signals(number)
                nursery.start_soon(self._leave)

    async def _leave(self) -> None:
        # Either it is leaving already, or it fails meanwhile, which the events tell.
        with contextlib.suppress(IllegalTransition, ShardFailed):
            if self._options.session is None:
                await self._shard.stop()
            else:
                await self._shard.suspend()

    async def _leave_when_spent(self) -> None:
        await self._gate.spent.wait()
        await self._leave()

    def _verdict(self) -> tuple[Status, str]:
        match self._failure:
            case AuthenticationFailed() | MetadataRefused():
                return Status.TOKEN_REFUSED, str(self._failure)
            case DisallowedIntents():
                return Status.INTENTS_DISALLOWED, str(self._failure)
            case ShardFailed():
                return Status.FAILED, str(self._failure)
            case None:
                pass
        if self._signal is signal.SIGINT:
            return Status.INTERRUPTED, "interrupted"
        if self._signal is not None:
            return Status.STOPPED, "stopped"
        return Status.BUDGET_SPENT, (
            "The identify budget is down to its reserve, and no session can be begun; more is allowed in "
            f"{_span(self._gate.retry_after)}. --wait waits for it."
        )


# -- small parts -------------------------------------------------------------------------------------------------------


def _no_token() -> NoReturn:
    raise ConfigurationError(
        f"there is no bot token: set {TOKEN_VARIABLE} (it is taken from the environment only; a fake gateway may want "
        "any text at all)"
    )


def _metadata(options: Options, token: Token) -> MetadataSource | None:
    if options.gateway_url is not None:
        return StaticMetadataSource(Metadata(url=options.gateway_url))
    return None if options.api_url is None else HttpMetadataSource(token, base_url=options.api_url)


def _settings(options: Options) -> Settings:
    chosen = Settings(shard_id=options.shard_id, shard_count=options.shard_count)
    if options.api_url is None:
        return chosen
    # Where the metadata cannot be had, a token that is somebody else's must not be shown to Discord.
    api = urlsplit(options.api_url)
    return attrs.evolve(chosen, fallback_url=f"{'ws' if api.scheme == 'http' else 'wss'}://{api.netloc}/")


def _span(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
