"""The demonstration as a picture that moves: full screen, drawn ten times a second, and gone when it is over."""

from __future__ import annotations

from typing import Final

import trio
from rich.console import Console
from rich.live import Live

from gatewright.fsm.journal import Record
from gatewright.harness.demo.closing import closing
from gatewright.harness.demo.picture import MIN_HEIGHT, MIN_WIDTH, picture
from gatewright.harness.demo.promises import Promise
from gatewright.harness.demo.stage import Stage

_EVERY: Final = 0.1


def fits(console: Console) -> bool:
    """Whether the picture can be drawn: on a terminal that is large enough and has more than ASCII."""
    return (
        console.is_terminal
        and console.file.isatty()  # and not only told so by the environment
        and not console.is_dumb_terminal
        and not console.options.ascii_only
        and console.width >= MIN_WIDTH
        and console.height >= MIN_HEIGHT
    )


class LiveView:
    """Draws the stage until it is over, then prints how the promises stand."""

    pause = 0.7

    def __init__(self, console: Console) -> None:
        self._console = console

    async def run(self, stage: Stage) -> None:
        """Draw. The picture is made in this task, so that it never sees half of a step."""
        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(picture(stage, self._console, now=trio.current_time()), refresh=True)
                await trio.sleep(_EVERY)

    def on_act(self, stage: Stage) -> None:
        """Seen with the next picture."""

    def on_record(self, stage: Stage, record: Record) -> None:
        """Seen with the next picture."""

    def on_verdict(self, stage: Stage, promise: Promise) -> None:
        """Seen with the next picture."""

    def on_end(self, stage: Stage) -> None:
        """What stays on the screen."""
        self._console.print(closing(stage))
