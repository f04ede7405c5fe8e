"""The page about the fault tour, made from the same values that the tour plays.

``python -m gatewright.harness.fault_tour`` writes ``docs/fault-tour.md`` of a checkout, where it is started.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gatewright.harness.fake.faults import FAULTS, Fault, Phase

PAGE: Final = Path("docs", "fault-tour.md")

_HEAD: Final = """# The fault tour

<!-- Made by `python -m gatewright.harness.fault_tour`. Do not edit it. -->

Each fault that the [fake gateway](fake-gateway.md) knows by name, in each phase of a shard's life in which it can
occur: {stops} stops. At each one a shard of ours is driven on virtual time, with real metadata requests, websocket
frames and compression over streams in memory. It must be `ready` again and stay so, or have failed for the reason
given, within the number of seconds that stands in the table, counted from the fault. It never has two sockets, and
leaves no task, no socket and no timer behind. `tests/transport/test_fault_tour.py` is the tour; this page is made
from what it plays.

Where the connection is *kept*, nothing may even be dropped: such a fault is allowed by the protocol, or harmless.

The times have their reasons: heartbeats come every 41.25 s, and a missing ACK is noticed when the next one is due
(P18); IDENTIFYs are 5 s apart (P27), and here the gate takes 2 s more; op 9 asks for 1 s to 5 s (A01); after 4008 the
window of 60 s has to pass; READY may be late for as long as heartbeats are acknowledged (P20), and an hour is our
patience.

| fault | what happens | phases | ends | within |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    stops = sum(len(fault.phases) for fault in FAULTS.values())
    return _HEAD.format(stops=stops) + "".join(map(_row, FAULTS.values()))


def _row(fault: Fault) -> str:
    end = "`ready`, connection kept" if fault.harmless else "`ready`"
    if fault.fails_with is not None:
        end = f"`failed`, {fault.fails_with}"
    return f"| `{fault.name}` | {fault.meaning} | {_phases(fault.phases)} | {end} | {fault.within:g} s |\n"


def _phases(phases: tuple[Phase, ...]) -> str:
    return ", ".join(f"`{phase}`" for phase in phases)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
