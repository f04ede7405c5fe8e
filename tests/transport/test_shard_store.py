"""A store: the next process goes on where this one was, whether it left in order or was killed."""

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Session, SessionInvalid, SessionRefusal
from gatewright.transport.session_file import FileSessionStore
from tests.support.conforms import conforms
from tests.support.shards import close_codes, collect, gateway, handshakes, payloads, shard_on
from tests.support.threads import PATIENCE


class Store:
    """Keeps a session in memory, and everything that it was told."""

    def __init__(self, held: Session | Exception | None = None) -> None:
        self.held = held
        self.saved: list[Session | None] = []
        self.broken: Exception | None = None
        self.takes = 0.0

    async def load(self) -> Session | None:
        await trio.lowlevel.checkpoint()
        if isinstance(self.held, Exception):
            raise self.held
        return self.held

    async def save(self, session: Session | None) -> None:
        await trio.sleep(self.takes)
        if self.broken is not None:
            raise self.broken
        self.held = session
        self.saved.append(session)


@conforms("P50", "A14")
async def test_the_next_shard_goes_on_where_this_one_was_left(autojump_clock: MockClock) -> None:
    store = Store()
    async with gateway(guilds=3) as fake:
        async with shard_on(fake, store=store) as shard:
            await collect(shard, 3)
        assert (close_codes(fake), handshakes(fake)) == ([4900], ["identify"])
        await fake.dispatch("MESSAGE_CREATE", {"id": "meanwhile"})
        async with shard_on(fake, store=store) as shard:
            found = await collect(shard, 3)
        assert handshakes(fake) == ["identify", "resume"]
        assert [event.seq for event in found] == [3, 4, 5]
        assert found[-1].data == {"id": "meanwhile"}


@conforms("P43")
async def test_a_shard_that_is_killed_repeats_what_came_since_the_last_save(autojump_clock: MockClock) -> None:
    store = Store()
    async with gateway(guilds=0) as fake:
        async with shard_on(fake, store=store, store_interval=10) as shard:
            await collect(shard, 1)
            for _ in range(4):
                await fake.dispatch("MESSAGE_CREATE", {})
            await collect(shard, 2)
            await trio.sleep(15)
            await collect(shard, 1)
            assert isinstance(store.held, Session)
            left_behind = store.held
        assert left_behind.seq == 2
        async with shard_on(fake, store=Store(left_behind)) as shard:
            assert [event.seq for event in await collect(shard, 3)] == [3, 4, 5]


async def test_it_is_saved_at_intervals_and_only_when_it_has_changed(autojump_clock: MockClock) -> None:
    store = Store()
    async with gateway(guilds=0) as fake, shard_on(fake, store=store, store_interval=10) as shard:
        await shard.wait_for("ready")
        await trio.sleep(100)
        assert len(store.saved) == 1
        for _ in range(3):
            await fake.dispatch("MESSAGE_CREATE", {})
            await collect(shard, 1)
            await trio.sleep(11)
        assert [session.seq for session in store.saved if session is not None] == [1, 2]


@conforms("P49")
async def test_stopping_ends_the_session_and_forgets_it(autojump_clock: MockClock) -> None:
    store = Store()
    async with gateway() as fake, shard_on(fake, store=store) as shard:
        await shard.wait_for("ready")
        await trio.sleep(60)
        assert store.held is not None
        await shard.stop()
        assert close_codes(fake) == [1000]
    assert store.held is None


@conforms("P50")
@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
async def test_an_exception_in_the_block_keeps_the_session_too(
    autojump_clock: MockClock, end: type[BaseException]
) -> None:
    store = Store()
    async with gateway() as fake:
        with pytest.raises(end):
            await leave_by(shard_on(fake, store=store), end)
        assert (close_codes(fake), len(fake.sessions)) == ([4900], 1)
        assert isinstance(store.held, Session)


async def leave_by(shard: Any, end: type[BaseException]) -> None:
    async with shard:
        await shard.wait_for("ready")
        raise end


async def test_a_cancelled_block_is_saved_too(autojump_clock: MockClock) -> None:
    store = Store()
    async with gateway() as fake:
        with trio.move_on_after(20):
            async with shard_on(fake, store=store) as shard:
                await shard.wait_for("ready")
                await trio.sleep_forever()
        assert isinstance(store.held, Session)
        assert store.held.id == fake.sessions[0].id


@conforms("P50")
async def test_a_cancelled_block_is_left_as_any_other(autojump_clock: MockClock) -> None:
    # The task that saves ended with the cancellation, and took the orderly end of the shard with it.
    async with gateway() as fake:
        shard = shard_on(fake, store=Store())
        with trio.move_on_after(20):
            async with shard:
                await trio.sleep_forever()
        assert (close_codes(fake), shard.state) == ([4900], "suspended")


async def test_what_cannot_be_read_gives_way_to_a_new_session(autojump_clock: MockClock) -> None:
    store = Store(SessionInvalid("the text is no session"))
    async with gateway() as fake:
        async with shard_on(fake, store=store) as shard:
            await shard.wait_for("ready")
            assert shard.session_refused is not None
            assert shard.session_refused.reason is SessionRefusal.UNREADABLE
        assert handshakes(fake) == ["identify"]
        assert isinstance(store.held, Session)


@conforms("P44")
async def test_a_stored_session_is_checked_like_any_other(autojump_clock: MockClock) -> None:
    store = Store(Session(id="held", resume_url=None, seq=5, intents=int(Intents.GUILD_MESSAGES)))
    async with gateway() as fake, shard_on(fake, store=store) as shard:
        await shard.wait_for("ready")
        assert shard.session_refused is not None
        assert shard.session_refused.reason is SessionRefusal.INTENTS


async def test_a_store_that_cannot_be_reached_is_an_error_at_the_start(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        with pytest.raises(PermissionError):
            await leave_by(shard_on(fake, store=Store(PermissionError("not yours"))), ValueError)
        assert fake.connections == 0


async def test_a_save_that_fails_is_logged_tried_again_and_harms_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    store.broken = OSError("No space left on device")
    async with gateway() as fake, shard_on(fake, store=store, store_interval=10) as shard:
        await shard.wait_for("ready")
        await trio.sleep(25)
        assert (shard.state, store.held) == ("ready", None)
        assert [r.levelname for r in caplog.records if "could not be saved" in r.message] == ["ERROR", "ERROR"]
        store.broken = None
        await trio.sleep(10)
        assert isinstance(store.held, Session)


async def test_a_store_that_hangs_does_not_hold_up_the_end(autojump_clock: MockClock) -> None:
    store = Store()
    async with gateway() as fake:
        async with shard_on(fake, store=store) as shard:
            await shard.wait_for("ready")
            store.takes = 1e6
            began = trio.current_time()
        assert trio.current_time() - began <= 7


async def test_one_store_or_one_session(autojump_clock: MockClock) -> None:
    session = Session(id="held", resume_url=None, seq=5, intents=int(Intents.GUILDS))
    async with gateway() as fake:
        with pytest.raises(ConfigurationError, match="one of the two"):
            shard_on(fake, store=Store(), session=session)
        for nonsense in (0, -1, float("inf"), float("nan"), True):
            with pytest.raises(ConfigurationError, match="store_interval"):
                shard_on(fake, store=Store(), store_interval=nonsense)


async def test_a_file_carries_a_session_from_one_process_to_the_next(tmp_path: Path) -> None:
    """On a real clock: threads and virtual time do not go together."""
    path = tmp_path / "shard-0.json"
    async with gateway(guilds=2) as fake:
        with trio.fail_after(PATIENCE):
            async with shard_on(fake, store=FileSessionStore(path)) as shard:
                await collect(shard, 3)
            text = path.read_text(encoding="utf-8")
            assert Session.from_json(text).seq == 2
            async with shard_on(fake, store=FileSessionStore(path)) as shard:
                assert [event.seq for event in await collect(shard, 2)] == [3, 4]
                await shard.stop()
        assert [sent["seq"] for sent in payloads(fake, Opcode.RESUME)] == [2]
        assert not path.exists()


async def test_a_session_that_was_changed_by_hand_is_no_session(autojump_clock: MockClock) -> None:
    session = Session(id="held", resume_url=None, seq=5, intents=int(Intents.GUILDS))
    async with gateway() as fake:
        with pytest.raises(ConfigurationError, match="seq"):
            await leave_by(shard_on(fake, store=Store(attrs.evolve(session, seq=-5))), ValueError)
