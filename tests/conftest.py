"""What all tests share: the Hypothesis profiles and the parts of the system that a test may need."""

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester", "tests.support.requires", "tests.support.conforms"]

# `ci` is bounded and the same in every run: a red run is the change's doing, never the day's luck. A machine that is
# shared is slow at times, and that is not a failure either.
settings.register_profile(
    "ci",
    max_examples=60,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# `soak` looks for what `ci` has not seen: new seeds in each run, long, and its finds are kept in .hypothesis/.
settings.register_profile(
    "soak",
    max_examples=20_000,
    deadline=timedelta(seconds=30),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("GATEWRIGHT_HYPOTHESIS", "ci"))
