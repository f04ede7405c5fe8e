"""Many shards: accounts, the supervisor, the identify gate, the session store and status, in memory or on Redis.

Nothing lives here yet. This room may import `gatewright.transport` and what is below it.
"""

if __name__ != "gatewright.fleet":
    raise ImportError(
        f"'{__name__}' is a room of gatewright and not a package of its own: import gatewright.fleet instead",
        name=__name__,
    )
