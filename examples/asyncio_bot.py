"""A bot on asyncio: the engine runs in a thread of its own, and no handler here can stop its heartbeats.

    DISCORD_TOKEN=... python examples/asyncio_bot.py

Says how long a heartbeat takes when somebody writes `!latency`, and lists a guild's members named so on `!who an`.
Ctrl-C ends it, and the bot shows as offline at once.
"""

import asyncio
import os
import sys

from gatewright import Dispatch, Intents, RequestFailed, SendRefused, ShardFailed
from gatewright.embed import AsyncioShard


async def answer(shard: AsyncioShard, event: Dispatch) -> None:
    command, _, argument = event.data["content"].partition(" ")
    if command == "!latency":
        latency = shard.latency
        print("no heartbeat yet" if latency is None else f"{latency * 1000:.0f} ms", flush=True)
    elif command == "!who" and "guild_id" in event.data:
        try:
            found = await shard.request_members(event.data["guild_id"], query=argument, limit=10)
        except (SendRefused, RequestFailed) as error:
            print(f"no members: {error}", flush=True)
        else:
            print(", ".join(member["user"]["username"] for member in found.members), flush=True)


async def main() -> None:
    intents = Intents.GUILDS | Intents.GUILD_MESSAGES | Intents.MESSAGE_CONTENT
    async with (
        AsyncioShard(os.environ["DISCORD_TOKEN"], intents=intents, types={"MESSAGE_CREATE"}) as shard,
        asyncio.TaskGroup() as tasks,
    ):
        async for event in shard:
            tasks.create_task(answer(shard, event))


if __name__ == "__main__":
    why = ""
    try:
        asyncio.run(main())
    except* KeyboardInterrupt:
        pass
    except* ShardFailed as failed:
        why = "\n".join(map(str, failed.exceptions))
    sys.exit(why or 0)  # not from within `except*`: the first releases of Python 3.11 would make a group of it
