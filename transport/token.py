"""The bot token, wrapped so that it shows up nowhere by accident (I22)."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final, NoReturn

from gatewright.spec.errors import ConfigurationError

_MAX_LENGTH: Final = 512
"""Tokens have about 70 characters. The bound keeps IDENTIFY and RESUME below 4096 bytes, whatever else is in them."""

_HIDDEN: Final = "Token(***)"


class Token:
    """A bot token that only :meth:`reveal` shows; every other way of looking at it gives ``Token(***)``.

    Args:
        text: the token of the Developer Portal. Surrounding white space and a ``Bot `` in front are removed: the
            gateway takes the bare form, and HTTP gets its prefix where it is sent (P33).

    Raises:
        ConfigurationError: if it cannot be a token: not a string, empty, longer than 512 characters, or with anything
            in it that is not printable ASCII. Raised before any I/O, and without a word of the token.
    """

    __slots__ = ("_secret",)

    def __init__(self, text: str) -> None:
        self._secret = _cleaned(text)

    def reveal(self) -> str:
        """The bare token. Call it where the bytes leave for Discord, and nowhere else."""
        return self._secret

    @property
    def bot_id(self) -> str:
        """The bot's user id, as the first part of the token tells it; ``""`` when it does not."""
        part = self._secret.split(".", 1)[0]
        try:
            decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return ""
        return decoded.decode("ascii") if decoded.isdigit() and len(decoded) <= 20 else ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self._secret)

    def __repr__(self) -> str:
        return _HIDDEN

    def __format__(self, format_spec: str) -> str:
        return format(_HIDDEN, format_spec)

    def __copy__(self) -> Token:
        return self

    def __deepcopy__(self, memo: object) -> Token:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Token is not pickled, so that it cannot leak into a file; hand the text over another way")


def _cleaned(text: object) -> str:
    if not isinstance(text, str):
        raise ConfigurationError(f"the token must be a string, not {type(text).__name__}")
    secret = text.strip()
    if secret[:3].lower() == "bot" and not secret[3:4].strip():
        secret = secret[3:].strip()
    if not secret:
        raise ConfigurationError("the token is empty; is the environment variable set that it is read from?")
    if len(secret) > _MAX_LENGTH:
        raise ConfigurationError(f"the token has {len(secret)} characters, and no token has more than {_MAX_LENGTH}")
    if not all("!" <= character <= "~" for character in secret):
        raise ConfigurationError(
            "the token holds white space, control characters or letters outside ASCII; copy it from the Developer "
            "Portal again, in one line. A Bearer token cannot be used: the gateway takes bot tokens only"
        )
    if secret[0] in "\"'" or secret[-1] in "\"'":
        raise ConfigurationError("the token begins or ends with a quotation mark; remove it")
    return secret
