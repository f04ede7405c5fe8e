"""A session in a file: replaced in one step, read by its owner alone, and in nobody's way."""

import stat
import threading
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.session import Session, SessionInvalid
from gatewright.transport.session_file import FileSessionStore

SESSION = Session(id="held", resume_url="wss://resume.invalid/", seq=5, intents=1)


def later(seq: int) -> Session:
    return attrs.evolve(SESSION, seq=seq)


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


async def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    await FileSessionStore(path).save(SESSION)
    assert await FileSessionStore(str(path)).load() == SESSION
    assert Session.from_json(path.read_text(encoding="utf-8")) == SESSION


async def test_without_a_file_there_is_no_session(tmp_path: Path) -> None:
    assert await FileSessionStore(tmp_path / "session.json").load() is None


async def test_only_its_owner_may_read_it_also_after_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o644)
    for seq in (1, 2):
        await FileSessionStore(path).save(later(seq))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    store = FileSessionStore(tmp_path / "session.json")
    for seq in range(5):
        await store.save(later(seq))
    assert names(tmp_path) == ["session.json"]
    await store.save(None)
    await store.save(None)
    assert names(tmp_path) == []


async def test_a_save_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileSessionStore(tmp_path / "session.json")
    await store.save(SESSION)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gatewright.transport.session_file.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        await store.save(later(9))
    assert await store.load() == SESSION
    assert names(tmp_path) == ["session.json"]


@pytest.mark.parametrize("text", [b"", b"garbage", b"\xff", b"{}", b"x" * 100_000])
async def test_a_file_that_holds_no_session_is_told_apart_from_none(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "session.json"
    path.write_bytes(text)
    with pytest.raises(SessionInvalid):
        await FileSessionStore(path).load()


async def test_a_folder_that_does_not_exist_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="elsewhere"):
        await FileSessionStore(tmp_path / "elsewhere" / "session.json").load()


async def test_files_are_touched_in_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    store = FileSessionStore(tmp_path / "session.json")
    write, read = store._write, store._read

    def watched_write(text: str | None, number: int) -> None:
        threads.append(threading.get_ident())
        write(text, number)

    def watched_read() -> Session | None:
        threads.append(threading.get_ident())
        return read()

    monkeypatch.setattr(store, "_write", watched_write)
    monkeypatch.setattr(store, "_read", watched_read)
    await store.save(SESSION)
    await store.load()
    assert len(threads) == 2
    assert threading.get_ident() not in threads


async def test_a_save_that_was_given_up_does_not_overtake_a_newer_one(tmp_path: Path) -> None:
    store = FileSessionStore(tmp_path / "session.json")
    await store.save(later(1))
    overtaken = store._newest
    await store.save(later(2))
    await trio.to_thread.run_sync(store._write, later(1).to_json(), overtaken)  # its thread was slow to begin
    assert await store.load() == later(2)


async def test_a_disk_that_hangs_can_be_left(tmp_path: Path) -> None:
    store = FileSessionStore(tmp_path / "session.json")
    with store._lock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.save, later(1))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    await store.save(later(3))
    assert await store.load() == later(3)


def test_it_shows_its_path_and_no_session() -> None:
    assert repr(FileSessionStore("session.json")) == "FileSessionStore('session.json')"
