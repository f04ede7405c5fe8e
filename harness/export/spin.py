"""Runs Spin on exported models: how many states it stores, whether an assertion broke, and what goes on for ever."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from gatewright.spec.errors import GatewrightError

COMPILE: Final = ("-O0", "-w", "-DNOREDUCE", "-DVECTORSZ=2048")
"""Without reductions: every state in full, as the explorer has them. Optimising the code of the model takes three times
as long as not to, and saves nothing that could be measured."""
_WRITE: Final = ("-o1", "-o2")
"""Neither forgets values that nobody reads any more nor leaves out variables that nobody reads."""
_CYCLE: Final = "<<<<<START OF CYCLE>>>>>"
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


@attrs.frozen(kw_only=True)
class SpinConvergence:
    """What Spin found of one `eventually`.

    `verdict` is ``holds``, ``liveness`` (a cycle), ``deadlock`` (nothing can happen short of the goal) or ``illegal``.
    `way` and `cycle` are the run that shows it, each step as the name of its action and the number of the machine's
    state after it: the way up to the moment from which on `cycle` repeats. It is not the shortest.
    """

    states: int
    verdict: str
    way: tuple[tuple[str, int], ...]
    cycle: tuple[tuple[str, int], ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """The goal is reached."""
        return self.verdict == "holds"


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
    began = time.monotonic()
    with _folder() as where:
        said = _searched(model, where, ("-DSAFETY",), ("-c0",), seconds)
    states, transitions, violated = _counted(model, said)
    return SpinResult(
        states=states,
        transitions=transitions,
        verdicts=frozenset(
            map(_verdict, re.findall(r"^pan:\d+: (assertion violated.*?)\s*\(at depth", said, re.MULTILINE))
        ),
        violated=violated,
        seconds=time.monotonic() - began,
    )


def run_convergence(model: str, *, fair: bool = True, seconds: float = 600.0) -> SpinConvergence:
    """Checks a model that :func:`gatewright.harness.export.promela_convergence` wrote.

    Args:
        model: the Promela text.
        fair: whether what stays possible happens in the end. Without it, more goes on for ever.
        seconds: after which each of the three programs is given up.

    Raises:
        SpinError: Spin is not installed, refuses the model, or does not finish in time.
    """
    began = time.monotonic()
    with _folder() as where:
        flags = convergence_flags(model.count("\nactive proctype "))
        said = _searched(model, where, flags, ("-a", "-E", *(("-f",) if fair else ())), seconds)
        states, _, violated = _counted(model, said)
        replayed = _run(["spin", "-t", "-T", "model.pml"], where, seconds) if violated else ""
    way, _, cycle = replayed.partition(_CYCLE)
    return SpinConvergence(
        states=states,
        verdict=_divergence(violated),
        way=tuple(_told(way)),
        cycle=_once(tuple(_told(cycle))),
        seconds=time.monotonic() - began,
    )


def convergence_flags(processes: int) -> tuple[str, ...]:
    """What the C compiler is told of such a model: a run that ends is no cycle, and fairness counts so many."""
    return "-DNOSTUTTER", f"-DNFAIR={processes // 4 + 2}"


def _told(replayed: str) -> Iterator[tuple[str, int]]:
    """Actions, and the state of the machine after each, as the model prints them."""
    for name, state in re.findall(r"^(.*\S): state (\d+)$", replayed, re.MULTILINE):
        yield name, int(state)


def _once(cycle: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Spin goes round once for each process; this is what repeats."""
    periods = (length for length in range(1, len(cycle)) if len(cycle) % length == 0)
    return next((cycle[:length] for length in periods if cycle == cycle[:length] * (len(cycle) // length)), cycle)


def _divergence(violated: str) -> str:
    if not violated:
        return "holds"
    if violated.startswith("acceptance cycle"):
        return "liveness"
    return {"legal": "illegal", "moving": "deadlock"}.get(_asserted(violated), violated)


@contextlib.contextmanager
def _folder() -> Generator[Path]:
    if not spin_is_here():
        raise SpinError("spin and a C compiler are needed: apt install spin build-essential")
    with tempfile.TemporaryDirectory(prefix="gatewright-spin-") as folder:
        yield Path(folder)


def _searched(model: str, where: Path, compiling: Iterable[str], running: Iterable[str], seconds: float) -> str:
    """What the verifier says of a model."""
    (where / "model.pml").write_text(model, encoding="utf-8")
    _run(["spin", *_WRITE, "-a", "model.pml"], where, seconds)
    _run(["cc", *COMPILE, *compiling, "-o", "pan", "pan.c"], where, seconds)
    said = ""
    for depth in _DEPTHS:
        said = _run(["./pan", "-w22", *running, f"-m{depth}"], where, seconds)
        if "max search depth too small" not in said:
            return said
    raise _unfinished(said)


def _counted(model: str, said: str) -> tuple[int, int, str]:
    """States of the exploration, transitions, and Spin's word on the first error."""
    stored = re.search(r"(\S+) states, stored", said)
    steps = re.search(r"(\S+) transitions", said)
    errors = re.search(r"errors: (\d+)", said)
    if stored is None or steps is None or errors is None:
        raise _unfinished(said)
    broken = re.search(r"^pan:1: (.*?)\s*(?:\(at depth|$)", said, re.MULTILINE)
    if int(errors[1]) == 0 and broken is not None:
        raise _unfinished(said)
    choice = re.search(r"^active proctype \w+\(\) \{\n  if\n", model, re.MULTILINE) is not None
    violated = "" if int(errors[1]) == 0 else broken[1] if broken else "an error without a name"
    return round(float(stored[1])) - choice, round(float(steps[1])), violated


def _asserted(violated: str) -> str:
    """The name in a broken assertion, if it is one."""
    found = re.match(r"assertion violated \(*(\w+)", violated)
    return "" if found is None else found[1]


def _verdict(violated: str) -> str:
    return {"legal": "illegal", "safe": "safety"}.get(_asserted(violated), "edge")


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
