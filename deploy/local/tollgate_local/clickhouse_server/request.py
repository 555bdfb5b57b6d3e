"""A request as ClickHouse's HTTP interface spells it: parameters, headers, credentials."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl
from uuid import uuid4

from tollgate_local.clickhouse_server.errors import (
    AUTHENTICATION_FAILED,
    BAD_REQUEST_PARAMETER,
    NOT_IMPLEMENTED,
    ClickHouseError,
)

# Meant for the HTTP layer; any other parameter is a setting of the engine.
_TRANSPORT = frozenset(
    {
        *("query", "database", "default_format", "user", "password", "quota_key", "query_id", "role", "stacktrace"),
        *(
            "session_id",
            "session_timeout",
            "session_check",
            "wait_end_of_query",
            "buffer_size",
            "compress",
            "decompress",
        ),
        *("client_protocol_version", "enable_http_compression", "send_progress_in_http_headers"),
        *("http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close"),
    }
)
_BOUND = "param_"
_SESSION_TIMEOUT_DEFAULT_S = 60
_SESSION_TIMEOUT_MAX_S = 3600


class Credentials(NamedTuple):
    user: str
    password: str


class ExternalTable(NamedTuple):
    """A table sent beside the query; it lives as long as the query."""

    name: str
    structure: str
    format: str
    rows: bytes


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    # Drawn once, so that a request without an id keeps the one it got.
    drawn_id: str = field(default_factory=lambda: str(uuid4()))

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Self:
        """From an ASGI scope."""
        pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True, errors="surrogateescape")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        return cls(scope["method"], scope["path"], headers, dict(pairs))

    def with_form(self, fields: Mapping[str, str], files: Mapping[str, bytes]) -> Self:
        return replace(self, parameters={**self.parameters, **fields}, files=files)

    @property
    def query_id(self) -> str:
        return self.parameters.get("query_id") or self.drawn_id

    @property
    def query(self) -> bytes:
        """What stands in the URL; the body follows on a line of its own."""
        text = self.parameters.get("query", "").encode(errors="surrogateescape")
        return text + b"\n" if text else b""

    @property
    def database(self) -> str | None:
        return self.parameters.get("database") or self.headers.get("x-clickhouse-database")

    @property
    def default_format(self) -> str:
        return self.parameters.get("default_format") or self.headers.get("x-clickhouse-format") or "TabSeparated"

    @property
    def waits_for_end(self) -> bool:
        return self.parameters.get("wait_end_of_query") == "1"

    @property
    def accept_encoding(self) -> str:
        return self.headers.get("accept-encoding", "") if self.parameters.get("enable_http_compression") == "1" else ""

    @property
    def session_id(self) -> str | None:
        return self.parameters.get("session_id") or None

    @property
    def session_must_exist(self) -> bool:
        return self.parameters.get("session_check") == "1"

    @property
    def session_timeout_s(self) -> float:
        """How long the session outlives this request when it is not used."""
        text = self.parameters.get("session_timeout", str(_SESSION_TIMEOUT_DEFAULT_S))
        if not text.isdecimal() or int(text) > _SESSION_TIMEOUT_MAX_S:
            reason = f"session_timeout is {text!r}; it may be a number of seconds from 0 to {_SESSION_TIMEOUT_MAX_S}"
            raise ClickHouseError.refused(BAD_REQUEST_PARAMETER, reason)
        return int(text)

    @property
    def bound(self) -> dict[str, str]:
        """The values of the statement's parameters, by name."""
        return {k.removeprefix(_BOUND): v for k, v in self.parameters.items() if k.startswith(_BOUND)}

    @property
    def settings(self) -> dict[str, str]:
        of_files = {name + suffix for name in self.files for suffix in ("_structure", "_types", "_format")}
        transport = _TRANSPORT | of_files
        return {k: v for k, v in self.parameters.items() if k not in transport and not k.startswith(_BOUND)}

    @property
    def external_tables(self) -> list[ExternalTable]:
        return [self._external_table(name, rows) for name, rows in self.files.items()]

    def _external_table(self, name: str, rows: bytes) -> ExternalTable:
        structure = self.parameters.get(f"{name}_structure")
        if structure is None:
            types = self.parameters.get(f"{name}_types")
            if types is None:
                reason = f"External table {name} has neither {name}_structure nor {name}_types"
                raise ClickHouseError.refused(BAD_REQUEST_PARAMETER, reason)
            structure = _structure(types)
        return ExternalTable(name, structure, self.parameters.get(f"{name}_format", "TabSeparated"), rows)

    def refuse_unsupported(self) -> None:
        """Raises ClickHouseError for what cannot be answered.

        ClickHouse's own block compression is asked for by its native client only, never by an HTTP library.
        """
        if not self.query_id.isprintable():
            raise ClickHouseError.refused(BAD_REQUEST_PARAMETER, "query_id holds characters that no header can carry")
        for name in ("compress", "decompress"):
            if self.parameters.get(name, "0") not in {"0", ""}:
                reason = (
                    f"{name}={self.parameters[name]} is not supported here; use Content-Encoding and Accept-Encoding"
                )
                raise ClickHouseError.refused(NOT_IMPLEMENTED, reason)

    def credentials(self) -> Credentials:
        """Headers first, then HTTP Basic, then the URL, as in ClickHouse.

        Raises ClickHouseError 516 for a header that cannot be read.
        """
        if "x-clickhouse-user" in self.headers or "x-clickhouse-key" in self.headers:
            user, password = self.headers.get("x-clickhouse-user", ""), self.headers.get("x-clickhouse-key", "")
        elif self.headers.get("authorization", "").lower().startswith("basic "):
            user, password = _basic(self.headers["authorization"][len("basic ") :])
        else:
            user, password = self.parameters.get("user", ""), self.parameters.get("password", "")
        return Credentials(user or "default", password)


def _structure(types: str) -> str:
    """`String, Decimal(9, 2)` as columns; without names they are called `_1`, `_2`, ... as in ClickHouse."""
    names, depth = [""], 0
    for character in types:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            names.append("")
        else:
            names[-1] += character
    return ", ".join(f"_{number} {name.strip()}" for number, name in enumerate(names, start=1))


def _basic(encoded: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        reason = "The Authorization header is not valid HTTP Basic"
        raise ClickHouseError.refused(AUTHENTICATION_FAILED, reason) from None
    return user, password
