"""What runs the table: the state machine, its compiled twin, the core of a shard, the journal and `explain()`.

No I/O: events and the time go in, effects come out, and performing them is the driver's work (`gatewright.transport`).
This room may import `gatewright.spec` and nothing above it.
"""

if __name__ != "gatewright.fsm":
    raise ImportError(
        f"'{__name__}' is a room of gatewright and not a package of its own: import gatewright.fsm instead",
        name=__name__,
    )
