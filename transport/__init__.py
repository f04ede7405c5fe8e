"""What touches the network: the websocket, metadata over HTTP, TLS, the codec, compression and the driver of one shard.

The driver performs the effects that the core returns and feeds it what happened; it decides nothing by itself. This
room may import `gatewright.fsm` and `gatewright.spec`.
"""

if __name__ != "gatewright.transport":
    raise ImportError(
        f"'{__name__}' is a room of gatewright and not a package of its own: import gatewright.transport instead",
        name=__name__,
    )
