"""Shards that stand where a test begins, each with a monitor that judges every step."""

from collections.abc import Callable
from typing import TypeVar

from gatewright.harness.outside import RESUME_URL
from gatewright.harness.walks import Walk
from gatewright.spec.effects import Effect, OpenSocket
from gatewright.spec.events import Closed, Event, Ready, ReconnectRequested
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State

IMPORTED = Session(id="imported", resume_url=RESUME_URL, seq=7)

_E = TypeVar("_E", bound=Effect)


def at(
    state: State,
    settings: Settings | None = None,
    *,
    session: Session | None = None,
    random: Callable[[], float] = lambda: 0.5,
) -> Walk:
    """A walk that has come to `state` while everything behaved."""
    walk = Walk(settings, session=session, random=random)
    walk.reach(state)
    return walk


def resuming(settings: Settings | None = None) -> Walk:
    """A shard that had a session at sequence 1, lost its socket, and has just sent RESUME."""
    walk = at(State.READY, settings)
    again(walk, State.RESUMING)
    return walk


def where(walk: Walk) -> State:
    """The state of the shard; a call, because a type checker believes that an attribute stays what it was."""
    return walk.state


def again(walk: Walk, state: State) -> None:
    """Loses the socket that there is by a drop, and comes to `state` on the next one."""
    walk.must(Closed(walk.gen))
    walk.reach(state)


def holding(state: State) -> Walk:
    """A shard that holds a session: in `awaiting_hello` on its way to RESUME, in `resuming`, or in `ready`."""
    walk = at(State.READY)
    if state is not State.READY:
        again(walk, state)
    return walk


def draining(*commands: Event) -> Walk:
    """A shard that held a session and drains for op 7, given these commands meanwhile."""
    walk = at(State.READY)
    walk.must(ReconnectRequested(walk.gen))
    for command in commands:
        walk.must(command)
    return walk


def session_id(walk: Walk) -> str | None:
    return walk.core.snapshot().session_id


def proven(settings: Settings | None = None) -> Walk:
    """A shard whose session has outlived a heartbeat: nothing counts against it."""
    walk = at(State.READY, settings)
    walk.elapse()
    walk.behave()
    assert walk.core.snapshot().attempts == 0
    return walk


def made(walk: Walk, kind: type[_E]) -> _E:
    """The one effect of this kind among those of the last step."""
    (found,) = [effect for effect in walk.made if isinstance(effect, kind)]
    return found


def does(walk: Walk, *kinds: type[Effect]) -> bool:
    """Whether the last step asked for exactly these effects, in this order."""
    return tuple(type(effect) for effect in walk.made) == kinds


def opened(walk: Walk) -> OpenSocket:
    """Lets time pass until the next socket is opened, and gives that effect."""
    walk.elapse()
    return made(walk, OpenSocket)


def wait_of(walk: Walk) -> float:
    """How long the back-off that the shard is in takes, in seconds."""
    assert walk.state is State.BACKING_OFF
    left = walk.core.snapshot(walk.now).deadline_in
    assert left is not None
    return left


def ready(walk: Walk, name: str = "another", url: str | None = RESUME_URL) -> Ready:
    """READY on the present socket."""
    return Ready(walk.gen, 1, name, url)
