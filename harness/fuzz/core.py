"""Fuzzing without a network: drawn messages go through inflater and decoder into a core, under its monitor.

Between them, the outside of the shard behaves, fails or falls silent, and the user gives commands, so that messages
meet every state. Nothing but declared outcomes may happen: an event that the table has a row for, and no invariant
broken by it.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

import attrs

from gatewright.harness.fake.compression import Deflater
from gatewright.harness.fake.script import Corrupt, Split
from gatewright.harness.fuzz.grammar import FrameGrammar
from gatewright.harness.walks import Behave, ComeLate, Fail, Move, Order, Wait, Walk, Withhold
from gatewright.spec import events
from gatewright.spec.events import EventKind
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from gatewright.transport import codec
from gatewright.transport.dispatch import Dispatch, UndecodableData
from gatewright.transport.inflate import Compression, InflateError, inflater

MESSAGE_ROWS: Final = frozenset(row.id for row in TABLE if row.event.kind is EventKind.MESSAGE)
"""Every row of the table that a message of the peer can take."""

LIFE: Final = 400
"""Frames after which a shard is thrown away, and another one begins."""

_OVER: Final = 30
"""Frames that a shard still gets once it is at rest for good."""

_COMMANDS: Final = (
    events.Connect(),
    events.Reconnect(),
    events.Reconnect(),
    events.ForceIdentify(),
    events.Suspend(),
    events.Register("client"),
)
_SHORT: Final = frozenset({State.RESUMING, State.IDENTIFIED, State.AWAITING_IDENTIFY_SLOT})
"""States that a drawn message soon ends, so that what comes late is drawn more often in them."""
_SECONDS: Final = (0.5, 5.0, 61.0, 700.0)


@attrs.define
class Tally:
    """What a run has met."""

    frames: int = 0
    steps: int = 0
    """Messages, outcomes, commands and timers that the core took or refused."""
    rows: Counter[str] = attrs.field(factory=Counter[str])
    """How often each row was taken by a message."""
    undecodable: int = 0
    """Dispatches whose data could not be decoded, and said so."""

    @property
    def missing(self) -> frozenset[str]:
        """The message rows that no frame has taken yet."""
        return MESSAGE_ROWS - self.rows.keys()

    def add(self, other: Tally) -> None:
        """Adds another run's."""
        self.frames += other.frames
        self.steps += other.steps
        self.rows += other.rows
        self.undecodable += other.undecodable


def fuzz_core(random: Random, frames: int, *, tally: Tally | None = None, grammar: FrameGrammar | None = None) -> Tally:
    """Sends `frames` drawn frames to one core after another.

    Args:
        random: the die for all of it; the same die gives the same run.
        frames: how many.
        tally: where to count, if it is not the first run.
        grammar: draws the messages, from `random` by default.

    Raises:
        InvariantViolated, AssertionError: something happened that is not declared.
    """
    counted = Tally() if tally is None else tally
    messages = FrameGrammar(random) if grammar is None else grammar
    end = counted.frames + frames
    while counted.frames < end:
        _Life(random, messages, counted).run(min(LIFE, end - counted.frames))
    return counted


class _Life:
    """One shard, from its beginning until it has had its frames."""

    def __init__(self, random: Random, grammar: FrameGrammar, tally: Tally) -> None:
        self._random = random
        self._grammar = grammar
        self._tally = tally
        grammar.seq = 0
        self._kind = random.choice(tuple(Compression))
        # A shard that gives up after some attempts comes to `failed` without a fatal close.
        self._walk = Walk(Settings(max_attempts=random.choice((None, None, 3))), random=random.random)
        self._gen = -1
        self._renew()

    def run(self, frames: int) -> None:
        walk, random = self._walk, self._random
        tired = 0
        before = self._tally.frames
        while self._tally.frames - before < frames and tired < _OVER:
            if random.random() < 0.35:
                self._move().take(walk)
            else:
                self._frame()
                tired += walk.state in {State.FAILED, State.STOPPED}
        self._tally.steps += walk.monitor.steps

    def _move(self) -> Move:
        random = self._random
        roll = random.random()
        if roll < 0.6:
            return Behave()
        if roll < 0.7:
            return Withhold()
        if roll < 0.78:
            return Wait(random.choice(_SECONDS))
        if roll < 0.86:
            return Fail(random.randrange(5))
        if roll < 0.92:
            return ComeLate(random.randrange(5))
        if roll < 0.925:
            return random.choice((Fail(5), Order(events.Stop())))
        return Order(random.choice(_COMMANDS))

    def _frame(self) -> None:
        walk, random = self._walk, self._random
        gen = walk.gen
        if gen != self._gen:
            self._renew()
        self._tally.frames += 1
        message = self._grammar.message()
        late = random.random() < (0.4 if walk.state in _SHORT else 0.1)
        # A frame of an older connection has been inflated by that one's own context.
        for whole in [message] if late else self._through_the_wire(message):
            if isinstance(whole, InflateError):
                self._feed(events.ProtocolViolation(max(gen, 1), whole.violation, str(whole)))
            else:
                self._decode(whole, max(gen - random.randrange(1, 3) if late else gen, 1))

    def _through_the_wire(self, message: bytes) -> list[str | bytes | InflateError]:
        random = self._random
        roll = random.random()
        if roll < 0.02:
            self._deflater.prepare(Corrupt())
        elif roll < 0.1:
            self._deflater.prepare(Split((random.randrange(-4, 9),)))
        try:
            sent = self._deflater.frames(message.decode())
        except UnicodeDecodeError:
            sent = [message]
        received: list[str | bytes | InflateError] = []
        for part in sent:
            try:
                whole = self._inflater.feed(part)
            except InflateError as error:
                received.append(error)
                self._renew()  # the connection is left; what this shard hears next is said on another
                break
            if whole is not None:
                received.append(whole)
        return received

    def _renew(self) -> None:
        self._gen = self._walk.gen
        self._inflater = inflater(self._kind)
        self._deflater = Deflater(Compression.NONE if self._kind is Compression.PAYLOAD else self._kind)
        if self._kind is Compression.PAYLOAD:
            self._deflater.compress_payloads()

    def _decode(self, whole: str | bytes, gen: int) -> None:
        event, dispatch = codec.decode(whole, gen=gen, wall_clock=lambda: 0.0)
        assert isinstance(event, events.Message), f"{event!r} is no message of a peer"
        self._feed(event)
        if dispatch is not None:
            self._look_at(dispatch)

    def _feed(self, event: events.Message) -> None:
        self._walk.must(event)  # in every state: what comes too late has a row as well
        self._tally.rows[self._walk.core.journal.last()[0].row] += 1

    def _look_at(self, dispatch: Dispatch) -> None:
        try:
            dispatch.data  # noqa: B018 - decodes
        except UndecodableData:
            self._tally.undecodable += 1
