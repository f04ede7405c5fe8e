"""A pytest plugin for those who test a bot: a fake gateway and a shard on it, in virtual time.

pytest loads it by itself where Gatewright is installed, and it loads nothing of Gatewright until a test asks for it.

* ``fake_gateway``: an entered :class:`~gatewright.harness.fake.FakeGateway`, in memory unless
  ``@pytest.mark.fake_gateway(listen=True)`` says otherwise; the marker takes its options.
* ``gateway_thread``: an entered :class:`~gatewright.harness.fake.GatewayThread`: the gateway on a port, in a thread of
  its own, for tests that are synchronous or run on asyncio; the same marker.
* ``virtual_shard``: a :class:`gatewright.Shard` on it, entered; ``@pytest.mark.virtual_shard(...)`` takes its options.

Tests that use the other two are ``async def`` and run under trio: by pytest-trio where that is installed, else by this
plugin. The clock is a ``MockClock`` that jumps, so that hours pass at once; with a port, which waits for a real
network, it is the real one. A clock among a test's own fixtures, such as pytest-trio's ``mock_clock``, comes before.
Async fixtures of one's own on top of these take pytest-trio.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from gatewright.harness.fake import FakeGateway, GatewayThread
    from gatewright.transport.shard import Shard

_TOKEN: Final = "fake.token"  # noqa: S105 - it opens nothing but the fake
_LATER: Final = object()
_NAMES: Final = ("fake_gateway", "virtual_shard")


# -- the fixtures, under pytest-trio -----------------------------------------------------------------------------------


@pytest.fixture
async def fake_gateway(request: pytest.FixtureRequest) -> AsyncGenerator[FakeGateway]:
    """A fake Discord gateway, entered; the options are those of ``@pytest.mark.fake_gateway(...)``."""
    async with _gateway(request.node) as fake:
        yield fake


@pytest.fixture
async def virtual_shard(request: pytest.FixtureRequest, fake_gateway: FakeGateway) -> AsyncGenerator[Shard]:
    """A shard on `fake_gateway`, entered and on its way to READY; options as ``@pytest.mark.virtual_shard(...)``."""
    async with _shard(request.node, fake_gateway) as shard:
        yield shard


@pytest.fixture
def gateway_thread(request: pytest.FixtureRequest) -> Generator[GatewayThread]:
    """A fake Discord gateway on a port, in a thread; the options are those of ``@pytest.mark.fake_gateway(...)``."""
    from gatewright.harness.fake import GatewayThread

    with GatewayThread(_gateway(request.node, listen=True)) as gateway:
        yield gateway


def _options(item: pytest.Item, name: str) -> dict[str, Any]:
    """What the markers of this name say; the one nearest to the test wins."""
    found: dict[str, Any] = {}
    for marker in item.iter_markers(name):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.{name} takes options by name, such as {name}(guilds=2)")
        found = {**marker.kwargs, **found}
    return found


def _gateway(item: pytest.Item, *, listen: bool = False) -> FakeGateway:
    from gatewright.harness.fake import FakeGateway

    chosen: dict[str, Any] = {"token": _TOKEN, "listen": listen, **_options(item, "fake_gateway")}
    return FakeGateway(**chosen)


def _shard(item: pytest.Item, fake: FakeGateway) -> Shard:
    from gatewright.spec.intents import Intents
    from gatewright.spec.session import Metadata
    from gatewright.transport.metadata import StaticMetadataSource
    from gatewright.transport.shard import Shard

    gateway = _options(item, "fake_gateway")
    chosen: dict[str, Any] = {
        "token": gateway.get("token", _TOKEN),
        "intents": Intents.GUILDS | Intents.GUILD_MESSAGES | Intents.MESSAGE_CONTENT,
        "metadata": StaticMetadataSource(Metadata(url=fake.url)),
        "watch_loop": False,  # its thread has a clock that does not jump
        **({} if _has_port(gateway) else {"opener": fake.open_stream}),
        **_options(item, "virtual_shard"),
    }
    return Shard(chosen.pop("token"), **chosen)


def _has_port(gateway: Mapping[str, Any]) -> bool:
    return bool(gateway.get("listen", False))


# -- running -----------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers."""
    config.addinivalue_line("markers", "fake_gateway(**options): how the fixture fake_gateway is made (Gatewright)")
    config.addinivalue_line("markers", "virtual_shard(**options): how the fixture virtual_shard is made (Gatewright)")


def _is_ours(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and any(name in item.fixturenames for name in _NAMES)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Hands the tests that use the fixtures to pytest-trio, with a clock that jumps."""
    if not any(config.pluginmanager.has_plugin(name) for name in ("trio", "pytest_trio.plugin")):
        return
    for item in items:
        if _is_ours(item) and inspect.iscoroutinefunction(inspect.unwrap(item.obj)):  # type: ignore[attr-defined]  # a Function
            item.add_marker(pytest.mark.trio(run=partial(_run, _options(item, "fake_gateway"))), append=False)


def _run(gateway: Mapping[str, Any], main: Callable[..., Any], *args: Any, clock: Any = None, **options: Any) -> Any:
    import trio
    from trio.testing import MockClock

    if clock is None and not _has_port(gateway):
        clock = MockClock(autojump_threshold=0)
    return trio.run(main, *args, clock=clock, **options)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: Any) -> object | None:
    """Without pytest-trio, what is entered stands in for the fixture later, when the test runs."""
    if fixturedef.argname not in _NAMES or fixturedef.func.__module__ != __name__:
        return None
    if not inspect.iscoroutinefunction(inspect.unwrap(getattr(request.node, "obj", None))):  # type: ignore[arg-type]  # any
        how = f"write `async def {request.node.name}`, or ask for gateway_thread"
        pytest.fail(f"{fixturedef.argname} lives in trio: {how}", pytrace=False)
    if request.node.get_closest_marker("trio") is not None:
        return None
    fixturedef.cached_result = (_LATER, fixturedef.cache_key(request), None)
    return _LATER


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Without pytest-trio: runs a test that uses the fixtures."""
    if not _is_ours(pyfuncitem) or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    gateway = _options(pyfuncitem, "fake_gateway")

    async def main() -> None:
        async with AsyncExitStack() as stack:
            given = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
            fake = await stack.enter_async_context(_gateway(pyfuncitem))
            entered: dict[str, object] = {"fake_gateway": fake}
            if "virtual_shard" in wanted:
                entered["virtual_shard"] = await stack.enter_async_context(_shard(pyfuncitem, fake))
            await pyfuncitem.obj(**{**given, **{name: value for name, value in entered.items() if name in wanted}})

    _run(gateway, main)
    return True
