"""One module a client. Each has ``main(task) -> result`` and runs in a process of its own (:mod:`benchmarks.run`)."""
