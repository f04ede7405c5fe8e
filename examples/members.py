"""Lists the members of a guild, however many they are, and ends.

    DISCORD_TOKEN=... python examples/members.py 41771983423143937

Needs the privileged intent GUILD_MEMBERS, which is switched on in the Developer Portal. They come in chunks of up to a
thousand, and a chunk is forgotten when it was printed.
"""

import os
import sys

import trio

from gatewright import Intents, Queue, RequestFailed, SendRefused, Shard, ShardFailed


async def main(guild: str) -> None:
    shard = Shard(
        os.environ["DISCORD_TOKEN"],
        intents=Intents.GUILDS | Intents.GUILD_MEMBERS,
        queue=Queue(events=1, policy="drop_oldest"),  # nobody here reads events
    )
    async with shard:
        await shard.wait_for("ready")  # without the intent: DisallowedIntents, which says where to switch it on
        async with shard.member_chunks(guild, query="", timeout=600) as chunks:
            async for chunk in chunks:
                for member in chunk.members:
                    print(member["user"]["id"], member["user"]["username"])


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1])
    except (ShardFailed, SendRefused, RequestFailed) as error:
        # Such as RequestRateLimited: the whole list is given once in 30 seconds.
        sys.exit(f"{type(error).__name__}: {error}")
