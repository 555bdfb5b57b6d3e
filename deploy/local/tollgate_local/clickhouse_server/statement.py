"""What a statement asks for, read from its text alone: whether it reads, whether rows follow it, in which format.

Follows ClickHouse's lexer (quotes with backslash or doubled quote, heredocs, `--`, `#` and `/* */` comments) and just
enough of its grammar. A text that is no SQL passes through: the engine tells its author what is wrong with it.
"""

import re
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from tollgate_local.clickhouse_server.errors import NOT_IMPLEMENTED, SYNTAX_ERROR, ClickHouseError

# ClickHouse's `max_query_size`: it reads a statement, as against the rows behind it, no further either.
STATEMENT_LIMIT_BYTES = 262_144

_TOKEN = re.compile(
    rb"""(?P<gap> \s++ | --[^\n]*+ | \#[!\ ][^\n]*+ | /\*.*?(?:\*/|\Z) )
    | '(?: \\(?:.|\Z) | '' | [^'\\] )*+ (?:'|\Z)
    | "(?: \\(?:.|\Z) | "" | [^"\\] )*+ (?:"|\Z)
    | `(?: \\(?:.|\Z) | `` | [^`\\] )*+ (?:`|\Z)
    | (?P<tag> \$\w*+\$ ) .*? (?: (?P=tag) | \Z )
    | \w++ | .""",
    re.DOTALL | re.VERBOSE,
)
# One optional line end parts the format's name from the rows, as in ClickHouse's parser.
_BEFORE_ROWS = re.compile(rb"[ \t\f]*+;?[ \t\f]*+\r?\n?")
# After these comes a name, even one that is spelt like a keyword.
_NAME_FOLLOWS = {b"INTO", b"TABLE", b"FUNCTION", b"."}
_STREAMED_READS = {b"SELECT", b"WITH", b"FROM", b"("}
_WHOLE_READS = {b"SHOW", b"DESC", b"DESCRIBE", b"EXISTS", b"EXPLAIN", b"CHECK"}
_DEFINITIONS = {b"CREATE", b"ATTACH", b"REPLACE"}

# The client's query id is carried in a comment before each statement, because the engine cannot be given one;
# this reads it back in `KILL QUERY WHERE query_id = ...`. See `engine.labelled`.
CLIENT_QUERY_ID = rb"decodeURLComponent(extract(query, '^/\\*([^*]*)\\*/'))"


class Kind(Enum):
    SELECT = "a read that the engine can stream block by block"
    READ = "another read; answered whole"
    UPLOAD = "an INSERT whose rows follow in the request"
    WRITE = "anything else"


class Statement(NamedTuple):
    kind: Kind
    text: bytes
    # The format that the statement itself names, for its rows or its result.
    format: str | None = None
    # SELECT and READ: the text without its FORMAT clause. UPLOAD: up to SETTINGS, FORMAT or VALUES.
    head: bytes = b""
    # UPLOAD: the SETTINGS clause, and where in the parsed text the rows begin.
    settings: bytes = b""
    rows_at: int = 0

    def reading_file(self, path: str) -> bytes:
        """The same INSERT with its rows taken from a file; `path` must need no quoting."""
        assert self.format is not None
        parts = (self.head, b"FROM INFILE '", path.encode(), b"' COMPRESSION 'none'\n", self.settings)
        return b"".join(parts) + b"\nFORMAT " + self.format.encode()


class _Token(NamedTuple):
    word: bytes
    start: int
    end: int
    depth: int


def parse(sql: bytes) -> Statement:
    """Classify `sql`, the start of a request's text or all of it; rows behind an INSERT are not looked at.

    Raises ClickHouseError: 62 for an empty text or several statements, 48 for what the engine cannot do.
    """
    tokens = _tokens(sql)
    first = next(tokens, None)
    if first is None or first.word == b";":
        raise ClickHouseError.refused(SYNTAX_ERROR, "Empty query")
    if first.word == b"INSERT":
        return _insert(sql, tokens)
    return _other(sql, first.word, [first, *tokens])


def _tokens(sql: bytes) -> Iterator[_Token]:
    """Everything but white space and comments, keywords in capitals, with the depth of brackets around each."""
    depth = 0
    for match in _TOKEN.finditer(sql, 0, STATEMENT_LIMIT_BYTES):
        if match["gap"] is not None:
            continue
        word = match[0].upper()
        depth -= word == b")"
        yield _Token(word, match.start(), match.end(), depth)
        depth += word == b"("


def _insert(sql: bytes, tokens: Iterator[_Token]) -> Statement:
    previous, settings_at = b"INSERT", None
    for token in tokens:
        word, is_clause = token.word, token.depth == 0 and previous not in _NAME_FOLLOWS
        previous = word
        if word == b"SELECT" or (is_clause and word in {b"WITH", b"FROM"}):
            return _insert_without_rows(sql, tokens)
        if is_clause and word == b"SETTINGS" and settings_at is None:
            settings_at = token.start
        if is_clause and word == b"VALUES":
            return _upload(sql, settings_at, token.start, "Values", token.end)
        if is_clause and word == b"FORMAT" and (name := next(tokens, None)) is not None:
            rows = _BEFORE_ROWS.match(sql, name.end)
            assert rows is not None  # the pattern matches nothing at all, too
            return _upload(sql, settings_at, token.start, _spelling(sql, name), rows.end())
    return Statement(Kind.WRITE, sql)


def _upload(sql: bytes, settings_at: int | None, clause_at: int, name: str, rows_at: int) -> Statement:
    head_end = clause_at if settings_at is None else settings_at
    return Statement(Kind.UPLOAD, sql, name, sql[:head_end], sql[head_end:clause_at], rows_at)


def _insert_without_rows(sql: bytes, tokens: Iterator[_Token]) -> Statement:
    previous = b""
    for token in tokens:
        if previous == b"INPUT" and token.word == b"(":
            raise ClickHouseError.refused(NOT_IMPLEMENTED, "INSERT ... SELECT ... FROM input() is not supported here")
        previous = token.word
    return Statement(Kind.WRITE, sql)


def _other(sql: bytes, keyword: bytes, tokens: list[_Token]) -> Statement:
    end = _end_of_only_statement(tokens)
    if keyword == b"KILL":
        return Statement(Kind.WRITE, _with_client_query_id(sql, tokens), _format(sql, tokens)[0])
    if keyword in _DEFINITIONS:
        _refuse_kafka(tokens)
    name, head = _format(sql, tokens[:end])
    if keyword in _STREAMED_READS and not any(token.word == b"INSERT" and token.depth == 0 for token in tokens):
        return Statement(Kind.SELECT, sql, name, head)
    if keyword in _WHOLE_READS:
        return Statement(Kind.READ, sql, name, head)
    return Statement(Kind.WRITE, sql, name)


def _end_of_only_statement(tokens: list[_Token]) -> int:
    """How many tokens stand before the closing semicolons; a statement behind them is refused, as by ClickHouse."""
    for index, token in enumerate(tokens):
        if token.word == b";":
            if any(later.word != b";" for later in tokens[index:]):
                raise ClickHouseError.refused(SYNTAX_ERROR, "Multi-statements are not allowed")
            return index
    return len(tokens)


def _format(sql: bytes, tokens: list[_Token]) -> tuple[str | None, bytes]:
    """The format named by the last clause and the text without that clause and the closing semicolon.

    Only SETTINGS may follow the clause; so a column that is called `format` is not mistaken for it.
    """
    end = tokens[-1].end if tokens else 0
    for index in range(len(tokens) - 2, 0, -1):
        clause, name = tokens[index : index + 2]
        if (
            clause.word == b"FORMAT"
            and clause.depth == 0
            and tokens[index - 1].word not in {b",", b".", b"AS", b"SELECT"}
        ):
            after = tokens[index + 2 : index + 3]
            if not after or after[0].word == b"SETTINGS":
                return _spelling(sql, name), sql[: clause.start] + sql[name.end : end]
    return None, sql[:end]


def _refuse_kafka(tokens: list[_Token]) -> None:
    words = [token.word.strip(b'`"') for token in tokens if token.word != b"="]
    if (b"ENGINE", b"KAFKA") in pairwise(words):
        reason = "Table engine Kafka is not supported here: its definition would keep the database from opening again"
        raise ClickHouseError.refused(NOT_IMPLEMENTED, reason)


def _with_client_query_id(sql: bytes, tokens: list[_Token]) -> bytes:
    for token in reversed(tokens):
        if token.word.strip(b'`"') == b"QUERY_ID":
            sql = sql[: token.start] + CLIENT_QUERY_ID + sql[token.end :]
    return sql


def _spelling(sql: bytes, token: _Token) -> str:
    return sql[token.start : token.end].decode(errors="replace")
