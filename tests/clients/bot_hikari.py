"""A bot on hikari that prints what it goes through; it is told the API and the compression."""

import asyncio
import os
import sys

import hikari
from hikari.api.shard import GatewayCompression
from hikari.impl.shard import GatewayShardImpl


async def main(api: str, compression: str) -> None:
    # A bot has no setting for it; its shards take their own default, which depends on what is installed.
    defaults = GatewayShardImpl.__init__.__kwdefaults__
    assert defaults is not None
    defaults["compression"] = None if compression == "none" else GatewayCompression(compression)
    bot = hikari.GatewayBot(
        os.environ["BOT_TOKEN"],
        rest_url=f"{api}/v10",
        banner=None,
        logs=None,
        intents=hikari.Intents.ALL_UNPRIVILEGED | hikari.Intents.MESSAGE_CONTENT,
    )

    @bot.listen()
    async def ready(_event: hikari.ShardReadyEvent) -> None:
        print("READY", flush=True)

    @bot.listen()
    async def resumed(_event: hikari.ShardResumedEvent) -> None:
        print("RESUMED", flush=True)

    @bot.listen()
    async def message(event: hikari.MessageCreateEvent) -> None:
        print(f"MESSAGE {event.content}", flush=True)
        if event.content == "bye":
            asyncio.get_running_loop().create_task(bot.close())  # join() waits for its end

    await bot.start(check_for_updates=False)
    await bot.join()


asyncio.run(main(sys.argv[1], sys.argv[2]))
