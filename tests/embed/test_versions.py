"""An adapter refuses a framework that it was not tested with, and says what to do."""

from importlib import metadata

import pytest

from gatewright.embed.versions import SUPPORTED, UnsupportedFramework, require


def installed(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Every distribution has this version."""

    def answer(_: str) -> str:
        return version

    monkeypatch.setattr(metadata, "version", answer)


@pytest.mark.parametrize("distribution", SUPPORTED)
def test_a_tested_version_is_let_in(distribution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for minor in SUPPORTED[distribution].minors:
        installed(monkeypatch, f"{minor}.3")
        assert require(distribution) == f"{minor}.3"


@pytest.mark.parametrize("version", ["0.1.0", "99.0", "2.70.1", "2"])
def test_another_version_is_refused_with_what_to_do(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, version)
    with pytest.raises(UnsupportedFramework, match=r"tested with hikari 2\.7\.\*.*pip install 'gatewright\[hikari\]'"):
        require("hikari")


def test_an_absent_framework_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(UnsupportedFramework, match="not installed: pip install"):
        require("discord.py")
