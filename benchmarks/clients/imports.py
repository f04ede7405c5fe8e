"""What `import gatewright` costs beside a Python that does nothing, and what the first use of `Shard` adds."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.task import Task

STATEMENTS = {"nothing": "pass", "package": "import gatewright", "shard": "from gatewright import Shard"}
_TIMED = """
import sys, time
before, cpu = len(sys.modules), time.process_time()
{statement}
print((time.process_time() - cpu) * 1e3, len(sys.modules) - before)
"""


def main(task: Task) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(statement=STATEMENTS[task.scenario])],
        capture_output=True,
        text=True,
        check=True,
    )
    milliseconds, modules = done.stdout.split()
    return {"cpu_ms": float(milliseconds), "modules": float(modules)}
