"""A second user of the proof kit: states, events, rows and an environment of its own."""
