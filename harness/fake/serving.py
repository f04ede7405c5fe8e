"""``gatewright fake``: the fake gateway on a port, for a bot in any language, with a line for what happens."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import msgspec
import trio

from gatewright.harness.fake.faults import Faults
from gatewright.harness.fake.log import (
    Acted,
    Closed,
    CloseFrame,
    Log,
    MetadataAnswered,
    MetadataRequested,
    Opened,
    Received,
    Record,
    Sent,
)
from gatewright.harness.fake.metadata import PREFIX
from gatewright.harness.fake.scriptfile import ScriptFile, dump, load
from gatewright.harness.fake.server import FakeGateway
from gatewright.spec.protocol import Opcode

_OPS: Final = {int(op): op.name for op in Opcode}
_WIDTH: Final = 120


@attrs.frozen(kw_only=True)
class Serving:
    """Where the fake is: the first line."""

    gateway: str
    api: str
    token: str

    def words(self) -> str:
        """For people."""
        return (
            f"The fake gateway is at {self.gateway}\n"
            f"HTTP API, without its version: {self.api}\n"
            f"Token: {self.token}    Ctrl-C ends it."
        )


def run(*, host: str, port: int, path: str | None, seed: int | None, token: str | None, json: bool) -> int:
    """Serve until Ctrl-C.

    Args:
        host: the address to listen on.
        port: 0 for a free one.
        path: a script on disk.
        seed: of a random plan of faults; the plan itself is printed. Not together with a script's connections.
        token: instead of the script's. Some clients read the bot's id from the first part of theirs.
        json: one JSON object a line instead of text.

    Raises:
        ScriptError: if the script is none.
        OSError: if the script cannot be read, or the port is taken.
    """
    file = ScriptFile() if path is None else load(Path(path))
    if token is not None:
        file = attrs.evolve(file, token=token)
    if seed is not None:
        file = attrs.evolve(file, connections=(*file.connections, *Faults(seed=seed).script))
    say = _say_json if json else _say_text
    if seed is not None and not json:
        sys.stderr.write(f"The plan of seed {seed}, as a script:\n{dump(file.connections)}\n")
    trio.run(_serve, file, host, port, seed, say)
    return 130


async def _serve(
    file: ScriptFile, host: str, port: int, seed: int | None, say: Callable[[Record | Serving], None]
) -> None:
    fake = FakeGateway(
        token=file.token,
        guilds=file.guilds,
        heartbeat_interval=file.heartbeat_interval,
        seed=seed or 0,
        rules=file.rules,
        script=file.connections,
        metadata_script=file.metadata,
        host=host,
        port=port,
    )
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with fake, trio.open_nursery() as nursery:
            api = fake.metadata_url.removesuffix(PREFIX) + "/api"
            say(Serving(gateway=fake.url, api=api, token=file.token))
            nursery.start_soon(_tell, fake.log, say)
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


async def _tell(log: Log, say: Callable[[Record | Serving], None]) -> None:
    told = 0
    while True:
        await log.wait_until(functools.partial(_longer, told))
        fresh = log[told:]
        told += len(fresh)
        for record in fresh:
            say(record)


def _longer(told: int, log: Log) -> bool:
    return len(log) > told


def _say_json(entry: Record | Serving) -> None:
    content = {"record": type(entry).__name__, **attrs.asdict(entry, recurse=False)}
    if isinstance(entry, Acted):
        content["action"] = repr(entry.action)
    sys.stdout.write(msgspec.json.encode(content, enc_hook=repr).decode() + "\n")
    sys.stdout.flush()


def _say_text(entry: Record | Serving) -> None:
    sys.stdout.write((_line(entry) if isinstance(entry, Record) else entry.words()) + "\n")
    sys.stdout.flush()


def _line(record: Record) -> str:
    who = f"{record.connection}" if record.connection else "-"
    return f"{record.time % 10_000:9.3f}  {who:>3}  {_words(record)}"[:_WIDTH]


def _words(record: Record) -> str:
    match record:
        case Opened(target=target):
            return f"opened {target}"
        case Received(op=op, data=data, size=size):
            return f"<- {_op(op)} {size} B {_compact(data)}"
        case Sent(op=op, event=event, seq=seq, data=data):
            return f"-> {event or _op(op)}{'' if seq is None else f' s={seq}'} {_compact(data)}"
        case CloseFrame(by=by, code=code, reason=reason):
            return f"close frame of the {by}: {code} {reason}"
        case Closed(by=by, code=code):
            return f"closed by the {by}: {code}"
        case Acted(action=action, step=step):
            return f"played {action!r} at {step}"
        case MetadataRequested(method=method, path=path):
            return f"<- {method} {path}"
        case MetadataAnswered(path=path, status=status):
            return f"-> {status} for {path}"
        case _:
            return repr(record)


def _op(op: int | None) -> str:
    return "?" if op is None else _OPS.get(op, f"op {op}")


def _compact(data: object) -> str:
    return "" if data is None else msgspec.json.encode(data, enc_hook=repr).decode()
