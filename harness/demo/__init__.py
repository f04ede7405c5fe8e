"""The demonstration: the race that Gatewright was built against, before and after, and a tour of faults.

Everything in it is real: the engine as it ships, the naive ordering of :mod:`gatewright.harness.naive`, a fake gateway
for each of them, sockets on this machine. What it promises is data (`promises`), judged by the servers' own logs, and
the demonstration fails when a promise is not seen.

`acts` has the words, `story` plays them, `clients` are those who play; `live`, `plain` and `lines` are three ways to
watch: a picture, text, JSON. `sabotage` breaks the engine on purpose, to show that the promises can fail.
"""
