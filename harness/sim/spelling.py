"""A value as the Python that makes it again, without what is so by default: a failing scenario, to paste."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import cast

import attrs


def spelled(value: object) -> str:
    """`value` as an expression, by the names that its classes have where they are defined.

    Args:
        value: made of attrs classes, members of enumerations, tuples, and what Python spells by itself.
    """
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, tuple):
        parts = [spelled(each) for each in cast("tuple[object, ...]", value)]
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if attrs.has(type(value)):
        return f"{type(value).__name__}({', '.join(_said(value))})"
    return repr(value)


def _said(value: object) -> Iterator[str]:
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(value))):
        found = getattr(value, field.name)
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, though attrs types it as a function
            default = default.factory()
        if field.init and found != default:
            yield f"{field.alias}={spelled(found)}"
