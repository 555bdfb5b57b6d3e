"""The parser of `metadata.simulate`, which requests behaviors. The package's docstring lists them."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from tollgate_local.provider.errors import ApiError, invalid_value

_MAX_MS: Final = 600_000
_MAX_DIGITS: Final = 9


class Failure(StrEnum):
    """A failure of a response. A request has at most one."""

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
class Behavior:
    """The requested behaviors.

    `failure_number` is the status of an `ERROR`, or the number of content chunks before a failure in a stream.
    """

    slow_first_byte_ms: int = 0
    slow_chunks_ms: int = 0
    tokens: int | None = None
    usage_fault: UsageFault | None = None
    failure: Failure | None = None
    failure_number: int = 0

    def check(self, *, streaming: bool) -> None:
        """Raise `ApiError` if the failure cannot happen to this kind of response."""
        if self.failure is None:
            return
        if self.failure.in_stream and not streaming:
            raise _invalid(f"'{self.failure}' requires 'stream': true.")
        if self.failure is Failure.TRUNCATE and streaming:
            raise _invalid("'truncated_body' requires a response that is not streamed; use 'die_mid_stream:N'.")


_NORMAL: Final = Behavior()
_MARK: Final = re.compile(rb"\[simulate:([a-z0-9_:, ]*)\]")
_NUMBERS: Final = {
    "slow_first_byte": ("slow_first_byte_ms", 0, _MAX_MS),
    "slow_chunks": ("slow_chunks_ms", 0, _MAX_MS),
    "tokens": ("tokens", 1, 100_000),
}
_FAILURES: Final = {kind.value: kind for kind in Failure}
_FAILURE_NUMBERS: Final = {
    kind: (400, 599) if kind is Failure.ERROR else (0, 100_000)
    for kind in Failure
    if kind is Failure.ERROR or kind.in_stream
}
_WRONG_USAGES: Final = (UsageFault.NEGATIVE, UsageFault.CACHED, UsageFault.HUGE)
_NAMES: Final = (*_NUMBERS, "no_usage", "wrong_usage", *_FAILURES)


def find_behavior(body: bytes) -> Behavior:
    """Return the behaviors in a mark within the body's text, such as `[simulate: die_mid_stream:5]`.

    It is for protocols without caller-defined `metadata`, and for requests that a proxy translates.
    """
    found = _MARK.search(body)
    return parse_behavior(found[1].decode().strip()) if found else _NORMAL


def parse_behavior(text: str) -> Behavior:
    """Parse `name[:value]` items separated by commas; raise `ApiError` 400 with the expected values."""
    return _parsed(text) if text else _NORMAL


@lru_cache(maxsize=256)
def _parsed(text: str) -> Behavior:
    fields: dict[str, Any] = {}
    for item in text.split(","):
        name, _, value = item.strip().partition(":")
        added = _fields(name, value)
        if fields.keys() & added.keys():
            raise _invalid(f"'{item.strip()}' conflicts with an earlier behavior.")
        fields |= added
    return Behavior(**fields)


def _fields(name: str, value: str) -> dict[str, Any]:
    if name in _NUMBERS:
        field, minimum, maximum = _NUMBERS[name]
        return {field: _number(name, value, minimum, maximum)}
    if name == "no_usage":
        _reject_value(name, value)
        return {"usage_fault": UsageFault.MISSING}
    if name == "wrong_usage":
        return {"usage_fault": _wrong_usage(value)}
    if name in _FAILURES:
        return _failure_fields(_FAILURES[name], value)
    raise _invalid(f"unknown behavior '{name}'; expected one of: {', '.join(_NAMES)}.")


def _failure_fields(kind: Failure, value: str) -> dict[str, Any]:
    bounds = _FAILURE_NUMBERS.get(kind)
    if bounds is None:
        _reject_value(kind, value)
        return {"failure": kind}
    return {"failure": kind, "failure_number": _number(kind, value, *bounds)}


def _number(name: str, value: str, minimum: int, maximum: int) -> int:
    if not value.isdecimal() or len(value) > _MAX_DIGITS or not minimum <= int(value) <= maximum:
        raise _invalid(
            f"'{name}' requires a number from {minimum} to {maximum}, as in '{name}:{minimum}', but got '{value}'."
        )
    return int(value)


def _wrong_usage(value: str) -> UsageFault:
    if value and value not in _WRONG_USAGES:
        raise _invalid(f"'wrong_usage' requires one of {', '.join(_WRONG_USAGES)}, but got '{value}'.")
    return UsageFault(value or UsageFault.NEGATIVE)


def _reject_value(name: str, value: str) -> None:
    if value:
        raise _invalid(f"'{name}' takes no value, but got '{value}'.")


def _invalid(problem: str) -> ApiError:
    return invalid_value("metadata.simulate", f"metadata.simulate: {problem}")
