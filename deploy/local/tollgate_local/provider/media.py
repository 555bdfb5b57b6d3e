"""Endpoints other than text generation: images, speech, transcriptions, moderations and reranking.

Their content is constant or random; their usage is exact.
"""

import base64
import io
import re
import wave
from collections.abc import Awaitable, Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import msgspec

from tollgate_local.provider.behavior import Behavior, UsageFault, find_behavior
from tollgate_local.provider.decoding import decode
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.errors import ApiError, invalid_value
from tollgate_local.provider.generation import Choice, Generation
from tollgate_local.provider.http_exchange import EVENT_STREAM, HttpExchange
from tollgate_local.provider.models import Model, model_for
from tollgate_local.provider.prose import passage
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.tokens import count_tokens

# The smallest possible PNG: one gray pixel.
_PIXEL: Final = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6368000000820081"
        "77cd72b60000000049454e44ae426082"
    )
).decode()
_IMAGE_TOKENS: Final = {"low": 272, "medium": 1_056, "high": 4_160}
# MP3 at 32 kbit/s, one frame of 24 ms each.
_FRAME: Final = b"\xff\xfb\x14\xc4" + bytes(92)
_CHARACTERS_PER_FRAME: Final = 2
_MAX_SPOKEN_CHARACTERS: Final = 4_096
_BYTES_PER_SECOND: Final = 8_000
_AUDIO_TOKENS_PER_SECOND: Final = 10
_DOCUMENTS_PER_SEARCH: Final = 100
_encode: Final = msgspec.json.Encoder().encode

Endpoint = Callable[[HttpExchange], Awaitable[None]]


def media_endpoint(recorder: Recorder, make: Callable[[bytes, Behavior, bytes], "MediaResponse"]) -> Endpoint:
    """Create an endpoint. `make` builds the response from the body, the behavior and the content type."""

    async def answer(exchange: HttpExchange) -> None:
        body = await exchange.body()
        behavior = find_behavior(body)
        made = make(body, behavior, exchange.header(b"content-type"))
        await check_error(exchange, behavior, streaming=made.streaming)
        generation = Generation(
            f"unit-{uuid4().hex}", 0, made.model.id, (Choice((), "stop"),), made.prompt_tokens, 0, 0, 0
        )
        await deliver(exchange, recorder, generation, made.rendering, behavior, streaming=made.streaming)

    return answer


class MediaResponse(msgspec.Struct):
    model: Model
    rendering: Rendering
    streaming: bool = False
    prompt_tokens: int = 0


class ImageRequest(msgspec.Struct):
    model: str
    prompt: str
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = None
    stream: bool | None = None


class SpeechRequest(msgspec.Struct):
    model: str
    input: str
    voice: str | dict[str, str]
    stream_format: Literal["audio", "sse"] | None = None


class ModerationRequest(msgspec.Struct):
    input: str | list[Any]
    model: str = "omni-moderation-latest"


class RerankRequest(msgspec.Struct):
    model: str
    query: str
    documents: list[str | dict[str, Any]]
    top_n: int | None = None


_images: Final = msgspec.json.Decoder(ImageRequest)
_speech: Final = msgspec.json.Decoder(SpeechRequest)
_moderations: Final = msgspec.json.Decoder(ModerationRequest)
_rerank: Final = msgspec.json.Decoder(RerankRequest)


def generate_images(body: bytes, behavior: Behavior, _content_type: bytes) -> MediaResponse:
    """`POST /v1/images/generations`: dall-e reports no usage, gpt-image reports tokens."""
    request = decode(_images, body)
    model = model_for("generations", request.model)
    count = request.n or 1
    stated: dict[str, Any] = {}
    if not model.id.startswith("dall-e") and behavior.usage_fault is not UsageFault.MISSING:
        stated = {"usage": _image_usage(request, count, behavior)}
    answer = {"created": 1_745_517_030, "data": [{"b64_json": _PIXEL}] * count}
    partial = {"type": "image_generation.partial_image", "b64_json": _PIXEL, "partial_image_index": 0}
    complete = {"type": "image_generation.completed", "b64_json": _PIXEL}
    rendering = Rendering(
        lambda: _encode(answer | stated), content=[(_typed(partial), 0)] * 2, last=_typed(complete | stated)
    )
    return MediaResponse(model, rendering, bool(request.stream), count_tokens(request.prompt))


def _image_usage(request: ImageRequest, count: int, behavior: Behavior) -> dict[str, Any]:
    text = count_tokens(request.prompt)
    image = _IMAGE_TOKENS.get(request.quality or "", _IMAGE_TOKENS["medium"]) * count
    if behavior.usage_fault is UsageFault.NEGATIVE:
        text = -1
    return {
        "input_tokens": text,
        "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
        "output_tokens": image,
        "total_tokens": text + image,
    }


def synthesize_speech(body: bytes, behavior: Behavior, _content_type: bytes) -> MediaResponse:
    """`POST /v1/audio/speech`: frames of silence in proportion to the text; a stream of events has a usage."""
    request = decode(_speech, body)
    model = model_for("speech", request.model)
    if len(request.input) > _MAX_SPOKEN_CHARACTERS:
        raise invalid_value("input", f"String too long; at most {_MAX_SPOKEN_CHARACTERS} characters are spoken.")
    frames = 1 + len(request.input) // _CHARACTERS_PER_FRAME
    if request.stream_format == "sse":
        delta = _typed({"type": "speech.audio.delta", "audio": base64.b64encode(_FRAME).decode()})
        tokens = count_tokens(request.input)
        usage = {"input_tokens": tokens, "output_tokens": frames, "total_tokens": tokens + frames}
        stated = {} if behavior.usage_fault is UsageFault.MISSING else {"usage": usage}
        last = _typed({"type": "speech.audio.done"} | stated)
        return MediaResponse(
            model, Rendering(bytes, content=[(delta, 0)] * frames, last=last, stream_type=EVENT_STREAM), True
        )
    rendering = Rendering(bytes, content=[(_FRAME, 0)] * frames, stream_type=b"audio/mpeg")
    return MediaResponse(model, rendering, streaming=True)


def transcribe(body: bytes, behavior: Behavior, content_type: bytes) -> MediaResponse:
    """`POST /v1/audio/transcriptions`: prose in proportion to the audio, whose length is read (WAV) or estimated."""
    fields, audio = _form(body, content_type)
    model = model_for("transcriptions", fields.get("model", ""))
    seconds = _seconds(audio)
    token_texts = passage(int.from_bytes(blake2b(audio, digest_size=8).digest(), "big"), max(1, int(seconds * 3)))
    text = "".join(token_texts)
    stated = (
        {} if behavior.usage_fault is UsageFault.MISSING else {"usage": _audio_usage(model, seconds, len(token_texts))}
    )
    kind = fields.get("response_format", "json")
    if kind == "text":
        return MediaResponse(model, Rendering(lambda: text.encode() + b"\n", content_type=b"text/plain; charset=utf-8"))
    if kind in {"srt", "vtt"}:
        cue = f"1\n00:00:00,000 --> 00:00:{int(seconds):02},000\n{text}\n\n"
        return MediaResponse(model, Rendering(cue.encode, content_type=b"text/plain; charset=utf-8"))
    answer: dict[str, Any] = {"text": text} | stated
    if kind == "verbose_json":
        answer |= {"task": "transcribe", "language": "english", "duration": seconds, "segments": []}
    content = [(_typed({"type": "transcript.text.delta", "delta": piece}), 1) for piece in token_texts]
    last = _typed({"type": "transcript.text.done", "text": text} | stated)
    streaming = fields.get("stream") == "true" and not model.id.startswith("whisper")
    return MediaResponse(model, Rendering(lambda: _encode(answer), content=content, last=last), streaming)


def _audio_usage(model: Model, seconds: float, tokens: int) -> dict[str, Any]:
    if model.id.startswith("whisper"):
        return {"type": "duration", "seconds": -int(-seconds // 1)}
    audio_tokens = int(seconds * _AUDIO_TOKENS_PER_SECOND)
    details = {"input_token_details": {"text_tokens": 0, "audio_tokens": audio_tokens}}
    return {
        "type": "tokens",
        "input_tokens": audio_tokens,
        "output_tokens": tokens,
        "total_tokens": audio_tokens + tokens,
    } | details


def _seconds(audio: bytes) -> float:
    if audio[:4] == b"RIFF":
        with wave.open(io.BytesIO(audio)) as file:
            return float(file.getnframes()) / float(file.getframerate())
    return len(audio) / _BYTES_PER_SECOND


def _form(body: bytes, content_type: bytes) -> tuple[dict[str, str], bytes]:
    boundary = re.search(rb'boundary="?([^";]+)', content_type)
    if boundary is None:
        raise ApiError(400, "Could not parse multipart form.")
    fields: dict[str, str] = {}
    audio = b""
    for part in body.split(b"--" + boundary[1])[1:-1]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name is None:
            continue
        if b"filename=" in head:
            audio = data.removesuffix(b"\r\n")
        else:
            fields[name[1].decode()] = data.removesuffix(b"\r\n").decode()
    return fields, audio


def moderate(body: bytes, _behaviour: Behavior, _content_type: bytes) -> MediaResponse:
    """`POST /v1/moderations`: no input is ever flagged."""
    request = decode(_moderations, body)
    model = model_for("moderations", request.model)
    count = len(request.input) if isinstance(request.input, list) else 1
    names = ("harassment", "hate", "self-harm", "sexual", "violence")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(names, False),
        "category_scores": dict.fromkeys(names, 0.0001),
        "category_applied_input_types": {name: ["text"] for name in names},
    }
    answer = {"id": f"modr-{uuid4().hex}", "model": model.id, "results": [result] * count}
    return MediaResponse(model, Rendering(lambda: _encode(answer)))


def rerank(body: bytes, behavior: Behavior, _content_type: bytes) -> MediaResponse:
    """`POST /v1/rerank`, as in Cohere's API: documents in a pseudo-random order."""
    request = decode(_rerank, body)
    model = model_for("rerank", request.model)
    scored = sorted(_scores(request), reverse=True)[: request.top_n]
    results = [{"index": index, "relevance_score": score} for score, index in scored]
    answer: dict[str, Any] = {"id": str(uuid4()), "results": results}
    if behavior.usage_fault is not UsageFault.MISSING:
        units = -(-len(request.documents) // _DOCUMENTS_PER_SEARCH)
        units = -1 if behavior.usage_fault is UsageFault.NEGATIVE else units
        answer["meta"] = {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
    return MediaResponse(model, Rendering(lambda: _encode(answer)))


def _scores(request: RerankRequest) -> Iterator[tuple[float, int]]:
    for index, document in enumerate(request.documents):
        digest = blake2b(_encode((request.query, document)), digest_size=4).digest()
        yield int.from_bytes(digest, "big") / 2**32, index


def _typed(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


def media_endpoints(recorder: Recorder) -> Iterable[tuple[str, Endpoint]]:
    makers = {
        "images/generations": generate_images,
        "audio/speech": synthesize_speech,
        "audio/transcriptions": transcribe,
        "moderations": moderate,
        "rerank": rerank,
    }
    return [(f"/v1/{path}", media_endpoint(recorder, make)) for path, make in makers.items()]
