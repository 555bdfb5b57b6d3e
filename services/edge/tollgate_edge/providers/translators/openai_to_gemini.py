"""Translation of OpenAI's chat completions to Gemini's generateContent.

Images that a model generates are in `message.images` and `delta.images`, as at OpenRouter and LiteLLM. Features that
Gemini lacks are rejected if they change the response (`logprobs`, custom tools) and dropped if they are hints
(`logit_bias`).

Sources: platform.openai.com/docs/api-reference/chat, ai.google.dev/api/generate-content and
openrouter.ai/docs/guides/overview/multimodal/image-generation.
"""

import time
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from tollgate_edge.providers.translators.base import (
    Json,
    content_parts,
    content_text,
    data_event,
    reject_legacy_functions,
    split_data_url,
    untranslatable,
)
from tollgate_edge.providers.translators.gemini_models import GeminiModel, gemini_model
from tollgate_edge.providers.translators.thought_signatures import (
    id_with_signature,
    id_without_signature,
    signature_extra,
    signature_of,
)
from tollgate_edge.providers.translators.tool_history import readable_arguments, repair_calls
from tollgate_edge.streaming.chat_stream import DONE_EVENT
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import parse_gemini_usage
from tollgate_edge.usage.rendering import as_chat_usage

_FILTERED = {
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "LANGUAGE",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
}
# OpenAI has no finish reason for a response that failed, and its strict clients accept no other value. The `refusal`
# explains it, which clients show and agents act on.
_FAILED = {
    "MALFORMED_FUNCTION_CALL": "The model's tool call was malformed.",
    "UNEXPECTED_TOOL_CALL": "The model called a tool although no tool could be called.",
    "TOO_MANY_TOOL_CALLS": "The model called too many tools in a row.",
    "MALFORMED_RESPONSE": "The model's response was malformed.",
    "MISSING_THOUGHT_SIGNATURE": "The history lacks a thought signature.",
    "NO_IMAGE": "The model generated no image.",
    "IMAGE_OTHER": "The model generated no image.",
    "OTHER": "The model stopped without a known reason.",
}
# Gemini does not fetch these URLs as images: they are videos, or files stored in the operator's account.
_GOOGLE_HOSTS = (".googleapis.com", ".google.com", ".youtube.com", ".youtu.be")
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
# The types that a tool's result may contain: ai.google.dev/gemini-api/docs/function-calling, "Multimodal responses".
_RESULT_TYPES = {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
# Makes Gemini accept a tool call that another model made: ai.google.dev/gemini-api/docs/thought-signatures, "FAQs".
_NO_SIGNATURE = "skip_thought_signature_validator"
# Parts of other providers' responses that clients send back.
_THOUGHTS = {"reasoning", "redacted_thinking", "thinking"}
_IMAGE_CONFIG = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


def translate_request(chat: Json, max_output_tokens: int | None = None) -> Json:
    """Translate a request. Gemini takes the model's name and the streaming mode from the path.

    Args:
        chat: the request, with Google's name of the model.
        max_output_tokens: the model's longest response, if known. Gemini rejects a higher limit.
    """
    if chat.get("logprobs"):
        raise untranslatable("logprobs", "it returns them in another format")
    reject_legacy_functions(chat)
    model = gemini_model(chat.get("model") or "")
    system, contents = _contents(repair_calls(chat["messages"]), model)
    if not contents:
        # Gemini requires at least one turn.
        system, contents = [], [{"role": "user", "parts": system}]
    translated = {
        "contents": contents,
        "systemInstruction": {"parts": system} if system else None,
        "tools": _tools(chat.get("tools") or []),
        "toolConfig": _tool_config(chat.get("tool_choice")) if chat.get("tools") else None,
        "generationConfig": _config(chat, model, max_output_tokens),
    }
    return {name: value for name, value in translated.items() if value}


def _contents(messages: list[Json], model: GeminiModel) -> tuple[list[Json], list[Json]]:
    """Return the system's parts and the turns. Consecutive messages of one role become one turn."""
    system: list[Json] = []
    contents: list[Json] = []
    names: dict[str, str] = {}
    for message in messages:
        if message["role"] in {"system", "developer"}:
            system += [
                {"text": text} for part in content_parts(message.get("content")) if (text := content_text([part]))
            ]
            continue
        names |= {call["id"]: call["function"]["name"] for call in message.get("tool_calls") or ()}
        role = "model" if message["role"] == "assistant" else "user"
        parts = _parts(message, names, model)
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    for content in contents:
        if content["role"] == "user":
            # The results of parallel calls stand together.
            content["parts"].sort(key=lambda part: "functionResponse" not in part)
        elif model.checks_signatures:
            _complete_signatures(content["parts"])
    return system, contents


def _complete_signatures(parts: list[Json]) -> None:
    """Add a signature to the first call of a turn if it has none. Gemini signs only the first of parallel calls."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", _NO_SIGNATURE)


def _parts(message: Json, names: dict[str, str], model: GeminiModel) -> list[Json]:
    if message["role"] == "tool":
        return _result_parts(message, names, model)
    parts = [
        _part(part)
        for part in content_parts(message.get("content"))
        if part.get("text") != "" and part.get("type") not in _THOUGHTS
    ]
    if message["role"] != "assistant":
        return parts
    signature = signature_of({"extra_content": message.get("extra_content")})
    if signature:
        if not parts:
            parts.append({"text": ""})
        parts[-1]["thoughtSignature"] = signature
    parts += [_generated_image(image) for image in message.get("images") or ()]
    return parts + [_call_part(call) for call in message.get("tool_calls") or ()]


def _result_parts(message: Json, names: dict[str, str], model: GeminiModel) -> list[Json]:
    """Translate a tool's result. Media that cannot be in it follow as parts of the user."""
    content = content_parts(message.get("content"))
    media = [_part(part) for part in content if part["type"] not in {"text", "refusal"}]
    inside = [part for part in media if model.takes_media_in_results and _fits_in_result(part)]
    call_id = message["tool_call_id"]
    result = {
        "id": id_without_signature(call_id),
        "name": names[call_id],
        "response": {"result": content_text(content)},
    }
    outside = [part for part in media if part not in inside]
    return [{"functionResponse": result | ({"parts": inside} if inside else {})}, *outside]


def _fits_in_result(part: Json) -> bool:
    return (part.get("inlineData") or {}).get("mimeType") in _RESULT_TYPES


def _generated_image(image: Json) -> Json:
    signature = signature_of(image)
    return _image(image["image_url"]["url"]) | ({"thoughtSignature": signature} if signature else {})


def _call_part(call: Json) -> Json:
    function = call["function"]
    arguments = readable_arguments(function.get("arguments"))
    made = {"id": id_without_signature(call["id"]), "name": function["name"], "args": arguments}
    signature = signature_of(call)
    return {"functionCall": made} | ({"thoughtSignature": signature} if signature else {})


def _part(part: Json) -> Json:
    match part["type"]:
        case "text":
            return {"text": part["text"]}
        case "refusal":
            return {"text": part["refusal"]}
        case "image_url":
            return _image(part["image_url"]["url"])
        case "input_audio":
            audio = part["input_audio"]
            return {"inlineData": {"mimeType": _AUDIO_TYPES[audio["format"]], "data": audio["data"]}}
        case "file" if part["file"].get("file_data"):
            return _media(part["file"]["file_data"], "application/pdf")
        case kind:
            raise untranslatable("messages", f"it does not support content of type '{kind}'")


def _image(url: str) -> Json:
    data = split_data_url(url)
    if data is not None and not data[0].startswith("image/"):
        # The bound of an image's tokens does not hold for a video or a document.
        raise untranslatable("messages", f"it does not support images of type '{data[0]}'")
    return _media(url, "image/jpeg")


def _media(url: str, kind: str) -> Json:
    data = split_data_url(url)
    if data is None:
        # A fully qualified host name may end with a dot.
        host = f".{urlsplit(url).hostname or ''}".rstrip(".")
        if not url.startswith(("https://", "http://")) or host.endswith(_GOOGLE_HOSTS):
            raise untranslatable("messages", "it supports data URLs, and web URLs outside Google's own domains")
        return {"fileData": {"mimeType": kind, "fileUri": url}}
    return {"inlineData": {"mimeType": data[0], "data": data[1]}}


def _tools(tools: list[Json]) -> list[Json]:
    declarations = []
    for tool in tools:
        if tool.get("type") != "function":
            raise untranslatable("tools", "it supports functions only")
        function = tool["function"]
        made = {"name": function["name"], "description": function.get("description")}
        made["parametersJsonSchema"] = function.get("parameters")
        declarations.append({name: value for name, value in made.items() if value is not None})
    return [{"functionDeclarations": declarations}] if declarations else []


def _tool_config(choice: Any) -> Json | None:
    if choice is None:
        return None
    if isinstance(choice, dict):
        calling = {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
    else:
        calling = {"mode": {"required": "ANY", "none": "NONE"}.get(choice, "AUTO")}
    return {"functionCallingConfig": calling}


def _config(chat: Json, model: GeminiModel, max_output_tokens: int | None) -> Json:
    config = {name: chat[field] for field, name in _CONFIG.items() if chat.get(field) is not None}
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens")
    if limit:
        config["maxOutputTokens"] = min(limit, max_output_tokens or limit)
    stop = chat.get("stop") or []
    # An empty sequence would stop nothing, and Gemini rejects it.
    sequences = [text for text in ([stop] if isinstance(stop, str) else stop) if text]
    if sequences:
        config["stopSequences"] = sequences
    response_format = chat.get("response_format") or {}
    if response_format.get("type") in {"json_object", "json_schema"}:
        config["responseMimeType"] = "application/json"
    if response_format.get("type") == "json_schema":
        config["responseJsonSchema"] = response_format["json_schema"]["schema"]
    thinking = model.thinking(chat.get("reasoning_effort") or "")
    if thinking is not None:
        config["thinkingConfig"] = thinking
    return config | _image_config(chat)


def _image_config(chat: Json) -> Json:
    config: Json = {}
    modalities = chat.get("modalities") or []
    if "image" in modalities:
        config["responseModalities"] = [modality.upper() for modality in modalities]
    given = chat.get("image_config") or {}
    options = {name: given[field] for field, name in _IMAGE_CONFIG.items() if given.get(field) is not None}
    return config | ({"imageConfig": options} if options else {})


def translate_response(generated: Json) -> Json:
    """Translate a complete response. A blocked prompt has no candidates and becomes one filtered choice."""
    candidates = generated.get("candidates") or []
    if not candidates and "promptFeedback" not in generated:
        raise KeyError("candidates")
    choices = [_choice(candidate, index) for index, candidate in enumerate(candidates)]
    usage = parse_gemini_usage(generated.get("usageMetadata") or {})
    stated = {} if usage == NOTHING_STATED else {"usage": as_chat_usage(usage)}
    return _envelope(generated, "chat.completion") | {"choices": choices or [_blocked(generated)]} | stated


def _choice(candidate: Json, index: int) -> Json:
    content = _candidate_content(candidate)
    reason = candidate.get("finishReason")
    reply: Json = {
        "role": "assistant",
        "content": content.text or None,
        "refusal": _refusal(candidate, has_calls=bool(content.calls)),
    }
    if content.thoughts:
        reply["reasoning_content"] = content.thoughts
    if content.images:
        reply["images"] = [image | {"index": position} for position, image in enumerate(content.images)]
    if content.calls:
        reply["tool_calls"] = content.calls
    if content.signature:
        reply |= signature_extra(content.signature)
    return {
        "index": candidate.get("index", index),
        "message": reply,
        "logprobs": None,
        "finish_reason": _finish_reason(reason, has_calls=bool(content.calls)),
    }


def _blocked(generated: Json) -> Json:
    reply = {"role": "assistant", "content": None, "refusal": _block_message(generated)}
    return {"index": 0, "message": reply, "logprobs": None, "finish_reason": "content_filter"}


def _block_message(generated: Json) -> str | None:
    return generated["promptFeedback"].get("blockReasonMessage") or None


def _finish_reason(reason: str | None, *, has_calls: bool) -> str:
    if reason == "MAX_TOKENS":
        return "length"
    if reason in _FILTERED:
        return "content_filter"
    return "tool_calls" if has_calls else "stop"


def _refusal(candidate: Json, *, has_calls: bool) -> str | None:
    """Return why the response is not what the client asked for; None if it is."""
    reason, stated = candidate.get("finishReason") or "", candidate.get("finishMessage")
    if reason in _FILTERED:
        return stated or None
    if has_calls or reason not in _FAILED:
        return None
    return f"{_FAILED[reason]} {stated}" if stated else _FAILED[reason]


class _CandidateContent(msgspec.Struct):
    """The content of a candidate, or of one event of its stream."""

    text: str = ""
    thoughts: str = ""
    signature: str = ""
    """The signature of a part that is not a tool call."""
    calls: list[Json] = []
    images: list[Json] = []


def _candidate_content(candidate: Json) -> _CandidateContent:
    """Collect the parts of a candidate. Parts of other types are left out."""
    content = _CandidateContent()
    for part in (candidate.get("content") or {}).get("parts") or ():
        if "functionCall" in part:
            content.calls.append(_call(part))
            continue
        image = None if part.get("thought") else _inline_image(part)
        if image is not None:
            content.images.append(image)
            continue
        content.signature = part.get("thoughtSignature") or content.signature
        if part.get("thought"):
            content.thoughts += part.get("text") or ""
        else:
            content.text += part.get("text") or ""
    return content


def _inline_image(part: Json) -> Json | None:
    data = part.get("inlineData") or {}
    if not (data.get("mimeType") or "").startswith("image/"):
        return None
    image = {"type": "image_url", "image_url": {"url": f"data:{data['mimeType']};base64,{data['data']}"}}
    signature = part.get("thoughtSignature")
    return image | (signature_extra(signature) if signature else {})


def _call(part: Json) -> Json:
    call, signature = part["functionCall"], part.get("thoughtSignature")
    arguments = msgspec.json.encode(call.get("args") or {}).decode()
    made: Json = {
        "id": id_with_signature(call.get("id") or f"call_{uuid4().hex[:24]}", signature),
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }
    return made | (signature_extra(signature) if signature else {})


def _envelope(generated: Json, kind: str) -> Json:
    return {
        "id": generated.get("responseId") or f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": generated.get("modelVersion") or "",
    }


class StreamTranslator:
    """The `EventTranslator` from Gemini to chat completions. Gemini marks the end only by the end of the body."""

    def __init__(self) -> None:
        self._chunk: Json = {}
        self.usage = StreamUsage()
        self._calls: dict[int, int] = {}
        self._images: dict[int, int] = {}
        self._finished: set[int] = set()

    def translate(self, event: Json) -> bytes:
        if event.get("error"):
            return data_event({"error": event["error"]})
        chunks: list[Json] = []
        if not self._chunk:
            self._chunk = _envelope(event, "chat.completion.chunk")
            chunks.append(self._delta(0, {"role": "assistant", "content": ""}))
        candidates = event.get("candidates") or []
        for position, candidate in enumerate(candidates):
            chunks += self._candidate(candidate, candidate.get("index", position))
        if candidates:
            self.usage.note_text()
        elif event.get("promptFeedback"):
            chunks += self._end(0, _block_message(event), "content_filter")
        self.usage.add(parse_gemini_usage(event.get("usageMetadata") or {}))
        return b"".join(data_event(chunk) for chunk in chunks)

    def finish(self) -> bytes:
        if not self._finished:
            # The provider broke the stream. Without a finish reason it does not count as complete.
            return b""
        stated = b""
        if self.usage.stated != NOTHING_STATED:
            stated = data_event(self._chunk | {"choices": [], "usage": as_chat_usage(self.usage.stated)})
        return stated + DONE_EVENT

    def _candidate(self, candidate: Json, index: int) -> list[Json]:
        content = _candidate_content(candidate)
        deltas: list[Json] = []
        if content.thoughts:
            deltas.append({"reasoning_content": content.thoughts})
        if content.text:
            deltas.append({"content": content.text})
        deltas += [{"images": [image | {"index": _next(self._images, index)}]} for image in content.images]
        deltas += [{"tool_calls": [{"index": _next(self._calls, index), **call}]} for call in content.calls]
        if content.signature:
            deltas.append(signature_extra(content.signature))
        chunks = [self._delta(index, delta) for delta in deltas]
        reason = candidate.get("finishReason")
        if reason:
            has_calls = index in self._calls
            refusal = _refusal(candidate, has_calls=has_calls)
            chunks += self._end(index, refusal, _finish_reason(reason, has_calls=has_calls))
        return chunks

    def _end(self, index: int, refusal: str | None, finish_reason: str) -> list[Json]:
        self._finished.add(index)
        explained = [self._delta(index, {"refusal": refusal})] if refusal else []
        return [*explained, self._delta(index, {}, finish_reason)]

    def _delta(self, index: int, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._chunk | {"choices": [choice], "usage": None}


def _next(counts: dict[int, int], index: int) -> int:
    """Return the number of the choice's next item, from zero."""
    counts[index] = counts.get(index, -1) + 1
    return counts[index]
