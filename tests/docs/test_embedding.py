"""docs/embedding.md: each of its examples runs as it stands, against the fake gateway, and does what the page says."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import gatewright
from gatewright.harness.fake import FakeGateway
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.seams import Clock, IdentifyGate, MetadataSource, Observer, Registration, StreamOpener
from gatewright.transport.shard import Shard
from gatewright.transport.urls import GatewayUrl
from tests.support.checkout import ROOT
from tests.support.shards import handshakes

PAGE = (ROOT / "docs/embedding.md").read_text(encoding="utf-8")
SECTIONS = {title: text for title, _, text in (part.partition("\n") for part in PAGE.split("\n## "))}


Check = Callable[[dict[str, Any], FakeGateway], Awaitable[None]]


def code(text: str) -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks)


EXAMPLES = {title: code(text) for title, text in SECTIONS.items() if code(text) and title != "# Embedding"}
RUNNING = sorted(EXAMPLES.keys() - {"A proxy, other authorities"})


def run(title: str, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Runs the example as it stands, in a world in which the network is the fake."""

    def shard(*args: Any, **options: Any) -> Shard:
        defaults = {"metadata": StaticMetadataSource(Metadata(url=fake.url)), "opener": fake.open_stream}
        return Shard(*args, **{**defaults, **options})

    monkeypatch.setattr(gatewright, "Shard", shard)
    namespace: dict[str, Any] = {"OPENER": fake.open_stream}
    source = code(SECTIONS["# Embedding"]) + EXAMPLES[title]
    exec(compile(source, f"docs/embedding.md: {title}", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("title", RUNNING)
async def test_an_example_leads_to_ready(
    title: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeGateway(token="fake.token", listen=False) as fake:
        example = run(title, fake, monkeypatch)
        if title == "Where metadata come from":
            example["answers"].append(Metadata(url=fake.url))
        async with example["shard"] as shard:
            with trio.fail_after(60):
                await shard.wait_for("ready")
            await CHECKS.get(title, nothing)(example, fake)
        assert example.get("bound", []) == []


async def nothing(example: dict[str, Any], fake: FakeGateway) -> None:
    """The example has shown all it can by being ready."""


async def an_opener_decides(example: dict[str, Any], fake: FakeGateway) -> None:
    example["blocked"] |= {GatewayUrl("wss", "gateway.invalid", 443).host, "resume.gateway.invalid"}
    example["shard"].reconnect()
    await example["shard"].wait_for("connecting")
    await example["shard"].wait_for("backing_off")
    assert any("is blocked here" in record.detail for record in example["shard"].journal)
    example["blocked"].clear()
    await example["shard"].wait_for("ready")


async def a_gate_is_shared(example: dict[str, Any], fake: FakeGateway) -> None:
    before = trio.current_time()
    async with example["shards"][1] as second:
        await second.wait_for("ready")
    assert trio.current_time() - before >= 5


async def an_observer_sees(example: dict[str, Any], fake: FakeGateway) -> None:
    assert example["moves"].seen[0] == "idle -register-> registering"
    assert example["moves"].seen[-1].endswith("-> ready")


async def registrations_are_bound(example: dict[str, Any], fake: FakeGateway) -> None:
    assert example["bound"] == ["the bot"]


async def sessions_survive(example: dict[str, Any], fake: FakeGateway) -> None:
    await example["stop_for_a_restart"](example["shard"])
    async with example["after_the_restart"]() as again:
        await again.wait_for("ready")
    assert handshakes(fake) == ["identify", "resume"]


async def metadata_may_be_missing(example: dict[str, Any], fake: FakeGateway) -> None:
    example["answers"].clear()
    with pytest.raises(Exception, match="has not asked yet"):
        await example["OfTheHost"]().fetch()


CHECKS: dict[str, Check] = {
    "How streams are opened": an_opener_decides,
    "Where metadata come from": metadata_may_be_missing,
    "Who may identify": a_gate_is_shared,
    "Who watches": an_observer_sees,
    "Side effects of being registered": registrations_are_bound,
    "Where sessions are kept": sessions_survive,
}


def test_each_check_belongs_to_an_example() -> None:
    assert CHECKS.keys() <= EXAMPLES.keys()


def test_the_example_of_a_proxy_is_accepted() -> None:
    namespace: dict[str, Any] = {}
    exec(code(SECTIONS["# Embedding"]) + EXAMPLES["A proxy, other authorities"], namespace)
    assert "p@ss" not in repr(namespace["shard"])


def test_every_seam_is_on_the_page() -> None:
    seams = {"metadata": MetadataSource, "opener": StreamOpener, "gate": IdentifyGate, "observers": Observer}
    rest = {"registrations": Registration, "clock": Clock, "random": Clock, "wall_clock": Clock, "session": object}
    table = SECTIONS["# Embedding"]
    assert [name for name in {**seams, **rest} if f"`{name}=`" not in table] == []


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", PAGE))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
