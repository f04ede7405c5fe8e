"""Scripts on disk: the vocabulary of :mod:`~gatewright.harness.fake.script` as JSON or TOML, for bots in any language.

A word without arguments is its name, one with arguments an object with its name as the only key:

    {
      "guilds": 2,
      "rules": {"session_lifetime": 90},
      "connections": [
        {"ready": [{"delay": 3}], "after_ready": [{"delay": 30}, "reconnect"]},
        {"fault": "silence", "phase": "resuming"},
        {"ack": [{"after": {"count": 2, "then": ["withhold"]}}]},
        {}
      ],
      "metadata": [[{"answer": {"status": 503}}], []]
    }

A value that is no object stands for the word's first argument, so that ``{"close": 4000}`` and
``{"close": {"code": 4000}}`` are the same.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar, cast, get_type_hints

import attrs
import msgspec

from gatewright.harness.fake import script
from gatewright.harness.fake.faults import FAULTS, Phase
from gatewright.harness.fake.rules import Rules
from gatewright.harness.fake.script import After, Connection, MessagePlan, MetadataAction
from gatewright.spec.errors import ConfigurationError

_WORDS: Final[Mapping[str, type[attrs.AttrsInstance]]] = MappingProxyType(
    {
        re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind
        for kind in (
            script.After,
            script.Amend,
            script.Answer,
            script.Bomb,
            script.Close,
            script.Corrupt,
            script.Dark,
            script.Delay,
            script.Dispatch,
            script.Drop,
            script.Forget,
            script.Fragment,
            script.Invalidate,
            script.Raw,
            script.Reconnect,
            script.RequestHeartbeat,
            script.Send,
            script.Split,
            script.Withhold,
        )
    }
)
_NAMES: Final = {kind: name for name, kind in _WORDS.items()}

_OF_BYTES: Final = frozenset({script.Raw, script.Send})
"""Words whose argument may be bytes."""

T = TypeVar("T")
Json: TypeAlias = object


class ScriptError(ConfigurationError):
    """A script on disk does not say what it should; the message begins with the place."""


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    token: str = "fake.token"  # noqa: S105  # it opens nothing but the fake
    guilds: int | list[str] = 1
    heartbeat_interval: float = 41.25
    rules: dict[str, object] = {}
    connections: list[dict[str, object]] = []
    metadata: list[list[object]] = []


@attrs.frozen(kw_only=True)
class ScriptFile:
    """A script as a file says it; the names are those of `FakeGateway`'s arguments."""

    token: str = attrs.field(default="fake.token", repr=False)
    guilds: int | Sequence[str] = 1
    heartbeat_interval: float = 41.25
    rules: Rules = attrs.field(factory=Rules)
    connections: tuple[Connection, ...] = ()
    metadata: tuple[tuple[MetadataAction, ...], ...] = ()


def load(path: Path) -> ScriptFile:
    """Read a script; TOML if the name ends in ``.toml``, else JSON.

    Raises:
        OSError: if the file cannot be read.
        ScriptError: if it is no script.
    """
    try:
        data = path.read_bytes()
        document = tomllib.loads(data.decode()) if path.suffix == ".toml" else msgspec.json.decode(data)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path.name} cannot be read: {error}") from None
    try:
        return parse(document)
    except ScriptError as error:
        raise ScriptError(f"{path.name}: {error}") from None


def parse(document: Json) -> ScriptFile:
    """A script from its decoded form.

    Raises:
        ScriptError: if it is none.
    """
    read = _convert(document, _Document, "the script")
    if not read.token:
        raise ScriptError("token: give any text that is not empty")
    connections: list[Connection] = []
    metadata: list[tuple[MetadataAction, ...]] = []
    for position, plan in enumerate(read.metadata):
        where = f"metadata[{position}]"
        words = _words(plan, where)
        metadata.append(_checked(where, script.metadata_plan, cast("tuple[MetadataAction, ...]", words)))
    for position, plan in enumerate(read.connections):
        where = f"connections[{position}]"
        if "fault" in plan:
            played, answered = _fault(plan, where)
            connections.extend(played)
            metadata.extend(answered)
        else:
            connections.append(_connection(plan, where))
    return ScriptFile(
        token=read.token,
        guilds=read.guilds,
        heartbeat_interval=read.heartbeat_interval,
        rules=_made(Rules, read.rules, "rules"),
        connections=tuple(connections),
        metadata=tuple(metadata),
    )


def dump(connections: Sequence[Connection], metadata: Sequence[Sequence[MetadataAction]] = ()) -> str:
    """A script in JSON that `parse` reads back: what a plan made by a seed looks like."""
    steps = [field.name for field in attrs.fields(Connection)]
    document = {
        "connections": [
            {step: list(map(_shown, plan)) for step in steps if (plan := getattr(connection, step))}
            for connection in connections
        ],
        "metadata": [list(map(_shown, plan)) for plan in metadata],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _fault(
    plan: Mapping[str, object], where: str
) -> tuple[tuple[Connection, ...], tuple[tuple[MetadataAction, ...], ...]]:
    name, phase = plan.get("fault"), plan.get("phase")
    fault = FAULTS.get(name) if isinstance(name, str) else None
    if fault is None:
        raise ScriptError(f"{where}.fault: {name!r:.60} is none of {', '.join(FAULTS)}")
    if extra := plan.keys() - {"fault", "phase"}:
        raise ScriptError(f"{where}: {', '.join(sorted(extra))} has no meaning beside a fault")
    if phase not in set(Phase):
        raise ScriptError(f"{where}.phase: {phase!r:.60} is none of {', '.join(Phase)}")
    chosen = Phase(cast("str", phase))
    # The healthy end of the fault's own script is left away: what follows here is the next entry.
    return _checked(where, fault.script, chosen)[:-1], fault.metadata(chosen)


def _connection(plan: Mapping[str, object], where: str) -> Connection:
    steps = {field.name for field in attrs.fields(Connection)}
    if unknown := plan.keys() - steps:
        raise ScriptError(f"{where}: {', '.join(sorted(unknown))} is no step; steps are: {', '.join(sorted(steps))}")
    words = {step: cast("MessagePlan", _words(value, f"{where}.{step}")) for step, value in plan.items()}
    return _checked(where, Connection, **words)


def _words(value: object, where: str) -> tuple[object, ...]:
    values: list[object] = cast("list[object]", value) if isinstance(value, list) else [value]
    return tuple(_word(one, f"{where}[{position}]") for position, one in enumerate(values))


def _word(value: object, where: str) -> object:
    name, argument = value, None
    if isinstance(value, dict):
        items = list(cast("dict[str, object]", value).items())
        if len(items) != 1:
            raise ScriptError(f"{where}: a word is its name, or an object with its name as the only key")
        ((name, argument),) = items
    kind = _WORDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ScriptError(f"{where}: {name!r:.60} is no word; words are: {', '.join(sorted(_WORDS))}")
    where = f"{where}.{name}"
    if not isinstance(value, dict):
        given: dict[str, object] = {}
    elif isinstance(argument, dict) and not (kind in _OF_BYTES and "hex" in argument):
        given = cast("dict[str, object]", argument)
    else:
        given = {attrs.fields(kind)[0].name: argument} if attrs.fields(kind) else {"": argument}
    return _made(kind, given, where)


def _made(kind: type[T], given: Mapping[str, object], where: str) -> T:
    """An attrs value from its fields, each checked against its annotation."""
    types = get_type_hints(kind, vars(script) | {"Mapping": Mapping, "Close": script.Close})
    fields: dict[str, object] = {}
    for name, value in given.items():
        if name not in types:
            known = ", ".join(sorted(types)) or "its arguments: it has none"
            raise ScriptError(f"{where}: {name!r} is not among {known}")
        place = f"{where}.{name}"
        if kind is After and name == "then":
            fields[name] = _words(value, place)
        elif kind is Rules and name == "malformed_command":
            fields[name] = _word(value, place)
        elif kind is script.Raw:
            fields[name] = _bytes(value, place)
        elif kind is script.Send:
            fields[name] = value if isinstance(value, str) else _bytes(value, place)
        elif kind is script.Answer and name == "body":
            fields[name] = _body(value, place)
        elif kind is script.Split:
            fields[name] = _convert(value, int | list[int], place)
        else:
            fields[name] = _convert(value, types[name], place)
    return _checked(where, cast("Callable[..., T]", kind), **fields)


def _body(value: object, where: str) -> object:
    """An HTTP body: text and ``{"hex": …}`` as bytes, anything else as JSON."""
    return _bytes(value, where) if isinstance(value, str) or _is_hex(value) else value


def _is_hex(value: object) -> bool:
    return isinstance(value, dict) and set(cast("dict[str, object]", value)) == {"hex"}


def _bytes(value: object, where: str) -> bytes:
    """Text as it is, in UTF-8, or ``{"hex": "ff00"}``."""
    if isinstance(value, str):
        return value.encode()
    try:
        return bytes.fromhex(_convert(value, dict[str, str], where)["hex"])
    except (KeyError, ValueError):
        raise ScriptError(f"{where}: bytes are text, or an object such as {{'hex': 'ff00'}}") from None


def _shown(word: object) -> object:
    kind = cast("type[attrs.AttrsInstance]", type(word))
    given: dict[str, object] = {}
    for field in attrs.fields(kind):
        value: object = getattr(word, field.name)
        if value in (field.default, {}, ()):
            continue
        if isinstance(value, bytes):
            value = {"hex": value.hex()}
        elif isinstance(word, After) and field.name == "then":
            value = list(map(_shown, word.then))
        given[field.name] = value
    return {_NAMES[kind]: given} if given else _NAMES[kind]


def _convert(value: object, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ScriptError(f"{where}: {error}") from None


def _checked(where: str, make: Callable[..., T], *arguments: object, **fields: object) -> T:
    try:
        return make(*arguments, **fields)
    except (TypeError, ValueError) as error:
        raise ScriptError(f"{where}: {error}") from None
