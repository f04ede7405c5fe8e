"""Scenarios out of numbers: a theme now and then, and else everything by chance."""

from __future__ import annotations

from typing import Final

import attrs

from gatewright.harness.fake.faults import FAULTS, Phase
from gatewright.harness.sim.choices import Source, pick
from gatewright.harness.sim.extras import COMPRESSIONS, WAYS
from gatewright.harness.sim.scenario import (
    FEWEST_FAULTS,
    INTENTS,
    Act,
    Consumer,
    Deed,
    Gate,
    Limit,
    Registering,
    Scenario,
    Way,
)
from gatewright.harness.sim.themes import themed
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.inflate import Compression
from gatewright.transport.queue import Queue, QueuePolicy

_PAIRS: Final = tuple(
    (fault.name, phase)
    for fault in FAULTS.values()
    for phase in fault.phases
    if phase is not Phase.FETCHING_METADATA and fault.fails_with is None
)
_LETHAL: Final = tuple(
    (fault.name, phase)
    for fault in FAULTS.values()
    for phase in fault.phases
    if phase is not Phase.FETCHING_METADATA and fault.fails_with is not None
)
_METADATA: Final[tuple[str | Limit, ...]] = (
    *(fault.name for fault in FAULTS.values() if Phase.FETCHING_METADATA in fault.phases and fault.fails_with is None),
    Limit(0, 600.0),
    Limit(400, 3600.0, buckets=16),
    Limit(101),
)
"""The last are told that the budget is spent, half used, or all but down to its reserve."""
_SECONDS: Final = (0.0, 0.0, 0.5, 1.0, 3.0, 10.0, 45.0, 130.0)
_SMALL: Final = {
    "max_failed_resumes": 1,
    "hello_stalls_to_forget_url": 1,
    "hello_stalls_to_drop_session": 2,
    "connect_failures_to_forget_url": 1,
    "max_paused_beats": 1,
}
_STATES: Final = tuple(state for state in State if state not in {State.IDLE, State.STOPPED, State.FAILED})
_KEPT: Final = Session(id="kept", resume_url=None, seq=3, intents=int(INTENTS))
_FILES: Final = ("", _KEPT.to_json(), "no session", attrs.evolve(_KEPT, intents=0).to_json())
"""What is in the file of a session: it is not there, or it holds one, or nonsense, or one with other intents."""
_DEEDS: Final = tuple(deed for deed in Deed if deed not in {Deed.STOP, Deed.BAN})


_THEMED: Final = 2
"""One scenario in so many has a theme."""
_RARELY: Final = 24
"""One scenario in so many has a registration that harms, since most of those end before they have begun."""


def drawn(source: Source, *, seeds: bool = False) -> Scenario:
    """A scenario with at least three faults; with `seeds` its network and scheduler have one each."""
    if source.below(_THEMED) == _THEMED - 1:
        scenario = attrs.evolve(themed(source), schedule_seed=source.below(2**32) if seeds else None)
    else:
        scenario = _mixed(source, seeds=seeds)
    more: list[Act] = []
    while scenario.faults + len(more) < FEWEST_FAULTS:
        more.append(Act(pick(source, _SECONDS), pick(source, (Deed.DROP, Deed.RESET, Deed.CUT, Deed.CLOSE))))
    return attrs.evolve(scenario, acts=(*scenario.acts, *more))


def _mixed(source: Source, *, seeds: bool) -> Scenario:
    """Everything by chance."""
    compress = pick(source, (*(Compression.NONE,) * 3, *COMPRESSIONS))
    connections = tuple(
        pick(source, _LETHAL) if source.below(25) == 24 else pick(source, _PAIRS) for _ in range(source.below(4))
    )
    acts = [_act(source) for _ in range(source.below(7))]
    if source.below(12) == 11:
        acts.append(Act(pick(source, _SECONDS), Deed.STOP))
    metadata: tuple[str | Limit, ...] = tuple(pick(source, _METADATA) for _ in range(max(source.below(4) - 1, 0)))
    gates = tuple(pick(source, tuple(Gate)) for _ in range(max(source.below(4) - 1, 0)))
    if source.below(40) == 39:
        metadata = (*metadata, "metadata_401")
    scenario = Scenario(
        settings=_settings(source),
        session=_session(source),
        compress=compress,
        queue=_queue(source),
        manual=source.below(6) == 5,
        window=3 if source.below(2) else 1000,
        narrow=source.below(12) == 11,
        stored=source.below(6) == 5,
        file=pick(source, _FILES) if source.below(16) == 15 else None,
        http=source.below(8) == 7,
        cached=source.below(8) == 7,
        way=pick(source, WAYS) if source.below(16) == 15 else Way.MEMORY,
        consumer=pick(source, (Consumer.ALL, Consumer.ALL, Consumer.SOME, Consumer.SINK, Consumer.CURIOUS)),
        logged=source.below(16) == 15,
        registering=pick(source, tuple(Registering)) if source.below(_RARELY) == _RARELY - 1 else Registering.FINE,
        gates=gates,
        metadata=metadata,
        connections=connections,
        acts=tuple(acts),
        absent=pick(source, (0.0,) * 9 + (30.0, 200.0, 1000.0)),
        network_seed=source.below(2**32) if seeds else None,
        schedule_seed=source.below(2**32) if seeds else None,
    )
    alone = scenario.session is None
    return attrs.evolve(scenario, stored=scenario.stored and alone, file=scenario.file if alone else None)


def _act(source: Source) -> Act:
    during = pick(source, _STATES) if source.below(3) else None
    after = 0.0 if during is not None and source.below(2) else pick(source, _SECONDS)
    return Act(after, pick(source, _DEEDS), source.below(12), during)


def _settings(source: Source) -> Settings:
    strict = source.below(8) == 7
    capped = source.below(8) == 7
    small = source.below(2) == 1
    return Settings(
        strict_startup=strict,
        max_attempts=1 + source.below(3) if capped else None,
        **(_SMALL if small else {}),  # type: ignore[arg-type]  # counts, by name
    )


def _session(source: Source) -> Session | None:
    which = source.below(8)
    if which < 6:
        return None
    url = "wss://resume.gateway.invalid" if which == 7 else None
    return Session(id="imported", resume_url=url, seq=7, intents=int(INTENTS))


def _queue(source: Source) -> Queue:
    which = source.below(8)
    events = (1000, 1000, 1000, 10, 2, 1, 10, 2)[which]
    policy = (*[QueuePolicy.PAUSE] * 6, QueuePolicy.DROP_OLDEST, QueuePolicy.FAIL)[which]
    return Queue(events=events, policy=policy)
