"""What is true: states, events, effects, the table, guards, invariants and the numbers of the protocol.

Everything here is data or a pure predicate over data. Nothing here runs, waits, reads a clock or touches a socket, so
whatever reads the table (a runtime, a drawing, an explorer) reads the same truth. This room imports no other room.
"""

if __name__ != "gatewright.spec":
    raise ImportError(
        f"'{__name__}' is a room of gatewright and not a package of its own: import gatewright.spec instead",
        name=__name__,
    )
