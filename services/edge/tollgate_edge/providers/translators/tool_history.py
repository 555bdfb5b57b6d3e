"""Repairs of the tool calls in a conversation's history.

OpenAI's clients send histories that Anthropic and Google reject: calls without a result after an interruption, results
whose call was trimmed away, ids that repeat in every turn, and arguments that were cut off. A repaired history has the
same content, with each call followed by its one result.
"""

from typing import Any

import msgspec

from tollgate_edge.providers.translators.base import Json, content_parts

_NO_RESULT = "This tool call has no result."
_MAX_CUTS = 8

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def repair_calls(messages: list[Json]) -> list[Json]:
    """Return the messages with one result for each tool call, and one call for each result.

    A call without a result gets a placeholder. A result without a call becomes a user's text. An id that repeats gets a
    number in front, because a thought signature may stand at its end.
    """
    repair = _Repair()
    for message in messages:
        repair.add(message)
    return repair.finish()


class _Repair:
    def __init__(self) -> None:
        self._messages: list[Json] = []
        # The calls of the latest assistant turn that have no result yet: the given and the unique id.
        self._open: list[tuple[str, str]] = []
        self._used: set[str] = set()
        self._is_answered = False

    def add(self, message: Json) -> None:
        match message["role"]:
            case "assistant":
                self._add_assistant(message)
            case "tool":
                self._messages.append(self._result(message))
                self._is_answered = True
            case "system" | "developer":
                self._messages.append(message)
            case _:
                self._messages.append(message)
                self._is_answered = True

    def finish(self) -> list[Json]:
        self._close()
        return self._messages

    def _add_assistant(self, message: Json) -> None:
        if self._is_answered:
            # Otherwise the message continues the turn of the message before it.
            self._close()
        calls = message.get("tool_calls") or []
        if calls:
            message = message | {"tool_calls": [call | {"id": self._unique(call["id"])} for call in calls]}
        self._messages.append(message)
        self._is_answered = False

    def _unique(self, given: str) -> str:
        unique, number = given, 1
        while unique in self._used:
            number += 1
            unique = f"{number}_{given}"
        self._used.add(unique)
        self._open.append((given, unique))
        return unique

    def _result(self, message: Json) -> Json:
        for call in self._open:
            given, unique = call
            if given == message["tool_call_id"]:
                self._open.remove(call)
                return message | {"tool_call_id": unique}
        label = {"type": "text", "text": f"Result of the tool call '{message['tool_call_id']}':"}
        return {"role": "user", "content": [label, *content_parts(message.get("content"))]}

    def _close(self) -> None:
        self._messages += [
            {"role": "tool", "tool_call_id": unique, "content": _NO_RESULT} for _given, unique in self._open
        ]
        self._open = []


def readable_arguments(text: str | None) -> Json:
    """Return the arguments of a tool call as far as they can be read; empty if none can.

    A response that was cut off at its limit ends in the middle of its arguments. What is complete of them is kept.
    """
    text = (text or "").strip()
    value = _decode(text)
    if isinstance(value, str):
        # Encoded twice.
        value = _decode(value)
    if isinstance(value, dict):
        return value
    return _complete_part(text) if value is None else {}


def _decode(text: str) -> Any:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _complete_part(text: str) -> Json:
    """Return the members of a JSON object that was cut off, up to the last complete one."""
    if not text.startswith("{"):
        return {}
    closers, cuts = "", []
    is_string = is_escaped = False
    for position, letter in enumerate(text):
        if is_string:
            is_string = is_escaped or letter != '"'
            is_escaped = letter == "\\" and not is_escaped
        elif letter == '"':
            is_string = True
        elif letter in "{[":
            closers = ("}" if letter == "{" else "]") + closers
        elif letter in "}]":
            closers = closers[1:]
        elif letter == ",":
            cuts.append((position, closers))
    ends = [(len(text), ('"' if is_string and not is_escaped else "") + closers), *reversed(cuts[-_MAX_CUTS:])]
    for end, closing in ends:
        value = _decode(text[:end] + closing)
        if isinstance(value, dict):
            return value
    return {}
