"""The proof kit: explorer, mutants, Promela, Hypothesis strategies, the fake gateway and the simulated network.

It is public: bring a table and an environment of your own, and everything here works on them as it does on the gateway.
This room may import `spec`, `fsm`, `transport`, `fleet` and `diagrams`; no room imports it.
"""

if __name__ != "gatewright.harness":
    raise ImportError(
        f"'{__name__}' is a room of gatewright and not a package of its own: import gatewright.harness instead",
        name=__name__,
    )
