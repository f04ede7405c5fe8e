"""L4 of the proof kit: walks over the real core along the exploration, with concrete payloads.

A walk begins at any explored state, on the shortest way to it, and goes on along its steps. What a step stands for is
said as a peer would say it: messages as bytes that the codec reads, any close code of a kind, any interval, sequence
and name. After every step the core must stand where the exploration says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

import msgspec

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.explore.counterexample import Moment
from gatewright.harness.explore.replay import _context, _text, _time, differences, replay
from gatewright.harness.explore.search import Graph, moments
from gatewright.harness.explore.steps import Label
from gatewright.spec import events
from gatewright.spec.events import Event
from gatewright.spec.protocol import close_kind
from gatewright.spec.rows import Row
from gatewright.spec.table import TABLE
from gatewright.transport import codec

CODES: Final = tuple(range(1000, 5000))


class Payloads(Protocol):
    """What a payload is drawn from."""

    def code(self, codes: Sequence[int]) -> int:
        """One of these close codes."""
        ...

    def interval(self) -> float:
        """A heartbeat interval in milliseconds."""
        ...

    def text(self) -> str:
        """A name: any text that is not empty."""
        ...

    def more(self) -> int:
        """How far a sequence advances, at least 1."""
        ...

    def garbage(self) -> bytes:
        """Bytes that are no payload."""
        ...


class WentAstray(AssertionError):
    """The core went another way than the exploration."""


class OtherBranch(Exception):
    """Attempts are counted to one only, so a refusal of the gate leads two ways; this is the one that is not taken."""


class ConcreteWalk:
    """A core that stands at an explored state.

    Args:
        graph: the exploration.
        number: the state.
        rows: the table that the core runs; the explored one, unless it is to be judged.

    Raises:
        WentAstray: the core does not come to the state on the shortest way.
        OtherBranch: that way is one of two which a refund leads to, and the core takes the other.
    """

    def __init__(self, graph: Graph, number: int, *, rows: tuple[Row, ...] = TABLE) -> None:
        self._graph = graph
        self.number = number
        way = list(moments(graph, graph.path(number)))
        self._core = replay(way, rows=rows)
        self.told: list[str] = [fed.text for fed in self._core.fed]
        self._check(self._core.went_astray, way[-1])

    def steps(self) -> list[tuple[Label, int]]:
        """What can happen next."""
        return list(self._graph.steps(self.number))

    def take(self, label: Label, target: int, payloads: Payloads) -> None:
        """Takes a step of the exploration, with a concrete payload.

        Raises:
            WentAstray: the core went another way.
        """
        graph = self._graph
        way = [(None, graph.packed[self.number]), (label, graph.packed[target])]
        step = list(moments(graph, way))[-1]
        if step.told:
            core, context = self._core.core, _context(self._core.core)
            plain = cast("Event", eval(_text(context, step), {"events": events}))  # noqa: S307 - the environment's own
            event = concrete(plain, payloads, received=context.received or 0)
            self.told.append(repr(event))
            try:
                core.feed(event, _time(context, step))
            except IllegalTransition:
                if event.kind is not events.EventKind.COMMAND:
                    raise WentAstray(f"{event!r} was refused:\n  " + "\n  ".join(self.told)) from None
        self.number = target
        self._check("", step)

    def _check(self, astray: str, step: Moment) -> None:
        numbers = dict(step.numbers)
        found = differences(self._core, numbers)
        if self._core.core.state.value != step.state:
            astray = astray or f"the core is in {self._core.core.state}, and the exploration in {step.state}"
        if (astray or found) and any("SlotUnavailable(" in told for told in self.told):
            raise OtherBranch
        if astray or found:
            raise WentAstray(f"{astray} {found}:\n  " + "\n  ".join(self.told))


def concrete(event: Event, payloads: Payloads, *, received: int) -> Event:
    """The event as it might really come: with any payload of its kind, and a message by way of its bytes."""
    make = _SAID.get(type(event))
    if make is not None:
        data = make(event, payloads, received)
        found, _ = codec.decode(data, gen=cast("events.ConnectionEvent", event).gen, wall_clock=lambda: 0.0)
        return found
    if isinstance(event, events.Closed) and event.code is not None:
        kind = close_kind(event.code)
        return events.Closed(event.gen, payloads.code([code for code in CODES if close_kind(code) is kind]))
    return event


def _payload(op: int, d: object = None, s: int | None = None, t: str | None = None) -> bytes:
    return msgspec.json.encode({"op": op, "d": d, "s": s, "t": t})


def _seq(event: Any, payloads: Payloads, received: int) -> int:
    return received + payloads.more() if event.seq > received else int(event.seq)


_SAID: Final[dict[type[Event], Callable[[Any, Payloads, int], bytes]]] = {
    events.Hello: lambda _, p, __: _payload(10, {"heartbeat_interval": p.interval()}),
    events.HeartbeatAcked: lambda _, __, ___: _payload(11),
    events.HeartbeatRequested: lambda _, __, ___: _payload(1),
    events.ReconnectRequested: lambda _, __, ___: _payload(7),
    events.SessionInvalidated: lambda e, _, __: _payload(9, e.resumable),
    events.Dispatched: lambda e, p, r: _payload(0, {"x": p.text()}, _seq(e, p, r), "X" + p.text()),
    events.Resumed: lambda e, p, r: _payload(0, {}, _seq(e, p, r), "RESUMED"),
    events.Ready: lambda e, p, _: _payload(
        0, {"session_id": "s" + p.text(), "resume_gateway_url": e.resume_url}, e.seq, "READY"
    ),
    events.ProtocolViolation: lambda _, p, __: p.garbage(),
}
