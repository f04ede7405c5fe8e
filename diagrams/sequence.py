"""A journal as a Mermaid sequence diagram: what the client, the engine and the gateway said to each other, and when.

It is how counterexamples are shown: a shortest path to a broken promise is a few records, and reads like a story. Long
journals are shortened where nothing is lost (the same row over and over), and at their beginning if they must be.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gatewright.diagrams.mermaid_text import MAX_CHARACTERS, escape, finish
from gatewright.fsm.journal import Record
from gatewright.spec import effects, events
from gatewright.spec.rows import RowKind

_CLIENT, _ENGINE, _GATEWAY = "Client", "Engine", "Gateway"

EVENT_LANES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{command.name: _CLIENT for command in events.COMMANDS},
        **{message.name: _GATEWAY for message in events.MESSAGES},
        **{timer.name: _ENGINE for timer in events.TIMERS},
        # The client's code applies registrations, and its consumer holds the reader back.
        events.Registered.name: _CLIENT,
        events.RegistrationFailed.name: _CLIENT,
        events.RegistrationUndone.name: _CLIENT,
        events.ReadingPaused.name: _CLIENT,
        events.QueueOverflowed.name: _CLIENT,
        events.ReadingResumed.name: _CLIENT,
        events.MetadataFetched.name: _GATEWAY,
        events.MetadataFailed.name: _GATEWAY,
        events.Opened.name: _GATEWAY,
        events.ConnectFailed.name: _GATEWAY,
        events.Closed.name: _GATEWAY,
        # Our own end of the socket, and the identify gate.
        events.CloseFlushed.name: _ENGINE,
        events.Aborted.name: _ENGINE,
        events.WriteBlocked.name: _ENGINE,
        events.SlotQueued.name: _ENGINE,
        events.SlotGranted.name: _ENGINE,
        events.SlotUnavailable.name: _ENGINE,
    }
)
"""Where each event comes from. A test holds that none is missing; one of another table comes from the engine."""

EFFECT_LANES: Final[Mapping[str, str]] = MappingProxyType(
    {
        effects.ApplyRegistrations.name: _CLIENT,
        effects.UndoRegistrations.name: _CLIENT,
        effects.Deliver.name: _CLIENT,
        effects.FetchMetadata.name: _GATEWAY,
        effects.CancelMetadata.name: _GATEWAY,
        effects.OpenSocket.name: _GATEWAY,
        effects.CloseKeepingSession.name: _GATEWAY,
        effects.CloseEndingSession.name: _GATEWAY,
        effects.AbortSocket.name: _GATEWAY,
        effects.SendIdentify.name: _GATEWAY,
        effects.SendResume.name: _GATEWAY,
        effects.SendHeartbeat.name: _GATEWAY,
        effects.RequestSlot.name: _ENGINE,
        effects.WithdrawSlot.name: _ENGINE,
        effects.ReturnSlot.name: _ENGINE,
    }
)
"""Where each effect goes, likewise."""

_LONGEST_DETAIL: Final = 60
_ROOM: Final = MAX_CHARACTERS - 500  # for the head, and the note on what was left out


def sequence(records: Iterable[Record]) -> str:
    """The records as a sequence diagram with the lanes of the client, the engine and the gateway.

    Args:
        records: the steps, oldest first, such as a :class:`gatewright.fsm.journal.Journal`. Steps of the same row that
            follow each other and stay in their state are drawn once, with their number. Where all would be too long
            for Mermaid, the oldest are left out, and a note says how many.

    Returns:
        Mermaid text, ending in a newline.
    """
    runs = [[record for _, record in run] for _, run in itertools.groupby(enumerate(records), key=_sameness)]
    steps = [[*_step(run)] for run in runs]
    kept = _fitting(steps)
    left_out = sum(map(len, runs[: len(runs) - kept]))
    body = [_note(f"{left_out} earlier steps are left out")] if left_out else list[str]()
    if kept:
        body.append(_note(runs[-kept][0].state.value))
    body += itertools.chain.from_iterable(steps[len(steps) - kept :])
    participants = [f"participant {lane}" for lane in (_CLIENT, _ENGINE, _GATEWAY)]
    return finish(["sequenceDiagram", *(f"    {line}" for line in [*participants, *body])], edges=0)


def _sameness(numbered: tuple[int, Record]) -> tuple[object, ...]:
    """Equal for steps that are drawn as one; a step that moves is like no other."""
    number, record = numbered
    return (record.row, record.state, record.effects, record.gen, number if record.moved else None)


def _fitting(steps: list[list[str]]) -> int:
    """How many of the last steps fit into one drawing."""
    room = _ROOM
    for kept, lines in enumerate(reversed(steps)):
        room -= sum(len(line) + len("    \n") for line in lines)
        if room < 0:
            return kept
    return len(steps)


def _step(run: list[Record]) -> Iterator[str]:
    record = run[0]
    sender = EVENT_LANES.get(record.event, _ENGINE)
    times = "" if len(run) == 1 else f" × {len(run)}, until {run[-1].time:.3f} s"
    detail = f" ({textwrap.shorten(record.detail, _LONGEST_DETAIL, placeholder=' …')})" if record.detail else ""
    lost = record.kind is RowKind.IGNORE
    yield f"{sender}{'--x' if lost else '->>'}{_ENGINE}: " + escape(
        f"{record.time:.3f} s{times}\n{record.event}{detail}"
    )
    match record.kind:
        case RowKind.REFUSE:
            yield f"{_ENGINE}--x{sender}: " + escape(f"refused in {record.state.value}\n{record.row}")
        case RowKind.IGNORE | RowKind.UNEXPECTED:
            yield _note(f"{'ignored' if lost else 'unexpected'}, counted in {record.state.value}\n{record.row}")
        case RowKind.TAKE if record.moved:
            yield _note(f"{record.state.value} → {record.to.value}, generation {record.gen}\n{record.row}")
        case RowKind.TAKE:
            pass
    for effect in record.effects:
        yield f"{_ENGINE}->>{EFFECT_LANES.get(effect, _ENGINE)}: {escape(effect)}"


def _note(text: str) -> str:
    return f"Note over {_ENGINE}: {escape(text)}"
