"""`gatewright fake`: a line for everything, a clean end by Ctrl-C, and plain words for a script that is none."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from gatewright.cli import main
from gatewright.harness.fake import Faults
from gatewright.harness.fake.scriptfile import dump
from tests.cli.command import BOUND, environment, heed_signals
from tests.support.checkout import ROOT

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

COMMAND = [sys.executable, "-m", "gatewright", "fake"]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=heed_signals,  # noqa: PLW1509 - it sets two signals, and nothing that a thread might hold
    )


def end(process: subprocess.Popen[str], sign: signal.Signals = signal.SIGINT) -> tuple[str, str]:
    process.send_signal(sign)
    return process.communicate(timeout=BOUND)


def test_it_serves_and_says_so_until_ctrl_c() -> None:
    with start("--json", "--token", "secret.token") as process:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        assert where["record"] == "Serving"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{where['api']}/v10/gateway", timeout=BOUND) as answer:
            assert answer.headers["content-type"] == "application/json"
            assert json.load(answer) == {"url": where["gateway"]}
        asked, answered = (json.loads(process.stdout.readline()) for _ in range(2))
        assert (asked["record"], asked["path"]) == ("MetadataRequested", "/api/v10/gateway")
        assert (answered["record"], answered["status"]) == ("MetadataAnswered", 200)
        _, complaints = end(process)
        assert (process.returncode, complaints) == (130, "")


def test_a_seed_prints_its_plan_and_people_get_lines() -> None:
    with start("--seed", "7") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The fake gateway is at ws://127.0.0.1:")
        _, said = end(process, signal.SIGTERM)
    assert dump(Faults(seed=7).script) in said


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            '{"connections": [{"hello": ["delai"]}]}',
            "gatewright: script.json: connections[0].hello[0]: 'delai' is no word",
        ),
        (None, "gatewright: "),
    ],
)
def test_a_script_that_is_none_is_refused_in_words(tmp_path: Path, script: str | None, words: str) -> None:
    path = tmp_path / "script.json"
    if script is not None:
        path.write_text(script)
    done = subprocess.run(
        [*COMMAND, "--script", path], capture_output=True, encoding="utf-8", timeout=BOUND, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(words)
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "--port", port], capture_output=True, encoding="utf-8", timeout=BOUND, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("gatewright: ")
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["fake", "--port", port])
    assert "is no port" in capsys.readouterr().err
