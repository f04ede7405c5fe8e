"""The long forms of all layers of the proof, their figures as a record, and docs/proof.md made from it.

    python -m gatewright.harness.proof                             # everything: hours
    python -m gatewright.harness.proof --only l1 l3                # some of it; the rest stays as it was measured
    python -m gatewright.harness.proof --only l5 --count 5000 --more   # as many again, beside those that were lived
    python -m gatewright.harness.proof --from docs/proof.json      # the page alone, from what was measured

Each part runs in a process of its own, with its time and its memory taken, and goes into the record as soon as it has
ended without a fault. The page keeps its prose; what lies between two markers is written from the record.
"""
