"""Fuzzing: a grammar of what a gateway may send, and the two places where it is let loose.

    random = Random(1)
    frames = FrameGrammar(random)
    frames.message()            # bytes: by the book, broken in one place, or nothing at all

:mod:`gatewright.harness.fuzz.core` feeds them through inflater, decoder and core, with every invariant watched;
:mod:`gatewright.harness.fuzz.live` sends them as websocket frames to a whole shard.
``python -m gatewright.harness.fuzz`` runs both.
"""

from gatewright.harness.fuzz.grammar import BytesRandom, FrameGrammar

__all__ = ["BytesRandom", "FrameGrammar"]
