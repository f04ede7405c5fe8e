"""What went wrong in real systems (S, R), what must hold (I), and what an engine for the gateway offers (F).

Data only; `gatewright.spec.references` is the way in. "The first system" is the Discord side of a chat gateway: a
gateway plugin that registers with a client, and a lifecycle that supervises it through log lines and polls. The S
entries record what it did, faults included; the R entries are the races and latent defects found in it and in its
libraries, most of them reproduced on a fake gateway. Each entry is `(id, text)`, one fact in one sentence.
"""

# The tables are laid out by hand: one element a line, which is what the formatter would make of every entry that
# needs a second line, takes twice the space and cannot be read as a table.
# fmt: off

from __future__ import annotations

# S82 does not exist.
BEHAVIOURS: tuple[tuple[str, str], ...] = (
    # The lifecycle's constants
    ("S01", "The READY timeout is 15 000 ms, used for the first wait and again after the forced reconnect."),
    ("S02", "While waiting for READY the connected flag is polled every 250 ms."),
    ("S03", "The HELLO timeout is 30 000 ms from the log line that says 'opened'."),
    ("S04", "While HELLO is awaited the connected flag is polled every 250 ms."),
    ("S05", "Three HELLO stalls in a row bring a fresh identify."),
    ("S06", "The watchdog for a stalled reconnect waits 5 × 60 000 ms."),

    # The wait for READY
    ("S07", "The wait for READY ends in one of `ready`, `timeout` or `stopped`."),
    ("S08", "Each turn tests abort, queued errors, readiness and deadline in this order, "
            "so a fatal error beats READY and READY the timeout."),
    ("S09", "The sleep between polls does not keep the process alive, and the deadline uses the wall clock."),
    ("S10", "An abort is seen at the next turn only, up to 250 ms late; without a gateway the wait is skipped."),

    # Entry and parameters
    ("S11", "The gateway plugin may be absent, and everything must work without it."),
    ("S12", "The gateway is registered per account first and unregistered in clean-up, "
            "so that tools can update its presence."),
    ("S13", "Logging is attached to the gateway's emitter and detached in clean-up; "
            "three marker texts rise from verbose to info."),
    ("S14", "Its collaborators (runtime, abort, voice, approvals, thread bindings, errors, "
            "status and others) are injected."),
    ("S15", "Status is pushed as patches, not as snapshots; without a sink nothing happens."),

    # Force stop
    ("S16", "A force stop calls its handler if one is registered, "
            "else stores the error in one slot that a later one overwrites."),
    ("S17", "A handler that is registered after a force stop gets the stored error at once, and the slot is cleared."),

    # The watchdog for a stalled reconnect
    ("S18", "The watchdog can be armed, touched, disarmed and stopped, fires once, "
            "checks every 5 s by the wall clock, and ends on abort."),
    ("S19", "On its timeout the watchdog pushes `discord reconnect watchdog timeout after 300000ms` "
            "and force-stops, unless stopping."),
    ("S20", "The watchdog is armed on 'closed' and on a HELLO stall, disarmed on 'opened', "
            "connected and abort, stopped in clean-up."),

    # Abort
    ("S21", "Abort marks stopping, disarms the watchdog, pushes disconnected, swallows one error, "
            "allows 0 reconnects, then disconnects."),
    ("S22", "An abort before entry runs the same steps at once; "
            "otherwise a once-only listener runs them, and clean-up removes it."),

    # The watch over HELLO
    ("S23", "Clearing the watch over HELLO clears both of its timers."),
    ("S24", "The counter of HELLO stalls has one reset, which sets it to zero."),
    ("S25", "The close code is parsed out of log text by a regular expression, and is undefined where that fails."),
    ("S26", "Clearing the resume state, if there is any, nulls session id, "
            "resume URL and both copies of the sequence."),
    ("S27", "Every debug line pushes the time of the last event."),
    ("S28", "A 'closed' line resets the stall counter if still connected, arms the watchdog, "
            "pushes the close status, ends the HELLO watch."),
    ("S29", "A debug line that says neither 'closed' nor 'opened' does nothing more."),
    ("S30", "An 'opened' line disarms the watchdog, clears the HELLO watch, "
            "and pushes the connected patch if already connected."),
    ("S31", "After 'opened' a poll of 250 ms waits for connected, then resets the counter, "
            "disarms the watchdog, pushes connected, ends."),
    ("S32", "30 s after 'opened' without connected is a stall: two of them reconnect with resume, "
            "the third with a cleared session."),

    # Errors
    ("S33", "Disallowed intents are remembered and logged with a long help text on 4014; "
            "any other error is logged as it is."),
    ("S34", "An error stops it if its text has 'Max reconnect attempts' or 'Fatal Gateway error', "
            "or it is disallowed intents."),
    ("S35", "In draining queued errors disallowed intents end cleanly; "
            "another stopping error is thrown and the rest of the queue lost."),

    # The main path
    ("S36", "Approvals start first; if that throws, the whole clean-up runs and the error is thrown again."),
    ("S37", "Errors from before there were listeners are drained next; a stop among them returns."),
    ("S38", "A gateway that is not yet connected is awaited until READY, "
            "so that the monitor does not look healthy while missing events."),
    ("S39", "A wait that ends stopped, or while stopping, returns silently."),
    ("S40", "The first READY timeout logs, pushes `startup-not-ready`, disconnects, "
            "connects fresh and waits once more."),
    ("S41", "The second READY timeout pushes `startup-reconnect-timeout` and throws, without disconnecting."),
    ("S42", "Connected and not stopping pushes the connected patch; "
            "a run that was aborted before never says connected."),
    ("S43", "It then blocks until abort, a stopping error or a force stop: settles once, drops listeners, "
            "disconnects, resolves or rejects."),
    ("S44", "An error of disallowed intents is swallowed, so the lifecycle resolves; any other is thrown again."),
    ("S45", "Clean-up runs on every path in a fixed order; if destroying voice throws, "
            "approvals and thread bindings never stop."),
    ("S46", "Nothing in clean-up disconnects the gateway; only the abort and the final wait do."),

    # The tests that belonged to it
    ("S47", "Tested: it cleans up when starting approvals fails."),
    ("S48", "Tested: it cleans up when the final wait fails."),
    ("S49", "Tested: it cleans up after a good final wait."),
    ("S50", "Tested: it pushes a connected status when it was connected already."),
    ("S51", "Tested: a start-up that never gets READY reconnects fresh, then recovers."),
    ("S52", "Tested: it fails fast when the forced reconnect gets no READY either."),
    ("S53", "Tested: a queued 4014 resolves without waiting."),
    ("S54", "Tested: a queued fatal error is thrown."),
    ("S55", "Tested: a fatal error while waiting for READY surfaces, without a disconnect or a connect."),
    ("S56", "Tested: stalled HELLOs bring a resume, a resume, then a fresh identify with the session cleared."),
    ("S57", "Tested: the stall counter is reset by a good reconnect, even one that drops quickly."),
    ("S58", "Tested: a reconnect that stalls for 5 min is force-stopped."),
    ("S59", "Tested: a reconnect that resumes in time is not force-stopped."),
    ("S60", "Tested: it never says connected when it was aborted before."),
    ("S61", "Tested: in the final wait an abort disconnects once and leaves no error listener."),
    ("S62", "Tested: the final wait rejects on an error."),
    ("S63", "Tested: the final wait ignores an error when told to."),
    ("S64", "Tested: the final wait works without a gateway."),
    ("S65", "Tested: a force stop rejects the final wait."),
    ("S66", "Tested: a force stop is idempotent."),
    ("S67", "Tested: in the final wait an abort wins."),
    ("S68", "Tested: the guard for early errors captures them until it is released, and releasing it is idempotent."),
    ("S69", "Tested: without an emitter the guard for early errors does nothing."),

    # The registration fix
    ("S70", "Symptom: stuck at 'awaiting gateway readiness'; the socket opens, HELLO arrives, READY never does."),
    ("S71", "Cause: registration awaits metadata before it binds the client, "
            "so a `connect()` meanwhile drops its IDENTIFY silently."),
    ("S72", "First fix: bind the client before the first await."),
    ("S73", "Second fix: if a socket is open or opening when metadata come, skip the base registration, "
            "which would replace it."),
    ("S74", "The fix reads private fields by a cast: "
            "if they are renamed it is silently void (a brief reconnect, no hang)."),
    ("S75", "The fix coexists with the `connect()` that clears stale heartbeat timers, and with a hook for tests."),
    ("S76", "Tested: with the fetch pending, registration has bound its client before the fetch resolves."),
    ("S77", "Tested: with a socket open, or separately opening, in mid-fetch, the base registration is not called."),
    ("S78", "A test asserts that its own set-up happened before it relies on it: "
            "a missing set-up fails it, not skips it."),
    ("S79", "An open finding: the early return skips the effects of registration, "
            "so a bot can be online without slash commands."),
    ("S80", "Field proof: 4 bots in one process went connect, open, IDENTIFY, READY, heartbeats; "
            "no error, no guard block, no close."),
    ("S81", "A check of the library's 0.16.0: its constructor does not await, it binds the client first, "
            "its `identify()` is silent."),
    ("S83", "The first system's fatal text is `Fatal Gateway error: N`."),
)

RACES: tuple[tuple[str, str], ...] = (
    ("R01", "A reconnect before metadata dropped IDENTIFY silently: socket open, HELLO seen, "
            "no client bound, no deadline; stuck for ever."),
    ("R02", "Skipping the base registration lost the interaction listener and the shard ids: "
            "online but deaf to slash commands."),
    ("R03", "Aborted while metadata was pending, it ended cleanly; "
            "metadata then connected a live unsupervised bot after shutdown."),
    ("R04", "Metadata came just before the 15 s timeout: the socket identified, was killed, "
            "and identified again 40–64 ms later."),
    ("R05", "A failed start-up threw without disconnecting: READY came later to a dead monitor, "
            "and the restart made a second session."),
    ("R06", "An orphan socket emitted an error when no listener was left: an uncaught exception ended the process."),
    ("R07", "A debug text changed, so the watches over HELLO, stalls and closes never fired; "
            "a socket without HELLO waited for ever."),
    ("R08", "A newer version of the library cleared its connected flag before the log line, "
            "so a quick drop no longer reset the stall counter."),
    ("R09", "The library said `Fatal gateway close code: 4004`, the lifecycle looked for another text: "
            "it waited for ever without a socket."),
    ("R10", "A 'no HELLO within 30000ms' really tested READY: HELLO may have come, and the log lied about the phase."),
    ("R11", "After a stall the old socket's close ended the new socket's HELLO watch, "
            "and a handler without generation killed it."),
    ("R12", "The HELLO timer was not cancelled by abort: 30 s later, with the peer dark, it opened a new connection."),
    ("R13", "A 'retrying resume' closed with 1000 first, which ends the session, "
            "so Discord always refused the resume with op 9."),
    ("R14", "The first beat could stop the timers and then set its interval after all: a timer survived its owner."),
    ("R15", "The generation was not raised by a disconnect, so a late beat of a disconnected plugin still acted."),
    ("R16", "A disconnect made the metrics interval anew and nothing destroyed it: one 60 s timer leaked per plugin."),
    ("R17", "Op 7, op 9 and zombies closed without a 'closed' line: "
            "a dead socket was kept and status stood still for the back-off."),
    ("R18", "The handshake had no deadline: TCP accepted, no 101 came, it connected for ever, "
            "and `connect()` was a silent no-op."),
    ("R19", "A READY without `guilds` threw inside the message handler: an uncaught exception."),
    ("R20", "A bad `resume_gateway_url` threw inside the reconnect timer with a misleading text, "
            "and the process died."),
    ("R21", "The watchdog used the wall clock: a clock step of 6 min killed a healthy back-off after 2.4 s."),
    ("R22", "The client started before its listeners were registered: "
            "messages between READY and registration vanished."),
    ("R23", "Each shard registered its own listener, so one interaction was handled N times; "
            "batches were 5 s from connect, not from IDENTIFY."),
    ("R24", "While a reconnect was scheduled a later, stronger reason (a non-resumable code) was only half applied."),
    ("R25", "A disconnect zeroed the counters of attempts and failed resumes, "
            "so forced reconnects defeated the back-off."),
    ("R26", "The queue for force stops had one slot: a second error overwrote the first, "
            "and `undefined` could not be queued."),
    ("R27", "The guard for early errors kept collecting after start-up, when nobody drained it: unbounded growth."),
    ("R28", "Draining threw on the first fatal error: later ones were lost, "
            "and disallowed intents among them never seen."),
    ("R29", "One error was swallowed, a second one crashed, and allowing 0 reconnects raised one by itself: "
            "20–30 crashes a day."),
    ("R30", "If destroying voice threw, approvals and thread bindings never stopped, "
            "and the first error was replaced."),
    ("R31", "Readiness by polling came up to 250 ms late and missed a READY that dropped between polls, "
            "which counted as a stall."),
    ("R32", "The sequence outlived its session: a fresh IDENTIFY beat with the old one, "
            "and a drop before READY resumed the old session."),
    ("R33", "A `connect()` raced ahead of metadata took the default URL, "
            "and what metadata said later (concurrency too) was ignored."),
    ("R34", "A socket error cleared the connecting flag but left the socket, "
            "so a second `connect()` could slip in before the close."),
    ("R35", "A forced fresh connect during a resume that was still connecting returned silently: "
            "the attempt stayed a RESUME."),
    ("R36", "The provider's last step said connected:false without ever disconnecting; "
            "only the inner wait disconnects."),
)

FEATURES: tuple[tuple[str, str], ...] = (
    ("F01", "Declared states and a printable table with guards and reasons: each (state, event) is legal, "
            "ignored on record, or raises."),
    ("F02", "`IllegalTransition` for a connect while registering, connecting or stopping: "
            "an IDENTIFY is never dropped."),
    ("F03", "A phase for registration: the client is bound first, metadata second, and effects are applied once."),
    ("F04", "Registration is supervised: a failure surfaces, and no exception is orphaned."),
    ("F05", "A metadata fetch with a timeout, transient and fatal answers told apart, a fallback URL and a refetch."),
    ("F06", "Nested deadlines: metadata fit inside the start-up budget, "
            "and a configuration where they do not is refused or re-nested."),
    ("F07", "A strict start-up waits for READY, reconnects fresh once, then fails; "
            "another mode retries with back-off."),
    ("F08", "Readiness without polls and abort without delay: a READY that drops at once still counts."),
    ("F09", "Errors are drained before readiness is judged: fatal beats ready, ready beats the timeout."),
    ("F10", "A HELLO deadline of 30 s from the open, apart from the READY deadline; each names its own phase."),
    ("F11", "A counter of stalls: resume, resume, then fresh, with stated rules for its reset."),
    ("F12", "A stall watchdog of 5 min on a monotonic clock: it arms, disarms, is touched, stops, and fires once."),
    ("F13", "A force stop meets its handler or is queued for it, and the first cause wins."),
    ("F14", "Abort has one meaning and order, at entry too: no socket after the stop, under any interleaving."),
    ("F15", "The resume state is one value with an age guard; "
            "once cleared (also by our own 1000/1001) IDENTIFY follows."),
    ("F16", "A status projection gives every patch of the first system, with its reasons, as a function of the state."),
    ("F17", "The connected patch is `{connected, lastConnectedAt, lastEventAt, lastDisconnect: null}`."),
    ("F18", "Later status: recovering or blocked, transport activity at most once per 30 s, the state's name and age."),
    ("F19", "Errors are classified by type and close code; disallowed intents are a clean end with a help text."),
    ("F20", "Errors from before there are listeners are kept and drained by severity."),
    ("F21", "Clean-up in an exact order: every step attempted, exactly once, with the errors grouped."),
    ("F22", "Every exit closes the connection, so that no socket is orphaned."),
    ("F23", "In the wait for the end abort, error and force stop race: it settles once and disconnects once."),
    ("F24", "A registry of accounts, to register and unregister their gateways."),
    ("F25", "A log of the gateway with promoted markers, made from typed events."),
    ("F26", "Voice, approvals, thread bindings, status sink and runtime are protocols, "
            "each of which may be absent or fail."),
    ("F27", "Sockets have generations; stale events are counted and never acted on."),
    ("F28", "Draining: close, 5 s, terminate, 1 s, then a failure rather than a second socket."),
    ("F29", "A handshake has a deadline of 30 s."),
    ("F30", "IDENTIFY and RESUME have guards, and waiting for the limiter is a state."),
    ("F31", "A shared identify limiter, 5 s per `shard_id % max_concurrency`, "
            "safe against clock steps, with a daily budget."),
    ("F32", "Heartbeats in one task: first beat jittered, ACK due in one interval, op 1 answered, "
            "a zombie closed (not 1000) and resumed."),
    ("F33", "Op 7, op 9 (true, false, 1–5 s), op 11, unknown ops, bad JSON, no `guilds`, bad resume URL: "
            "no exception escapes."),
    ("F34", "One table says of each close code whether it is fatal (4004, 4010–4014), ends the session, or resumes."),
    ("F35", "Back-off of 1 s × 2^n up to 30 s, jitter 0.85–1.15, the first op 7 at once; "
            "reasons merge by rules; an optional cap."),
    ("F36", "Three failed resumes bring a fresh identify."),
    ("F37", "A send checks for an open socket, 4096 bytes and 120 per 60 s, with a queue that critical sends bypass."),
    ("F38", "A gate on dispatches, so that no event is lost between READY and the listeners."),
    ("F39", "Shards: N connection machines and one registration, so that an interaction is handled once."),
    ("F40", "A fake gateway and metadata server, scripted with delays, silence, drops, close codes, "
            "op 7 and op 9, replays every race."),
    ("F41", "Pairs for replay: for each race a test that fails on a naive model and passes on the machine."),
    ("F42", "A Hypothesis state machine over I01–I15 shrinks to a readable trace and finds "
            "a race when its guard is removed."),
    ("F43", "A journal of time, generation, state, event, guard, next and effects, as text and JSON; "
            "a hang names its state."),
    ("F44", "Virtual time in all tests, and no real sleep."),
    ("F45", "One command shows the race before and after."),
)

INVARIANTS: tuple[tuple[str, str], ...] = (
    ("I01", "At most one socket; a new one opens only when the old one is closed or aborted."),
    ("I02", "IDENTIFY or RESUME only after this generation's HELLO, with a bound client, at most one a connection; "
            "only heartbeats before."),
    ("I03", "Every non-steady state has a deadline; with the peer silent, some deadline fires."),
    ("I04", "After `stopped` or `failed`: no socket, send, timer or connected status; "
            "`stop()` ends in its deadline from any state."),
    ("I05", "`ready` implies that the registration effects were applied exactly once."),
    ("I06", "An event of an ended generation never changes the state, "
            "and no effect made under one connection acts on the next."),
    ("I07", "Status is a function of the state."),
    ("I08", "A fatal close code (4004, 4010–4014) leads to `failed`, never to a reconnect."),
    ("I09", "Every error is seen once, the first cause wins, and none is thrown where nobody listens."),
    ("I10", "A dropped session means IDENTIFY next; only certain close codes, op 9, our 1000/1001, "
            "3 failed resumes and `force_identify` drop it."),
    ("I11", "READY or RESUMED alone reset stalls and failed resumes; "
            "the first ACK of a scheduled beat in `ready` alone resets attempts and ends an absence."),
    ("I12", "IDENTIFYs of one `shard_id % max_concurrency` are at least 5 s apart, across processes too, "
            "and within the budget less its reserve."),
    ("I13", "The armed timers are exactly those that the state declares."),
    ("I14", "Clean-up runs every step, in order, once, and groups the errors."),
    ("I15", "An illegal request is raised or declared as queued; it is never silently dropped."),
    ("I16", "Every `send` ends sent, refused, or cancelled by its own caller; "
            "cancelling one waiter never affects another."),
    ("I17", "Dispatches come out in order; neither sequence goes back, "
            "and the committed one never passes the oldest unsettled event."),
    ("I18", "The delay before attempt k is at least max(f(k), its cause's floor) unless a user's verb woke it; "
            "no cap on attempts unless asked for."),
    ("I19", "One shard's stall never delays another shard's transition."),
    ("I20", "A beat that the server asked for never makes a false zombie."),
    ("I21", "We close with 1000/1001 only when the session is meant to die."),
    ("I22", "The token appears in no log, journal, error, status, diagram or metric."),
    ("I23", "A due timer never acts before what was already received, and a paused reader never makes a zombie."),
)
