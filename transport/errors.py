"""Why a shard is not there for you: one class a reason, with its remedy in the message."""

from __future__ import annotations

from typing import Final

from gatewright.spec.context import Failure
from gatewright.spec.errors import GatewrightError
from gatewright.spec.protocol import CloseCode
from gatewright.spec.states import State


class ShardFailed(GatewrightError):
    """The shard ended in `failed`. Connecting again with the same settings would fail again.

    Attributes:
        failure: what the machine says: its kind, the close code if there was one, the reason.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class FatalClose(ShardFailed):
    """The gateway closed with a code that is never answered by a reconnect (P51, I08)."""


class AuthenticationFailed(FatalClose):
    """4004: the token was refused. Check it, or reset it in the Developer Portal."""


class InvalidShard(FatalClose):
    """4010: the shard pair was refused. Ids begin at 0 and stay below the count, which all shards share."""


class ShardingRequired(FatalClose):
    """4011: the bot is in too many guilds for this shard count. Raise it."""


class InvalidApiVersion(FatalClose):
    """4012: the gateway version was refused. Update Gatewright."""


class InvalidIntents(FatalClose):
    """4013: the intents value is not one that Discord documents. Use the members of ``gatewright.Intents``."""


class DisallowedIntents(FatalClose):
    """4014: a privileged intent is not enabled for the application; the text names it and the place (P84)."""


class MetadataRefused(ShardFailed):
    """``GET /gateway/bot`` answered 401 or 403."""


class RegistrationError(ShardFailed):
    """A registration failed or did not end in time; its own exception, if any, is the ``__cause__``."""


class ConsumerTooSlow(ShardFailed):
    """The queue of dispatches overflowed, and its policy is ``fail``. The session is kept."""


class AttemptsExhausted(ShardFailed):
    """The attempt cap that was asked for is reached."""


_BY_CODE: Final[dict[int | None, type[FatalClose]]] = {
    CloseCode.AUTHENTICATION_FAILED: AuthenticationFailed,
    CloseCode.INVALID_SHARD: InvalidShard,
    CloseCode.SHARDING_REQUIRED: ShardingRequired,
    CloseCode.INVALID_API_VERSION: InvalidApiVersion,
    CloseCode.INVALID_INTENTS: InvalidIntents,
    CloseCode.DISALLOWED_INTENTS: DisallowedIntents,
}
_BY_KIND: Final[dict[str, type[ShardFailed]]] = {
    "metadata": MetadataRefused,
    "registration": RegistrationError,
    "attempts": AttemptsExhausted,
    "consumer": ConsumerTooSlow,
}


def shard_failed(failure: Failure) -> ShardFailed:
    """The exception for a failure, of the most particular class."""
    if failure.kind == "close_code":
        return _BY_CODE.get(failure.code, FatalClose)(failure)
    return _BY_KIND.get(failure.kind, ShardFailed)(failure)


class ShardStopped(GatewrightError):
    """The shard was stopped while somebody waited for something that can no longer happen."""


class WaitFailed(GatewrightError):
    """While a state was waited for, the shard entered one that the caller had named in `fail_on`.

    Attributes:
        state: the one that was entered.
        wanted: those that were waited for.
    """

    def __init__(self, state: State, wanted: frozenset[State]) -> None:
        super().__init__(f"the shard entered '{state}' before it was {' or '.join(sorted(wanted))}")
        self.state = state
        self.wanted = wanted


class SendRefused(GatewrightError):
    """A command was not sent, and will not be (I15, I16).

    Nothing of it has left this process, but for a :class:`ConnectionLost` that says it was being written.
    """


class NotReady(SendRefused):
    """There is no live session to send on. Wait for ``ready`` and try again."""


class ConnectionLost(SendRefused):
    """The connection was left before the command's turn came, or while it was written; the message says which."""


class TooManyCommands(SendRefused):
    """As many commands wait, or as many requests are unanswered, as :class:`CommandLimits` allows."""


class RequestFailed(GatewrightError):
    """A request has no answer, and will have none. The shard itself goes on."""


class RequestRateLimited(RequestFailed):
    """The server answered RATE_LIMITED, or would have: the same was asked for too short a while ago (P63, P67).

    Attributes:
        retry_after: seconds until the request may be made again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(f"{message}; try again in {retry_after:.1f} s")
        self.retry_after = retry_after


class RequestTimedOut(RequestFailed):
    """The answer did not come, or not all of it, in the time that the caller gave (A23).

    Attributes:
        partial: what has come, in the type of the whole answer; ``None`` where a part means nothing.
    """

    def __init__(self, message: str, partial: object = None) -> None:
        super().__init__(message)
        self.partial = partial


class RequestLost(RequestFailed):
    """The session that the request was made on is gone, or the gateway closed because of it (P60)."""


class RequestSuperseded(RequestFailed):
    """A later command of this shard took the place of this one before it was answered."""


class AnswerTooLarge(RequestFailed):
    """More of the answer waits than :class:`CommandLimits` allows to hold."""
