"""L4 of the proof kit: walks over the real core along the exploration, with concrete payloads.

A walk begins at any explored state, on the shortest way to it, and goes on along its steps, those that change nothing
included. What a step stands for is said as a peer would say it: a message as bytes that are compressed, framed and cut,
and that the engine's own inflater and codec put together; any close code of a kind; any interval, sequence, name and
wait. Time passes between the steps, timers are late, the core's die is thrown. After every step the core must stand
where the exploration says, with its effects, and every invariant that a monitor knows must hold.

Some of what the exploration leaves open the core settles: a count that stopped at its bound may be any greater one, and
what time decides is decided by the time that there is. So a walk keeps every explored state that is possible; the core
has gone astray when there is none.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import msgspec

from gatewright.fsm.errors import IllegalTransition
from gatewright.fsm.runtime import Runtime
from gatewright.harness.explore.payloads import Chance, Payloads, Plain
from gatewright.harness.explore.replay import beginning, context_of, differences, told
from gatewright.harness.explore.steps import Label
from gatewright.harness.explore.ways import Step, Ways
from gatewright.harness.explore.wire import Wire
from gatewright.harness.monitor import Monitor, monitored
from gatewright.spec import events
from gatewright.spec.context import Context
from gatewright.spec.effects import Effect
from gatewright.spec.errors import TableError
from gatewright.spec.events import Event
from gatewright.spec.protocol import close_kind
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.table import TABLE
from gatewright.transport import codec
from gatewright.transport.inflate import Compression, InflateError

CODES: Final = tuple(range(1000, 5000))
STEPS: Final = 20
"""Steps of a walk beyond the state at which it begins, at most."""

_PLAIN: Final = Plain()
_IDLE_SECONDS: Final = 3600.0
"""What may pass where no timer is armed."""
_JUST: Final = 1e-3
_SETTLED: Final = ("more", "acks_fresh", "time_left")
"""Payloads that stand for what the core knows and the exploration does not: a count beyond its bound, and the clock."""


class WentAstray(AssertionError):
    """The core went another way than the exploration."""


class ConcreteWalk:
    """A core that stands at an explored state.

    Args:
        ways: the exploration.
        number: the state. A walk that the core leads elsewhere on the way, where the exploration allows both, goes on
            from there.
        payloads: what the core's die and all that comes after the shortest way is drawn from.
        rows: the table that the core runs; the explored one, unless it is to be judged.
        runtime: what runs it, if not one that is made of the rows.
        compress: what the connections negotiate.

    Raises:
        WentAstray: the core does not come to the state on the shortest way.
        InvariantViolated: a step on the way broke an invariant.
    """

    def __init__(
        self,
        ways: Ways,
        number: int,
        payloads: Payloads,
        *,
        rows: tuple[Row, ...] = TABLE,
        runtime: Runtime | None = None,
        compress: Compression = Compression.NONE,
    ) -> None:
        graph = ways.graph
        way = graph.path(number)
        root = way[0][1]
        settings, session = beginning(graph.compiler.layout.unpack(root))
        self._ways = ways
        self._payloads = payloads
        self._compress = compress
        self._wire = Wire(compress)
        self.core = monitored(
            Monitor(settings, session=session), table=rows, runtime=runtime, random=payloads.roll, journal_size=8
        )
        self.possible: tuple[int, ...] = (graph.index[root],)
        self.told: list[str] = []
        """What was fed, and when, one line each."""
        self.rows: list[str] = []
        """Ids of the rows that were taken, as the exploration calls them."""
        for label, _ in way[1:]:
            if label is None or not self._meanings(label):
                break
            self._take(label, _PLAIN)

    @property
    def number(self) -> int:
        """The explored state; the first of those that are possible."""
        return self.possible[0]

    def steps(self) -> tuple[list[Step], list[Step]]:
        """What can happen next: what changes something, and what does not."""
        return self._ways.of(self.number)

    def wander(self, source: random.Random, *, steps: int) -> None:
        """Takes so many drawn steps, or as many as there are; three of four change something.

        Raises:
            WentAstray, InvariantViolated: see :meth:`take`.
        """
        for _ in range(steps):
            changing, idle = self.steps()
            ways = idle if idle and (not changing or source.random() < 0.25) else changing
            if not ways:
                return
            self.take(ways[int(source.random() * len(ways))][0])

    def take(self, label: Label) -> None:
        """Takes a step of the exploration, with a concrete payload.

        Raises:
            WentAstray: the core went another way.
            InvariantViolated: the step broke an invariant.
        """
        self._take(label, self._payloads)

    def _take(self, label: Label, payloads: Payloads) -> None:
        meanings = self._meanings(label)
        refused = False
        made: tuple[Effect, ...] = ()
        context = context_of(self.core)
        if label.action.told:
            event = self._event(label, payloads)
            now = _moment(context, label, payloads)
            meanings = _settled(meanings, context, now)
            self.told.append(f"{now:12.3f}  {event!r}")
            try:
                made = self.core.feed(event, now)
            except IllegalTransition:
                refused = True
            except TableError as error:
                raise self._astray(str(error)) from error
            if any(effect.name == "open_socket" for effect in made):
                self._wire = Wire(self._compress)
        self._stand(meanings, made, refused=refused)

    def _meanings(self, label: Label) -> list[Step]:
        """Every step of the exploration that the same happening may stand for, from every state that is possible."""
        wanted = happening(label)
        return [
            (found, target)
            for number in self.possible
            for steps in self._ways.of(number)
            for found, target in steps
            if found.action.name in _names(label) and happening(found) == wanted
        ]

    def _stand(self, meanings: list[Step], made: tuple[Effect, ...], *, refused: bool) -> None:
        core, graph = self.core, self._ways.graph
        layout = graph.compiler.layout
        names = tuple(effect.name for effect in made)
        possible: dict[int, Label] = {}
        why: list[str] = []
        for label, target in meanings:
            packed = graph.packed[target]
            state = layout.state(packed)
            wanted = () if label.row is None else tuple(effect.name for effect in label.row.effects)
            refuses = label.action.event is not None and (label.row is None or label.row.kind is RowKind.REFUSE)
            if refused is not refuses:
                why.append("it is refused" if refused else "it is not refused")
            elif core.state.value != state.value:
                why.append(f"the core is in {core.state}, and the exploration in {state.value}")
            elif not refused and names != wanted:
                why.append(f"the core asks for {names}, and the exploration for {wanted}")
            else:
                found = differences(core, layout.unpack(packed))
                if found:
                    why.append(f"the core differs (and the exploration says): {found}")
                elif target not in possible:
                    possible[target] = label
        if not possible:
            raise self._astray("; or ".join(dict.fromkeys(why)))
        self.rows += [label.row.id for label in itertools.islice(possible.values(), 1) if label.row is not None]
        self.possible = tuple(possible)

    def _astray(self, why: str) -> WentAstray:
        return WentAstray(why + ":\n  " + "\n  ".join(self.told))

    def _event(self, label: Label, payloads: Payloads) -> Event:
        context = context_of(self.core)
        payload = {name: str(getattr(value, "value", value)) for name, value in label.payload.items()}
        text = told(context, label.action.told, payload)
        plain = cast("Event", eval(text, {"events": events}))  # noqa: S307 - the environment's own
        if not isinstance(plain, events.Message):
            return concrete(plain, payloads)
        current = plain.gen == context.gen
        event = said(plain, payloads, received=context.received or 0, wire=self._wire if current else None)
        if isinstance(event, events.ProtocolViolation) and current:
            self._wire = Wire(self._compress)  # a stream that is damaged is given up together with its connection
        return event


def wander_by(
    ways: Ways,
    row: str,
    seed: int,
    *,
    rows: tuple[Row, ...] = TABLE,
    runtime: Runtime | None = None,
    streams: Sequence[Compression] = (Compression.NONE,),
) -> ConcreteWalk:
    """The walk of a seed: to a drawn state in which `row` is taken, by this row, and up to twenty steps on from there.

    Nothing of it looks at the table that is walked on, so that a changed one meets the same happenings until its change
    shows. Beginning with each row in turn, walks come by rare rows as often as by common ones.

    Raises:
        WentAstray, InvariantViolated: see :class:`ConcreteWalk`.
    """
    chance = random.Random(seed)
    label, number = ways.draw(row, chance)
    compress = streams[int(chance.random() * len(streams))]
    walk = ConcreteWalk(ways, number, Chance(chance), rows=rows, runtime=runtime, compress=compress)
    if walk.possible == (number,):
        walk.take(label)
    walk.wander(chance, steps=int(chance.random() * (STEPS + 1)))
    return walk


def _names(label: Label) -> tuple[str, ...]:
    """Actions that are one and the same for the core: whether time is left is the clock's to say."""
    if label.action.event is events.DeadlinePassed:
        return ("deadline passes", "deadline passes, with time left")
    return (label.action.name,)


def happening(label: Label) -> tuple[tuple[str, object], ...]:
    """What a label says that neither the core's counts nor its clock decide."""
    return tuple((name, value) for name, value in label.payload.items() if name not in _SETTLED)


def _settled(meanings: list[Step], context: Context, now: float) -> list[Step]:
    """Those that the clock allows. A payload that is not among them makes no difference there."""
    truths = {"time_left": context.cap is not None and now < context.cap, "acks_fresh": _fresh(context, now)}
    for name, truth in truths.items():
        true = [step for step in meanings if step[0].payload.get(name, truth) == truth]
        meanings = true or meanings
    return meanings


def _fresh(context: Context, now: float) -> bool:
    return (
        context.acked_at is not None
        and context.interval is not None
        and now - context.acked_at <= 2 * (context.interval)
    )


def _moment(context: Context, label: Label, payloads: Payloads) -> float:
    """When it happens: before the next timer, or, when it is a timer, at its time or later.

    What the label says that the clock decides is brought about, where that is possible.
    """
    now, event = context.now, label.action.event
    if event is events.HeartbeatDue:
        return max(now, context.beat_at or now) + payloads.lateness()
    if event is not events.DeadlinePassed:
        timers = [time for time in (context.deadline, context.beat_at) if time is not None]
        room = max(min(timers) - now, 0.0) if timers else _IDLE_SECONDS
        return now + room * payloads.elapsed()
    earliest = max(now, context.deadline or now)
    latest = float("inf")
    if context.cap is not None:
        if label.payload.get("time_left") is True:
            latest = context.cap - _JUST
        else:
            earliest = max(earliest, context.cap)
    if context.acked_at is not None and context.interval is not None:
        stale_at = context.acked_at + 2 * context.interval
        if label.payload.get("acks_fresh") is True:
            latest = min(latest, stale_at)
        elif label.payload.get("acks_fresh") is False:
            earliest = max(earliest, stale_at + _JUST)
    due = earliest + payloads.lateness()
    # The exploration lets a timer fire at any time, so a deadline that lies at its cap may come before it.
    return max(now, min(due, latest))


def concrete(event: Event, payloads: Payloads) -> Event:
    """The event of a driver, with any payload of its kind."""
    match event:
        case events.Closed(gen=gen, code=code) if code is not None:
            kind = close_kind(code)
            return events.Closed(gen, payloads.code(_codes(kind)))
        case events.SlotQueued():
            return attrs.evolve(event, eta=payloads.seconds())
        case events.SlotUnavailable() | events.MetadataFailed():
            return attrs.evolve(event, retry_after=payloads.seconds())
        case _:
            return event


@functools.cache
def _codes(kind: object) -> tuple[int, ...]:
    return tuple(code for code in CODES if close_kind(code) is kind)


def said(plain: events.Message, payloads: Payloads, *, received: int, wire: Wire | None = None) -> Event:
    """The message as the peer says it, by way of its bytes, and of the wire if there is one.

    Raises:
        AssertionError: the bytes were understood as something else.
    """
    violates = isinstance(plain, events.ProtocolViolation)
    data = _SAID[type(plain)](plain, payloads, received)
    message: str | bytes = data
    if wire is not None:
        try:
            # Nothing is no message where there is compression, and what is no text is not compressed: damage instead.
            damaged = violates and wire.kind is not Compression.NONE and data in {b"", b"\xff"}
            message = wire.carry(b"null" if damaged else data, payloads.cuts, corrupt=damaged)
        except InflateError as error:
            assert violates, f"{data!r} was damaged on its way"
            return events.ProtocolViolation(plain.gen, error.violation, str(error))
    event, _ = codec.decode(message, gen=plain.gen, wall_clock=lambda: 0.0)
    assert type(event) is type(plain), f"{data!r} was understood as {event!r}"
    return event


def _payload(op: int, d: object = None, s: int | None = None, t: str | None = None) -> bytes:
    return msgspec.json.encode({"op": op, "d": d, "s": s, "t": t})


def _seq(event: Any, payloads: Payloads, received: int) -> int:
    return received + payloads.more() if event.seq > received else int(event.seq)


_SAID: Final[Mapping[type[Event], Callable[[Any, Payloads, int], bytes]]] = {
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
    events.UnknownMessage: lambda _, p, __: _payload(11 + p.more()),
    events.ProtocolViolation: lambda _, p, __: p.garbage(),
}
