"""The invariants I01 to I23 as properties of the exploration, and a table of where each is proved.

Facts are written out here again, on purpose: a property that asked the table would agree with whatever the table says.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gatewright.harness.explore.gateway_properties.attempts import ATTEMPTS
from gatewright.harness.explore.gateway_properties.connection import CONNECTION
from gatewright.harness.explore.gateway_properties.coverage import COVERAGE
from gatewright.harness.explore.gateway_properties.life import LIFE
from gatewright.harness.explore.gateway_properties.session import SESSION
from gatewright.harness.explore.gateway_properties.timing import TIMING
from gatewright.harness.explore.properties import Property

PROPERTIES: Final[tuple[Property, ...]] = tuple(
    sorted((*CONNECTION, *SESSION, *ATTEMPTS, *TIMING, *LIFE, *COVERAGE), key=lambda item: item.id)
)
"""In the order of their ids, which is that of reports; of two that break in one step the first is named."""

WHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "I16": "sends are queued above the machine: L5, `tests/transport/test_outbox.py`",
        "I19": "of two shards, in `harness/explore/gateway_bucket.py`",
        "I22": "the abstraction holds no text at all: `tests/transport/test_shard_secrets.py`",
    }
)
"""Invariants that no property states, each with where it is proved instead."""
