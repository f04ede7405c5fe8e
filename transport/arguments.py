"""What a user passes is what it should be: said before any I/O, by the name of the parameter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from gatewright.spec.errors import ConfigurationError

T = TypeVar("T")


def check_kinds(**given: tuple[object, type]) -> None:
    """Each value is ``None`` or of its type.

    Raises:
        ConfigurationError: for the first that is not; values may be secret and are not shown.
    """
    for name, (value, kind) in given.items():
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")


def check_seams(**given: tuple[object, str]) -> None:
    """Each value is ``None`` or can do what is named: a method, or ``"()"`` for being called.

    Raises:
        ConfigurationError: for the first that cannot.
    """
    for name, (value, does) in given.items():
        target = value if does == "()" else getattr(value, does, None)
        if value is not None and (not callable(target) or isinstance(value, type)):
            what = "be callable" if does == "()" else f"have a method {does}()"
            raise ConfigurationError(
                f"{name} must {what} (see gatewright.transport.seams), and {type(value).__name__} does not"
            )


def check_all_do(name: str, values: Iterable[T], does: str) -> tuple[T, ...]:
    """The values, each of which has the method `does`.

    Raises:
        ConfigurationError: if they cannot be gone through, or one has not.
    """
    try:
        found = tuple(values)
    except TypeError:
        raise ConfigurationError(f"{name} must be a list, not {type(values).__name__}") from None
    for value in found:
        check_seams(**{name: (value, does)})
    return found
