"""Fuzzing that is led by coverage: atheris looks for bytes, and the grammar reads its die out of them.

    python -m gatewright.harness.fuzz.guided -runs=100000

Arguments are libFuzzer's. An input that breaks something is written to a file, and repeated by naming it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

_FRAMES = 12
"""Frames that an input gives at most: more would only dilute what a byte means."""


def _target() -> Callable[[bytes], None]:
    from gatewright.harness.fuzz.core import fuzz_core
    from gatewright.harness.fuzz.grammar import BytesRandom
    from gatewright.spec.events import Message
    from gatewright.transport import codec
    from gatewright.transport.inflate import Compression, InflateError, inflater

    def one_input(data: bytes) -> None:
        # As they are: what no grammar would come up with.
        assert isinstance(codec.decode(data, gen=1, wall_clock=lambda: 0.0)[0], Message)
        for kind in Compression:
            try:
                inflater(kind).feed(data)
            except InflateError:
                continue
        # And as a die.
        fuzz_core(BytesRandom(data), _FRAMES)

    return one_input


def main() -> None:
    """Fuzzes until libFuzzer has enough."""
    try:
        guide = importlib.import_module("atheris")  # by name: it has no types
    except ModuleNotFoundError:
        sys.exit("the guided fuzzer needs atheris: pip install 'gatewright[fuzz]' (Linux, Python 3.11 to 3.13)")
    with guide.instrument_imports(include=["gatewright.transport", "gatewright.fsm"]):
        one_input = _target()
    guide.Setup(sys.argv, one_input)
    guide.Fuzz()


if __name__ == "__main__":
    main()
