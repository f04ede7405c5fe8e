"""The root of every error that Gatewright raises, and the errors of configuration and of the table itself."""

from __future__ import annotations


class GatewrightError(Exception):
    """Base class of every error that Gatewright raises on purpose."""


class ConfigurationError(GatewrightError, ValueError):
    """A value given by the user cannot work; the message names it, the bound, and what to do. Raised before any I/O."""


class TableError(GatewrightError):
    """The transition table contradicts itself; the message names the row and the rule that it breaks."""
