"""`gatewright demo`: chooses the view, plays the story, and says what came of it."""

from __future__ import annotations

import functools
import logging
import sys
from typing import Final

import trio
from rich.console import Console

from gatewright.harness.demo.lines import LinesView
from gatewright.harness.demo.live import LiveView, fits
from gatewright.harness.demo.plain import PlainView
from gatewright.harness.demo.promises import PROMISES
from gatewright.harness.demo.stage import Stage, Verdict, View
from gatewright.harness.demo.story import play

SEEN: Final = 0
NOT_SEEN: Final = 1
INTERRUPTED: Final = 130
"""As a shell says it: 128 and the number of SIGINT."""


def run(*, json: bool = False, plain: bool = False, sabotage: str | None = None) -> int:
    """Play the demonstration on standard output.

    Args:
        json: one JSON object a line instead of pictures.
        plain: lines of text, although the terminal could show more.
        sabotage: a name from :mod:`~gatewright.harness.demo.sabotage`.

    Returns:
        The exit status: 0 if everything that was promised was seen, 1 if not, 130 after Ctrl-C.

    Raises:
        ConfigurationError: for a sabotage that does not exist.
        BrokenPipeError: whoever read standard output has gone.
    """
    # The engine's warnings are part of the show and are shown; on standard error they would spoil the picture.
    logging.getLogger("gatewright").addHandler(logging.NullHandler())
    status, reader_gone = NOT_SEEN, False
    try:
        stage = trio.run(functools.partial(play, _view(json=json, plain=plain), sabotage=sabotage))
        status = SEEN if stage.kept_all else NOT_SEEN
        if status != SEEN:
            sys.stderr.write(report(stage))
    except* KeyboardInterrupt:
        sys.stderr.write("gatewright demo: stopped.\n")
        status = INTERRUPTED
    except* BrokenPipeError:
        reader_gone = True
    if reader_gone:
        raise BrokenPipeError  # as itself, and not in the groups of those who were printing
    return status


def _view(*, json: bool, plain: bool) -> View:
    if json:
        return LinesView(sys.stdout)
    console = Console()
    return LiveView(console) if fits(console) and not plain else PlainView(sys.stdout)


def report(stage: Stage) -> str:
    """What was promised and not seen, for standard error."""
    lines = ["gatewright demo: not everything that was promised was seen."]
    if stage.trouble:
        lines.append(f"  {stage.trouble}")
    for promise in PROMISES:
        match stage.verdicts[promise.id]:
            case Verdict.BROKEN:
                lines.append(f"  not seen: {promise.text} [{promise.id}]")
            case Verdict.PENDING:
                lines.append(f"  not reached: {promise.text} [{promise.id}]")
            case Verdict.KEPT:
                pass
    return "\n".join(lines) + "\n"
