"""The load server and the clients, each in a process of its own, on loads that are over in a moment."""

from collections.abc import Mapping

import attrs
import msgspec
import pytest

from benchmarks.payloads import Endless, frame
from benchmarks.run import Result, run_client, serving
from benchmarks.scenarios import OURS
from benchmarks.server import Load
from gatewright.harness.memory import resident
from gatewright.transport.frames import FrameSplitter, Received

pytestmark = pytest.mark.sockets

EVENTS = 300


def measured(load: Load, client: str = OURS, **options: object) -> Result:
    with serving(load) as task:
        return run_client(client, attrs.evolve(task, **options))  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize("client", ["bare", OURS])
@pytest.mark.parametrize("compress", ["none", "zlib-stream"])
@pytest.mark.parametrize("tls", [False, True])
def test_every_event_of_a_burst_reaches_the_client(client: str, compress: str, tls: bool) -> None:
    result = measured(Load(mode="burst", events=EVENTS, compress=compress, tls=tls), client, decode=True)
    assert result["events"] == EVENTS + 2  # READY and the last


def test_a_paced_load_says_how_long_each_event_was_on_its_way() -> None:
    result = measured(Load(mode="paced", events=EVENTS, rate=3000.0), scenario="latency")
    assert 0 < result["p50_us"] <= result["p99_us"]


def test_a_flood_ends_with_what_the_server_has_seen_of_the_heartbeats() -> None:
    result = measured(Load(mode="flood", seconds=3.0, interval=0.1), scenario="flood")
    assert result["beats"] >= 3  # of thirty: how many it are is measured, and not judged here
    assert result["thousands_per_s"] > 0


@pytest.mark.parametrize("drop", ["close", "op 7", "reset"])
def test_a_resume_takes_the_round_trips_that_the_distance_makes_necessary(drop: str) -> None:
    result = measured(Load(mode="drop", drop=drop, latency=0.02), scenario="resume")
    assert result["round_trips"] >= 3.0
    assert result["beyond_ms"] == pytest.approx((result["round_trips"] - 3) * 40.0)


@pytest.mark.parametrize(
    ("scenario", "spacing"),
    [
        ("startup", 0.05),
        pytest.param("memory", 0.0, marks=pytest.mark.skipif(resident() is None, reason="nobody says how much it is")),
    ],
)
def test_many_shards_become_ready(scenario: str, spacing: float) -> None:
    result = measured(Load(mode="idle"), scenario=scenario, spacing=spacing, count=8, concurrency=4)
    expected: Mapping[str, set[str]] = {
        "startup": {"ratio", "seconds", "least_seconds", "cpu_ms_per_shard"},
        "memory": {"kib_each"},
    }
    assert set(result) == expected[scenario]
    if scenario == "startup":
        assert result["least_seconds"] == pytest.approx(0.05)
        assert result["ratio"] >= 1.0


def test_a_flood_is_made_of_events_whose_sequences_grow() -> None:
    endless, splitter, found = Endless(), FrameSplitter(1 << 20), list[Received]()
    for _ in range(3):
        splitter.feed(endless.chunk(), found)
    events = [msgspec.json.decode(message) for message in found]  # type: ignore[arg-type]  # none is too large
    assert [event["s"] for event in events] == list(range(1_000_000_000, 1_000_003_000))
    assert endless.seq == 1_000_003_000


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_frame_is_read_as_it_was_made(size: int) -> None:
    found: list[Received] = []
    assert FrameSplitter(1 << 20).feed(frame(b"x" * size, 2), found) == b""
    assert found == [b"x" * size]
