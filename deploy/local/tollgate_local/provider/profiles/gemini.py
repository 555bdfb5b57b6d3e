"""The encoding of a truth as Gemini's generateContent, complete or as the events of a stream."""

from collections.abc import Iterator
from typing import Final

import msgspec

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.profiles.profile import Json, Profile
from tollgate_local.provider.profiles.truth import Truth

_encode: Final = msgspec.json.Encoder().encode
_SIGNATURE: Final = "c2lnbmF0dXJl"


class GeminiResponse:
    """Each event of a stream has the shape of a complete response and states the usage so far."""

    last: Final = b""

    def __init__(self, profile: Profile, truth: Truth, *, states_usage: bool = True) -> None:
        self._profile = profile
        self._truth = truth
        self._states_usage = states_usage

    def whole(self) -> bytes:
        truth = self._truth
        part = self._call_part() if truth.call is not None else {"text": "".join(truth.text)}
        return _encode(self._response(part, len(truth.text), is_last=True))

    def opening(self) -> Iterator[bytes]:
        yield from ()

    def content(self) -> Iterator[tuple[bytes, int]]:
        truth = self._truth
        if truth.call is not None:
            yield self._event(self._call_part(), len(truth.text)), truth.counts.visible
            return
        for number, piece in enumerate(truth.text, 1):
            yield self._event({"text": piece}, number), 1

    def closing(self) -> Iterator[bytes]:
        part: Json = {"text": ""} | ({"thoughtSignature": _SIGNATURE} if self._truth.reasoning else {})
        yield self._event(part, len(self._truth.text), is_last=True)

    def stream(self) -> bytes:
        """Return all bytes of a stream."""
        return b"".join(event for event, _tokens in self.content()) + b"".join(self.closing())

    def error_event(self, error: ApiError) -> bytes:
        return self._profile.event(_encode(self._profile.error(error)[1]))

    def _call_part(self) -> Json:
        call = self._truth.call
        assert call is not None
        arguments = msgspec.json.decode("".join(self._truth.text) or "{}")
        return {"functionCall": {"name": call.name, "args": arguments}, "thoughtSignature": _SIGNATURE}

    def _response(self, part: Json, visible: int, *, is_last: bool) -> Json:
        truth, profile = self._truth, self._profile
        candidate: Json = {"content": {"parts": [part], "role": "model"}, "index": 0}
        if is_last:
            candidate["finishReason"] = profile.finish_reasons[truth.finish]
        body: Json = {"candidates": [candidate]}
        if self._states_usage:
            usage = profile.stated(truth.counts_at(len(truth.reasoning), visible))
            # Gemini omits counts of zero.
            body["usageMetadata"] = {name: value for name, value in usage.items() if value}
        return body | {"modelVersion": truth.model, "responseId": truth.id}

    def _event(self, part: Json, visible: int, *, is_last: bool = False) -> bytes:
        return self._profile.event(_encode(self._response(part, visible, is_last=is_last)))
