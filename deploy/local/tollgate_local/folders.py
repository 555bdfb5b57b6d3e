"""Where the project keeps what it fetches and stores, and how a folder is made whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
RUN = PROJECT / ".run"
CACHE = PROJECT / ".cache"
KAFKA_BUILD = PROJECT / "deploy" / "local" / "kafka"


@contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `target`; it becomes `target` only when the block ends without an error.

    So a download or an initialisation that was cut off is never mistaken for a complete one. A second process that
    finished first wins, and this one's work is dropped.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=target.parent))
    try:
        yield scratch
        try:
            scratch.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Writes a secret so that nobody else can read it, not even for a moment, and no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # made with mode 600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
