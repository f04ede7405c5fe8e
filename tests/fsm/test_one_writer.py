"""The state of a shard has one writer: the runtimes, while the core feeds them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from gatewright.fsm import compiled, core, machine
from gatewright.fsm.core import ShardCore
from gatewright.harness.outside import Outside
from gatewright.spec.context import Context
from gatewright.spec.events import Connect, Register
from gatewright.spec.states import State
from tests.support.checkout import ROOT, shipped_modules

FIELDS = frozenset(field.name for field in attrs.fields(Context))
WRITERS = {"fsm/machine.py": FIELDS, "fsm/core.py": frozenset({"now", "roll"})}
"""Who may assign which fields. The compiled table writes them too, in the source that it generates."""


def assigned(path: Path) -> Iterator[tuple[str, str, int]]:
    """Each assignment to ``x.field``, as the name of ``x``, the field and the line; setattr() counts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Assign() | ast.Delete():
                targets: list[ast.expr] = node.targets
            case ast.AugAssign() | ast.AnnAssign() | ast.NamedExpr():
                targets = [node.target]
            case ast.Call(func=ast.Name(id="setattr"), args=[ast.Name(id=owner), *_]):
                yield owner, "*", node.lineno
                continue
            case _:
                continue
        for target in targets:
            for part in ast.walk(target):
                if isinstance(part, ast.Attribute) and isinstance(part.ctx, (ast.Store, ast.Del)):
                    yield ast.unparse(part.value), part.attr, part.lineno


def of_a_context(owner: str) -> bool:
    """Whether that is what the packages call a context."""
    return owner in {"c", "context"} or owner.endswith(("_context", ".context", ".core"))


def test_no_module_but_the_runtimes_assigns_a_field_of_a_context() -> None:
    strays = [
        f"{path}:{line}: {owner}.{field}"
        for path in shipped_modules().values()
        for owner, field, line in assigned(ROOT / path)
        if of_a_context(owner)
        and (field in FIELDS or field == "*")
        and field not in WRITERS.get(path.as_posix(), frozenset()) | ({"*"} if path.name == "machine.py" else set())
    ]
    assert strays == []


def test_no_module_assigns_the_state_of_anything_but_itself() -> None:
    strays = [
        f"{path}:{line}: {owner}.state"
        for path in shipped_modules().values()
        for owner, field, line in assigned(ROOT / path)
        if field == "state" and owner != "self"
    ]
    assert strays == []


def test_the_scan_sees_the_writers() -> None:
    seen = {
        (path.as_posix(), field)
        for path in shipped_modules().values()
        for owner, field, _ in assigned(ROOT / path)
        if of_a_context(owner)
    }
    assert {("fsm/machine.py", "deadline"), ("fsm/machine.py", "*"), ("fsm/core.py", "now")} <= seen


def test_only_the_core_makes_a_context() -> None:
    makers = {
        path.as_posix()
        for path in shipped_modules().values()
        if path.parts[0] != "harness"
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Context"
    }
    assert makers == {"fsm/core.py"}


class Guarded(Context):
    """A context that tells who writes it."""

    writers: set[str] = set()  # noqa: RUF012 - shared on purpose: the test reads it
    feeding = False

    def __setattr__(self, name: str, value: object) -> None:
        if name in FIELDS:
            assert Guarded.feeding, f"{name} is written while nothing is fed"
            Guarded.writers.add(name)
        super().__setattr__(name, value)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> ShardCore:
    """A core whose context may be written during feed() and tick() only."""
    monkeypatch.setattr(core, "Context", Guarded)
    monkeypatch.setattr(Guarded, "feeding", True)
    shard = ShardCore()
    monkeypatch.setattr(Guarded, "writers", set[str]())
    monkeypatch.setattr(Guarded, "feeding", False)
    for name in ("feed", "tick"):
        inner = getattr(ShardCore, name)

        def during(self: ShardCore, *args: object, inner: object = inner) -> object:
            was, Guarded.feeding = Guarded.feeding, True
            try:
                return inner(self, *args)  # type: ignore[operator]  # the method that is replaced
            finally:
                Guarded.feeding = was

        monkeypatch.setattr(ShardCore, name, during)
    return shard


def test_a_shard_is_written_while_it_is_fed_and_at_no_other_time(guarded: ShardCore) -> None:
    outside, now = Outside(), 0.0
    outside.note(Register(), guarded.feed(Register(), now))
    while guarded.state is not State.READY:
        answer = outside.answer()
        assert answer is not None
        outside.note(answer, guarded.feed(answer, now))
        guarded.snapshot(now)
        guarded.explain(Connect)
        guarded.next_deadline()
        _ = (guarded.session, guarded.client, guarded.metadata, guarded.failure, guarded.interval, guarded.gen)
    guarded.tick(1000.0)
    assert "state" in Guarded.writers


def test_a_write_from_elsewhere_is_noticed(guarded: ShardCore) -> None:
    with pytest.raises(AssertionError, match="state is written while nothing is fed"):
        guarded._context.state = State.READY


def test_the_runtimes_keep_no_state_of_their_own() -> None:
    for runtime in (core.shipped_machine(), core.shipped_compiled()):
        kept = {name: getattr(runtime, name) for name in type(runtime).__slots__}
        assert not any(isinstance(value, Context | State) for value in kept.values())
    assert machine.TableMachine.__slots__ == ("_events", "_machine")
    assert compiled.CompiledTable.__slots__ == ("_dispatch_cells", "_run_cells", "cells", "source")
