"""A bot that is restarted without losing a message, and without an IDENTIFY.

    DISCORD_TOKEN=... python examples/restart.py orders.session

Stop it with Ctrl-C, or kill it; start it again within a few minutes. What was written meanwhile comes then, in order.
A message counts as handled when it was acknowledged, so one that was interrupted comes again. What must not be done
twice is written down together with `event.session_id` and `event.seq`, which name an event for good.
"""

import os
import sys

import trio

from gatewright import Dispatch, FileSessionStore, Intents, Shard, ShardFailed

WORKERS = 4


async def handle(event: Dispatch) -> None:
    await trio.sleep(0.1)  # whatever takes its time
    print(f"handled {event.data['content']}", flush=True)


async def work(shard: Shard) -> None:
    async for event in shard.events(types={"MESSAGE_CREATE"}):
        await handle(event)
        event.ack()  # in any order: what is resumed is the oldest that is not acknowledged


async def main(path: str) -> None:
    shard = Shard(
        os.environ["DISCORD_TOKEN"],
        intents=Intents.GUILDS | Intents.GUILD_MESSAGES | Intents.MESSAGE_CONTENT,
        store=FileSessionStore(path),  # with it, leaving the block keeps the session
        store_interval=1.0,
        ack="manual",
    )
    async with shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        resumed = shard.metrics().resumes_good > 0
        print("goes on where it was left" if resumed else "begins", flush=True)
        for _ in range(WORKERS):
            nursery.start_soon(work, shard)


if __name__ == "__main__":
    why = ""
    try:
        trio.run(main, sys.argv[1])
    except* KeyboardInterrupt:
        pass
    except* ShardFailed as failed:
        why = "\n".join(map(str, failed.exceptions))
    sys.exit(why or 0)  # not from within `except*`: the first releases of Python 3.11 would make a group of it
