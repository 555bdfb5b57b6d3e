"""One launcher at a time for one folder of data, and how another terminal finds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tollgate_local.errors import AlreadyRunningError


@contextmanager
def only_one(pid_file: Path) -> Iterator[None]:
    """Holds `pid_file` for as long as this process lives; AlreadyRunningError when another one does.

    The file's lock, not its content, tells that its writer lives: the system lets go of it at any kind of death, so a
    number left behind, which may by now be a stranger's, is never taken for ours.
    """
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    with pid_file.open("a+") as file:
        if not lock(file.fileno()):
            raise AlreadyRunningError(f"already running, as process {read_pid(file)}; stop that first")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def running_pid(pid_file: Path) -> int | None:
    """The process that holds `pid_file`, if one does."""
    try:
        with pid_file.open() as file:
            return None if lock(file.fileno()) else read_pid(file)
    except FileNotFoundError:
        return None


def read_pid(file: TextIO) -> int:
    file.seek(0)
    return int(file.read() or 0)


def lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
