"""The encoding of a truth as Anthropic's Messages, complete or as the events of a stream."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.profiles.profile import Json, Profile
from tollgate_local.provider.profiles.truth import Truth

_encode: Final = msgspec.json.Encoder().encode
# A signature is required to send thinking back.
_SIGNATURE: Final = "c2ltdWxhdGVk"


class MessagesResponse:
    last: Final = b""

    def __init__(self, profile: Profile, truth: Truth, *, states_usage: bool = True) -> None:
        self._profile = profile
        self._truth = truth
        self._states_usage = states_usage

    def whole(self) -> bytes:
        truth = self._truth
        blocks: list[Json] = []
        if truth.reasoning:
            blocks.append({"type": "thinking", "thinking": "".join(truth.reasoning), "signature": _SIGNATURE})
        if truth.call is None:
            blocks.append({"type": "text", "text": "".join(truth.text)})
        else:
            arguments = msgspec.json.decode("".join(truth.text) or "{}")
            blocks.append({"type": "tool_use", "id": truth.call.id, "name": truth.call.name, "input": arguments})
        body = self._head() | {"content": blocks, "stop_reason": self._stop_reason, "stop_sequence": None}
        return _encode(body | self._usage(len(truth.reasoning), len(truth.text), is_first=True))

    def opening(self) -> Iterator[bytes]:
        started = self._head() | {"content": [], "stop_reason": None, "stop_sequence": None}
        message = started | self._usage(0, 1, is_first=True, is_final=False)
        yield self._event({"type": "message_start", "message": message})
        yield self._event({"type": "ping"})

    def content(self) -> Iterator[tuple[bytes, int]]:
        truth, index = self._truth, 0
        if truth.reasoning:
            block: Json = {"type": "thinking", "thinking": "", "signature": ""}
            yield self._event({"type": "content_block_start", "index": 0, "content_block": block}), 0
            for piece in truth.reasoning:
                yield self._delta(0, {"type": "thinking_delta", "thinking": piece}), 0
            yield self._delta(0, {"type": "signature_delta", "signature": _SIGNATURE}), 0
            yield self._event({"type": "content_block_stop", "index": 0}), 0
            index = 1
        call = truth.call
        block = {"type": "text", "text": ""}
        if call is not None:
            block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        head = call.tokens if call is not None else 0
        yield self._event({"type": "content_block_start", "index": index, "content_block": block}), head
        for piece in truth.text:
            delta = {"type": "text_delta", "text": piece}
            if call is not None:
                delta = {"type": "input_json_delta", "partial_json": piece}
            yield self._delta(index, delta), 1
        yield self._event({"type": "content_block_stop", "index": index}), 0

    def closing(self) -> Iterator[bytes]:
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        usage = self._usage(len(self._truth.reasoning), len(self._truth.text), is_first=False)
        yield self._event({"type": "message_delta", "delta": delta} | usage)
        yield self._event({"type": "message_stop"})

    def stream(self) -> bytes:
        """Return all bytes of a stream."""
        return b"".join(self.opening()) + b"".join(event for event, _ in self.content()) + b"".join(self.closing())

    def error_event(self, error: ApiError) -> bytes:
        return self._profile.event(_encode(self._profile.error(error)[1]), "error")

    @property
    def _stop_reason(self) -> str:
        return self._profile.finish_reasons[self._truth.finish]

    def _head(self) -> Json:
        return {
            "model": self._truth.model,
            "id": self._profile.id_prefix + self._truth.id,
            "type": "message",
            "role": "assistant",
        }

    def _usage(self, thought: int, visible: int, *, is_first: bool, is_final: bool = True) -> Json:
        """Return the usage of `message_start` (first), of `message_delta` (final) or of a complete response (both)."""
        if not self._states_usage:
            return {}
        omitted = (() if is_first else _FIRST_ONLY) + (() if is_final else _FINAL_ONLY)
        shape = {path: source for path, source in self._profile.usage.items() if not path.startswith(omitted)}
        return {"usage": self._profile.stated(self._truth.counts_at(thought, visible), shape)}

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return self._event({"type": "content_block_delta", "index": index, "delta": delta})

    def _event(self, event: Json) -> bytes:
        return self._profile.event(_encode(event), event["type"])


_FIRST_ONLY: Final = ("cache_creation.", "service_tier", "inference_geo")
_FINAL_ONLY: Final = ("output_tokens_details.",)
