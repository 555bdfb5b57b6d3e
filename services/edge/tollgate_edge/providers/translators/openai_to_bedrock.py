"""Translation of OpenAI's chat completions to Bedrock's Converse.

Sources: platform.openai.com/docs/api-reference/chat, docs.aws.amazon.com/bedrock/latest/APIReference/
API_runtime_Converse.html and API_runtime_ConverseStream.html, and their model in botocore (`data/bedrock-runtime`).
Features that Converse lacks are rejected if they change the response (`n`, `logprobs`, web URLs of images) and dropped
if they are hints (`seed`, penalties, `logit_bias`, `parallel_tool_calls`, and `reasoning_effort` except for gpt-oss).
"""

import re
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec

from tollgate_edge.providers.translators.base import (
    Json,
    content_parts,
    data_event,
    reject_legacy_functions,
    split_data_url,
    untranslatable,
)
from tollgate_edge.providers.translators.claude_models import claude_model
from tollgate_edge.providers.translators.thought_signatures import id_without_signature
from tollgate_edge.providers.translators.tool_history import readable_arguments, repair_calls
from tollgate_edge.streaming.chat_stream import DONE_EVENT
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import NOTHING_STATED, StatedUsage
from tollgate_edge.usage.parsers import parse_messages_usage
from tollgate_edge.usage.rendering import as_chat_usage

_FINISH_REASONS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_IMAGE_FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
# Converse accepts only these characters in a document's name, and no two spaces in a row.
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_UNSAFE_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_MAX_ID_CHARS = 64
_MAX_READABLE_ID = 40
_JSON_ONLY = "Respond with one JSON object and nothing else."
_OPENAI_MODEL = "openai."
_CLAUDE = "anthropic.claude"


def is_claude(model: str) -> bool:
    """Whether a model id, inference profile or ARN names Claude. An application inference profile names no model."""
    return _CLAUDE in model


def translate_request(chat: Json, max_output_tokens: int | None = None) -> Json:
    """Translate a request. Converse takes the model's name and the streaming mode from the path.

    Args:
        chat: the request, with Bedrock's name of the model.
        max_output_tokens: the model's longest response, if known. Bedrock rejects a higher limit.
    """
    if (chat.get("n") or 1) > 1:
        raise untranslatable("n", "it returns one choice only")
    if chat.get("logprobs"):
        raise untranslatable("logprobs", "it does not return them")
    reject_legacy_functions(chat)
    system, messages = _split_system(repair_calls(chat["messages"]))
    output = _output_config(chat, system)
    if not messages:
        system, messages = [], [{"role": "user", "content": system}]
    translated = {
        "messages": messages,
        "system": system,
        "inferenceConfig": _inference_config(chat, max_output_tokens),
        "toolConfig": _tool_config(chat, messages),
        "outputConfig": output,
        "additionalModelRequestFields": _additional_fields(chat),
    }
    return {name: value for name, value in translated.items() if value}


def _split_system(messages: list[Json]) -> tuple[list[Json], list[Json]]:
    """Return the system's blocks and the turns. Consecutive messages of one role become one turn."""
    system: list[Json] = []
    turns: list[Json] = []
    for message in messages:
        role = message["role"]
        if role in {"system", "developer"}:
            system += _content(message)
            continue
        turn_role = "assistant" if role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == turn_role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": turn_role, "content": blocks})
    return system, turns


def _blocks(message: Json) -> list[Json]:
    content = _content(message)
    if message["role"] == "tool":
        # A cache point stands after the result, not in it.
        points = [block for block in content if "cachePoint" in block]
        result = [block for block in content if "cachePoint" not in block]
        return [{"toolResult": {"toolUseId": _safe_id(message["tool_call_id"]), "content": result}}, *points]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        arguments = readable_arguments(function.get("arguments"))
        content.append({"toolUse": {"toolUseId": _safe_id(call["id"]), "name": function["name"], "input": arguments}})
    return content


def _safe_id(call_id: str) -> str:
    """Return an id that Converse accepts. Different ids stay different."""
    call_id = id_without_signature(call_id)
    safe = _UNSAFE_ID.sub("_", call_id)
    if safe == call_id and 0 < len(call_id) <= _MAX_ID_CHARS:
        return call_id
    return f"{safe[:_MAX_READABLE_ID]}_{sha256(call_id.encode()).hexdigest()[:12]}"


def _content(message: Json) -> list[Json]:
    """Translate a message's content, without blank texts, which Converse rejects."""
    blocks = []
    for part in content_parts(message.get("content")):
        block = _block(part)
        if "text" in block and not block["text"].strip():
            continue
        blocks.append(block)
        blocks += _cache_point(part)
    if blocks and "cachePoint" not in blocks[-1]:
        # A mark on the message covers all of it.
        blocks += _cache_point(message)
    return blocks


def _cache_point(part: Json) -> list[Json]:
    """Translate Anthropic's cache breakpoint, which clients may add to OpenAI's content parts."""
    control = part.get("cache_control")
    if not control:
        return []
    ttl = {"ttl": control["ttl"]} if control.get("ttl") else {}
    return [{"cachePoint": {"type": "default", **ttl}}]


def _block(part: Json) -> Json:
    match part["type"]:
        case "text":
            return {"text": part["text"]}
        case "refusal":
            return {"text": part["refusal"]}
        case "image_url":
            kind, data = _data(part["image_url"]["url"], _IMAGE_FORMATS, "images")
            return {"image": {"format": kind, "source": {"bytes": data}}}
        case "file" if part["file"].get("file_data"):
            kind, data = _data(part["file"]["file_data"], _DOCUMENT_FORMATS, "files")
            name = (part["file"].get("filename") or "document").rpartition(".")[0] or "document"
            name = _NOT_IN_NAME.sub(" ", name).strip()[:200] or "document"
            return {"document": {"format": kind, "name": name, "source": {"bytes": data}}}
        case kind:
            raise untranslatable("messages", f"it does not support content of type '{kind}'")


def _data(url: str, formats: Mapping[str, str], what: str) -> tuple[str, str]:
    data = split_data_url(url)
    if data is None:
        raise untranslatable("messages", f"it supports {what} as data URLs only")
    if data[0] not in formats:
        raise untranslatable("messages", f"it does not support {what} of type '{data[0]}'")
    return formats[data[0]], data[1]


def _inference_config(chat: Json, longest: int | None) -> Json:
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens")
    stop = chat.get("stop")
    temperature, top_p = chat.get("temperature"), chat.get("top_p")
    model = claude_model(chat["model"])
    if not model.accepts_sampling:
        temperature = top_p = None
    elif temperature is not None and not model.accepts_both_samplings:
        top_p = None
    config = {
        "maxTokens": min(limit, longest) if limit and longest else limit,
        # OpenAI allows temperatures up to 2.
        "temperature": None if temperature is None else min(temperature, 1),
        "topP": top_p,
        "stopSequences": [text for text in ([stop] if isinstance(stop, str) else stop or ()) if text.strip()] or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _output_config(chat: Json, system: list[Json]) -> Json:
    response_format = chat.get("response_format") or {}
    if response_format.get("type") == "json_object":
        system.append({"text": _JSON_ONLY})
    if response_format.get("type") != "json_schema":
        return {}
    schema = response_format["json_schema"]
    definition = {"schema": msgspec.json.encode(schema["schema"]).decode()}
    definition |= {name: schema[name] for name in ("name", "description") if schema.get(name)}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}


def _additional_fields(chat: Json) -> Json:
    effort = chat.get("reasoning_effort")
    return {"reasoning_effort": effort} if effort and _OPENAI_MODEL in chat["model"] else {}


def _tool_config(chat: Json, messages: list[Json]) -> Json:
    """Translate the tools. Converse requires them if the history has calls, and cannot forbid new ones."""
    tools = [block for tool in chat.get("tools") or () for block in _tool(tool)]
    called = {block["toolUse"]["name"] for turn in messages for block in turn["content"] if "toolUse" in block}
    choice = chat.get("tool_choice")
    if choice == "none" and not called:
        return {}
    if choice == "none":
        raise untranslatable("tool_choice", "it cannot forbid calls after a call; use 'auto'")
    if not tools:
        # The declarations of the calls in the history are unknown.
        schema = {"json": {"type": "object"}}
        tools = [{"toolSpec": {"name": name, "inputSchema": schema}} for name in sorted(called)]
        return {"tools": tools} if tools else {}
    if isinstance(choice, dict):
        made: Json = {"tool": {"name": choice["function"]["name"]}}
    else:
        made = {"any": {}} if choice == "required" else {}
    return {"tools": tools} | ({"toolChoice": made} if made else {})


def _tool(tool: Json) -> list[Json]:
    if tool.get("type") != "function":
        raise untranslatable("tools", "it supports functions only")
    function = tool["function"]
    spec = {"name": function["name"], "inputSchema": {"json": function.get("parameters") or {"type": "object"}}}
    if (function.get("description") or "").strip():
        spec["description"] = function["description"]
    return [{"toolSpec": spec}, *(_cache_point(tool) or _cache_point(function))]


def parse_converse_usage(usage: Json, model: str, *, is_stream: bool) -> StatedUsage:
    """Parse a usage.

    `inputTokens` excludes cache reads and writes (docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html). In
    streams of OpenAI's models it includes them (measured with gpt-5.6: github.com/maximhq/bifrost/pull/6942).
    """
    read, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
    prompt = usage.get("inputTokens") or 0
    if is_stream and _OPENAI_MODEL in model and prompt >= read + written:
        prompt -= read + written
    details = {detail.get("ttl"): detail.get("inputTokens") for detail in usage.get("cacheDetails") or ()}
    return parse_messages_usage(
        {
            "input_tokens": prompt,
            "output_tokens": usage.get("outputTokens") or 0,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "cache_creation": {"ephemeral_1h_input_tokens": details.get("1h") or 0},
        }
    )


def finish_reason(stop_reason: str | None) -> str:
    return _FINISH_REASONS.get(stop_reason or "", "stop")


def translate_response(converse: Json, model: str) -> Json:
    """Translate a complete response, which does not name its model."""
    reply: Json = {"role": "assistant", "content": None, "refusal": None}
    texts, thoughts, calls = [], [], []
    for block in converse["output"]["message"]["content"]:
        if "text" in block:
            texts.append(block["text"])
        elif "reasoningContent" in block:
            thoughts.append((block["reasoningContent"].get("reasoningText") or {}).get("text") or "")
        elif "toolUse" in block:
            use = block["toolUse"]
            calls.append(_call(use["toolUseId"], use["name"], msgspec.json.encode(use["input"]).decode()))
    if texts:
        reply["content"] = "".join(texts)
    if any(thoughts):
        reply["reasoning_content"] = "".join(thoughts)
    if calls:
        reply["tool_calls"] = calls
    reason = finish_reason(converse["stopReason"])
    choice = {"index": 0, "message": reply, "logprobs": None, "finish_reason": reason}
    usage = parse_converse_usage(converse.get("usage") or {}, model, is_stream=False)
    stated = {} if usage == NOTHING_STATED else {"usage": as_chat_usage(usage)}
    return _envelope(model, "chat.completion") | {"choices": [choice]} | stated


def _envelope(model: str, kind: str) -> Json:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class StreamTranslator:
    """The `EventTranslator` from ConverseStream to chat completions.

    Each event is an object with one member, named by the event's type: `{"messageStop": {"stopReason": "end_turn"}}`.
    `metadata`, with the usage, is the last event.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._chunk = _envelope(model, "chat.completion.chunk")
        self.usage = StreamUsage()
        # The number of each call by its block, and the blocks whose arguments have not begun.
        self._calls: dict[int, int] = {}
        self._without_arguments: set[int] = set()
        self._has_stopped = self._is_done = False

    def translate(self, event: Json) -> bytes:
        ((kind, body),) = event.items()
        handle = getattr(self, f"_on_{kind}", None)
        events: bytes = handle(body) if handle is not None else b""
        return events

    def finish(self) -> bytes:
        # Without a stop reason the provider broke the stream, and it does not count as complete.
        return self._end() if self._has_stopped and not self._is_done else b""

    def _end(self) -> bytes:
        self._is_done = True
        stated = b""
        if self.usage.stated != NOTHING_STATED:
            stated = data_event(self._chunk | {"choices": [], "usage": as_chat_usage(self.usage.stated)})
        return stated + DONE_EVENT

    def _on_messageStart(self, _body: Json) -> bytes:  # noqa: N802 - the event's type
        return self._delta({"role": "assistant", "content": ""})

    def _on_contentBlockStart(self, body: Json) -> bytes:  # noqa: N802
        use = (body.get("start") or {}).get("toolUse")
        if use is None:
            return b""
        position = body["contentBlockIndex"]
        number = self._calls[position] = len(self._calls)
        self._without_arguments.add(position)
        return self._delta({"tool_calls": [{"index": number, **_call(use["toolUseId"], use["name"], "")}]})

    def _on_contentBlockDelta(self, body: Json) -> bytes:  # noqa: N802
        delta = body["delta"]
        if delta.get("text"):
            self.usage.note_text()
            return self._delta({"content": delta["text"]})
        if (delta.get("reasoningContent") or {}).get("text"):
            self.usage.note_text()
            return self._delta({"reasoning_content": delta["reasoningContent"]["text"]})
        if (delta.get("toolUse") or {}).get("input"):
            self.usage.note_text()
            self._without_arguments.discard(body["contentBlockIndex"])
            return self._arguments(body["contentBlockIndex"], delta["toolUse"]["input"])
        return b""

    def _on_contentBlockStop(self, body: Json) -> bytes:  # noqa: N802
        position = body["contentBlockIndex"]
        if position not in self._without_arguments:
            return b""
        self._without_arguments.discard(position)
        return self._arguments(position, "{}")

    def _on_messageStop(self, body: Json) -> bytes:  # noqa: N802
        self._has_stopped = True
        return self._delta({}, finish_reason(body["stopReason"]))

    def _on_metadata(self, body: Json) -> bytes:
        self.usage.add(parse_converse_usage(body.get("usage") or {}, self._model, is_stream=True))
        return self._end() if self._has_stopped else b""

    @staticmethod
    def _on_error(body: Json) -> bytes:
        return data_event({"error": body})

    def _arguments(self, position: int, arguments: str) -> bytes:
        return self._delta({"tool_calls": [{"index": self._calls[position], "function": {"arguments": arguments}}]})

    def _delta(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event(self._chunk | {"choices": [choice], "usage": None})
