"""Endpoints whose answers are no text: images, sound, transcripts, moderations, rankings. What they compute is nothing,
what they count is true.
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

from tollgate_local.provider.catalogue import Model, model_for
from tollgate_local.provider.decoding import decode
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.errors import ApiError, invalid_value
from tollgate_local.provider.exchange import EVENT_STREAM, Exchange
from tollgate_local.provider.generation import Choice, Generation
from tollgate_local.provider.prose import passage
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.simulate import Behaviour, UsageFault, behaviour_in
from tollgate_local.provider.tokens import count_tokens

# The smallest PNG there is: one grey pixel.
_PIXEL: Final = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6368000000820081"
        "77cd72b60000000049454e44ae426082"
    )
).decode()
_IMAGE_TOKENS: Final = {"low": 272, "medium": 1_056, "high": 4_160}
# MP3 at 32 kbit/s, one frame of 24 ms each.
_FRAME: Final = b"\xff\xfb\x14\xc4" + bytes(92)
_CHARACTERS_A_FRAME: Final = 2
_MAX_SPOKEN_CHARACTERS: Final = 4_096
_BYTES_A_SECOND: Final = 8_000
_AUDIO_TOKENS_A_SECOND: Final = 10
_DOCUMENTS_A_SEARCH: Final = 100
_encode: Final = msgspec.json.Encoder().encode

Endpoint = Callable[[Exchange], Awaitable[None]]


def unit_endpoint(recorder: Recorder, make: Callable[[bytes, Behaviour, bytes], "Made"]) -> Endpoint:
    """The endpoint that answers with what `make` makes of a body, its behaviour and its content type."""

    async def answer(exchange: Exchange) -> None:
        body = await exchange.body()
        behaviour = behaviour_in(body)
        made = make(body, behaviour, exchange.header(b"content-type"))
        await check_error(exchange, behaviour, streaming=made.streaming)
        generation = Generation(
            f"unit-{uuid4().hex}", 0, made.model.id, (Choice((), "stop"),), made.prompt_tokens, 0, 0, 0
        )
        await deliver(exchange, recorder, generation, made.rendering, behaviour, streaming=made.streaming)

    return answer


class Made(msgspec.Struct):
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


def draw(body: bytes, behaviour: Behaviour, _content_type: bytes) -> Made:
    """`POST /v1/images/generations`: dall-e tells no usage, gpt-image tells tokens."""
    request = decode(_images, body)
    model = model_for("generations", request.model)
    count = request.n or 1
    told: dict[str, Any] = {}
    if not model.id.startswith("dall-e") and behaviour.usage_fault is not UsageFault.MISSING:
        told = {"usage": _image_usage(request, count, behaviour)}
    answer = {"created": 1_745_517_030, "data": [{"b64_json": _PIXEL}] * count}
    partial = {"type": "image_generation.partial_image", "b64_json": _PIXEL, "partial_image_index": 0}
    complete = {"type": "image_generation.completed", "b64_json": _PIXEL}
    rendering = Rendering(
        lambda: _encode(answer | told), content=[(_typed(partial), 0)] * 2, last=_typed(complete | told)
    )
    return Made(model, rendering, bool(request.stream), count_tokens(request.prompt))


def _image_usage(request: ImageRequest, count: int, behaviour: Behaviour) -> dict[str, Any]:
    text = count_tokens(request.prompt)
    image = _IMAGE_TOKENS.get(request.quality or "", _IMAGE_TOKENS["medium"]) * count
    if behaviour.usage_fault is UsageFault.NEGATIVE:
        text = -1
    return {
        "input_tokens": text,
        "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
        "output_tokens": image,
        "total_tokens": text + image,
    }


def speak(body: bytes, behaviour: Behaviour, _content_type: bytes) -> Made:
    """`POST /v1/audio/speech`: frames of silence, as many as the text is long; as events they come with a usage."""
    request = decode(_speech, body)
    model = model_for("speech", request.model)
    if len(request.input) > _MAX_SPOKEN_CHARACTERS:
        raise invalid_value("input", f"String too long; at most {_MAX_SPOKEN_CHARACTERS} characters are spoken.")
    frames = 1 + len(request.input) // _CHARACTERS_A_FRAME
    if request.stream_format == "sse":
        delta = _typed({"type": "speech.audio.delta", "audio": base64.b64encode(_FRAME).decode()})
        tokens = count_tokens(request.input)
        usage = {"input_tokens": tokens, "output_tokens": frames, "total_tokens": tokens + frames}
        told = {} if behaviour.usage_fault is UsageFault.MISSING else {"usage": usage}
        last = _typed({"type": "speech.audio.done"} | told)
        return Made(model, Rendering(bytes, content=[(delta, 0)] * frames, last=last, stream_type=EVENT_STREAM), True)
    rendering = Rendering(bytes, content=[(_FRAME, 0)] * frames, stream_type=b"audio/mpeg")
    return Made(model, rendering, streaming=True)


def transcribe(body: bytes, behaviour: Behaviour, content_type: bytes) -> Made:
    """`POST /v1/audio/transcriptions`: prose, as long as the sound: a WAV file's is read, others' is guessed."""
    fields, sound = _form(body, content_type)
    model = model_for("transcriptions", fields.get("model", ""))
    seconds = _seconds(sound)
    pieces = passage(int.from_bytes(blake2b(sound, digest_size=8).digest(), "big"), max(1, int(seconds * 3)))
    text = "".join(pieces)
    told = {} if behaviour.usage_fault is UsageFault.MISSING else {"usage": _sound_usage(model, seconds, len(pieces))}
    kind = fields.get("response_format", "json")
    if kind == "text":
        return Made(model, Rendering(lambda: text.encode() + b"\n", content_type=b"text/plain; charset=utf-8"))
    if kind in {"srt", "vtt"}:
        cue = f"1\n00:00:00,000 --> 00:00:{int(seconds):02},000\n{text}\n\n"
        return Made(model, Rendering(cue.encode, content_type=b"text/plain; charset=utf-8"))
    answer: dict[str, Any] = {"text": text} | told
    if kind == "verbose_json":
        answer |= {"task": "transcribe", "language": "english", "duration": seconds, "segments": []}
    content = [(_typed({"type": "transcript.text.delta", "delta": piece}), 1) for piece in pieces]
    last = _typed({"type": "transcript.text.done", "text": text} | told)
    streaming = fields.get("stream") == "true" and not model.id.startswith("whisper")
    return Made(model, Rendering(lambda: _encode(answer), content=content, last=last), streaming)


def _sound_usage(model: Model, seconds: float, tokens: int) -> dict[str, Any]:
    if model.id.startswith("whisper"):
        return {"type": "duration", "seconds": -int(-seconds // 1)}
    heard = int(seconds * _AUDIO_TOKENS_A_SECOND)
    details = {"input_token_details": {"text_tokens": 0, "audio_tokens": heard}}
    return {"type": "tokens", "input_tokens": heard, "output_tokens": tokens, "total_tokens": heard + tokens} | details


def _seconds(sound: bytes) -> float:
    if sound[:4] == b"RIFF":
        with wave.open(io.BytesIO(sound)) as file:
            return float(file.getnframes()) / float(file.getframerate())
    return len(sound) / _BYTES_A_SECOND


def _form(body: bytes, content_type: bytes) -> tuple[dict[str, str], bytes]:
    boundary = re.search(rb'boundary="?([^";]+)', content_type)
    if boundary is None:
        raise ApiError(400, "Could not parse multipart form.")
    fields: dict[str, str] = {}
    sound = b""
    for part in body.split(b"--" + boundary[1])[1:-1]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name is None:
            continue
        if b"filename=" in head:
            sound = data.removesuffix(b"\r\n")
        else:
            fields[name[1].decode()] = data.removesuffix(b"\r\n").decode()
    return fields, sound


def moderate(body: bytes, _behaviour: Behaviour, _content_type: bytes) -> Made:
    """`POST /v1/moderations`: nothing is ever flagged."""
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
    return Made(model, Rendering(lambda: _encode(answer)))


def rank(body: bytes, behaviour: Behaviour, _content_type: bytes) -> Made:
    """`POST /v1/rerank`, as Cohere answers: documents in an order drawn from their texts."""
    request = decode(_rerank, body)
    model = model_for("rerank", request.model)
    scored = sorted(_scores(request), reverse=True)[: request.top_n]
    results = [{"index": index, "relevance_score": score} for score, index in scored]
    answer: dict[str, Any] = {"id": str(uuid4()), "results": results}
    if behaviour.usage_fault is not UsageFault.MISSING:
        units = -(-len(request.documents) // _DOCUMENTS_A_SEARCH)
        units = -1 if behaviour.usage_fault is UsageFault.NEGATIVE else units
        answer["meta"] = {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
    return Made(model, Rendering(lambda: _encode(answer)))


def _scores(request: RerankRequest) -> Iterator[tuple[float, int]]:
    for index, document in enumerate(request.documents):
        digest = blake2b(_encode((request.query, document)), digest_size=4).digest()
        yield int.from_bytes(digest, "big") / 2**32, index


def _typed(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


def unit_endpoints(recorder: Recorder) -> Iterable[tuple[str, Endpoint]]:
    makers = {
        "images/generations": draw,
        "audio/speech": speak,
        "audio/transcriptions": transcribe,
        "moderations": moderate,
        "rerank": rank,
    }
    return [(f"/v1/{path}", unit_endpoint(recorder, make)) for path, make in makers.items()]
