"""A bot on discord.py that prints what it goes through; it is told the API and the gateway."""

import asyncio
import os
import sys

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route


async def main(api: str, gateway: str) -> None:
    Route.BASE = f"{api}/v10"
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
    intents = discord.Intents.default()
    intents.message_content = True
    client = discord.Client(intents=intents)

    async def on_ready() -> None:
        print("READY", flush=True)

    async def on_resumed() -> None:
        print("RESUMED", flush=True)

    async def on_message(message: discord.Message) -> None:
        print(f"MESSAGE {message.content}", flush=True)
        if message.content == "bye":
            await client.close()

    for handler in (on_ready, on_resumed, on_message):
        client.event(handler)
    await client.start(os.environ["BOT_TOKEN"])


asyncio.run(main(sys.argv[1], sys.argv[2]))
