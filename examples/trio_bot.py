"""A bot on trio: it counts what is said, and shows the count as its presence.

    DISCORD_TOKEN=... python examples/trio_bot.py

Each move of the connection is printed. Ctrl-C ends it, and the bot shows as offline at once.
"""

import contextlib
import os
import sys
from collections import Counter

import trio

from gatewright import Activity, ActivityType, Intents, NotReady, Shard, ShardFailed, UpdatePresence


async def show(shard: Shard, said: Counter[str]) -> None:
    # What counts is what was said until now: trio starts tasks in any order. Of those that wait, the last call wins.
    activity = Activity(f"{said.total()} messages", type=ActivityType.WATCHING)
    with contextlib.suppress(NotReady):  # the shard is over then, and whoever reads its events learns why
        await shard.update_presence(UpdatePresence(activities=[activity]))


async def watch(shard: Shard) -> None:
    async for move in shard.transitions():
        print(f"{move.state} -> {move.to} ({move.event})", file=sys.stderr, flush=True)


async def main() -> None:
    intents = Intents.GUILDS | Intents.GUILD_MESSAGES
    said = Counter[str]()
    async with Shard(os.environ["DISCORD_TOKEN"], intents=intents) as shard, trio.open_nursery() as nursery:
        nursery.start_soon(watch, shard)
        # Other types never reach this program, and are not even decoded.
        async for event in shard.events(types={"MESSAGE_CREATE"}):
            author = event.data["author"]["username"]
            said[author] += 1
            print(f"{author}: {said[author]}", flush=True)
            # In a task of its own, because it may wait: Discord takes five presences in 20 seconds.
            nursery.start_soon(show, shard, said)


if __name__ == "__main__":
    why = ""
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        pass
    except* ShardFailed as failed:
        # The reason is the class, such as AuthenticationFailed, and what to do is in the text.
        why = "\n".join(map(str, failed.exceptions))
    sys.exit(why or 0)  # not from within `except*`: the first releases of Python 3.11 would make a group of it
