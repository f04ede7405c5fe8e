"""What the Discord gateway demands (P01-P98), and where its documentation leaves a question open (A01-A27).

Data only; `gatewright.spec.references` is the way in. Each entry is one fact in one sentence, checked against the
documentation of API v10 as of August 2026. A P entry is `(id, level, source, text)`. Its level is that of RFC 2119:
MUST where breaking it has a hard consequence, SHOULD where Discord recommends it. Its source names the section of the
documentation (`references.PAGES` spells the abbreviations out); it is empty where the documentation is silent, and the
entry is then what working clients do or what we decided. An A entry is `(id, text)`: the question, then our answer.
"""

# The tables are laid out by hand, a heading line and a text line for each entry: one element a line, which is what the
# formatter would make of them, takes three times the space and cannot be read as a table.
# fmt: off

from __future__ import annotations

PROTOCOL: tuple[tuple[str, str, str, str], ...] = (
    # Bootstrap and connecting
    ("P01", "SHOULD", "GW › Connecting",
     "Ask `GET /gateway/bot` (or `/gateway`) for the websocket URL before the first connection; do not hard-code it."),
    ("P02", "SHOULD", "GW › Connecting; GW › Get Gateway",
     "Cache the URL for long and use it for every connection that is not a resume; ask again only when it fails."),
    ("P03", "SHOULD NOT", "GW › Get Gateway Bot",
     "Do not cache the rest of `/gateway/bot` for long: `shards` and `session_start_limit` change from call to call."),
    ("P04", "SHOULD", "GW › Gateway URL Query String Params",
     "Put `v=10`, `encoding` (json, etf) and, if wanted, `compress` (zlib-stream, "
     "zstd-stream) in every connection's query."),
    ("P05", "MUST", "REF › API Versioning; OP › Gateway Close Event Codes",
     "Always send `v`: the default is 6, which is deprecated; "
     "a discontinued version gets HTTP 400, a bad one closes with 4012."),
    ("P06", "MUST", "",
     "Build the URL by parsing it: it may end in `/` or not and may carry a query; "
     "add the path `/` and merge the query."),
    ("P07", "MUST", "REF › Encryption; REF › Gateway (WebSocket) API",
     "Speak websocket (RFC 6455) over TLS; the documentation states TLS 1.2."),
    ("P08", "MUST", "REF › Authentication, User Agent; RL › Exceeding A Rate Limit, "
     "Global Rate Limit, Invalid Request Limit",
     "HTTP: `Authorization: Bot <token>`, a valid `User-Agent`; wait out 429, stop on 401; 50 requests/s; "
     "10 000 × 401/403/429 in 10 min ban the IP."),
    ("P09", "MUST", "",
     "Bound the step of TCP, TLS and upgrade with a deadline; clients use 10 s, 30 s or 60 s."),

    # Hello and heartbeat
    ("P10", "MUST", "GE › Hello; GW › Hello Event",
     "Wait for op 10 after the socket opens; it is sent on every connection, resumes included."),
    ("P11", "MUST", "GE › Reconnect",
     "Accept op 7 before op 10, or instead of it."),
    ("P12", "MUST", "",
     "Bound the wait for op 10; the documentation gives no figure (discord.js waits 60 s, hikari for ever)."),
    ("P13", "MUST", "GW › Sending Heartbeats",
     "Start heartbeats at op 10, however far identify or resume are, and run them until the connection closes."),
    ("P14", "SHOULD", "GW › Heartbeat Interval",
     "Send the first beat after `heartbeat_interval` × a uniform number in [0, 1), then one an interval (ms; "
     "45000 in the docs, 41250 seen)."),
    ("P15", "MUST", "GW › Heartbeat Interval; GE › Heartbeat",
     "A beat carries the last non-null `s`, or null if this session has had none; "
     "while resuming, the stored sequence."),
    ("P16", "MUST", "GW › Heartbeat Interval",
     "A beat that is late enough makes the server close the connection; then resume. How late is undocumented."),
    ("P17", "SHOULD NOT", "GW › Heartbeat Interval",
     "Do not beat early without cause, and do not shorten the interval to make up for latency."),
    ("P18", "MUST", "GW › Heartbeat Interval",
     "A scheduled beat is due and no op 11 came since the last: close (not 1000/1001), reconnect, resume; "
     "at most 2 intervals after the last ACK."),
    ("P19", "MUST", "GW › Heartbeat Requests",
     "Answer op 1 with op 1 at once, never with op 11; an op 11 will follow, and the schedule need not be reset."),
    ("P20", "SHOULD", "GW › Heartbeat Interval (outage note)",
     "If the socket stays open but no session comes (an outage), keep beating; "
     "a READY deadline must not be short or burn identifies."),
    ("P21", "MUST", "",
     "Heartbeats bypass the queue of user commands but count among the 120 sends per 60 s, "
     "so slots are kept for them."),

    # Identify and session start
    ("P22", "MUST", "GW › Identifying; OP › Gateway Close Event Codes",
     "Without a resumable session send IDENTIFY once, after HELLO and after starting heartbeats; "
     "a second one closes with 4005."),
    ("P23", "MUST", "OP › Gateway Close Event Codes",
     "Send nothing but ops 1, 2 and 6 before the session is authenticated, else the server closes with 4003."),
    ("P24", "MUST", "GE › Identify",
     "IDENTIFY needs `token`, `properties` and `intents`; `intents: 0` is a value, "
     "its omission is reported to close with 4013."),
    ("P25", "SHOULD", "GE › Identify Connection Properties",
     "Write the property keys `os`, `browser` and `device` without `$`, which still works but is deprecated."),
    ("P26", "MUST", "GE › Identify",
     "`large_threshold`, if sent, is between 50 and 250; the default is 50."),
    ("P27", "MUST", "GW › Sharding › Max Concurrency; GW › Rate Limiting; GW › Session Start Limit",
     "At most one IDENTIFY per `shard_id % max_concurrency` in 5 s, buckets in order, "
     "re-identifies and all processes included; else op 9."),
    ("P28", "SHOULD", "",
     "Add slack to the 5 s between identifies (discord.js up to 1.5 s) and count from when one was sent, not queued."),
    ("P29", "MUST", "GW › Identifying; GW › Sharding for Large Bots",
     "1000 identifies in 24 h (over 150 000 guilds: max(2000, guilds / 1000 * 5)); "
     "more ends all sessions and resets the token; RESUME is free."),
    ("P30", "MUST", "GW (derived)",
     "Before starting N sessions compare N with `remaining`, else wait `reset_after` ms or refuse; "
     "count locally too (1 per 86.4 s = 1000/day)."),
    ("P31", "MUST", "GW › Ready event; GE › Ready",
     "READY completes the handshake of a new session, and only of a new one: "
     "store `session_id`, `resume_gateway_url` and `s`."),
    ("P32", "MUST", "GE › Ready; GW › Guild Availability",
     "Expect every guild in READY as unavailable; its data come by GUILD_CREATE, "
     "and no event says that all are loaded."),
    ("P33", "MUST", "",
     "Send the bare token in IDENTIFY and RESUME; IDENTIFY took a `Bot ` prefix, "
     "but one in RESUME was once blamed for a 4006."),

    # Resume
    ("P34", "SHOULD", "GW › Resuming",
     "Try to resume after op 7, a reconnectable close code, a drop without a close code, and op 9 with `d: true`."),
    ("P35", "MUST", "GW › Preparing to Resume",
     "A resume needs `session_id`, `resume_gateway_url` and the last `s` of an op 0; if any is missing, identify."),
    ("P36", "MUST", "GW › Preparing to Resume; CL 2022-08-09",
     "Resume on a new connection to `resume_gateway_url` (since 2022-09-12) with the same query; "
     "any other URL is disconnected sooner."),
    ("P37", "MUST", "GW › Preparing to Resume",
     "To resume: HELLO, start heartbeats, then op 6 with token, session_id and `seq`; no IDENTIFY."),
    ("P38", "MUST", "GW › Preparing to Resume; GE › Resumed",
     "Missed dispatches replay in order until RESUMED: take them as ordinary ones, advance `seq`, "
     "and after a drop resume from the newest."),
    ("P39", "MUST", "GW › Preparing to Resume",
     "Op 9 false: discard session id, resume URL and sequence, disconnect, connect to the cached main URL, "
     "identify through the limiter."),
    ("P40", "MUST", "GW › Handling a Disconnect",
     "If connecting to the resume URL fails, fall back to the main URL."),
    ("P41", "MUST", "GW › Identifying",
     "RESUME bypasses the identify limiter: it counts neither for the day nor for concurrency, though jitter is kind."),
    ("P42", "MUST", "GW › Dispatch Events",
     "Take the sequence from op 0 only; a null `s` never overwrites it."),
    ("P43", "SHOULD", "REF › Consistency",
     "Handle events idempotently: an event may arrive zero, one or several times."),
    ("P44", "MUST", "GE › Resume",
     "A resume keeps the session's intents and shard pair, which op 6 does not carry; "
     "changing either needs a new session."),

    # Op 7, op 9, closing
    ("P45", "MUST", "GE › Reconnect; OP › Gateway Opcodes",
     "Op 7 at any moment: close (not 1000/1001), resume if there is a session, else identify; "
     "the server may close by itself (10 s seen)."),
    ("P46", "MUST", "GE › Invalid Session",
     "Op 9 means identify refused, resume refused or live session dropped: branch on the shard's state, then on `d`."),
    ("P47", "MUST", "GW › Resuming",
     "Op 9 with `d: true` means reconnect and resume; it is rare."),
    ("P48", "SHOULD", "",
     "After op 9 wait a random 1–5 s before identifying: "
     "a rule of 2017 that the documentation has left out since 2022."),
    ("P49", "MUST", "GW › Initiating a Disconnect",
     "To shut down for good close with 1000 or 1001: the session ends and the bot shows offline at once."),
    ("P50", "MUST", "GW › Initiating a Disconnect",
     "To leave for a while close with any other code, or just drop TCP: the session survives \"a few minutes\"."),
    ("P51", "MUST", "OP › Gateway Close Event Codes",
     "Stop for good on 4004, 4010, 4011, 4012, 4013 and 4014."),
    ("P52", "SHOULD", "",
     "Back off with jitter on repeated failures, hardly at all for the first op 7 or clean resume; "
     "identifies need a far higher cap."),
    ("P53", "MUST", "",
     "Once we decided to leave a connection its frames are void: its late op 9 or close must not touch the new one."),

    # Sending and settings
    ("P54", "MUST", "GW › Sending Events",
     "A serialised payload has at most 4096 bytes of UTF-8, else 4002: check before sending and refuse locally."),
    ("P55", "MUST", "GW › Rate Limiting",
     "At most 120 payloads per 60 s and connection; more disconnect at once (4008), repeat offenders lose API access."),
    ("P56", "MUST", "",
     "Count sends in a sliding log per connection; "
     "keep at least `ceil(60 s / interval) + 1` for heartbeats (3 at 41.25 s, 117 left)."),
    ("P57", "MUST", "GW › Sending Events, Using ETF",
     "Encode as JSON text or ETF binary, as negotiated; there is no compression from client to server."),
    ("P58", "MUST", "GE › Update Presence; GE › Activity Object",
     "Presence: at most 5 updates per 20 s; online, dnd, idle, invisible, offline; `since` ms or null; "
     "activities' `name`, `state`, `type`, `url`."),
    ("P59", "SHOULD", "",
     "Merge presence updates, so that the last one wins, rather than queue them; "
     "what more than 5 per 20 s does is undocumented."),
    ("P60", "SHOULD", "",
     "User commands wait for READY or RESUMED; at a disconnect presence is re-sent, voice re-evaluated, "
     "member requests fail or retry."),

    # Request Guild Members, soundboard, channel info, voice
    ("P61", "MUST", "GE › Request Guild Members",
     "Op 8 needs one `guild_id` and either `query` (with `limit`) or `user_ids`; "
     "a malformed one draws 4001 or op 9: validate first."),
    ("P62", "MUST", "GE › Request Guild Members",
     "`query: \"\"`, `limit: 0` asks for all members and needs GUILD_MEMBERS; prefix or `user_ids` give at most 100; "
     "`presences` needs GUILD_PRESENCES."),
    ("P63", "MUST", "CL 2025-08-14; GE › Rate Limited",
     "One whole-list request per guild and bot in 30 s; more are answered by RATE_LIMITED (op 8, "
     "seconds, guild, nonce); chunks are free."),
    ("P64", "MUST", "GE › Request Guild Members",
     "`nonce` has at most 32 bytes; a bad one is dropped silently, and the chunks come back without it."),
    ("P65", "MUST", "GE › Guild Members Chunk",
     "Collect chunks (at most 1000 members each) by index until 0 to `chunk_count - 1` are seen; "
     "do not trust order or number."),
    ("P66", "MUST", "REF › ID Serialization",
     "`not_found` can hold JSON integers: malformed ids are echoed unconverted."),
    ("P67", "MUST", "GE › Rate Limited",
     "RATE_LIMITED is a dispatch, not a close: fail or delay the request by nonce, leave the connection, "
     "tolerate unknown `opcode`, `meta`."),
    ("P68", "MUST", "GE › Request Soundboard Sounds",
     "Op 31 yields one SOUNDBOARD_SOUNDS per guild; its array has no documented cap, "
     "but 4096 bytes hold 184 ids of 19 digits, so split."),
    ("P69", "MUST", "GE › Request Channel Info, Channel Info; CL 2026-04-20",
     "Op 43 asks one guild for `status`, `voice_start_time` (Unix seconds); one CHANNEL_INFO answers, "
     "matched by guild for want of a nonce."),
    ("P70", "MUST", "VC › Retrieving Voice Server Information",
     "Op 4 is answered by VOICE_STATE_UPDATE and VOICE_SERVER_UPDATE in either order, "
     "or by neither if the channel is full: time out."),
    ("P71", "MUST", "GE › Voice Server Update; VC › Retrieving Voice Server Information",
     "VOICE_SERVER_UPDATE with `endpoint: null`: leave and wait for another; "
     "a new token on the same endpoint is a new voice session."),
    ("P72", "MUST", "OP › Voice Close Event Codes; CL 2025-09-02",
     "The end of the main session ends voice too (voice close 4014); "
     "since 2026-03-01 voice must be end-to-end encrypted (4017)."),

    # Decoding and compression
    ("P73", "MUST", "GW › Payload Compression",
     "Transport and payload compression exclude each other: "
     "`compress` in the query disables `d.compress` (JSON only)."),
    ("P74", "MUST", "GW › Payload Compression",
     "Payload compression: any message may be zlib or not; "
     "inflate each binary frame alone, take a text frame as it is."),
    ("P75", "MUST", "GW › zlib-stream",
     "`zlib-stream`: one context per connection; buffer until the buffer, not the last frame, "
     "ends with 00 00 ff ff, then inflate."),
    ("P76", "MUST", "GW › zstd-stream",
     "`zstd-stream`: one context per connection; "
     "a websocket message is a whole gateway message but no zstd frame: drain it each time."),
    ("P77", "MUST", "GW › zlib-stream, zstd-stream",
     "A new connection gets a new decompression context, even on a resume; an error poisons it: "
     "close (not 1000/1001) and resume."),
    ("P78", "MUST", "GE › top warning; docs commit ab5d49ae",
     "Ignore unknown opcodes, event names and fields, and still advance `seq`; "
     "fields with an underscore are internal."),
    ("P79", "MUST", "REF › Snowflakes; GW › Using ETF",
     "Snowflakes, up to 64 bits, are strings in JSON and integers or strings in ETF; send strings."),
    ("P80", "MUST", "GW › Using ETF",
     "In ETF the keys of outgoing maps must be strings; atoms draw 4002."),
    ("P81", "MUST", "",
     "Raise the websocket library's inbound limit: READY is the largest event, "
     "and trio-websocket closes with 1009 above 1 MiB."),
    ("P82", "MUST", "GE › Presence Update",
     "In PRESENCE_UPDATE only `user.id` is guaranteed, and the types of the fields are not validated."),

    # Intents
    ("P83", "MUST", "GW › Gateway Intents, Gateway Restrictions",
     "Send intents in every IDENTIFY, privileged ones explicitly; a bad value is 4013, "
     "one not enabled or approved 4014, both fatal."),
    ("P84", "SHOULD", "GW › Privileged Intent Access Review; CL 2026-06-10; PRIV › Approaching or over 10,000 users",
     "Explain 4014 as: enable or apply for GUILD_MEMBERS, GUILD_PRESENCES, "
     "MESSAGE_CONTENT (review from 10 000 users since 2026-06-10)."),
    ("P85", "MUST", "GW › Message Content Intent",
     "Without MESSAGE_CONTENT fields are empty, not an error; exceptions: own messages, DMs, "
     "mentions, a message command's target."),
    ("P86", "MUST", "GE › Guild Create; GE › Request Guild Members",
     "GUILD_CREATE lists only bot and voice users without GUILD_PRESENCES or above 75 000 members, "
     "and not all above `large_threshold`."),

    # Sharding
    ("P87", "MUST", "GW › Sharding",
     "Shard at 2500 guilds or more; a shard carries at most 2500, else 4011."),
    ("P88", "MUST", "GW › Sharding",
     "`shard` is `[id, n]`, zero-based; a guild belongs to `(guild_id >> 22) % n`; an invalid pair closes with 4010."),
    ("P89", "MUST", "GW › Sharding",
     "Events without a guild (DMs, entitlements, subscriptions) reach shard 0 only."),
    ("P90", "MUST", "GW › Sharding for Large Bots",
     "Over 150 000 guilds the shard count is a multiple of the assigned number, else 4010; "
     "`/gateway/bot` returns a valid one."),
    ("P91", "MAY", "GW › Sharding",
     "Sessions may share one `[id, n]` or use different `n` at once (rolling rescale); "
     "each has its own sequence and costs an identify."),
    ("P92", "MUST", "",
     "A stored session can be used again only with the same shard count and the same token."),

    # State that the engine should understand
    ("P93", "MUST", "GE › Guild Create",
     "GUILD_CREATE means lazy load, back from an outage, or joined: only prior knowledge tells; "
     "it may itself be unavailable."),
    ("P94", "MUST", "GE › Guild Delete",
     "GUILD_DELETE with `unavailable` set is an outage; without it the bot was removed."),
    ("P95", "SHOULD", "GE › Guild Member Add (2026-05-06)",
     "Expect GUILD_MEMBER_ADD to repeat for someone who is a member already."),
    ("P96", "MUST", "GE › Thread List Sync; TH › Gaining Access to Channels, Losing Access to Channels",
     "THREAD_LIST_SYNC replaces all threads of the guild, or of the parents in `channel_ids`; "
     "losing access sends no THREAD_DELETE."),
    ("P97", "MUST", "INT › Receiving an Interaction, Interaction Callback",
     "Answer interactions that came over the gateway by HTTP only; they come by gateway or by webhook, never by both."),
    ("P98", "MUST", "docs commit 84664053",
     "From 2026-11-16 channels that the bot cannot view arrive obfuscated (`___hidden___`, flag `1 << 17`): "
     "trust the flag, not the name."),
)

INFERRED: frozenset[str] = frozenset(
    ("P06", "P09", "P12", "P21", "P28", "P30", "P33", "P41", "P44", "P48", "P52", "P53", "P56", "P59", "P60",
     "P81", "P92")
)
"""Demands whose level is ours: the documentation does not state them, or states only the facts they follow from."""

OPEN_POINTS: tuple[tuple[str, str], ...] = (
    ("A01", "Wait after op 9? Undocumented since 2022: keep a random 1–5 s before IDENTIFY, "
            "plus the bucket's 5 s slot."),
    ("A02", "Op 9 on the same socket or a new one? A new one: one path, a new decompressor, a clean limiter; "
            "commands in flight would draw 4003."),
    ("A03", "Which close code when reconnecting? Not 1000/1001, "
            "but one constant in 4000–4999 (4000 can be taken for the server's)."),
    ("A04", "Resume URL unreachable? After 1 or 2 connect failures RESUME by the main URL; "
            "after more, or op 9, identify."),
    ("A05", "What if the server closes with 1000 or 1001? The documentation does not say; resume first."),
    ("A06", "Which of 4003, 4005, 4007, 4008, 4009 keep the session? 4005 and 4008; "
            "the docs say 'new session' of 4007, 4009 only."),
    ("A07", "What proves liveness? The ACK, as documented; a large replay or READY delays it, "
            "so consumers must not block the reader."),
    ("A08", "A beat requested just before a scheduled one? Only scheduled beats arm the zombie check, "
            "past a minimum age; any op 11 clears it."),
    ("A09", "Is the first beat sent with jitter or at once? With jitter, "
            "from a random source that a test can provide."),
    ("A10", "Does the 60 s window for sends slide, and do beats count? Not stated: use a sliding log, and count them."),
    ("A11", "From when does the 5 s identify slot run? It opens 5 s + slack after the send; "
            "hold the key until READY only if op 9 shows up."),
    ("A12", "Do later identifies pass the limiter? Yes, one limiter for the whole application."),
    ("A13", "How long to wait for HELLO, READY, RESUMED? HELLO 20–60 s; "
            "the others by heartbeat ACKs, with a cap of minutes."),
    ("A14", "How long do sessions and replay buffers last? \"A few minutes\": "
            "resume whenever there is state, let op 9 decide."),
    ("A15", "RESUME answered by neither RESUMED nor op 9? Cap failed resumes in a row (3–5), then drop the session."),
    ("A16", "Does the `s` of RESUMED, or a lower `s` in a replay, matter? It is order only: "
            "take the larger, count the rest."),
    ("A17", "Can READY's fields be stale after RESUMED? They are not repeated: "
            "keep the old resume URL and session id."),
    ("A18", "Send the presence on a resume? The session keeps it; send it again only if it changed while down."),
    ("A19", "Must `compress` match on a resume? The documentation names version and encoding only; keep it equal."),
    ("A20", "Buckets in order, or key arithmetic? A first-in-first-out queue per key, "
            "by ascending shard id, satisfies both."),
    ("A21", "Does `max_concurrency` span processes? It spans the application, "
            "so the limiter is a seam that can be shared."),
    ("A22", "What does `reset_after: 0` mean? It is not said: treat it as unknown, "
            "and do not divide by it or spin on it."),
    ("A23", "Op 8 answered by neither a chunk nor RATE_LIMITED? Not said; keep a local deadline per nonce."),
    ("A24", "Op 8 with both `user_ids` and `query`, or neither? One of them is wanted; refuse it locally."),
    ("A25", "Is the jitter 0..1 or 0..interval? The docs have both; "
            "the offset is interval × a uniform number in [0, 1)."),
    ("A26", "Can op 3 set the status `offline`? It is listed but had no effect for hikari; send `invisible` instead."),
    ("A27", "Does a presence use the old key `game`? The documentation has dropped it; use `activities`."),
)
