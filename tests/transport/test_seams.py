"""The seams: what implementations promise to type checkers, and what their refusals say to people."""

import pytest

from gatewright.spec.errors import GatewrightError
from gatewright.spec.events import ConnectError, MetadataError, SlotRefusal
from gatewright.spec.session import Metadata
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.metadata import CachedMetadataSource, HttpMetadataSource, StaticMetadataSource
from gatewright.transport.seams import (
    ConnectionUnavailable,
    GateUnavailable,
    IdentifyGate,
    MetadataSource,
    MetadataUnavailable,
    Slot,
    StreamOpener,
)
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.token import Token
from tests.support.conforms import conforms


@conforms("A21")
def test_everything_in_memory_can_be_made_outside_of_an_event_loop_and_fits_its_seam() -> None:
    # The annotations are the test: mypy and pyright compare each implementation with its Protocol here.
    http: MetadataSource = HttpMetadataSource(Token("a.b.c"))
    static: MetadataSource = StaticMetadataSource(Metadata(url="wss://gateway.discord.gg"))
    cached: MetadataSource = CachedMetadataSource(http)
    opener: StreamOpener = TcpStreamOpener()
    gate: IdentifyGate = InMemoryIdentifyGate()
    assert all((http, static, cached, opener, gate))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            MetadataUnavailable(MetadataError.FATAL, "HTTP 401: the token was refused"),
            "no gateway metadata (fatal): HTTP 401: the token was refused",
        ),
        (
            ConnectionUnavailable(ConnectError.TLS, "h: certificate has expired"),
            "no connection (tls): h: certificate has expired",
        ),
        (GateUnavailable(SlotRefusal.BUDGET, 12.34), "no identify slot (budget); asking again makes sense in 12.3 s"),
    ],
)
def test_a_refusal_says_what_is_missing_and_why(error: GatewrightError, text: str) -> None:
    assert str(error) == text


def test_a_slot_is_a_value_that_a_gate_elsewhere_can_name_again() -> None:
    assert Slot(3, 1, "t") == Slot(3, 1, "t")
    assert hash(Slot(3, 1, "t")) == hash(Slot(3, 1, "t"))
