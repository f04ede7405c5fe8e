"""The session as a value: exported at what was handled, imported without an IDENTIFY, refused where it cannot work."""

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import Connection, Drop, FakeGateway, Opened
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata, Session, SessionRefusal
from gatewright.spec.settings import Settings
from tests.support.conforms import conforms
from tests.support.shards import TOKEN, Answers, collect, gateway, handshakes, path, payloads, shard_on, types

HELD = Session(id="held", resume_url="wss://resume.invalid/", seq=5, intents=int(Intents.GUILDS))


async def export(fake: FakeGateway, *, handled: int) -> Session:
    """Runs a shard until it has received five dispatches and handled some; it leaves its session behind."""
    async with shard_on(fake) as shard:
        await shard.wait_for("ready")
        await wait_all_tasks_blocked()
        await collect(shard, handled)
        if handled:
            with trio.move_on_after(1) as more:
                await anext(shard)  # asking for the next one says that the one before was handled
            assert not more.cancelled_caught
        session = await shard.suspend()
        assert session is not None
        return session


async def test_there_is_none_before_ready(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("identified")
        assert shard.session is None


@conforms("P31")
async def test_it_holds_what_resuming_elsewhere_takes(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, shard_id=1, shard_count=3) as shard:
        await shard.wait_for("ready")
        session = shard.session
        assert session is not None
        assert (session.id, session.resume_url) == (fake.sessions[0].id, "wss://resume.gateway.invalid/")
        assert (session.shard, session.shard_count, session.intents) == (1, 3, int(Intents.GUILDS))
        assert (session.bot_id, session.api_version) == ("1000000000000000001", 10)


@pytest.mark.parametrize("handled", [1, 2, 4])
async def test_it_is_exported_at_what_was_handled(autojump_clock: MockClock, handled: int) -> None:
    """Received is more: what waits in the queue dies with the process, and has to be replayed."""
    async with gateway(guilds=4) as fake:
        assert (await export(fake, handled=handled)).seq == handled


@conforms("P43")
async def test_what_was_not_handled_comes_again(autojump_clock: MockClock) -> None:
    async with gateway(guilds=4) as fake:
        session = await export(fake, handled=2)
        async with shard_on(fake, session=session) as shard:
            dispatches = await collect(shard, 4)
            assert [dispatch.seq for dispatch in dispatches] == [3, 4, 5, 6]
            assert types(dispatches)[-1] == "RESUMED"


@conforms("P41")
async def test_an_imported_session_resumes_without_identify_and_metadata(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        session = await export(fake, handled=1)
        metadata = Answers(Metadata(url=fake.url))
        async with shard_on(fake, session=session, metadata=metadata) as shard:
            await shard.wait_for("ready")
            assert path(shard) == ["registering", "connecting", "awaiting_hello", "resuming", "ready"]
        assert (handshakes(fake), metadata.asked) == (["identify", "resume"], 0)


@conforms("A04")
async def test_a_session_without_a_url_resumes_through_the_main_one(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        session = attrs.evolve(await export(fake, handled=1), resume_url=None)
        async with shard_on(fake, session=session) as shard:
            await shard.wait_for("ready")
        assert handshakes(fake) == ["identify", "resume"]
        assert fake.log.of(Opened)[-1].host == "gateway.discord.gg"


async def test_an_imported_session_that_is_dead_is_replaced(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, session=HELD) as shard:
        await shard.wait_for("ready")
        assert handshakes(fake) == ["resume", "identify"]
        assert shard.session is not None
        assert shard.session.id != "held"


async def test_an_import_that_drops_before_it_resumed_keeps_its_sequence(autojump_clock: MockClock) -> None:
    script = [Connection(hello=Drop()), Connection()]
    async with gateway(script=script) as fake, shard_on(fake, session=HELD) as shard:
        await shard.wait_for("resuming")
        await fake.wait_until(lambda log: log.resumes == 1)
        assert payloads(fake, Opcode.RESUME) == [{"session_id": "held", "seq": 5}]


async def test_resuming_goes_on_although_little_was_handled(autojump_clock: MockClock) -> None:
    """In the process the received sequence counts: nothing comes twice to a consumer that is only slow."""
    async with gateway(guilds=4) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await wait_all_tasks_blocked()
        await collect(shard, 2)
        fake.drop()
        await shard.wait_for("resuming")
        assert [dispatch.seq for dispatch in await collect(shard, 4)] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shard": 1, "shard_count": 2}, SessionRefusal.SHARD),
        ({"shard_count": 4}, SessionRefusal.SHARD),
        ({"intents": 0}, SessionRefusal.INTENTS),
        ({"api_version": 9}, SessionRefusal.API_VERSION),
        ({"created": 1_600_000_000.0}, SessionRefusal.AGE),
    ],
)
@conforms("P44", "P92")
async def test_a_session_that_cannot_be_resumed_here_gives_way_to_a_new_one(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, change: dict[str, Any], reason: SessionRefusal
) -> None:
    """P44, P92: one IDENTIFY, a warning, and a reason that can be asked for."""
    async with gateway() as fake:
        async with shard_on(fake, session=attrs.evolve(HELD, **change)) as shard:
            assert shard.session is None
            await shard.wait_for("ready")
            assert shard.session_refused is not None
            assert shard.session_refused.reason is reason
        assert handshakes(fake) == ["identify"]
        (warning,) = [record for record in caplog.records if "not resumed" in record.message]
        assert (warning.levelname, warning.name) == ("WARNING", "gatewright.shard.0")
        assert shard.session_refused.detail in warning.message


async def test_a_session_that_is_resumed_was_not_refused(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        session = await export(fake, handled=1)
        async with shard_on(fake, session=session) as shard:
            await shard.wait_for("ready")
            assert (shard.session_refused, handshakes(fake)) == (None, ["identify", "resume"])


@pytest.mark.parametrize(
    ("change", "match"),
    [({"id": ""}, "id"), ({"id": "x" * 5000}, "id"), ({"seq": -1}, "seq"), ({"seq": "1"}, "seq"), ({"id": 7}, "id")],
)
async def test_what_is_no_session_at_all_is_an_error(
    autojump_clock: MockClock, change: dict[str, Any], match: str
) -> None:
    async with gateway() as fake:
        with pytest.raises(ConfigurationError, match=match):
            shard_on(fake, session=attrs.evolve(HELD, **change))
        with pytest.raises(ConfigurationError, match="from_json"):
            shard_on(fake, session=HELD.to_json())
        assert fake.connections == 0


@conforms("P92")
async def test_a_session_of_another_bot_gives_way_to_a_new_one(autojump_clock: MockClock) -> None:
    token = "MTAwMDAwMDAwMDAwMDAwMDAwMQ.aaaaaa.bbbbbb"  # of bot 1000000000000000001
    async with gateway(token=token) as fake:
        options: dict[str, Any] = {"token": token, "opener": fake.open_stream}
        shard = shard_on(fake, session=attrs.evolve(HELD, bot_id="2000000000000000002"), **options)
        assert shard.session_refused is not None
        assert (shard.session_refused.reason, shard.session) == (SessionRefusal.BOT, None)
        shard = shard_on(fake, session=attrs.evolve(HELD, bot_id="1000000000000000001"), **options)
        assert shard.session_refused is None


@pytest.mark.parametrize(("bound", "refused"), [(3600.0, True), (7200.0, False), (None, False)])
async def test_how_old_a_session_may_be_is_a_parameter(
    autojump_clock: MockClock, bound: float | None, refused: bool
) -> None:
    session = attrs.evolve(HELD, created=1_700_000_000.0)
    async with gateway() as fake:
        shard = shard_on(fake, session=session, session_max_age=bound, wall_clock=lambda: session.created + 5000.0)
        assert (shard.session_refused is not None) is refused
        for nonsense in (0, -1, "long", float("nan")):
            with pytest.raises(ConfigurationError, match="session_max_age"):
                shard_on(fake, session_max_age=nonsense)


async def test_a_session_goes_through_text_into_another_process(autojump_clock: MockClock) -> None:
    """Exported from a live shard, as before a crash: nothing was suspended, and it resumes all the same."""
    async with gateway(guilds=3) as fake:
        async with shard_on(fake) as shard:
            await collect(shard, 3)
            assert shard.session is not None
            text = shard.session.to_json()
            fake.drop()  # the process is gone: no close frame
            await fake.wait_until(lambda log: log.connections == 2)
            async with shard_on(fake, session=Session.from_json(text)) as other:
                assert [dispatch.seq for dispatch in await collect(other, 2)] == [3, 4]
        assert TOKEN not in text


@pytest.mark.parametrize("url", ["::", "ws://resume.example/", "https://resume.invalid"])
async def test_an_imported_url_that_cannot_be_used_is_left_out(autojump_clock: MockClock, url: str) -> None:
    async with gateway() as fake, shard_on(fake, session=attrs.evolve(HELD, resume_url=url)) as shard:
        await shard.wait_for("resuming")
        assert fake.log.of(Opened)[0].host == "gateway.discord.gg"


async def test_a_session_ends_with_the_shard(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        async with shard_on(fake) as shard:
            await shard.wait_for("ready")
        assert (shard.session, fake.sessions) == (None, ())


async def test_settings_and_pair_say_the_same_or_are_refused(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        shard_on(fake, settings=Settings(shard_id=1, shard_count=2), shard_id=1, shard_count=2)
        with pytest.raises(ConfigurationError, match="say it once"):
            shard_on(fake, settings=Settings(), shard_id=1, shard_count=2)
        assert TOKEN not in repr(shard_on(fake))
