"""Translation of OpenAI's chat completions to Gemini's generateContent.

Sources: platform.openai.com/docs/api-reference/chat and ai.google.dev/api/generate-content. Features that Gemini lacks
are rejected if they change the response (`logprobs`, custom tools) and dropped if they are hints (`logit_bias`).
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
    parse_arguments,
    reject_legacy_functions,
    split_data_url,
    untranslatable,
)
from tollgate_edge.streaming.chat_stream import DONE_EVENT
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import parse_gemini_usage
from tollgate_edge.usage.rendering import as_chat_usage

_FILTERED = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"}
# Gemini does not fetch these URLs as images: they are videos, or files stored in the operator's account.
_GOOGLE_HOSTS = (".googleapis.com", ".google.com", ".youtube.com", ".youtu.be")
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
# The thinking budget for each of OpenAI's efforts, as in Google's OpenAI-compatible API.
_THINKING = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
# Gemini's signature of the thinking behind a tool call, which the client must return with the call. The name is that
# of Google's OpenAI-compatible API.
_SIGNATURE = "thought_signature"
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


def translate_request(chat: Json) -> Json:
    """Translate a request. Gemini takes the model's name and the streaming mode from the path."""
    if chat.get("logprobs"):
        raise untranslatable("logprobs", "it returns them in another format")
    reject_legacy_functions(chat)
    system, contents = _contents(chat["messages"])
    translated = {
        "contents": contents,
        "systemInstruction": {"parts": system} if system else None,
        "tools": _tools(chat.get("tools") or []),
        "toolConfig": _tool_config(chat.get("tool_choice")) if chat.get("tools") else None,
        "generationConfig": _config(chat),
    }
    return {name: value for name, value in translated.items() if value}


def _contents(messages: list[Json]) -> tuple[list[Json], list[Json]]:
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
        parts = _parts(message, names)
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    return system, contents


def _parts(message: Json, names: dict[str, str]) -> list[Json]:
    if message["role"] == "tool":
        call_id = message["tool_call_id"]
        if call_id not in names:
            raise untranslatable("messages", f"no message before it has the tool call '{call_id}'")
        response = {"result": content_text(message.get("content"))}
        return [{"functionResponse": {"id": call_id, "name": names[call_id], "response": response}}]
    parts = [_part(part) for part in content_parts(message.get("content")) if part.get("text") != ""]
    return parts + [_call_part(call) for call in message.get("tool_calls") or ()]


def _call_part(call: Json) -> Json:
    function = call["function"]
    arguments = parse_arguments(function.get("arguments") or "")
    part: Json = {"functionCall": {"id": call["id"], "name": function["name"], "args": arguments}}
    signature = ((call.get("extra_content") or {}).get("google") or {}).get(_SIGNATURE)
    return part | ({"thoughtSignature": signature} if signature else {})


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


def _config(chat: Json) -> Json:
    config = {name: chat[field] for field, name in _CONFIG.items() if chat.get(field) is not None}
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens")
    if limit:
        config["maxOutputTokens"] = limit
    stop = chat.get("stop")
    if stop:
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    response_format = chat.get("response_format") or {}
    if response_format.get("type") in {"json_object", "json_schema"}:
        config["responseMimeType"] = "application/json"
    if response_format.get("type") == "json_schema":
        config["responseJsonSchema"] = response_format["json_schema"]["schema"]
    effort = chat.get("reasoning_effort")
    if effort in _THINKING:
        config["thinkingConfig"] = {"thinkingBudget": _THINKING[effort]}
    return config


def translate_response(generated: Json) -> Json:
    """Translate a complete response. A blocked prompt has no candidates and becomes one filtered choice."""
    candidates = generated.get("candidates") or []
    if not candidates and "promptFeedback" not in generated:
        raise KeyError("candidates")
    choices = [_choice(candidate, index) for index, candidate in enumerate(candidates)]
    usage = parse_gemini_usage(generated.get("usageMetadata") or {})
    stated = {} if usage == NOTHING_STATED else {"usage": as_chat_usage(usage)}
    return _envelope(generated, "chat.completion") | {"choices": choices or [_blocked()]} | stated


def _choice(candidate: Json, index: int) -> Json:
    reply: Json = {"role": "assistant", "content": None, "refusal": None}
    parts = _candidate_content(candidate)
    if parts.text:
        reply["content"] = parts.text
    if parts.thoughts:
        reply["reasoning_content"] = parts.thoughts
    if parts.calls:
        reply["tool_calls"] = parts.calls
    reason = _finish_reason(candidate.get("finishReason"), has_calls=bool(parts.calls))
    return {"index": candidate.get("index", index), "message": reply, "logprobs": None, "finish_reason": reason}


def _blocked() -> Json:
    reply = {"role": "assistant", "content": None, "refusal": None}
    return {"index": 0, "message": reply, "logprobs": None, "finish_reason": "content_filter"}


def _finish_reason(reason: str | None, *, has_calls: bool) -> str:
    if reason == "MAX_TOKENS":
        return "length"
    if reason in _FILTERED:
        return "content_filter"
    return "tool_calls" if has_calls else "stop"


class _CandidateContent(msgspec.Struct):
    """The content of a candidate, or of one event of its stream."""

    text: str = ""
    thoughts: str = ""
    calls: list[Json] = []


def _candidate_content(candidate: Json) -> _CandidateContent:
    content = _CandidateContent()
    for part in (candidate.get("content") or {}).get("parts") or ():
        if "functionCall" in part:
            content.calls.append(_call(part))
        elif part.get("thought"):
            content.thoughts += part.get("text") or ""
        else:
            content.text += part.get("text") or ""
    return content


def _call(part: Json) -> Json:
    call = part["functionCall"]
    arguments = msgspec.json.encode(call.get("args") or {}).decode()
    made: Json = {
        "id": call.get("id") or f"call_{uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }
    signature = part.get("thoughtSignature")
    return made | ({"extra_content": {"google": {_SIGNATURE: signature}}} if signature else {})


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
        self._finished: set[int] = set()

    def translate(self, event: Json) -> bytes:
        if event.get("error"):
            return data_event({"error": event["error"]})
        candidates = event.get("candidates") or []
        events = b""
        if not self._chunk:
            self._chunk = _envelope(event, "chat.completion.chunk")
            events = self._delta(0, {"role": "assistant", "content": ""})
        if candidates:
            self.usage.note_text()
        self.usage.add(parse_gemini_usage(event.get("usageMetadata") or {}))
        if not candidates and event.get("promptFeedback"):
            self._finished.add(0)
            return events + self._delta(0, {}, "content_filter")
        return events + b"".join(self._candidate(candidate, index) for index, candidate in enumerate(candidates))

    def finish(self) -> bytes:
        if not self._finished:
            # The provider broke the stream. Without a finish reason it does not count as complete.
            return b""
        stated = b""
        if self.usage.stated != NOTHING_STATED:
            stated = data_event(self._chunk | {"choices": [], "usage": as_chat_usage(self.usage.stated)})
        return stated + DONE_EVENT

    def _candidate(self, candidate: Json, position: int) -> bytes:
        index = candidate.get("index", position)
        content = _candidate_content(candidate)
        events = b""
        if content.thoughts:
            events += self._delta(index, {"reasoning_content": content.thoughts})
        if content.text:
            events += self._delta(index, {"content": content.text})
        for call in content.calls:
            number = self._calls.get(index, 0)
            self._calls[index] = number + 1
            events += self._delta(index, {"tool_calls": [{"index": number, **call}]})
        reason = candidate.get("finishReason")
        if reason:
            self._finished.add(index)
            events += self._delta(index, {}, _finish_reason(reason, has_calls=index in self._calls))
        return events

    def _delta(self, index: int, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event(self._chunk | {"choices": [choice], "usage": None})
