"""The pytest plugin, in the projects of users: with pytest-trio, without it, and where nobody uses it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, project, run

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

PLUGIN = "gatewright.harness.pytest_plugin"
RUNNERS = {
    "plain": (),
    "pytest-trio": ("-p", "pytest_trio.plugin"),
    "pytest-trio in its mode": ("-p", "pytest_trio.plugin", "-o", "trio_mode=true"),
}

TESTS = """
import time
import pytest
import trio

BEGAN = time.monotonic()

async def test_a_shard_gets_ready(virtual_shard, fake_gateway):
    await virtual_shard.wait_for("ready")
    assert fake_gateway.identifies == 1

async def test_a_day_passes_at_once(virtual_shard, fake_gateway):
    await virtual_shard.wait_for("ready")
    before = trio.current_time()
    await trio.sleep(24 * 3600)
    assert trio.current_time() - before >= 24 * 3600
    assert fake_gateway.heartbeats > 2000

@pytest.mark.fake_gateway(guilds=3)
class TestOptions:
    @pytest.mark.fake_gateway(token="another.token")
    @pytest.mark.virtual_shard(shard_id=1, shard_count=2)
    async def test_markers_add_up_and_the_nearest_wins(self, virtual_shard, fake_gateway, tmp_path):
        await virtual_shard.wait_for("ready")
        assert (virtual_shard.shard_id, len(fake_gateway.guilds), tmp_path.exists()) == (1, 3, True)

@pytest.mark.fake_gateway(listen=True)
async def test_with_a_port_time_is_real(virtual_shard, fake_gateway):
    assert fake_gateway.url.startswith("ws://127.0.0.1:")
    before = time.monotonic()
    await trio.sleep(0.05)
    assert time.monotonic() - before >= 0.04
    await virtual_shard.wait_for("ready")

@pytest.mark.parametrize("code", [4000, 4009])
async def test_a_close_is_survived(fake_gateway, virtual_shard, code):
    await virtual_shard.wait_for("ready")
    fake_gateway.close(code)
    await virtual_shard.wait_for("backing_off")
    await virtual_shard.wait_for("ready")

def test_that_has_nothing_to_do_with_it():
    pass
"""


@pytest.fixture
def user(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of a user's; the plugins are named, whatever is installed here."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return pytester


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_fixtures_work_in_a_project(user: pytest.Pytester, runner: str) -> None:
    user.makepyfile(TESTS)
    result = user.runpytest_subprocess("-p", PLUGIN, *RUNNERS[runner], "--strict-markers", "-W", "error")
    result.assert_outcomes(passed=7)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_test_that_fails_fails_with_its_own_assertion(user: pytest.Pytester, runner: str) -> None:
    user.makepyfile("""
        async def test_wrong(virtual_shard):
            await virtual_shard.wait_for("ready")
            assert virtual_shard.state == "stopped"
    """)
    result = user.runpytest_subprocess("-p", PLUGIN, *RUNNERS[runner])
    result.assert_outcomes(failed=1)
    assert "assert <State.READY: 'ready'> == 'stopped'" in result.stdout.str()


def test_a_fixture_of_the_users_own_builds_on_them_under_pytest_trio(user: pytest.Pytester) -> None:
    user.makepyfile("""
        import pytest

        @pytest.fixture
        async def ready(virtual_shard):
            await virtual_shard.wait_for("ready")
            return virtual_shard

        async def test_it(ready, mock_clock):
            assert ready.state == "ready"
            assert mock_clock.autojump_threshold == float("inf")  # the test's own clock comes before
    """)
    result = user.runpytest_subprocess("-p", PLUGIN, *RUNNERS["pytest-trio"])
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_test_that_is_not_async_is_told_to_be(user: pytest.Pytester, runner: str) -> None:
    user.makepyfile("def test_it(virtual_shard): ...")
    result = user.runpytest_subprocess("-p", PLUGIN, *RUNNERS[runner])
    assert "lives in trio: write `async def test_it`" in result.stdout.str()


def test_options_without_a_name_are_refused(user: pytest.Pytester) -> None:
    user.makepyfile("""
        import pytest

        @pytest.mark.fake_gateway(2)
        async def test_it(fake_gateway): ...
    """)
    result = user.runpytest_subprocess("-p", PLUGIN)
    assert "takes options by name" in result.stdout.str()


def test_those_who_do_not_use_it_pay_for_next_to_nothing(user: pytest.Pytester) -> None:
    user.makepyfile("""
        import sys

        def test_it():
            loaded = {name for name in sys.modules if name.startswith("gatewright")}
            assert loaded == {
                "gatewright", "gatewright._version", "gatewright.harness", "gatewright.harness.pytest_plugin"
            }
            assert "trio" not in sys.modules
    """)
    user.runpytest_subprocess("-p", PLUGIN).assert_outcomes(passed=1)


def test_pytest_finds_it_where_gatewright_is_installed(tmp_path: Path) -> None:
    assert project()["project"]["entry-points"]["pytest11"] == {"gatewright": PLUGIN}
    run(sys.executable, "-c", f"import {PLUGIN}")


THREADED = """
import asyncio
import threading
import unittest

import pytest

from gatewright import Intents
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.embed import AsyncioShard


async def hear(gateway):
    source = StaticMetadataSource(Metadata(url=gateway.url))
    async with AsyncioShard("fake.token", intents=Intents.GUILDS, metadata=source) as shard:
        await shard.wait_for("ready")
        gateway.do(gateway.fake.dispatch, "MESSAGE_CREATE", {"content": "hello"})
        async for event in shard:
            if event.type == "MESSAGE_CREATE":
                return event.data["content"]


@pytest.mark.fake_gateway(guilds=3)
def test_a_synchronous_test_has_a_gateway_beside_it(gateway_thread):
    assert asyncio.run(hear(gateway_thread)) == "hello"
    assert (gateway_thread.fake.identifies, len(gateway_thread.fake.guilds)) == (1, 3)


class TestCase(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _gateway(self, gateway_thread):
        self.gateway = gateway_thread

    def test_so_has_one_of_unittest(self):
        async def main():
            heard = asyncio.create_task(hear(self.gateway))
            await asyncio.to_thread(self.gateway.do, self.gateway.fake.wait_for_identify)
            return await heard

        assert asyncio.run(main()) == "hello"


def test_nothing_is_left():
    assert "fake gateway" not in [thread.name for thread in threading.enumerate()]
"""


@pytest.mark.sockets
@pytest.mark.parametrize("runner", RUNNERS)
def test_the_gateway_in_a_thread_serves_synchronous_tests_and_those_on_asyncio(
    user: pytest.Pytester, runner: str
) -> None:
    user.makepyfile(THREADED)
    result = user.runpytest_subprocess("-p", PLUGIN, *RUNNERS[runner])
    result.assert_outcomes(passed=3)
