"""Apache Kafka's jars, at the version that deploy/local/kafka/pom.xml pins, and the Java that runs them."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET  # the file parsed is the project's own
from pathlib import Path

from tollgate_local.errors import DownloadError, ToolMissingError
from tollgate_local.folders import made_whole

# What Kafka 4's server needs.
OLDEST_JAVA = 17
INSTALL = "Debian, Ubuntu: apt-get install openjdk-17-jre-headless maven"
DOWNLOAD_WITHIN_S = 600
LAST_LINES = 5


def find_java() -> str:
    """The path of a Java that runs Kafka."""
    java = shutil.which("java")
    if java is None:
        raise ToolMissingError(f"Kafka needs Java {OLDEST_JAVA} or newer, and no `java` is on the PATH; {INSTALL}")
    told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    if found is None or int(found.group(1)) < OLDEST_JAVA:
        version = found.group(1) if found else "of an unknown version"
        raise ToolMissingError(f"Kafka needs Java {OLDEST_JAVA} or newer, and {java} is Java {version}; {INSTALL}")
    return java


def kafka_version(pom: Path) -> str:
    found = ET.parse(pom).findtext(".//{*}kafka.version")  # noqa: S314 - our own file, no stranger's
    assert found is not None, f"{pom} names no kafka.version"
    return found


def kafka_jars(pom: Path, cache: Path) -> Path:
    """The folder of the jars; fetched by Maven the first time, or when the pom has changed since."""
    jars = cache / f"kafka-{kafka_version(pom)}"
    made_from = jars / pom.name
    if made_from.exists() and made_from.read_bytes() == pom.read_bytes():
        return jars
    shutil.rmtree(jars, ignore_errors=True)
    with made_whole(jars) as scratch:
        download(pom, scratch)
        shutil.copy(pom, scratch)
    return jars


def download(pom: Path, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissingError(f"Kafka's jars are fetched with Maven once, and no `mvn` is on the PATH; {INSTALL}")
    # Strict checksums: Maven by itself only warns of a jar that does not match.
    argv = [maven, "--batch-mode", "--quiet", "--strict-checksums", f"--file={pom}", "dependency:copy-dependencies"]
    argv += ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=DOWNLOAD_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise DownloadError(f"Kafka's jars did not arrive within {DOWNLOAD_WITHIN_S} s; run it again") from None
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")][:LAST_LINES]
        raise DownloadError("Maven could not fetch Kafka's jars; run it again when it can:\n" + "\n".join(errors))
