"""A message of a kilobyte that inflates to a gibibyte, against a whole shard in a process whose memory is measured."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewright.transport.inflate import Compression

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc"
    ),
]

MOST = 64
"""Mebibytes that a bomb may cost."""

# The server's end makes its bomb in pieces; what it costs is in the figure as well.
SHARD = """
import sys
import trio
from trio.testing import MockClock
from gatewright.harness.fake import Bomb, Connection, FakeGateway
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

async def main():
    async with FakeGateway(token="fake.token", guilds=0, listen=False, script=[Connection(), Connection()]) as fake:
        metadata = StaticMetadataSource(Metadata(url=fake.url))
        shard = Shard("fake.token", intents=0, metadata=metadata, opener=fake.open_stream, compress=sys.argv[1])
        async with shard:
            await shard.wait_for("ready")
            before = peak()
            fake.perform(Bomb(1024 * 1024 * 1024))
            await shard.wait_for("resuming")
            print(peak() - before)
            print(" ".join(record.detail for record in shard.journal if record.event == "protocol_violation"))
            await shard.wait_for("ready")

trio.run(main, clock=MockClock(autojump_threshold=0))
"""


@pytest.mark.parametrize("kind", [kind for kind in Compression if kind is not Compression.NONE])
def test_a_bomb_of_a_gibibyte_costs_little_and_ends_in_a_violation(
    kind: Compression, record_property: Callable[[str, object], None]
) -> None:
    if kind is Compression.ZSTD_STREAM:
        pytest.importorskip("gatewright.transport.zstd_stream", reason="pip install 'gatewright[zstd]'")
    run = subprocess.run([sys.executable, "-c", SHARD, kind.value], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    cost, violation = run.stdout.splitlines()
    assert "too_large" in violation
    assert 16 < float(cost) < MOST  # below that, the bomb was none
    record_property("figure", f"{float(cost):6.1f} MiB for a bomb of 1024 MiB by {kind.value}")
