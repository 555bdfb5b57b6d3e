"""Cursors: where the next page of an answer begins. Each says which question it belongs to, so that one that came from
elsewhere is refused rather than answered with a page of something else."""

import base64
import binascii
import hashlib
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

from tollgate_analytics.query.parameters import wrong
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.usage_query import LATEST, Filters, Range, UsageQuery
from tollgate_analytics.times import from_milliseconds, milliseconds
from tollgate_common.errors import Problem

_MARK_BYTES = 9
CursorT = TypeVar("CursorT")


class RequestCursor(NamedTuple):
    """The place of a request in an account's list: the next page holds what closed before it."""

    at_ms: int
    request_id: str

    @staticmethod
    def after(at: datetime, request_id: str) -> "RequestCursor":
        return RequestCursor(milliseconds(at), request_id)


class Snapshot(NamedTuple):
    """Which rows of an account a listing tells of, on each of its pages: those that were there for the first.

    What was rolled up by then, and of what was not, the rows below an offset of each kind: an account has one partition
    of each topic, whose rows are inserted in their order.
    """

    rolled_up_ms: int
    closed_end: int
    used_end: int


class GroupCursor(NamedTuple):
    """How many groups of a report came before, its range, because the end of "until now" moves, and its rows.

    Not the last group's place: costs grow while rows come in, and a group that rose past it would be on no page at all.
    """

    offset: int
    start_ms: int
    end_ms: int
    snapshot: Snapshot

    @property
    def range(self) -> Range:
        return Range(from_milliseconds(self.start_ms), from_milliseconds(self.end_ms))


class BucketCursor(NamedTuple):
    """Where the next page of OpenAI's buckets begins, and where the last one ends."""

    start_ms: int
    end_ms: int

    @property
    def range(self) -> Range:
        return Range(from_milliseconds(self.start_ms), from_milliseconds(self.end_ms))


NEWEST = RequestCursor.after(LATEST, "")

_request_cursor = msgspec.json.Decoder(tuple[str, RequestCursor])
_group_cursor = msgspec.json.Decoder(tuple[str, GroupCursor])
_bucket_cursor = msgspec.json.Decoder(tuple[str, BucketCursor])


def text_of(cursor: RequestCursor | GroupCursor | BucketCursor, mark: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((mark, cursor))).decode().rstrip("=")


def parse_request_cursor(text: str | None, mark: str) -> RequestCursor:
    if text is None:
        return NEWEST
    cursor = _parse(_request_cursor, text, mark)
    if not 0 <= cursor.at_ms <= NEWEST.at_ms:
        raise _foreign()
    return cursor


def parse_group_cursor(text: str, mark: str) -> GroupCursor:
    cursor = _parse(_group_cursor, text, mark)
    snapshot = cursor.snapshot
    if not (
        0 <= cursor.offset < 1 << 32
        and 0 <= cursor.start_ms < cursor.end_ms <= NEWEST.at_ms
        and 0 <= snapshot.rolled_up_ms <= NEWEST.at_ms
        and all(0 <= end < 1 << 63 for end in (snapshot.closed_end, snapshot.used_end))
    ):
        raise _foreign()
    return cursor


def parse_bucket_cursor(text: str, mark: str) -> BucketCursor:
    cursor = _parse(_bucket_cursor, text, mark, field="page")
    if not 0 <= cursor.start_ms < cursor.end_ms <= NEWEST.at_ms:
        raise _foreign("page")
    return cursor


def mark_of_usage(scope: Scope, query: UsageQuery) -> str:
    """A digest of all but the range, which the cursor carries."""
    return _mark("usage", scope, query._replace(range=Range(LATEST, LATEST), filters=dict(query.filters)))


def mark_of_list(scope: Scope, filters: Filters, start: str | None, end: str | None) -> str:
    return _mark("requests", scope, (filters, start, end))


def mark_of_buckets(scope: Scope, question: tuple[object, ...]) -> str:
    return _mark("buckets", scope, question)


def _mark(kind: str, *question: object) -> str:
    digest = hashlib.blake2b(msgspec.json.encode((kind, *question)), digest_size=_MARK_BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _parse(decoder: msgspec.json.Decoder[tuple[str, CursorT]], text: str, mark: str, field: str = "cursor") -> CursorT:
    try:
        found, cursor = decoder.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError) as error:
        raise _foreign(field) from error
    if found != mark:
        raise _foreign(field)
    return cursor


def _foreign(field: str = "cursor") -> Problem:
    return wrong(field, f"not a cursor of this question; pass the next_{field} of an answer to the same parameters")
