"""The encoding of a chat completion as one object or as the events of a stream."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final

import msgspec

from tollgate_local.provider.generation import Choice, Generation
from tollgate_local.provider.usage import Usage

_FINGERPRINT: Final = "fp_simulated"
_SERVICE_TIER: Final = "default"
DONE: Final = b"data: [DONE]\n\n"
_encode: Final = msgspec.json.Encoder().encode


def completion_body(generation: Generation, usage: Usage | None) -> bytes:
    body = {
        "id": generation.id,
        "object": "chat.completion",
        "created": generation.created,
        "model": generation.model,
        "choices": [_rendered(index, choice) for index, choice in enumerate(generation.choices)],
        "service_tier": _SERVICE_TIER,
        "system_fingerprint": _FINGERPRINT,
    }
    if usage is not None:
        body["usage"] = usage
    return _encode(body)


def _rendered(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}
    if choice.call is not None:
        function = {"name": choice.call.name, "arguments": choice.text}
        message["content"] = None
        message["tool_calls"] = [{"id": choice.call.id, "type": "function", "function": function}]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


class StreamEvents:
    """The server-sent events of one stream, in three parts: `opening`, `content`, `closing`, then `usage` and `DONE`.

    The constant parts of a chunk are rendered once, because a stream has as many chunks as tokens.
    """

    def __init__(self, generation: Generation, *, includes_usage: bool) -> None:
        self._choices = generation.choices
        envelope = {
            "id": generation.id,
            "object": "chat.completion.chunk",
            "created": generation.created,
            "model": generation.model,
            "service_tier": _SERVICE_TIER,
            "system_fingerprint": _FINGERPRINT,
        }
        self._head = b"data: " + _encode(envelope)[:-1]
        self._tail = (b',"usage":null' if includes_usage else b"") + b"}\n\n"

    def opening(self) -> Iterator[bytes]:
        """Yield the role chunk of each text choice. The role of a tool call is sent with its name."""
        for index, choice in enumerate(self._choices):
            if choice.call is None:
                yield self._chunk(index, b'{"role":"assistant","content":"","refusal":null}')

    def content(self) -> Iterator[tuple[bytes, int]]:
        """Yield each content chunk with its tokens: one, or those of a function's name. Choices alternate."""
        for index, choice in enumerate(self._choices):
            if choice.call is not None:
                yield self._chunk(index, _call_head(choice)), choice.call.tokens
        for round_tokens in zip_longest(*(choice.token_texts for choice in self._choices)):
            for index, piece in enumerate(round_tokens):
                if piece is not None:
                    yield self._chunk(index, self._delta(index, piece)), 1

    def closing(self) -> Iterator[bytes]:
        for index, choice in enumerate(self._choices):
            yield self._chunk(index, b"{}", b'"%b"' % choice.finish_reason.encode())

    def usage(self, usage: Usage) -> bytes:
        return b'%b,"choices":[],"usage":%b}\n\n' % (self._head, _encode(usage))

    def _delta(self, index: int, piece: str) -> bytes:
        if self._choices[index].call is None:
            return b'{"content":%b}' % _encode(piece)
        return b'{"tool_calls":[{"index":0,"function":{"arguments":%b}}]}' % _encode(piece)

    def _chunk(self, index: int, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        return b'%b,"choices":[{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}]%b' % (
            self._head,
            index,
            delta,
            finish_reason,
            self._tail,
        )


def _call_head(choice: Choice) -> bytes:
    call = choice.call
    assert call is not None
    function = {"name": call.name, "arguments": ""}
    made = {"index": 0, "id": call.id, "type": "function", "function": function}
    return _encode({"role": "assistant", "content": None, "tool_calls": [made], "refusal": None})
