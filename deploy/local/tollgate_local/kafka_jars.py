"""Apache Kafka's jars, at the version that deploy/local/kafka/pom.xml pins, and the Java that runs them."""

import asyncio
import hashlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET  # the file parsed is the project's own
from pathlib import Path

from tollgate_local.errors import DownloadError, LocalError, ToolMissingError
from tollgate_local.folders import made_whole
from tollgate_local.processes import run_to_end

# What Kafka 4's server needs.
OLDEST_JAVA = 17
INSTALL = "Debian, Ubuntu: apt-get install openjdk-17-jre-headless maven"
DOWNLOAD_WITHIN_S = 600


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


def jars_folder(pom: Path, cache: Path) -> Path:
    """Named for the version and for all that the pom says, so that jars fetched for another pom are never taken."""
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:8]
    return cache / f"kafka-{kafka_version(pom)}-{digest}"


def find_maven() -> str:
    """The path of Maven."""
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissingError(f"Kafka's jars are fetched once with Maven, and no `mvn` is on the PATH; {INSTALL}")
    return maven


async def fetch_jars(maven: str, pom: Path, folder: Path) -> None:
    """Fills `folder` with what the pom names, whole or not at all."""
    with made_whole(folder) as scratch:
        # Strict checksums: Maven by itself only warns of a jar that does not match.
        argv = [maven, "--batch-mode", "--quiet", "--strict-checksums", f"--file={pom}", "dependency:copy-dependencies"]
        argv += ["-DincludeScope=runtime", f"-DoutputDirectory={scratch}"]
        try:
            async with asyncio.timeout(DOWNLOAD_WITHIN_S):
                await run_to_end("Maven", argv, {})
        except TimeoutError:
            raise DownloadError(f"Kafka's jars did not arrive within {DOWNLOAD_WITHIN_S} s; run it again") from None
        except LocalError as error:
            raise DownloadError(f"Kafka's jars could not be fetched; run it again. {error}") from None
