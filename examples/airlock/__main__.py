"""Explores the airlock, tries the mutants of its machines, and shows what a careless interlock allows."""

import attrs

from examples.airlock.airlock import ENVIRONMENT, LOCK_ROWS, Unlock, airlock
from gatewright.harness.explore import Bounds, explore
from gatewright.harness.explore.mutants import Judge, mutants_of_machines
from gatewright.harness.explore.sequence import mermaid


def main() -> None:
    report = explore(airlock(), ENVIRONMENT)
    report.assert_ok()
    print(f"{report.states} states, {report.edges} steps, {len(report.taken)} of {report.rows} rows taken: all holds")

    judge = Judge(airlock(), ENVIRONMENT, (Bounds(),))
    score = judge.score(mutants_of_machines(airlock(), judge.taken_by))
    print(f"{len(score.outcomes)} mutants, {score.killed} noticed, {score.equivalent} are no other airlock")
    for survivor in score.survivors:
        print(f"  state a property that notices {survivor.mutant.name}")

    careless = tuple(attrs.evolve(row, effects=(Unlock,)) if row.id == "taken.ask" else row for row in LOCK_ROWS)
    found = explore(airlock(careless), ENVIRONMENT).counterexample
    assert found is not None
    print(f"\nAn interlock that unlocks for whoever asks:\n{found}\n\n{mermaid(found)}")


if __name__ == "__main__":
    main()
