"""Java and Kafka's jars: what is missing, too old or cut off is one clear line, and leaves nothing half-done."""

from pathlib import Path

import pytest

from tollgate_local.errors import DownloadError, ToolMissingError
from tollgate_local.kafka_jars import POM, fetch_jars, find_java, find_maven, jars_folder, kafka_version


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_no_java(programs: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"no `java` is on the PATH; .* apt-get install openjdk-17-jre-headless"):
        find_java()


@pytest.mark.parametrize(
    ("told", "version"),
    [('openjdk version "11.0.2" 2019-01-15', "Java 11"), ('java version "1.8.0_351"', "Java 8")],
)
def test_java_too_old(programs: Path, told: str, version: str) -> None:
    install(programs, "java", f"echo '{told}' >&2")

    with pytest.raises(ToolMissingError, match=f"needs Java 17 or newer, and .*/java is {version};"):
        find_java()


def test_something_else_called_java(programs: Path) -> None:
    install(programs, "java", "echo 'Unable to locate a Java Runtime' >&2; exit 1")

    with pytest.raises(ToolMissingError, match="Java of an unknown version"):
        find_java()


@pytest.mark.parametrize("told", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "25" 2025-09-16'])
def test_java_new_enough(programs: Path, told: str) -> None:
    install(programs, "java", f"echo '{told}' >&2")

    assert find_java() == str(programs / "java")


def test_no_maven(programs: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"no `mvn` is on the PATH; .* maven"):
        find_maven()


async def test_a_download_that_fails_leaves_nothing(programs: Path, tmp_path: Path) -> None:
    # Maven as it is on a bad line: some jars are there when it gives up.
    install(programs, "mvn", 'for a; do last="$a"; done; : > "${last#*=}/half.jar"; echo "[ERROR] timed out"; exit 1')
    jars = tmp_path / "cache" / "jars"

    with pytest.raises(DownloadError, match=r"(?s)could not be fetched; run it again.*timed out"):
        await fetch_jars(find_maven(), POM, jars)

    assert list(jars.parent.iterdir()) == []


async def test_a_download_that_works_is_whole(programs: Path, tmp_path: Path) -> None:
    install(programs, "mvn", 'for a; do last="$a"; done; : > "${last#*=}/kafka.jar"')
    jars = tmp_path / "cache" / "jars"

    await fetch_jars(find_maven(), POM, jars)

    assert [path.name for path in jars.iterdir()] == ["kafka.jar"]


def test_another_pom_has_another_folder(tmp_path: Path) -> None:
    changed = tmp_path / "pom.xml"
    changed.write_text(POM.read_text().replace("log4j", "log5j"))

    assert kafka_version(changed) == kafka_version(POM)
    assert jars_folder(changed, tmp_path) != jars_folder(POM, tmp_path)
    assert jars_folder(POM, tmp_path).name.startswith(f"kafka-{kafka_version(POM)}-")
