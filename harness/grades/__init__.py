"""How good the last two layers of the proof are by themselves: the mutants of L2, brought into the shipped runtime.

A mutant is a table that is wrong in one place. L0 to L2 judge it as a table. Here it runs: the lint is passed over, the
real core walks on it along the exploration of the right table (L4), and the real driver lives on it in simulation (L5).

    python -m gatewright.harness.grades --sample 500 --seed 1

Nothing that walks or lives knows which mutant it is on: walks and lives are those of fixed seeds.
"""

from gatewright.harness.grades.grading import Grades, Layers, grade
from gatewright.harness.grades.lives import Lives
from gatewright.harness.grades.mutated import Mutated
from gatewright.harness.grades.verdicts import Graded, Verdict
from gatewright.harness.grades.walks import Walks

__all__ = ["Graded", "Grades", "Layers", "Lives", "Mutated", "Verdict", "Walks", "grade"]
