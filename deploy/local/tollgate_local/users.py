"""PostgreSQL refuses to run as root, so a root launcher lends it an ordinary user of the system.

That user must be able to enter the folder of its data and to run the binaries, and neither is given: a checkout below
root's home is closed to everybody else. Both are tried out, not guessed from mode bits.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import TypedDict

from tollgate_local.errors import ToolMissingError

CANDIDATES = ("postgres", "nobody")
# Only root ever needs this place, and root may write there.
OUTSIDE = Path("/var/lib")


class RunAs(TypedDict, total=False):
    """What subprocess takes to run a child as somebody else."""

    user: str
    group: int
    extra_groups: list[str]


def server_user() -> str | None:
    """The user a server that refuses root should run as; None when we are not root and it can run as us."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ToolMissingError(f"PostgreSQL refuses to run as root and none of these users exists: {', '.join(CANDIDATES)}")


def as_user(user: str | None) -> RunAs:
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def give(path: Path, user: str | None) -> None:
    """Makes `user` the owner of one file or folder."""
    if user is not None:
        shutil.chown(path, user)


def works_as(user: str | None, *argv: str) -> bool:
    """Whether that user can run this command with success."""
    try:
        done = subprocess.run(argv, check=False, capture_output=True, cwd="/", **as_user(user))
    except OSError:
        return False
    return done.returncode == 0


def reachable_folder(user: str | None, wanted: Path) -> Path:
    """`wanted` where the user can enter it, else a folder outside of the checkout that belongs to it by its name."""
    wanted.mkdir(parents=True, exist_ok=True)
    if user is None:
        return wanted
    wanted.chmod(0o711)  # others may pass through, not look; what lies below has modes of its own
    if works_as(user, "/bin/sh", "-c", 'cd "$1"', "sh", str(wanted)):
        return wanted
    outside = outside_folder(wanted)
    outside.mkdir(exist_ok=True)
    outside.chmod(0o711)
    return outside


def outside_folder(wanted: Path) -> Path:
    """The stand-in for `wanted`, which may not exist; each checkout has its own."""
    digest = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return OUTSIDE / f"tollgate-{digest}"
