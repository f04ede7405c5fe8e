"""Properties of the door that do not hold: whoever reads an exported model must find each of them broken."""

from __future__ import annotations

from typing import Final

import pytest

from gatewright.harness.explore import Property, always, edge

_BROKEN: Final = [
    always("X", "nobody gets in", "state != Door.OPEN"),
    edge("X", "it never closes", "before.state != Door.OPEN"),
    edge("X", "the bolt stays", "not does('unbolt')"),
    edge("X", "blame is forgotten", "not updated('blame') or not assigned('wrong')"),
    edge("X", "no row of that name is taken", "row != 'locked.code.blocked'"),
    edge("X", "codes do nothing", "event != 'code' or not moves"),
    edge("X", "nothing is taken", "kind not in ('take', 'refuse')"),
    edge("X", "nothing has an effect", "effects == 0"),
    edge("X", "counts stay", "wrong <= before.wrong"),
    edge("X", "right codes only", "event != 'code' or event.right"),
]


def _text(broken: Property) -> str:
    return broken.text


each_broken = pytest.mark.parametrize("broken", _BROKEN, ids=_text)
