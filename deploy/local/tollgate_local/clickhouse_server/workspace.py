"""What a request changes in its handle before its statement runs, and how a session is left as it was found."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tollgate_local.clickhouse_server.engine import Handle
from tollgate_local.clickhouse_server.request import ExternalTable, Request


def text(value: str) -> bytes:
    """As a string literal."""
    return b"'" + value.encode(errors="surrogateescape").replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def name(value: str) -> bytes:
    """As a quoted identifier."""
    return b"`" + value.encode(errors="surrogateescape").replace(b"\\", b"\\\\").replace(b"`", b"\\`") + b"`"


def prepare(handle: Handle, request: Request, spool: Path) -> None:
    """Put the request's database, settings and external tables in force. Raises ClickHouseError."""
    if request.database is not None:
        handle.query(b"USE " + name(request.database))
    if request.settings:
        handle.query(_set({key: text(value) for key, value in request.settings.items()}))
    for table in request.external_tables:
        _create(handle, table, spool)


def snapshot(handle: Handle, request: Request) -> list[bytes]:
    """Statements that undo `prepare`. A session needs them: the request's settings must not outlive the request."""
    undo = []
    if request.database is not None:
        current = json.loads(handle.query(b"SELECT currentDatabase()", "JSONCompactEachRow").body)[0]
        undo.append(b"USE " + name(current))
    if request.settings:
        names = b", ".join(text(key) for key in request.settings)
        # An unknown setting is not found here: `prepare` will refuse it, and there is nothing to undo.
        found = b"SELECT name, value, changed FROM system.settings WHERE name IN (" + names + b")"
        rows = map(json.loads, handle.query(found, "JSONCompactEachRow").body.splitlines())
        undo += [_set({key: text(value) if changed else b"DEFAULT"}) for key, value, changed in rows]
    undo += [b"DROP TEMPORARY TABLE IF EXISTS " + name(table.name) for table in request.external_tables]
    return undo


def restore(handle: Handle, undo: list[bytes]) -> None:
    for statement in undo:
        handle.query(statement)


def _set(values: Mapping[str, bytes]) -> bytes:
    return b"SET " + b", ".join(name(key) + b" = " + value for key, value in values.items())


def _create(handle: Handle, table: ExternalTable, spool: Path) -> None:
    handle.query(b"CREATE TEMPORARY TABLE " + name(table.name) + b" (" + table.structure.encode() + b")")
    with tempfile.TemporaryFile(dir=spool) as file:
        file.write(table.rows)
        file.flush()
        source = b" FROM INFILE '" + path_of(file.fileno()).encode() + b"' COMPRESSION 'none' FORMAT "
        handle.query(b"INSERT INTO " + name(table.name) + source + table.format.encode())


def path_of(descriptor: int) -> str:
    """A path to an open file without a name of its own, which leaves nothing behind when the process is killed."""
    return f"/dev/fd/{descriptor}"
