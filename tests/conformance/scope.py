"""What the tests and the table cannot say by themselves: which demands are not the engine's, and why. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_CACHE = "the engine keeps no cache of guilds, members or channels: it hands the payload on as it came, in order"

OUT_OF_SCOPE: Mapping[str, str] = MappingProxyType(
    {
        "P72": "Voice connections are a protocol of their own, with sockets of their own. A bot's voice client learns "
        "of the end of the main session from the shard's state.",
        "P80": "ETF is not spoken: JSON is what Discord recommends when unsure, and `encoding=json` is always sent.",
        "P85": f"An empty `content` is for whoever reads messages to understand; {_CACHE}.",
        "P86": f"How many members a GUILD_CREATE lists is for a cache to know; {_CACHE}.",
        "P93": f"Which of the three a GUILD_CREATE means, only prior knowledge of the guild tells; {_CACHE}.",
        "P94": f"Outage or removal is for a cache of guilds to tell apart; {_CACHE}.",
        "P96": f"Which threads a THREAD_LIST_SYNC replaces is for a cache of threads; {_CACHE}.",
        "P97": "Interactions are answered over HTTP, which a REST client does; INTERACTION_CREATE is handed on "
        "with its token, and the engine has no command that would answer over the gateway.",
        "P98": f"What an obfuscated channel means is for a cache of channels; {_CACHE}, flags included.",
    }
)
"""Demands that no test has to prove, and why."""


DECIDED: Mapping[str, str] = MappingProxyType(
    {
        "A03": "4900, which no server sends and no log reader can take for Discord's 4000.",
        "A06": "As suggested. 4006 too ends the session, as it did when it was documented.",
        "A11": "From the send with slack, or from READY without, whichever ends sooner: READY proves that the moment "
        "from which the server counts is over. While a slot is granted and not yet spent, its bucket is held; it is "
        "not held until READY, because op 9 after IDENTIFY is answered by waiting 1–5 s and by the bucket's next slot.",
        "A14": "As suggested; an imported session may also be refused for its age, by a parameter of the user's.",
        "A15": "Three in a row.",
    }
)
"""Open points whose answer here says more than, or something else than, the suggestion."""
