"""Cursors: the position at which the next page of a response begins.

A cursor carries a digest of its query. A cursor of another query or another caller is therefore rejected, instead of
returning a page of something else.
"""

import base64
import binascii
import hashlib
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

from tollgate_analytics.query.parameters import invalid_parameter
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.usage_query import LATEST, Filters, TimeRange, UsageQuery
from tollgate_analytics.times import from_milliseconds, milliseconds
from tollgate_common.errors import Problem

_DIGEST_BYTES = 9
CursorT = TypeVar("CursorT")


class RequestCursor(NamedTuple):
    """The position of a request in an account's list; the next page begins with the request that closed before it."""

    at_ms: int
    request_id: str

    @staticmethod
    def after(at: datetime, request_id: str) -> "RequestCursor":
        return RequestCursor(milliseconds(at), request_id)


class Snapshot(NamedTuple):
    """The rows of an account that existed when the first page was read; every later page reads the same rows.

    These are the rows rolled up by then, and of the others those below an offset of each kind. Offsets suffice because
    an account has one partition of each topic, whose rows are inserted in order.
    """

    rolled_up_ms: int
    closed_end: int
    used_end: int


class GroupCursor(NamedTuple):
    """The number of groups on the pages before, the report's range and its snapshot of rows.

    The range is included because the end of "until now" moves. The cursor is an offset, not the last group's position:
    costs grow while rows arrive, and a group that overtook the position would appear on no page.
    """

    offset: int
    start_ms: int
    end_ms: int
    snapshot: Snapshot

    @property
    def range(self) -> TimeRange:
        return TimeRange(from_milliseconds(self.start_ms), from_milliseconds(self.end_ms))


class BucketCursor(NamedTuple):
    """The beginning of the next page of OpenAI's buckets, and the end of the last one."""

    start_ms: int
    end_ms: int

    @property
    def range(self) -> TimeRange:
        return TimeRange(from_milliseconds(self.start_ms), from_milliseconds(self.end_ms))


NEWEST = RequestCursor.after(LATEST, "")

_request_cursor = msgspec.json.Decoder(tuple[str, RequestCursor])
_group_cursor = msgspec.json.Decoder(tuple[str, GroupCursor])
_bucket_cursor = msgspec.json.Decoder(tuple[str, BucketCursor])


def encode_cursor(cursor: RequestCursor | GroupCursor | BucketCursor, digest: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((digest, cursor))).decode().rstrip("=")


def parse_request_cursor(text: str | None, digest: str) -> RequestCursor:
    if text is None:
        return NEWEST
    cursor = _parse(_request_cursor, text, digest)
    if not 0 <= cursor.at_ms <= NEWEST.at_ms:
        raise _foreign_cursor()
    return cursor


def parse_group_cursor(text: str, digest: str) -> GroupCursor:
    cursor = _parse(_group_cursor, text, digest)
    snapshot = cursor.snapshot
    if not (
        0 <= cursor.offset < 1 << 32
        and 0 <= cursor.start_ms < cursor.end_ms <= NEWEST.at_ms
        and 0 <= snapshot.rolled_up_ms <= NEWEST.at_ms
        and all(0 <= end < 1 << 63 for end in (snapshot.closed_end, snapshot.used_end))
    ):
        raise _foreign_cursor()
    return cursor


def parse_bucket_cursor(text: str, digest: str) -> BucketCursor:
    cursor = _parse(_bucket_cursor, text, digest, field="page")
    if not 0 <= cursor.start_ms < cursor.end_ms <= NEWEST.at_ms:
        raise _foreign_cursor("page")
    return cursor


def usage_digest(scope: Scope, query: UsageQuery) -> str:
    """Return a digest of everything but the range, which the cursor itself carries."""
    return _digest("usage", scope, query._replace(range=TimeRange(LATEST, LATEST), filters=dict(query.filters)))


def request_list_digest(scope: Scope, filters: Filters, start: str | None, end: str | None) -> str:
    return _digest("requests", scope, (filters, start, end))


def buckets_digest(scope: Scope, query: tuple[object, ...]) -> str:
    return _digest("buckets", scope, query)


def _digest(kind: str, *query: object) -> str:
    digest = hashlib.blake2b(msgspec.json.encode((kind, *query)), digest_size=_DIGEST_BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _parse(
    decoder: msgspec.json.Decoder[tuple[str, CursorT]], text: str, digest: str, field: str = "cursor"
) -> CursorT:
    try:
        found, cursor = decoder.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError) as error:
        raise _foreign_cursor(field) from error
    if found != digest:
        raise _foreign_cursor(field)
    return cursor


def _foreign_cursor(field: str = "cursor") -> Problem:
    return invalid_parameter(
        field, f"not a cursor of this query; pass the next_{field} of a response, with the same parameters"
    )
