"""Short runs of the fuzzers; `make fuzz` has the long ones. Whatever is drawn, only what is declared may happen."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.harness.fuzz import BytesRandom
from gatewright.harness.fuzz.core import Tally, fuzz_core
from gatewright.harness.fuzz.live import fuzz_live
from gatewright.harness.fuzz.run import PORTION, Outcome, Portion, growth, main, play, portions
from gatewright.spec import events
from gatewright.transport import codec
from gatewright.transport.dispatch import Dispatch

MOST_PORTIONS = 40
MORE = "run `make fuzz` for the rest"


def test_every_message_row_of_the_table_is_taken_and_no_invariant_breaks(
    record_property: Callable[[str, object], None],
) -> None:
    tally = Tally()
    for portion in portions(MOST_PORTIONS * PORTION["core"], 0, seed=1):
        outcome = play(portion)
        assert not outcome.failure, outcome.failure
        assert outcome.core is not None
        tally.add(outcome.core)
        if not tally.missing:
            break
    assert not tally.missing
    record_property("figure", f"{tally.frames:6} frames take all {len(tally.rows)} message rows; {MORE}")


@given(st.binary(max_size=400))
def test_no_bytes_lead_a_core_to_anything_undeclared(data: bytes) -> None:
    fuzz_core(BytesRandom(data), 20)


@given(st.binary(max_size=2000) | st.text(max_size=1000))
def test_any_message_is_decoded_into_a_message_of_the_table(message: bytes | str) -> None:
    event, _ = codec.decode(message, gen=1, wall_clock=lambda: 0.0)
    assert isinstance(event, events.Message)


def test_a_whole_shard_lives_through_it(record_property: Callable[[str, object], None]) -> None:
    tally = fuzz_live(Random(1), 1000)
    assert tally.connections > 50
    assert {"protocol_violation", "closed", "ready", "resumed", "session_invalidated"} <= tally.steps.keys()
    record_property("figure", f"{tally.frames:6} frames on {tally.connections} connections of whole shards; {MORE}")


def test_a_decoder_with_a_defect_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a message that none has a row for, and one that raises."""

    def lenient(message: str | bytes, **options: object) -> tuple[events.Event, Dispatch | None]:
        if b"NaN" in (message if isinstance(message, bytes) else message.encode()):
            return events.SlotGranted(99), None
        return decode(message, **options)  # type: ignore[arg-type] # passed on as they came

    def strict(message: str | bytes, **options: object) -> tuple[events.Event, Dispatch | None]:
        if b"\\ud800" in (message if isinstance(message, bytes) else message.encode()):
            raise UnicodeError
        return decode(message, **options)  # type: ignore[arg-type] # passed on as they came

    decode = codec.decode
    for broken, error in ((lenient, AssertionError), (strict, UnicodeError)):
        monkeypatch.setattr(codec, "decode", broken)
        with pytest.raises(error):
            fuzz_core(Random(1), 5000)


def test_a_portion_can_be_repeated_alone(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--core", "30000", "--live", "0", "--processes", "1"]
    assert main([*given, "--only", "core:2"]) == 0
    assert "10,000 frames" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*given, "--only", "core:3"])


@pytest.mark.parametrize(("resident", "grown"), [([50, 90, 51, 50], "0.0"), ([50, 50, 60, 61], "10.0"), ([50], "0.0")])
def test_memory_that_leaks_is_told_from_a_large_message(resident: list[float], grown: str) -> None:
    outcomes = [Outcome(Portion("core", n, 1, 1), process=1, resident=held) for n, held in enumerate(resident)]
    assert f"grew by {grown} MiB" in growth(outcomes)


@pytest.mark.slow
def test_the_guided_fuzzer_runs(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="pip install 'gatewright[fuzz]'")
    command = [sys.executable, "-m", "gatewright.harness.fuzz.guided", "-runs=300", "-max_len=200", "-seed=1"]
    run = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Done 300 runs" in run.stderr
    assert list(tmp_path.iterdir()) == []  # it would leave there what it found
