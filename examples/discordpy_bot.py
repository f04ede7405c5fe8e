"""A bot on discord.py with commands, on Gatewright's shards; only the import and one line know about it.

    pip install 'gatewright[discordpy]'
    DISCORD_TOKEN=... python examples/discordpy_bot.py

``!who a`` says which members' names begin with "a". The shards' sessions are kept in the folder that SESSIONS names, if
it names one: a bot that is started again goes on where it was left.
"""

import os

import discord
from discord.ext import commands

from gatewright.embed.discordpy import EngineOptions, attach

bot = commands.Bot("!", intents=discord.Intents.all())
attach(bot, engine=EngineOptions(sessions=os.environ["SESSIONS"]) if "SESSIONS" in os.environ else None)


@bot.event
async def on_ready() -> None:
    print(f"ready in {', '.join(guild.name for guild in bot.guilds)}", flush=True)


@bot.command()
async def who(context: commands.Context[commands.Bot], prefix: str) -> None:
    if context.guild is not None:
        found = await context.guild.query_members(prefix, limit=10)
        print(f"{context.guild.name}: {', '.join(member.name for member in found)}", flush=True)
        await bot.change_presence(activity=discord.Game(f"who begins with {prefix}"))


if __name__ == "__main__":
    bot.run(os.environ["DISCORD_TOKEN"])
