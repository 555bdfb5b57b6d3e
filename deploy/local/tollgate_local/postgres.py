"""One PostgreSQL server on this machine."""

import secrets
import signal
from functools import partial
from pathlib import Path

import psycopg

from tollgate_local.errors import DataUnusableError
from tollgate_local.folders import made_whole, write_private
from tollgate_local.ports import HOST
from tollgate_local.postgres_binaries import find_binaries, reachable_binaries
from tollgate_local.processes import ProcessSpec, run_to_end
from tollgate_local.users import give, reachable_folder, server_user

ADMIN = "tollgate"
# Small costs a connection, and every service and test brings a pool.
MAX_CONNECTIONS = 300
# For data that nobody will miss, the tests' own. `make up` keeps PostgreSQL's durable defaults.
FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class Postgres:
    """Listens on 127.0.0.1; its data is in `home/data`, its superuser's password in `home/password`."""

    name = "postgres"

    def __init__(self, home: Path, log_file: Path, port: int, *, short_lived: bool) -> None:
        self._user = server_user()
        self._home = reachable_folder(self._user, home)
        self._log_file = log_file
        self._port = port
        self._short_lived = short_lived
        found, self._major = find_binaries()
        self._binaries = reachable_binaries(found, self._user, self._home)

    @property
    def dsn(self) -> str:
        """The superuser's, of the database that always exists. Known once `prepare` has run."""
        return f"postgresql://{ADMIN}:{self._password_file.read_text()}@{HOST}:{self._port}/postgres"

    @property
    def home(self) -> Path:
        """Where the data really is, which for root may be outside of the checkout."""
        return self._home

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _password_file(self) -> Path:
        return self._home / "password"

    async def prepare(self) -> None:
        """Makes the data folder on the first start; checks on the others that it fits the server found."""
        if not self._data.exists():
            await self._initialise()
        made_by = (self._data / "PG_VERSION").read_text().strip()
        if made_by != str(self._major):
            raise DataUnusableError(
                f"the data in {self._home} was made by PostgreSQL {made_by}, and this machine's is {self._major}; "
                f"install PostgreSQL {made_by} again, or delete the data (make reset)"
            )

    async def _initialise(self) -> None:
        password = secrets.token_urlsafe(24)
        with made_whole(self._data) as scratch:
            give(scratch, self._user)
            password_copy = self._home / "password-for-initdb"
            write_private(password_copy, password)
            give(password_copy, self._user)
            try:
                await self._run_initdb(scratch, password_copy)
            finally:
                password_copy.unlink()
            write_private(self._password_file, password)

    async def _run_initdb(self, data: Path, password_file: Path) -> None:
        # Bytes decide the order of text: the same on every machine, whatever locales it has.
        argv = [str(self._binaries / "initdb"), f"--pgdata={data}", "--encoding=UTF8", "--locale=C"]
        argv += [f"--username={ADMIN}", f"--pwfile={password_file}", "--auth=scram-sha-256"]
        argv += ["--no-sync"] if self._short_lived else []
        await run_to_end("PostgreSQL's initdb", argv, {}, self._user)

    def spec(self) -> ProcessSpec:
        # No Unix socket: its path has a length limit that a deep checkout exceeds.
        settings = [f"listen_addresses={HOST}", f"port={self._port}", "unix_socket_directories="]
        settings += [f"max_connections={MAX_CONNECTIONS}"]
        settings += FORGETFUL if self._short_lived else []
        options = [word for setting in settings for word in ("-c", setting)]
        return ProcessSpec(
            name=self.name,
            argv=(str(self._binaries / "postgres"), "-D", str(self._data), *options),
            log_file=self._log_file,
            is_ready=partial(postgres_answers, self.dsn),
            user=self._user,
            # Its "fast" stop closes open connections; on SIGTERM it would wait for every client to leave.
            stop_signal=signal.SIGINT,
            stop_within_s=20,
        )


async def postgres_answers(dsn: str) -> bool:
    try:
        async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=5) as connection:
            await connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
