"""How to test one's own bot: Hypothesis says what happens, the fake gateway does it, and no hour of it takes time.

    pip install gatewright hypothesis pytest
    pytest examples/test_my_bot.py

The bot books orders. It must book each one once and in order, though sockets drop, Discord asks to reconnect, and the
process is restarted or killed. Take the `if` out of `book`, and Hypothesis shows the shortest story in which it fails.
"""

import enum

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from gatewright import Intents, Session, Shard
from gatewright.harness.fake import FakeGateway
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import StaticMetadataSource

TOKEN = "fake.token"


class Bot:
    """The bot that is tested. What it has booked outlives the process."""

    def __init__(self) -> None:
        self.booked: list[int] = []
        self._seen: set[tuple[str, int]] = set()

    async def book(self, shard: Shard) -> None:
        async for event in shard.events(types={"MESSAGE_CREATE"}):
            if (event.session_id, event.seq) not in self._seen:  # after a crash some come again
                self._seen.add((event.session_id, event.seq))
                self.booked.append(int(event.data["content"]))


class Happening(enum.Enum):
    ORDER = "somebody orders something"
    DROP = "the socket ends without a word"
    CLOSE = "the gateway closes with 4000"
    RECONNECT = "the gateway asks to reconnect"
    DARK = "nothing passes any more, and the socket stays open"
    SAVE = "the session is written to disk"
    RESTART = "the bot is restarted"
    KILL = "the bot is killed; the next process has what was on disk"


Step = tuple[Happening, float]
"""What happens, and the seconds until the next thing does."""


class Story:
    """One life of the bot, over as many processes as it takes."""

    def __init__(self, steps: list[Step]) -> None:
        self.bot = Bot()
        self.orders: list[int] = []
        self.over = False
        self._steps = iter(steps)
        self._on_disk: Session | None = None

    async def play(self) -> None:
        async with FakeGateway(token=TOKEN, listen=False) as fake:
            with trio.fail_after(24 * 3600):  # a bot that hangs is found, in less than a second
                while not self.over:
                    await self._process(fake)

    async def _process(self, fake: FakeGateway) -> None:
        shard = Shard(
            TOKEN,
            intents=Intents.GUILD_MESSAGES,
            opener=fake.open_stream,  # in memory: no port is opened, and time is MockClock's alone
            metadata=StaticMetadataSource(Metadata(url=fake.url)),
            session=self._on_disk,
        )
        async with shard, trio.open_nursery() as nursery:
            nursery.start_soon(self.bot.book, shard)
            await shard.wait_for("ready")
            self._on_disk = self._on_disk or shard.session
            for happening, seconds in self._steps:
                if happening is Happening.RESTART:
                    self._on_disk = await shard.suspend()
                    break
                if happening is Happening.KILL:
                    fake.go_dark()  # a process that is gone says no good-bye: the gateway hears nothing of its end
                    break
                await self._happen(happening, fake, shard)
                await trio.sleep(seconds)
            else:
                await trio.sleep(300)  # five minutes, in no time, in which everything comes right
                self.over = True
            nursery.cancel_scope.cancel()

    async def _happen(self, happening: Happening, fake: FakeGateway, shard: Shard) -> None:
        match happening:
            case Happening.ORDER:
                self.orders.append(len(self.orders))
                await fake.dispatch("MESSAGE_CREATE", {"content": str(self.orders[-1])})
            case Happening.DROP:
                fake.drop()
            case Happening.CLOSE:
                fake.close(4000)
            case Happening.RECONNECT:
                fake.reconnect()
            case Happening.DARK:
                fake.go_dark()
            case _:
                self._on_disk = shard.session


STEPS = st.tuples(
    st.sampled_from((*Happening, Happening.ORDER, Happening.ORDER)),  # orders more often than each of the rest
    st.sampled_from((0.0, 0.1, 30.0)),
)


@settings(deadline=None)  # the first example pays for the imports
@given(st.lists(STEPS, max_size=40))
def test_each_order_is_booked_once_and_in_order(steps: list[Step]) -> None:
    story = Story(steps)
    trio.run(story.play, clock=MockClock(autojump_threshold=0))
    assert story.bot.booked == story.orders
