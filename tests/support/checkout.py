"""The checkout that the tests run in: where it is, what belongs to it, and copies of it to build from or to break."""

import functools
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

ROOMS = ("diagrams", "embed", "fleet", "fsm", "harness", "spec", "transport")

# Folders that a wheel has no part of.
_NOT_SHIPPED = {"benchmarks", "docs", "examples", "tests"}
_BY_PRODUCTS = {"__pycache__", "build", "dist", "htmlcov", "node_modules"}


@functools.cache
def project() -> Mapping[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@functools.cache
def files() -> tuple[PurePosixPath, ...]:
    """Every file and link of the project, from its root: what git tracks or would, or all of an unpacked sdist."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        names = {name for name in listed if name and os.path.lexists(ROOT / name)}
    else:
        names = set(_walk(ROOT))
    return tuple(PurePosixPath(name) for name in sorted(names))


def _walk(top: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not _is_by_product(name)]
        yield from ((here / name).relative_to(top).as_posix() for name in (*names, *links))


def _is_by_product(folder: str) -> bool:
    return folder in _BY_PRODUCTS or folder.startswith(".") or folder.endswith(".egg-info")


def shipped_modules() -> dict[str, PurePosixPath]:
    """The Python files that a wheel must hold: their name inside the wheel, and where the checkout has them."""
    return {
        str(path if path.parts[0] == "gatewright" else "gatewright" / path): path
        for path in files()
        if path.suffix == ".py" and len(path.parts) > 1 and path.parts[0] not in _NOT_SHIPPED
    }


def copy_to(target: Path, *, links: bool = True) -> Path:
    """Copy the project's files to a new folder `target`; without `links`, as git writes them where there are none."""
    for file in files():
        source, copy = ROOT / file, target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not source.is_symlink():
            shutil.copy(source, copy)
        elif links:
            copy.symlink_to(source.readlink())
        else:
            copy.write_text(str(source.readlink()), encoding="utf-8")
    return target


def run(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed, and give what it printed."""
    status, output = attempt(*command, cwd=cwd, environment=environment)
    assert status == 0, f"{' '.join(map(str, command))} failed in {cwd}:\n{output}"
    return output


def attempt(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command that may fail, and give its exit status and all that it printed, without colours."""
    inherited = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, "NO_COLOR": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return result.returncode, result.stdout


def tool(name: str) -> Path:
    """The path of a command that was installed beside the running Python."""
    return Path(sys.executable).parent / name
