"""The wanted presence under every order of events: each wish has one outcome, and the last one is what the bot has."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gatewright.transport.answers import PresenceOutcome
from gatewright.transport.commands import Activity, UpdatePresence
from gatewright.transport.presence import Presence, Wish

INTERVAL = 41.25


def saying(text: str) -> UpdatePresence:
    return UpdatePresence(activities=[Activity(text)])


class PresenceMachine(RuleBasedStateMachine):
    """A server that remembers what it was told last, and a client that calls as the exchange does."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = Presence(None)
        self.names = (saying(str(number)) for number in itertools.count())
        self.live = False
        self.has_session = False
        self.identified: tuple[UpdatePresence | None] | None = None
        self.server: UpdatePresence | None = None
        self.now = 0.0
        self.wishes: list[Wish] = []
        self.pending: Wish | None = None

    @rule(pause=st.sampled_from([0.1, 30.0, 90.0]))
    def time_passes(self, pause: float) -> None:
        self.now += pause

    @rule()
    def somebody_wishes(self) -> None:
        self.pending = self.presence.wish(next(self.names))
        self.wishes.append(self.pending)

    @precondition(lambda self: self.pending is not None)
    @rule()
    def it_is_taken_back(self) -> None:
        assert self.pending is not None
        self.presence.withdraw(self.pending)
        self.wishes.remove(self.pending)
        self.pending = None

    @precondition(lambda self: self.live and self.pending is not None)
    @rule(arrives=st.booleans())
    def it_is_written(self, arrives: bool) -> None:
        assert self.pending is not None
        self.presence.written(self.pending.presence, self.now)
        if arrives:
            self.server = self.pending.presence
        else:
            self.connection_is_lost()  # written into a socket that was dead already

    @precondition(lambda self: not self.live and not self.has_session)
    @rule()
    def identify(self) -> None:
        self.identified = (self.presence.identify(),)

    @precondition(lambda self: self.identified is not None)
    @rule(accepted=st.booleans())
    def identify_is_answered(self, accepted: bool) -> None:
        assert self.identified is not None
        if accepted:
            (self.server,) = self.identified
            self.live = self.has_session = True
            assert self.presence.began() is None
        self.identified = None

    @precondition(lambda self: not self.live and self.has_session)
    @rule()
    def resumed(self) -> None:
        again = self.presence.resumed(INTERVAL)
        self.live = True
        if again is not None:
            self.presence.written(again, self.now)
            self.server = again

    @precondition(lambda self: not self.live and self.has_session)
    @rule()
    def resume_begins_a_new_session(self) -> None:
        self.server = None
        again = self.presence.began()
        self.live = True
        if again is not None:
            self.presence.written(again, self.now)
            self.server = again

    @precondition(lambda self: self.live)
    @rule()
    def connection_is_lost(self) -> None:
        self.live = False
        self.presence.lost(self.now)

    @precondition(lambda self: not self.live and self.has_session)
    @rule()
    def session_is_lost(self) -> None:
        self.has_session = False

    @invariant()
    def every_wish_but_the_newest_has_an_outcome(self) -> None:
        if self.pending is not None and self.pending.outcome is not None:
            self.pending = None
        assert [wish for wish in self.wishes if wish.outcome is None] == (
            [] if self.pending is None else [self.pending]
        )

    @invariant()
    def a_live_session_has_what_was_wished_last(self) -> None:
        if self.live and self.pending is None:
            assert self.server == self.presence.wanted
        if self.pending is not None:
            assert self.presence.wanted is self.pending.presence


PresenceMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30)
TestPresence = PresenceMachine.TestCase


@pytest.mark.parametrize(("age", "again"), [(0.0, True), (82.5, True), (82.6, False)])
def test_only_what_was_written_within_two_intervals_of_the_loss_is_sent_again(age: float, again: bool) -> None:
    """A18, P18."""
    presence = Presence(None)
    presence.identify()
    presence.began()
    presence.written(saying("a"), 100.0)
    presence.lost(100.0 + age)
    presence.lost(10_000.0)
    assert (presence.resumed(INTERVAL) == saying("a")) is again
    assert presence.resumed(INTERVAL) is None


def test_two_wishes_for_the_same_value_are_two_wishes() -> None:
    presence, value = Presence(None), saying("a")
    first, second = presence.wish(value), presence.wish(value)
    assert (first.outcome, second.outcome) == (PresenceOutcome.SUPERSEDED, None)
