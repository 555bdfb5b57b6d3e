"""What a caller asked to go wrong: `metadata.simulate`, parsed. The package's docstring lists the behaviours."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from tollgate_local.provider.errors import ApiError, invalid_value

_MAX_MS: Final = 600_000
_MAX_DIGITS: Final = 9


class Break(StrEnum):
    """How an answer breaks; at most one a request."""

    ERROR = "error"
    HANG = "hang"
    CLOSE = "close_before_answer"
    GARBAGE = "garbage"
    TRUNCATE = "truncated_body"
    DIE_IN_STREAM = "die_mid_stream"
    STALL_IN_STREAM = "stall_mid_stream"
    GARBAGE_IN_STREAM = "garbage_mid_stream"
    ERROR_IN_STREAM = "error_mid_stream"

    @property
    def in_stream(self) -> bool:
        return self.value.endswith("_mid_stream")


class UsageFault(StrEnum):
    MISSING = "missing"
    NEGATIVE = "negative"
    CACHED = "cached"
    HUGE = "huge"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`break_number` is the status of an `ERROR`, or the content chunks before a break in a stream."""

    slow_first_byte_ms: int = 0
    slow_chunks_ms: int = 0
    tokens: int | None = None
    usage_fault: UsageFault | None = None
    broken: Break | None = None
    break_number: int = 0

    def check(self, *, streaming: bool) -> None:
        """`ApiError` when the break cannot happen to this kind of answer."""
        if self.broken is None:
            return
        if self.broken.in_stream and not streaming:
            raise _refused(f"'{self.broken}' needs 'stream': true.")
        if self.broken is Break.TRUNCATE and streaming:
            raise _refused("'truncated_body' needs an answer that does not stream; use 'die_mid_stream:N'.")


_NORMAL: Final = Behaviour()
_MARK: Final = re.compile(rb"\[simulate:([a-z0-9_:, ]*)\]")
_NUMBERS: Final = {
    "slow_first_byte": ("slow_first_byte_ms", 0, _MAX_MS),
    "slow_chunks": ("slow_chunks_ms", 0, _MAX_MS),
    "tokens": ("tokens", 1, 100_000),
}
_BREAKS: Final = {kind.value: kind for kind in Break}
_BREAK_NUMBERS: Final = {
    kind: (400, 599) if kind is Break.ERROR else (0, 100_000) for kind in Break if kind is Break.ERROR or kind.in_stream
}
_WRONG_USAGES: Final = (UsageFault.NEGATIVE, UsageFault.CACHED, UsageFault.HUGE)
_NAMES: Final = (*_NUMBERS, "no_usage", "wrong_usage", *_BREAKS)


def behaviour_in(body: bytes) -> Behaviour:
    """What a text in the body asks for, as `[simulate: die_mid_stream:5]`: for protocols whose requests have no
    `metadata` of the caller's own, and for those behind a translation."""
    found = _MARK.search(body)
    return parse_behaviour(found[1].decode().strip()) if found else _NORMAL


def parse_behaviour(text: str) -> Behaviour:
    """`text` is `name[:value]`, joined by commas; `ApiError` 400 says what it may be."""
    return _parsed(text) if text else _NORMAL


@lru_cache(maxsize=256)
def _parsed(text: str) -> Behaviour:
    fields: dict[str, Any] = {}
    for item in text.split(","):
        name, _, value = item.strip().partition(":")
        added = _fields(name, value)
        if fields.keys() & added.keys():
            raise _refused(f"'{item.strip()}' contradicts a behaviour before it.")
        fields |= added
    return Behaviour(**fields)


def _fields(name: str, value: str) -> dict[str, Any]:
    if name in _NUMBERS:
        field, least, most = _NUMBERS[name]
        return {field: _number(name, value, least, most)}
    if name == "no_usage":
        _refuse_value(name, value)
        return {"usage_fault": UsageFault.MISSING}
    if name == "wrong_usage":
        return {"usage_fault": _wrong_usage(value)}
    if name in _BREAKS:
        return _break_fields(_BREAKS[name], value)
    raise _refused(f"unknown behaviour '{name}'; known are {', '.join(_NAMES)}.")


def _break_fields(kind: Break, value: str) -> dict[str, Any]:
    bounds = _BREAK_NUMBERS.get(kind)
    if bounds is None:
        _refuse_value(kind, value)
        return {"broken": kind}
    return {"broken": kind, "break_number": _number(kind, value, *bounds)}


def _number(name: str, value: str, least: int, most: int) -> int:
    if not value.isdecimal() or len(value) > _MAX_DIGITS or not least <= int(value) <= most:
        raise _refused(f"'{name}' needs a number from {least} to {most}, as in '{name}:{least}', not '{value}'.")
    return int(value)


def _wrong_usage(value: str) -> UsageFault:
    if value and value not in _WRONG_USAGES:
        raise _refused(f"'wrong_usage' may be {', '.join(_WRONG_USAGES)}, not '{value}'.")
    return UsageFault(value or UsageFault.NEGATIVE)


def _refuse_value(name: str, value: str) -> None:
    if value:
        raise _refused(f"'{name}' takes no value, but got '{value}'.")


def _refused(problem: str) -> ApiError:
    return invalid_value("metadata.simulate", f"metadata.simulate: {problem}")
