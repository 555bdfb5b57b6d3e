"""A folder is there whole or not at all; a secret is its owner's alone."""

from pathlib import Path

import pytest

from tollgate_local.folders import made_whole, write_private


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    jars = tmp_path / "cache" / "jars"

    with made_whole(jars) as scratch:
        (scratch / "kafka.jar").touch()
        assert not jars.exists()

    assert [path.name for path in jars.iterdir()] == ["kafka.jar"]
    assert list(jars.parent.iterdir()) == [jars]


def test_half_a_folder_leaves_nothing(tmp_path: Path) -> None:
    def cut_off() -> None:
        with made_whole(tmp_path / "jars") as scratch:
            (scratch / "half.jar").touch()
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        cut_off()

    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_wins(tmp_path: Path) -> None:
    jars = tmp_path / "jars"

    with made_whole(jars) as slow:
        (slow / "slow.jar").touch()
        with made_whole(jars) as quick:
            (quick / "quick.jar").touch()

    assert [path.name for path in jars.iterdir()] == ["quick.jar"]
    assert list(tmp_path.iterdir()) == [jars]


def test_a_private_file_is_replaced_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "run" / "demo.json"

    write_private(file, "first")
    write_private(file, "second")

    assert file.read_text() == "second"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
