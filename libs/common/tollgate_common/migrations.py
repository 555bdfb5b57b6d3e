"""Numbered migrations of a database: which have run, in which order, and whether one was edited since.

Guarantee: every migration runs once, in the order of the names, also when several processes migrate at once. Crash
window: the store's adapter documents it (`postgres.migrations`, `clickhouse.migrations`).
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple, Protocol

from tollgate_common.errors import InconsistentState

log = logging.getLogger(__name__)


class Migration(NamedTuple):
    """One file, `NNNN_name.sql`."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class Target(Protocol):
    """A store that is locked against other processes that migrate it."""

    async def read_digests(self) -> Mapping[str, str]:
        """Return the digest of each migration that has run, by name."""

    async def apply(self, migration: Migration) -> None:
        """Run a migration and record its digest.

        Raises:
            Fenced: another process has taken over the lock.
        """


def find_migrations(folder: str, *packages: str) -> list[Migration]:
    """Return the packages' migrations, ordered by name. Names are unique across the packages of a database."""
    return sorted(
        Migration(file.name.removesuffix(".sql"), file.read_text())
        for package in packages
        for file in (files(package) / folder).iterdir()
        if file.name.endswith(".sql")
    )


async def apply_pending(target: Target, migrations: Sequence[Migration]) -> list[str]:
    """Run the migrations that have not run yet, in order. Return their names.

    Raises:
        InconsistentState: a migration was edited after it ran, so databases would differ from each other.
    """
    digests = await target.read_digests()
    ran = []
    for migration in migrations:
        digest = digests.get(migration.name)
        if digest is None:
            await target.apply(migration)
            log.info("migration %s ran", migration.name)
            ran.append(migration.name)
        elif digest != migration.digest:
            raise InconsistentState(
                f"migration {migration.name} was edited after it ran: its SHA-256 is {migration.digest}, expected "
                f"{digest}; restore the file and add a new migration instead"
            )
    return ran
