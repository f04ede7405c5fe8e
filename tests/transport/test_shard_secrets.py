"""A whole life of a shard, with every log at its most talkative: the token is nowhere in it (I22)."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import Answer, Close, Drop, FakeGateway, Invalidate, Send
from gatewright.spec.settings import Settings
from gatewright.transport.commands import UpdatePresence
from gatewright.transport.errors import SendRefused
from gatewright.transport.metadata import HttpMetadataSource
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token
from tests.support.shards import INTENTS, Recording, gateway, shard_on
from tests.support.threads import PATIENCE

BOT_ID = "198765432109876543"
# Made of parts, so that no scanner takes it for a real one.
PARTS = [base64.b64encode(BOT_ID.encode()).decode().rstrip("="), "Gq9XyZ", "k3yW0rdTh4tMust-NeverLeak_38chars"]
SECRET = ".".join(PARTS)
NEEDLES = [
    *PARTS,
    *(base64.b64encode(part.encode()).decode().rstrip("=") for part in [SECRET, *PARTS[1:]]),
    SECRET.encode().hex(),
]


class Everything(logging.Handler):
    """Keeps all that any logger says, its arguments, extras and tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))
        self.said.append(repr(record.__dict__))


class Overheard:
    """All text that a life gives off."""

    def __init__(self, handler: Everything) -> None:
        self.handler = handler
        self.texts: list[str] = []

    def of(self, shard: Shard) -> None:
        """What can be asked of a shard."""
        self.texts += [repr(shard), str(shard), repr(shard.snapshot()), repr(shard.session), repr(shard.counts)]
        fields = {name: getattr(shard, name) for name in Shard.__slots__}
        self.texts += [str(shard.explain("connect")), repr(shard._driver), repr(fields)]
        for record in shard.journal:
            self.texts += [str(record), repr(record), json.dumps(record.as_dict())]

    def error(self, error: BaseException) -> None:
        """What the most talkative of tracebacks shows of our own frames."""
        self.texts.append("".join(traceback.TracebackException.from_exception(error, capture_locals=False).format()))

    def leaks(self) -> list[str]:
        return sorted({needle for needle in NEEDLES for text in (*self.texts, *self.handler.said) if needle in text})


@pytest.fixture
def overheard() -> Any:
    handler = Everything()
    root = logging.getLogger()
    names = ("", "trio-websocket", "httpx2", "httpcore2", "gatewright")
    before = {name: logging.getLogger(name).level for name in names}
    for name in before:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield Overheard(handler)
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


async def lives_on(fake: FakeGateway, shard: Shard, overheard: Overheard) -> None:
    """Resumes, refusals, violations, commands, and the end."""
    await shard.wait_for("ready")
    await shard.send(UpdatePresence())
    for action in (Drop(), Send("{"), Invalidate(), Close(4000, "bye")):
        fake.perform(action)
        await shard.wait_for("backing_off")
        overheard.of(shard)
        await shard.wait_for("ready")
    try:
        shard.connect()
    except IllegalTransition as error:
        overheard.error(error)
    await shard.suspend()
    try:
        await shard.send(UpdatePresence())
    except SendRefused as error:
        overheard.error(error)
    overheard.of(shard)


async def dies(fake: FakeGateway, shard: Shard, overheard: Overheard) -> None:
    await shard.wait_for("ready")
    fake.close(4004, "Authentication failed.")
    await shard.wait_for("stopped")


@pytest.mark.parametrize("life", [lives_on, dies])
async def test_the_token_is_nowhere_in_a_life(
    autojump_clock: MockClock,
    overheard: Overheard,
    capsys: pytest.CaptureFixture[str],
    life: Callable[[FakeGateway, Shard, Overheard], Awaitable[None]],
) -> None:
    async with gateway(token=SECRET, guilds=2) as fake:
        shard = shard_on(fake, token=SECRET, registrations=[Recording("a", [])])
        try:
            async with shard:
                await life(fake, shard, overheard)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            overheard.error(error)
        overheard.of(shard)
    overheard.texts += capsys.readouterr()
    assert len(overheard.handler.said) > 20
    assert overheard.leaks() == []


@pytest.mark.sockets
@pytest.mark.parametrize("plan", [(), Answer(401), Answer(503), Answer(200, b"{"), Drop()], ids=str)
async def test_the_token_is_nowhere_when_metadata_come_over_http(overheard: Overheard, plan: Any) -> None:
    async with gateway(token=SECRET, listen=True, metadata_script=[plan]) as fake:
        source = HttpMetadataSource(Token(SECRET), base_url=fake.metadata_url, timeout=0.3)
        settings = Settings(metadata_timeout=0.5, fallback_url=fake.url)
        shard = Shard(SECRET, intents=INTENTS, metadata=source, settings=settings)
        try:
            async with shard:
                with trio.fail_after(PATIENCE):
                    await shard.wait_for("ready")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            overheard.error(error)
        overheard.of(shard)
    assert any("httpcore" in text or "httpx" in text for text in overheard.handler.said)
    assert overheard.leaks() == []


def test_it_would_be_found(overheard: Overheard) -> None:
    """The control: a text that has a part of it is a leak."""
    logging.getLogger("httpx2").debug("Authorization: %s", f"Bot {SECRET}")
    assert overheard.leaks() == sorted(PARTS)


@pytest.mark.parametrize("mistake", [{"intents": -1}, {"queue": 0}, {"large_threshold": 5}])
def test_a_refused_configuration_does_not_show_it(overheard: Overheard, mistake: dict[str, Any]) -> None:
    given: dict[str, Any] = {"intents": INTENTS, **mistake}
    with pytest.raises(ValueError, match="must be") as caught:
        Shard(SECRET, **given)
    overheard.error(caught.value)
    assert overheard.leaks() == []
