"""What must hold, in four shapes. Expressions are of the table's language, over machine and environment."""

from __future__ import annotations

import enum

import attrs


class Shape(enum.StrEnum):
    """How a property is judged."""

    ALWAYS = "always"
    EDGE = "edge"
    SOMETIMES = "sometimes"
    EVENTUALLY = "eventually"


@attrs.frozen
class Property:
    """One thing that must hold, with the sentence that is printed when it does not.

    `id` says which invariant it states, such as ``I01``; several properties may state parts of one.
    """

    shape: Shape
    id: str
    text: str
    expression: str

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.id}: {self.text}"


def always(id: str, text: str, expression: str) -> Property:  # noqa: A002
    """Holds in every state that can be reached. Names are variables; ``state`` is the machine's state."""
    return Property(Shape.ALWAYS, id, text, expression)


def edge(id: str, text: str, expression: str) -> Property:  # noqa: A002
    """Holds for every step.

    Names are variables after the step, ``before.x`` before it. ``event.x`` is the payload, ``event`` its name
    (``''`` when the environment moves alone), ``kind`` that of the row (``'take'``, ``'ignore'``, ``'unexpected'``,
    ``'refuse'``). ``does('x')`` tells whether the step has the effect `x`, ``effects`` how many there are,
    ``assigned('x')`` whether the row writes the field `x`, ``updated('x')`` whether it has the update `x`, and
    ``moves`` whether it has a target.
    """
    return Property(Shape.EDGE, id, text, expression)


def sometimes(id: str, text: str, expression: str) -> Property:  # noqa: A002
    """Holds in at least one state that can be reached: without it, what is always true may be true of nothing."""
    return Property(Shape.SOMETIMES, id, text, expression)


def eventually(id: str, text: str, expression: str) -> Property:  # noqa: A002
    """The goal of every run: it can be reached from every state, and it is reached once faults cease.

    Judged with weakly fair actions, without commands and faults; timers come only when nothing else can happen, and a
    deadline that stays armed and is never re-armed fires. So does, in a product, a clock of what its machines share.
    """
    return Property(Shape.EVENTUALLY, id, text, expression)
