"""Each file of examples/ does what it says, as it stands: a process of its own, on the fake gateway."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from trio.testing import MockClock

from examples.test_my_bot import Happening, Story
from gatewright.harness.fake import Close, Connection, FakeGateway, Guild, Member, VoiceChannel
from gatewright.spec.protocol import Opcode
from tests.examples.programs import TOKEN, running, say
from tests.support.checkout import ROOT, attempt, tool
from tests.support.requires import requires
from tests.support.shards import close_codes, payloads
from tests.support.threads import LATE_ACKS

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

MEMBERS = tuple(Member(id=str(1000 + n), name=f"{'ann' if n % 2 else 'bob'}{n}") for n in range(12))
GUILD = Guild(id="41771983423143937", members=MEMBERS, channels=(VoiceChannel(id="1000"),))


async def test_the_trio_bot_counts_and_shows_what_it_counted(tmp_path: Path) -> None:
    async with FakeGateway(token=TOKEN) as fake, running(fake, "trio_bot.py", cwd=tmp_path) as bot:
        await fake.wait_until(lambda log: log.sent("READY") == 1)
        await say(fake, "a", "b", "c")
        await bot.prints("author: 1", "author: 2", "author: 3")
        await fake.wait_until(lambda _: bool(payloads(fake, Opcode.PRESENCE_UPDATE)))
        fake.drop()
        await fake.wait_until(lambda log: log.sent("RESUMED") == 1)
        assert await bot.interrupted() == 0
    shown = [sent["activities"][0]["name"] for sent in payloads(fake, Opcode.PRESENCE_UPDATE)]
    assert shown[-1] == "3 messages"
    assert close_codes(fake) == [1000]
    assert "identified -> ready (ready)" in bot.errors
    assert "resuming -> ready (resumed)" in bot.errors
    assert "Traceback" not in bot.errors


@pytest.mark.parametrize("name", ["trio_bot.py", "asyncio_bot.py", "restart.py", "members.py"])
async def test_a_token_that_is_refused_ends_it_in_one_line(name: str, tmp_path: Path) -> None:
    async with FakeGateway(token="another.token") as fake, running(fake, name, "1", cwd=tmp_path) as bot:
        assert await bot.ended() == 1
    assert "token" in bot.errors.splitlines()[-1]
    assert "Traceback" not in bot.errors


async def test_the_asyncio_bot_answers(tmp_path: Path) -> None:
    async with (
        FakeGateway(token=TOKEN, guilds=[GUILD], script=LATE_ACKS) as fake,
        running(fake, "asyncio_bot.py", cwd=tmp_path) as bot,
    ):
        await fake.wait_until(lambda log: log.sent("READY") == 1)
        await say(fake, "!latency")
        await bot.prints("no heartbeat yet")
        fake.request_heartbeat()
        await say(fake, "hello", "!who ann")
        await bot.prints("ann1, ann3, ann5, ann7, ann9, ann11")
        assert await bot.interrupted() == 0
    assert bot.errors == ""
    assert close_codes(fake) == [1000]


@requires("hikari")
async def test_the_hikari_bot_is_a_hikari_bot_on_our_shards(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    async with FakeGateway(token=TOKEN, guilds=[GUILD]) as fake:
        async with running(fake, "hikari_bot.py", cwd=tmp_path, SESSIONS=str(sessions)) as bot:
            await fake.wait_until(lambda log: log.sent("GUILD_CREATE") == 1)
            await say(fake, "hello")
            await bot.prints(f"Guild {GUILD.id}: hello")
            await fake.wait_until(lambda _: bool(payloads(fake, Opcode.PRESENCE_UPDATE)))
            assert await bot.interrupted() == 0, bot.errors
        await fake.wait_until(lambda log: log.open_connections == 0)
        assert close_codes(fake) == [4900]
        await say(fake, "while away")
        async with running(fake, "hikari_bot.py", cwd=tmp_path, SESSIONS=str(sessions)) as bot:
            # hikari's cache begins empty: Discord says what guilds there are in new sessions only.
            await bot.prints("a guild that is not there yet: while away")
        assert (fake.identifies, fake.resumes) == (1, 1)
    (shown, *_) = payloads(fake, Opcode.PRESENCE_UPDATE)
    assert shown["activities"][0]["name"] == f"Guild {GUILD.id}"


@requires("discord.py")
async def test_the_discordpy_bot_is_a_discordpy_bot_on_our_shards(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    async with FakeGateway(token=TOKEN, guilds=[GUILD]) as fake:
        async with running(fake, "discordpy_bot.py", cwd=tmp_path, SESSIONS=str(sessions)) as bot:
            await bot.prints(f"ready in Guild {GUILD.id}")
            await say(fake, "!who ann1")
            await bot.prints(f"Guild {GUILD.id}: ann1, ann11")
            await fake.wait_until(lambda _: bool(payloads(fake, Opcode.PRESENCE_UPDATE)))
            assert await bot.interrupted() == 0, bot.errors
        await say(fake, "!who bob")
        async with running(fake, "discordpy_bot.py", cwd=tmp_path, SESSIONS=str(sessions)) as bot:
            # What was said while it was away, in a guild that its cache has from REST.
            await bot.prints(f"Guild {GUILD.id}: bob0, bob2, bob4, bob6, bob8, bob10")
        assert (fake.identifies, fake.resumes) == (1, 1)
    (shown, *_) = payloads(fake, Opcode.PRESENCE_UPDATE)
    assert shown["activities"][0]["name"] == "who begins with ann1"


async def test_a_bot_that_is_restarted_or_killed_loses_nothing(tmp_path: Path) -> None:
    async with FakeGateway(token=TOKEN) as fake:
        async with running(fake, "restart.py", "a.session", cwd=tmp_path) as bot:
            await bot.prints("begins")
            await say(fake, "one", "two")
            await bot.prints("handled one")
            assert await bot.interrupted() == 0, bot.errors
        first = bot.printed
        await say(fake, "three")
        async with running(fake, "restart.py", "a.session", cwd=tmp_path) as bot:
            await bot.prints("goes on where it was left")
            await bot.prints("handled three")
            bot.process.send_signal(signal.SIGKILL)
            assert await bot.ended() == -signal.SIGKILL
        await say(fake, "four")
        async with running(fake, "restart.py", "a.session", cwd=tmp_path) as third:
            await third.prints("handled four")
        assert fake.identifies == 1
    assert fake.resumes == 2
    assert all(f"handled {text}" in first + bot.printed for text in ("one", "two", "three"))


async def test_the_members_of_a_guild_are_listed(tmp_path: Path) -> None:
    async with (
        FakeGateway(token=TOKEN, guilds=[GUILD]) as fake,
        running(fake, "members.py", GUILD.id, cwd=tmp_path) as program,
    ):
        assert await program.ended() == 0, program.errors
    assert sorted(program.printed.split("\n")[:-1]) == sorted(f"{member.id} {member.name}" for member in MEMBERS)
    assert program.errors == ""


async def test_without_the_intent_the_list_says_where_to_switch_it_on(tmp_path: Path) -> None:
    script = [Connection(on_identify=Close(4014))]
    async with (
        FakeGateway(token=TOKEN, script=script) as fake,
        running(fake, "members.py", "1", cwd=tmp_path) as program,
    ):
        assert await program.ended() == 1
    assert "DisallowedIntents: " in program.errors
    assert "switch on" in program.errors


def test_the_property_of_the_bot_holds(tmp_path: Path) -> None:
    copy = tmp_path / "test_my_bot.py"  # in a project of its own, without the settings of this one
    copy.write_text((ROOT / "examples/test_my_bot.py").read_text(encoding="utf-8"), encoding="utf-8")
    drawn_as_in_ci = {"CI": "true"}  # by Hypothesis: the same in every run
    command = (tool("pytest"), "-q", "-p", "no:cacheprovider", copy.name)
    status, output = attempt(*command, cwd=tmp_path, environment=drawn_as_in_ci)
    assert status == 0, output
    assert "1 passed" in output


class Forgetful(set[tuple[str, int]]):
    """What a bot has that does not look whether it has had an event before."""

    def __contains__(self, _: object) -> bool:
        return False


async def test_the_property_of_the_bot_can_fail(autojump_clock: MockClock) -> None:
    for memory, booked in ((set[tuple[str, int]](), [0]), (Forgetful(), [0, 0])):
        story = Story([(Happening.ORDER, 1.0), (Happening.KILL, 0.0)])
        story.bot._seen = memory
        await story.play()
        assert (story.orders, story.bot.booked) == ([0], booked)


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    programs = {path.name for path in (ROOT / "examples").glob("*.py")} - {"__init__.py"}
    assert {name for name in programs if f'"{name}"' not in text and f"examples/{name}" not in text} == set()
