"""The encoding of a truth as a chat completion, complete or as the events of a stream."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.generation import Call
from tollgate_local.provider.profiles.profile import Idle, Json, Place, Profile
from tollgate_local.provider.profiles.truth import Counts, Truth

_encode: Final = msgspec.json.Encoder().encode
_DONE: Final = b"[DONE]"
_FINISH_PLACES: Final = frozenset({Place.FINISH_CHUNK, Place.CHOICE, Place.X_GROQ, Place.EVERY_CHUNK})


class ChatResponse:
    def __init__(self, profile: Profile, truth: Truth, *, asks_usage: bool = True, states_usage: bool = True) -> None:
        """Encode one response.

        Args:
            profile: how the provider responds.
            truth: what it responds.
            asks_usage: whether the client asks for `stream_options.include_usage`.
            states_usage: false omits the usage everywhere, to simulate a provider that lost it.
        """
        self._profile = profile
        self._truth = truth
        self._asks_usage = asks_usage
        self._states_usage = states_usage
        asked = profile.places if asks_usage else profile.places - profile.places_if_asked
        # A last event with the complete response is sent also without a usage.
        self._places = asked if states_usage else asked & {Place.WHOLE_RESPONSE}

    def whole(self) -> bytes:
        return _encode(self._whole())

    def opening(self) -> Iterator[bytes]:
        profile = self._profile
        for lines in profile.preamble:
            yield lines.encode() + profile.line_end * 2
        if profile.first_delta is not None:
            yield self._event(self._chunk(dict(profile.first_delta), self._truth.counts_at(0, 0), is_first=True))

    def content(self) -> Iterator[tuple[bytes, int]]:
        """Yield each chunk with the number of tokens of text that it has. Reasoning is no text."""
        truth = self._truth
        # Without a chunk of its own, the role is in the first delta.
        role = {"role": "assistant"} if self._profile.first_delta is None else {}
        for number, piece in enumerate(truth.reasoning if self._shows_reasoning else (), 1):
            yield self._event(self._chunk(self._reasoning(piece) | role, truth.counts_at(number, 0))), 0
            role = {}
        if truth.call is not None:
            yield from self._call(truth.call)
            return
        thought = len(truth.reasoning)
        for number, piece in enumerate(truth.text, 1):
            chunk = self._chunk(self._text(piece) | role, truth.counts_at(thought, number))
            if self._profile.choice_text is not None:
                chunk["choices"][0] |= self._profile.choice_text(piece)
            yield self._event(chunk), 1
            role = {}

    def closing(self) -> Iterator[bytes]:
        """Yield the chunk with the finish reason and the last one with the usage, each if the profile has it."""
        profile, counts = self._profile, self._truth.counts
        finish = self._chunk(dict(profile.last_delta), counts, self._finish_reason)
        usage = self._usage(counts)
        if self._places & _FINISH_PLACES:
            if Place.CHOICE in self._places:
                finish["choices"][0]["usage"] = usage
            if Place.X_GROQ in self._places:
                finish["x_groq"] = {"id": "req_simulated", "usage": usage}
            if self._places & {Place.FINISH_CHUNK, Place.EVERY_CHUNK}:
                finish["usage"] = usage
        ends = [finish]
        if Place.OWN_CHUNK in self._places:
            ends.append(self._envelope() | {"choices": [], "usage": usage})
        if Place.OWN_CHUNK_WITH_CHOICE in self._places:
            ends.append(self._chunk({"role": "assistant", "content": ""}, counts) | {"usage": usage})
        if Place.WHOLE_RESPONSE in self._places:
            ends.append(self._whole())
        if profile.last_body is not None:
            ends[-1] |= profile.last_body(counts)
        yield from map(self._event, ends)

    @property
    def last(self) -> bytes:
        return self._profile.event(_DONE) if self._profile.done else b""

    def stream(self) -> bytes:
        """Return all bytes of a stream."""
        content = b"".join(event for event, _tokens in self.content())
        return b"".join(self.opening()) + content + b"".join(self.closing()) + self.last

    def error_event(self, error: ApiError) -> bytes:
        """Return the events of an error during the stream."""
        if self._profile.stream_error is not None:
            return self._profile.stream_error(self._profile, error, self._truth)
        return self._profile.event(_encode(self._profile.error(error)[1]))

    @property
    def _shows_reasoning(self) -> bool:
        return self._profile.reasoning_member is not None or self._profile.content_is_parts

    @property
    def _finish_reason(self) -> str:
        return self._profile.finish_reasons[self._truth.finish]

    def _usage(self, counts: Counts) -> Json:
        return self._profile.stated(counts)

    def _whole(self) -> Json:
        profile, truth = self._profile, self._truth
        choice: Json = {"index": 0, "message": self._message(), **profile.choice, "finish_reason": self._finish_reason}
        if profile.choice_of_finish is not None:
            choice |= profile.choice_of_finish(truth.finish)
        body = self._envelope() | {"object": "chat.completion", "choices": [choice]} | profile.body
        if self._states_usage:
            body["usage"] = self._usage(truth.counts)
        return body | (profile.last_body(truth.counts) if profile.last_body is not None else {})

    def _message(self) -> Json:
        profile, truth = self._profile, self._truth
        text, thought = "".join(truth.text), "".join(truth.reasoning)
        message: Json = {"role": "assistant", "content": text, **profile.message}
        if truth.call is not None:
            message |= {"content": None, "tool_calls": [_tool_call(truth.call, text)]}
        if profile.content_is_parts and thought and truth.call is None:
            message["content"] = [_thinking_part(thought), {"type": "text", "text": text}]
        elif profile.reasoning_member is not None and thought:
            message[profile.reasoning_member] = thought
            if profile.reasoning_extra is not None:
                message |= profile.reasoning_extra(thought)
        return message

    def _reasoning(self, piece: str) -> Json:
        profile = self._profile
        if profile.content_is_parts or profile.reasoning_member is None:
            return {**profile.delta, "content": [_thinking_part(piece)]}
        further = profile.reasoning_extra(piece) if profile.reasoning_extra is not None else {}
        return {**profile.delta, profile.reasoning_member: piece, **further}

    def _text(self, piece: str) -> Json:
        content: Any = piece
        if self._profile.content_is_parts and self._truth.reasoning:
            content = [{"type": "text", "text": piece}]
        return {**self._profile.delta, "content": content}

    def _call(self, call: Call) -> Iterator[tuple[bytes, int]]:
        truth, thought = self._truth, len(self._truth.reasoning)
        pieces = truth.text
        if self._profile.calls_are_whole:
            made = [{"index": 0, **_tool_call(call, "".join(pieces))}]
            yield (
                self._event(self._chunk({"role": "assistant", "tool_calls": made}, truth.counts)),
                truth.counts.visible,
            )
            return
        delta: Json = {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **_tool_call(call, "")}]}
        yield self._event(self._chunk(delta, truth.counts_at(thought, 0))), call.tokens
        for number, piece in enumerate(pieces, 1):
            delta = {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
            yield self._event(self._chunk(delta, truth.counts_at(thought, number))), 1

    def _envelope(self) -> Json:
        truth, profile = self._truth, self._profile
        return {
            "id": profile.id_prefix + truth.id,
            "object": "chat.completion.chunk",
            "created": truth.created,
            "model": truth.model,
            **profile.chunk,
        }

    def _chunk(self, delta: Json, counts: Counts, finish: str | None = None, *, is_first: bool = False) -> Json:
        profile = self._profile
        choice: Json = {"index": 0, "delta": delta, **profile.choice}
        if finish is not None or not profile.omits_null_finish:
            choice["finish_reason"] = finish
        if finish is not None and profile.choice_of_finish is not None:
            choice |= profile.choice_of_finish(self._truth.finish)
        chunk = self._envelope() | {"choices": [choice]} | (profile.first_chunk if is_first else {})
        return chunk | self._idle_usage(counts)

    def _idle_usage(self, counts: Counts) -> Json:
        """Return what a chunk has as its usage if it is not the place of the usage."""
        idle = self._profile.idle_usage
        if Place.EVERY_CHUNK in self._places:
            return {"usage": self._usage(counts)}
        if isinstance(idle, Idle):
            is_null = idle is Idle.NULL or (idle is Idle.NULL_IF_ASKED and self._asks_usage)
            return {"usage": None} if is_null else {}
        return {"usage": self._profile.stated(counts, idle)}

    def _event(self, chunk: Json) -> bytes:
        return self._profile.event(_encode(chunk))


def _tool_call(call: Call, arguments: str) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _thinking_part(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
