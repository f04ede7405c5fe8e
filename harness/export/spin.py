"""Runs Spin on an exported model: how many states it stores, and whether an assertion broke."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import attrs

from gatewright.spec.errors import GatewrightError

_COMPILE: Final = ("-O0", "-w", "-DSAFETY", "-DNOREDUCE", "-DVECTORSZ=2048")
"""Without reductions: every state in full, as the explorer has them. Optimising the code of the model takes three times
as long as not to, and saves nothing that could be measured."""
_WRITE: Final = ("-o1", "-o2")
"""Neither forgets values that nobody reads any more nor leaves out variables that nobody reads."""
_DEPTHS: Final = (1_000_000, 20_000_000)
"""How deep a way may be, in steps; memory is taken for all of them, so few are tried first."""


class SpinError(GatewrightError):
    """Spin or the C compiler refused a model, or did not finish it."""


@attrs.frozen(kw_only=True)
class SpinResult:
    """What Spin found.

    `states` are those of the exploration: the one that Spin stores before it has chosen a beginning, where there is a
    choice, does not count. `violated` is Spin's word on the first broken assertion, empty when none broke. Spin goes
    deep first and goes on after a fault, so `verdicts` has every class of what is wrong, in the explorer's words
    (``safety``, ``edge``, ``illegal``); the nearest fault, which is the explorer's, must be among them.
    """

    states: int
    transitions: int
    violated: str
    verdicts: frozenset[str]
    seconds: float

    @property
    def ok(self) -> bool:
        """No assertion broke."""
        return not self.violated


def spin_is_here() -> bool:
    """Whether Spin and a C compiler are installed."""
    return shutil.which("spin") is not None and shutil.which("cc") is not None


def run_spin(model: str, *, seconds: float = 600.0) -> SpinResult:
    """Checks a model that :func:`gatewright.harness.export.promela` wrote.

    Args:
        model: the Promela text.
        seconds: after which each of the three programs is given up.

    Raises:
        SpinError: Spin is not installed, refuses the model, or does not finish in time.
    """
    if not spin_is_here():
        raise SpinError("spin and a C compiler are needed: apt install spin build-essential")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gatewright-spin-") as folder:
        where = Path(folder)
        (where / "model.pml").write_text(model, encoding="utf-8")
        _run(["spin", *_WRITE, "-a", "model.pml"], where, seconds)
        _run(["cc", *_COMPILE, "-o", "pan", "pan.c"], where, seconds)
        said = ""
        for depth in _DEPTHS:
            said = _run(["./pan", "-w22", "-c0", f"-m{depth}"], where, seconds)
            if "max search depth too small" not in said:
                break
    stored = re.search(r"(\S+) states, stored", said)
    steps = re.search(r"(\S+) transitions", said)
    errors = re.search(r"errors: (\d+)", said)
    if stored is None or steps is None or errors is None:
        raise _unfinished(said)
    broken = re.search(r"^pan:1: (.*?)\s*(?:\(at depth|$)", said, re.MULTILINE)
    if int(errors[1]) == 0 and broken is not None:
        raise _unfinished(said)
    choice = re.search(r"^active proctype \w+\(\) \{\n  if\n", model, re.MULTILINE) is not None
    return SpinResult(
        states=round(float(stored[1])) - choice,
        transitions=round(float(steps[1])),
        verdicts=frozenset(
            map(_verdict, re.findall(r"^pan:\d+: (assertion violated.*?)\s*\(at depth", said, re.MULTILINE))
        ),
        violated="" if int(errors[1]) == 0 else broken[1] if broken else "an error without a name",
        seconds=time.monotonic() - began,
    )


def _verdict(violated: str) -> str:
    asserted = re.match(r"assertion violated \(*(\w+)", violated)
    return {"legal": "illegal", "safe": "safety"}.get("" if asserted is None else asserted[1], "edge")


def _unfinished(said: str) -> SpinError:
    return SpinError(f"spin did not finish:\n{said[-2000:]}")


def _run(command: list[str], where: Path, seconds: float) -> str:
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SpinError(f"{command[0]} had not finished after {seconds:.0f} s") from error
    if done.returncode != 0 and command[0] != "./pan":
        raise SpinError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
