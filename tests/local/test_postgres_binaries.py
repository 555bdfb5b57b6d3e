"""Which PostgreSQL is taken: the machine's if it is whole and new enough, else the wheel's."""

from pathlib import Path

import pytest

from tollgate_local import postgres_binaries
from tollgate_local.errors import ToolMissingError
from tollgate_local.postgres_binaries import find_binaries, major_version, wheel_package


def install(folder: Path, version: str, *, with_server: bool = True) -> Path:
    folder.mkdir()
    postgres = folder / "postgres"
    postgres.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
    postgres.chmod(0o755)
    if with_server:
        (folder / "initdb").touch()
    return folder


def offer(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setattr(postgres_binaries, "candidate_folders", lambda: iter(folders))


def test_version_is_read(tmp_path: Path) -> None:
    assert major_version(install(tmp_path / "a", "15.18 (Debian 15.18-0+deb12u1)")) == 15
    assert major_version(install(tmp_path / "b", "19beta1")) == 19


def test_a_folder_without_a_server_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = install(tmp_path / "clients", "17.2", with_server=False)
    old = install(tmp_path / "old", "13.9")
    good = install(tmp_path / "good", "16.1")
    offer(monkeypatch, tmp_path / "nothing", clients, old, good)

    assert find_binaries() == (good, 16)


def test_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, tmp_path / "nothing")

    with pytest.raises(ToolMissingError, match=r"no PostgreSQL 15 or newer found.* apt-get install postgresql"):
        find_binaries()


def test_the_wheel_has_one_that_runs() -> None:
    package = wheel_package()
    assert package is not None

    major = major_version(package / "pginstall" / "bin")

    assert major is not None
    assert major >= 15
