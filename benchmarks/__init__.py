"""Measurements of the whole engine, from the socket to the consumer, against peers in the same run.

Nothing here is part of the package. `python -m benchmarks --help` says what there is, docs/performance.md what it says.
"""
