"""Nothing that belongs to one machine, one mirror or one account is written into the project."""

import re

import pytest

from tests.support.checkout import ROOT, files

# Each pattern is written so that it does not match itself.
FOREIGN = {
    "a path of somebody's machine": r"(?<![\w.~])/(?:root|work|home/(?!user\b)\w+|Users/\w+|tmp/bash_jobs)/[\w.]",
    "a host of a package registry": r"(?:pypi|pythonhosted|npmjs|debian|crates)\.(?:org|io|com)\b",
    "a pinned index": r"^\s*-{1,2}(?:extra-)?(?:index-url|find-links|i|f)\b",
    "a Discord token": r"\b[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}",
    "an access token": r"\b(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[abp]-|AKIA)[A-Za-z0-9_]{16,}",
    "a private key": r"-{5}BEGIN [A-Z ]*PRIVATE [K]EY",
    "a webhook": r"discord(?:app)?\.com/api/webhooks/\d+/[\w-]{20,}",
}

EXAMPLES = {
    "a path of somebody's machine": ["cd /ro" + "ot/x", "'/wo" + "rk/main'", "/ho" + "me/ann/src"],
    "a host of a package registry": ["https://files.pythonhos" + "ted.org/packages", "py" + "pi.org"],
    "a pinned index": ["--index" + "-url x", "  -" + "f /wheels"],
    "a Discord token": ["M" + "T" * 24 + "." + "Gabcde" + "." + "x" * 30],
    "an access token": ["gh" + "p_" + "a" * 36],
    "a private key": ["-----BEGIN EC PRIVATE " + "KEY-----"],
    "a webhook": ["https://discord.com/api/webhooks/" + "123/" + "a" * 30],
}


def texts() -> dict[str, str]:
    found = {str(path): (ROOT / path).read_bytes() for path in files() if (ROOT / path).is_file()}
    return {name: content.decode(errors="replace") for name, content in found.items() if b"\0" not in content[:8192]}


@pytest.mark.parametrize("kind", FOREIGN)
def test_no_file_holds_it(kind: str) -> None:
    pattern = re.compile(FOREIGN[kind], re.MULTILINE)
    found = [f"{name}: {match[0]}" for name, text in texts().items() for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize(("kind", "example"), [(kind, text) for kind, texts in EXAMPLES.items() for text in texts])
def test_it_would_be_found(kind: str, example: str) -> None:
    assert re.search(FOREIGN[kind], example, re.MULTILINE)


def test_the_entrance_of_ci_can_be_executed() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
