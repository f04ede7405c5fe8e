"""What can go wrong between two threads."""

from __future__ import annotations

from gatewright.spec.errors import GatewrightError


class EngineStopped(GatewrightError):
    """The engine's thread has ended, or is ending: nothing runs there any more.

    When it ended by a defect, that is the ``__cause__``.
    """
