"""A bot on hikari whose shards are Gatewright's; only the import and the class's name know about it.

    pip install 'gatewright[hikari]'
    DISCORD_TOKEN=... python examples/hikari_bot.py

Says in which guild something was written, and shows the last one as its presence. The shards' sessions are kept in the
folder that SESSIONS names, if it names one: a bot that is started again goes on where it was left.
"""

import os

import hikari

from gatewright.embed.hikari import EngineOptions, GatewayBot  # instead of: from hikari import GatewayBot

bot = GatewayBot(
    os.environ["DISCORD_TOKEN"],
    intents=hikari.Intents.GUILDS | hikari.Intents.GUILD_MESSAGES | hikari.Intents.MESSAGE_CONTENT,
    banner=None,
    engine=EngineOptions(sessions=os.environ["SESSIONS"]) if "SESSIONS" in os.environ else None,
)


@bot.listen()
async def on_message(event: hikari.GuildMessageCreateEvent) -> None:
    guild = event.get_guild()  # of hikari's own cache
    where = "a guild that is not there yet" if guild is None else guild.name
    print(f"{where}: {event.content}", flush=True)
    await event.shard.update_presence(activity=hikari.Activity(name=where, type=hikari.ActivityType.WATCHING))


if __name__ == "__main__":
    bot.run()
