"""Explores the door, tries its mutants, and shows what a weaker door allows."""

import attrs

from examples.door_lock.door import ENVIRONMENT, ROWS, table
from gatewright.harness.explore import Bounds, explore
from gatewright.harness.explore.mutants import Judge, mutants
from gatewright.harness.explore.sequence import mermaid


def main() -> None:
    report = explore(table(), ENVIRONMENT)
    report.assert_ok()
    print(f"{report.states} states, {report.edges} steps, {len(report.taken)} of {report.rows} rows taken: all holds")

    judge = Judge(table(), ENVIRONMENT, (Bounds(),))
    score = judge.score(mutants(judge.table, judge.taken))
    print(f"{len(score.outcomes)} mutants, {score.killed} noticed, {score.equivalent} are no other table")
    for survivor in score.survivors:
        print(f"  state a property that notices {survivor.mutant.name}")

    unbolted = tuple(attrs.evolve(row, effects=()) if row.id == "closed.time_up" else row for row in ROWS)
    found = explore(table(unbolted), ENVIRONMENT).counterexample
    assert found is not None
    print(f"\nA lock that forgets its bolt:\n{found}\n\n{mermaid(found)}")


if __name__ == "__main__":
    main()
