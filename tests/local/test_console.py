"""What `up` finds out before it builds the web console."""

import re
from pathlib import Path

import pytest

from tollgate_local.console import missing_for_console


def programs(folder: Path, version: str | None) -> str:
    """A PATH with npm and a Node that says that it is of this version; without one, an empty PATH."""
    if version is not None:
        (folder / "npm").write_text("#!/bin/sh\n")
        (folder / "node").write_text(f"#!/bin/sh\necho {version}\n")
        for program in folder.iterdir():
            program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (None, "Node 20 or newer with npm"),
        ("v18.20.4", "Node 20 or newer; .*/node is v18.20.4"),
        ("nonsense", "Node 20 or newer; .*/node is nonsense"),
    ],
)
def test_what_must_be_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, told: str
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path, version))
    missing = missing_for_console()
    assert missing is not None
    assert re.fullmatch(told, missing)


def test_a_new_enough_node_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path, "v22.1.0"))
    assert missing_for_console() is None
