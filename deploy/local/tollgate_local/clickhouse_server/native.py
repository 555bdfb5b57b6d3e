"""The one block of ClickHouse's Native format that the engine does not write: the header of an empty result."""

import json

from tollgate_local.clickhouse_server.engine import Handle, labelled
from tollgate_local.clickhouse_server.request import Request
from tollgate_local.clickhouse_server.statement import Kind, Statement


def empty_result(handle: Handle, request: Request, statement: Statement) -> bytes:
    """A block of no rows with the names and types of the statement's result, as a server sends it.

    DESCRIBE tells them without running the query. What it cannot describe is run again in a format that carries them:
    SHOW and its like are cheap.
    """
    if statement.kind is Kind.SELECT:
        sql = labelled(request.query_id, b"DESCRIBE (" + statement.head + b"\n)")
        rows = handle.query(sql, "JSONCompactEachRow", request.bound).body.splitlines()
        return _block([(row[0], row[1]) for row in map(json.loads, rows)])
    answer = handle.query(labelled(request.query_id, statement.head), "JSONCompact", request.bound).body
    return _block([(column["name"], column["type"]) for column in json.loads(answer)["meta"]])


def _block(columns: list[tuple[str, str]]) -> bytes:
    """Counts of columns and rows, then name and type of each; numbers in LEB128, texts behind their length."""
    texts = b"".join(_text(name) + _text(kind) for name, kind in columns)
    return _leb128(len(columns)) + _leb128(0) + texts


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _leb128(len(encoded)) + encoded


def _leb128(number: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    groups = []
    while number >> 7:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
