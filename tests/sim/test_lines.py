"""How much of the driver simulated lives run: it is their reach, and must not sink unnoticed."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.compression import needs_zstd

PROGRAM = Path(__file__).parent / "lines.py"


@needs_zstd
def test_three_hundred_lives_run_nine_of_ten_lines_of_the_driver() -> None:
    ran = subprocess.run([sys.executable, str(PROGRAM), "--json"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["violations"] == 0
    assert found["lines"] > 4000
    assert found["share"] >= 91
