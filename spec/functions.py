"""Pure functions that the table's expressions may call, beside ``min`` and ``max``."""

from __future__ import annotations

from typing import Final

from gatewright.spec.context import Failure
from gatewright.spec.events import Closed, MetadataFailed, MetadataFetched, Ready, RegistrationFailed
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import API_VERSION, DAY, DEFAULT_IDENTIFY_TOTAL, CloseCode
from gatewright.spec.session import Metadata, Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import IMMEDIATE_CAUSES, Cause

JITTER_LOW: Final = 0.85
JITTER_SPAN: Final = 0.30
"""Back-off delays are spread over 0.85 to 1.15 of their nominal value (F35)."""

INVALID_SESSION_WAIT: Final = (1.0, 5.0)
"""Seconds to wait after INVALID_SESSION, uniformly drawn (P48, A01)."""


def connection_url(session: Session | None, metadata: Metadata | None, settings: Settings) -> str:
    """Where the next connection goes: the session's resume URL, else the main URL, else the fallback (P36, P39)."""
    if session is not None and session.resume_url is not None:
        return session.resume_url
    return metadata.url if metadata is not None else settings.fallback_url


def new_metadata(event: MetadataFetched) -> Metadata:
    """The metadata of an answer."""
    return Metadata(
        url=event.url,
        shards=event.shards,
        total=event.total,
        remaining=event.remaining,
        reset_after=event.reset_after,
        max_concurrency=event.max_concurrency,
    )


def new_session(event: Ready, settings: Settings) -> Session:
    """The session that READY begins (P31)."""
    return Session(
        id=event.session_id,
        resume_url=event.resume_url,
        seq=event.seq,
        shard=settings.shard_id,
        shard_count=settings.shard_count,
        intents=settings.intents,
        bot_id=event.bot_id,
        api_version=API_VERSION,
        created=event.created,
    )


def without_url(session: Session | None) -> Session | None:
    """The session, to be resumed through the main URL from now on (P40)."""
    return None if session is None else session.without_url()


def fetch_backoff(errors: int, retry_after: float) -> float:
    """Seconds before metadata is asked for again: 0.25, 0.5, 1, 2, and never less than the server asked for (P08)."""
    return max(min(0.25 * 2.0**errors, 2.0), retry_after)


def invalid_session_wait(roll: float) -> float:
    """Seconds to wait after INVALID_SESSION (P48)."""
    low, high = INVALID_SESSION_WAIT
    return low + (high - low) * roll


def backoff(attempts: int, roll: float, settings: Settings) -> float:
    """f(k): nothing for k ≤ 0, else ``retry_base`` x 2^(k-1), capped at ``retry_max``, spread by the jitter (F35)."""
    if attempts <= 0:
        return 0.0
    # The exponent is bounded because a shard may retry for months.
    nominal = min(settings.retry_base * 2.0 ** min(attempts - 1, 64), settings.retry_max)
    return nominal * (JITTER_LOW + JITTER_SPAN * roll)


def identify_spacing(metadata: Metadata | None, settings: Settings) -> float:
    """Seconds between IDENTIFYs at which all shards together spend a day's budget in a day: 86.4 x shards (P30)."""
    total = metadata.total if metadata is not None and metadata.total > 0 else DEFAULT_IDENTIFY_TOTAL
    return DAY / min(total, DEFAULT_IDENTIFY_TOTAL) * settings.shard_count


def retry_delay(
    cause: Cause | None,
    attempts: int,
    proven: bool,
    identifies: int,
    identified_at: float | None,
    session: Session | None,
    not_before: float,
    metadata: Metadata | None,
    now: float,
    roll: float,
    settings: Settings,
) -> float:
    """Seconds to wait in `backing_off` (I18, P52).

    The greatest of: the back-off of the attempts so far (the first drop, opcode 7 or verb of the user waits for
    nothing); the floor that causes have set; and, for an attempt that will end in IDENTIFY while IDENTIFYs repeat
    without success, the spacing of the day's budget.
    """
    # The first attempt of all is no retry; after a proof the count begins with the first retry.
    free = cause in IMMEDIATE_CAUSES and not proven
    delay = backoff(attempts - 1 if free else attempts, roll, settings)
    delay = max(delay, not_before - now)
    if session is None and identified_at is not None and identifies >= settings.free_identifies:
        delay = max(delay, identified_at + identify_spacing(metadata, settings) - now)
    return delay


_METADATA_HELP: Final = "The bot token was refused by the metadata end point: check DISCORD_TOKEN."

_PORTAL: Final = "https://discord.com/developers/applications"


def _close_reason(code: int | None, settings: Settings, metadata: Metadata | None) -> str:
    shard, count, intents = settings.shard_id, settings.shard_count, settings.intents
    match code:
        case CloseCode.AUTHENTICATION_FAILED:
            return f"The token was refused (4004): check DISCORD_TOKEN, or reset the token at {_PORTAL} (Bot)."
        case CloseCode.INVALID_SHARD:
            return (
                f"The shard pair [{shard}, {count}] was refused (4010): ids begin at 0, shard_id must be below "
                "shard_count, and all shards of a bot use one count."
            )
        case CloseCode.SHARDING_REQUIRED:
            advice = (
                f"; Discord recommends {metadata.shards}" if metadata is not None and metadata.shards > count else ""
            )
            return f"The bot is in too many guilds for {count} shards (4011): raise shard_count{advice}."
        case CloseCode.INVALID_API_VERSION:
            return f"Version {API_VERSION} of the gateway was refused (4012): update Gatewright."
        case CloseCode.INVALID_INTENTS:
            unknown = [
                bit for bit in range(intents.bit_length()) if intents >> bit & 1 and not Intents.all() >> bit & 1
            ]
            bits = f"; not documented: {', '.join(f'1 << {bit}' for bit in unknown)}" if unknown else ""
            return f"The intents value {intents} is invalid (4013): use members of gatewright.Intents only{bits}."
        case CloseCode.DISALLOWED_INTENTS:
            asked = [intent.name or "" for intent in Intents.privileged() if intent in Intents(intents)]
            which = " and ".join(asked) or "GUILD_MEMBERS, GUILD_PRESENCES or MESSAGE_CONTENT"
            return (
                f"A privileged intent is not enabled for the application (4014): switch on {which} at {_PORTAL} "
                "(Bot, Privileged Gateway Intents), or leave it out of the intents. A bot with 10 000 users or "
                "more must have applied for it as well."
            )
        case _:
            return f"Closed with {code}."


def close_failure(event: Closed, settings: Settings, metadata: Metadata | None) -> Failure:
    """The failure that a fatal close code means, with what to do about it (I08, P83, P84)."""
    return Failure("close_code", event.code, _close_reason(event.code, settings, metadata))


def metadata_failure(event: MetadataFailed) -> Failure:
    """The failure that a refused metadata request means (F05)."""
    return Failure("metadata", None, f"{_METADATA_HELP} ({event.reason})" if event.reason else _METADATA_HELP)


def registration_failure(event: RegistrationFailed) -> Failure:
    """The failure of a registration (F04)."""
    return Failure("registration", None, f"A registration failed: {event.reason}")


def registration_timeout(settings: Settings) -> Failure:
    """Registrations that did not end in time."""
    return Failure(
        "registration", None, f"The registrations took longer than {settings.registering_timeout:g} s and were undone."
    )


def consumer_too_slow() -> Failure:
    """The consumer's queue overflowed, and its policy is to fail."""
    return Failure(
        "consumer",
        None,
        "The consumer is too slow: its queue overflowed, and its policy is 'fail'. The session is kept: resume it with "
        "session=shard.session, with a larger queue or more workers.",
    )


def attempts_exhausted(attempts: int) -> Failure:
    """The attempt cap that was asked for is reached."""
    return Failure("attempts", None, f"Gave up after {attempts} attempts without success, as max_attempts asked.")


FUNCTIONS: Final = {
    function.__name__: function
    for function in (
        connection_url,
        new_metadata,
        new_session,
        without_url,
        fetch_backoff,
        invalid_session_wait,
        retry_delay,
        close_failure,
        metadata_failure,
        registration_failure,
        registration_timeout,
        consumer_too_slow,
        attempts_exhausted,
    )
}
