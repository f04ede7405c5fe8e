"""Pictures: the exporters, the inspector page, and the generated drawings beside them in `generated/`.

A picture is made from the table and never by hand, so it cannot disagree with what runs. This room may import
`gatewright.spec` and `gatewright.fsm`.
"""

if __name__ != "gatewright.diagrams":
    raise ImportError(
        f"'{__name__}' is a room of gatewright and not a package of its own: import gatewright.diagrams instead",
        name=__name__,
    )
