"""Translation of Anthropic's Messages to OpenAI's chat completions.

Sources: docs.anthropic.com/en/api/messages and platform.openai.com/docs/api-reference/chat. `top_k`, `thinking` and
cache breakpoints are hints and dropped.
"""

from typing import Any
from uuid import uuid4

import msgspec

from tollgate_edge.providers.translators.base import (
    Json,
    content_parts,
    content_text,
    named_event,
    parse_arguments,
    untranslatable,
)
from tollgate_edge.streaming.errors import PROVIDER_STREAM_ERROR
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import parse_completion_usage
from tollgate_edge.usage.rendering import as_messages_usage

_TEXTS = {"text", "tool_reference"}
_STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def translate_request(messages: Json) -> Json:
    """Translate a request. The model's name stays."""
    system = content_text(messages.get("system"))
    turns = [{"role": "system", "content": system}] if system else []
    for message in messages["messages"]:
        turns += _assistant(message) if message["role"] == "assistant" else _user(message)
    chat: Json = {
        "model": messages["model"],
        "messages": turns,
        "max_completion_tokens": messages["max_tokens"],
    }
    choice = messages.get("tool_choice") or {}
    optional = {
        "stop": messages.get("stop_sequences"),
        "temperature": messages.get("temperature"),
        "top_p": messages.get("top_p"),
        "user": (messages.get("metadata") or {}).get("user_id"),
        "tools": [_tool(tool) for tool in messages.get("tools") or ()],
        "tool_choice": _tool_choice(choice),
        "parallel_tool_calls": False if choice.get("disable_parallel_tool_use") else None,
        "response_format": _response_format(messages),
        "stream": messages.get("stream"),
        "stream_options": {"include_usage": True} if messages.get("stream") else None,
    }
    return chat | {name: value for name, value in optional.items() if value not in (None, [], {})}


def _assistant(message: Json) -> list[Json]:
    texts, calls = [], []
    for block in content_parts(message["content"]):
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] == "tool_use":
            function = {"name": block["name"], "arguments": msgspec.json.encode(block["input"]).decode()}
            calls.append({"id": block["id"], "type": "function", "function": function})
    turn: Json = {"role": "assistant", "content": "".join(texts) if texts else None}
    return [turn | {"tool_calls": calls} if calls else turn]


def _user(message: Json) -> list[Json]:
    """Translate a user turn. Tool results become separate messages before the user's own content.

    Tool messages contain only text, so images in a tool result move to the start of the user's content.
    """
    results, parts = [], []
    for block in content_parts(message["content"]):
        if block["type"] == "tool_result":
            parts_of_result = content_parts(block.get("content"))
            # Chat completions cannot load tools later: the tool names that a search found become text.
            texts = [
                part.get("text") or part.get("tool_name") or "" for part in parts_of_result if part["type"] in _TEXTS
            ]
            results.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": "".join(texts)})
            parts += [_part(part) for part in parts_of_result if part["type"] not in _TEXTS]
        else:
            parts.append(_part(block))
    if not parts:
        return results
    if all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": "".join(part["text"] for part in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _part(block: Json) -> Json:
    match block["type"]:
        case "text":
            return {"type": "text", "text": block["text"]}
        case "image":
            return {"type": "image_url", "image_url": {"url": _url(block["source"])}}
        case "document" if block["source"]["type"] == "base64":
            return {"type": "file", "file": {"filename": "document.pdf", "file_data": _url(block["source"])}}
        case kind:
            raise untranslatable("messages", f"it does not support content of type '{kind}'")


def _url(source: Json) -> str:
    if source["type"] == "url":
        return str(source["url"])
    return f"data:{source['media_type']};base64,{source['data']}"


def _tool(tool: Json) -> Json:
    if (tool.get("type") or "custom") != "custom":
        raise untranslatable("tools", f"it does not support tools of type '{tool['type']}'")
    function = {"name": tool["name"], "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _tool_choice(choice: Json) -> Any:
    match choice.get("type"):
        case "any":
            return "required"
        case "none":
            return "none"
        case "tool":
            return {"type": "function", "function": {"name": choice["name"]}}
        case "auto":
            return "auto"
    return None


def _response_format(messages: Json) -> Json | None:
    output_format = (messages.get("output_config") or {}).get("format")
    if not output_format:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": output_format["schema"]}}


def stop_reason(finish_reason: str | None) -> str:
    return _STOP_REASONS.get(finish_reason or "", "end_turn")


def translate_response(completion: Json) -> Json:
    """Translate a complete response: the first of its choices."""
    choice = completion["choices"][0]
    message = choice["message"]
    content: list[Json] = []
    if message.get("reasoning_content"):
        content.append({"type": "thinking", "thinking": message["reasoning_content"], "signature": ""})
    if message.get("content") or message.get("refusal"):
        content.append({"type": "text", "text": message.get("content") or message["refusal"]})
    for call in message.get("tool_calls") or ():
        function = call["function"]
        made = {"id": call["id"], "name": function["name"], "input": parse_arguments(function["arguments"])}
        content.append({"type": "tool_use", **made})
    reason = stop_reason(choice.get("finish_reason"))
    usage = parse_completion_usage(completion)
    stated = {} if usage == NOTHING_STATED else {"usage": as_messages_usage(usage)}
    return _message(completion) | {"content": content, "stop_reason": reason, "stop_sequence": None} | stated


def _message(completion: Json) -> Json:
    model = completion.get("model") or ""
    return {
        "id": completion.get("id") or f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


class StreamTranslator:
    """The `EventTranslator` from chat completions to Messages. Texts and tool calls become consecutive blocks."""

    def __init__(self) -> None:
        self._is_started = False
        self._blocks = 0
        self._open = ""
        self._finish_reason = ""
        self.usage = StreamUsage()
        self._is_over = False

    def translate(self, event: Json) -> bytes:
        if event.get("error"):
            self._is_over = True
            error = {"type": "api_error", "message": PROVIDER_STREAM_ERROR}
            return named_event({"type": "error", "error": error})
        events = b""
        if not self._is_started:
            self._is_started = True
            usage_so_far = {"input_tokens": 0, "output_tokens": 0}
            message = _message(event) | {"usage": usage_so_far}
            events = named_event({"type": "message_start", "message": message})
        for choice in (event.get("choices") or ())[:1]:
            events += self._choice(choice)
            self.usage.note_text()
        self.usage.add(parse_completion_usage(event))
        return events

    def finish(self) -> bytes:
        if self._is_over or not self._finish_reason:
            # The provider broke the stream. Without a last event it does not count as complete.
            return b""
        delta = {"stop_reason": stop_reason(self._finish_reason), "stop_sequence": None}
        stated = {} if self.usage.stated == NOTHING_STATED else {"usage": as_messages_usage(self.usage.stated)}
        last = named_event({"type": "message_delta", "delta": delta} | stated)
        return self._close_block() + last + named_event({"type": "message_stop"})

    def _choice(self, choice: Json) -> bytes:
        delta = choice.get("delta") or {}
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        events = b""
        if delta.get("reasoning_content"):
            events += self._open_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            events += self._block_delta({"type": "thinking_delta", "thinking": delta["reasoning_content"]})
        text = delta.get("content") or delta.get("refusal")
        if text:
            events += self._open_block("text", {"type": "text", "text": ""})
            events += self._block_delta({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or ():
            events += self._call(call)
        return events

    def _call(self, call: Json) -> bytes:
        function = call.get("function") or {}
        events = b""
        if call.get("id"):
            block = {"type": "tool_use", "id": call["id"], "name": function["name"], "input": {}}
            events = self._open_block(f"call {call['index']}", block)
        if function.get("arguments"):
            events += self._block_delta({"type": "input_json_delta", "partial_json": function["arguments"]})
        return events

    def _open_block(self, name: str, block: Json) -> bytes:
        if self._open == name:
            return b""
        events = self._close_block()
        self._open = name
        return events + named_event({"type": "content_block_start", "index": self._blocks, "content_block": block})

    def _close_block(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        self._blocks += 1
        return named_event({"type": "content_block_stop", "index": self._blocks - 1})

    def _block_delta(self, delta: Json) -> bytes:
        return named_event({"type": "content_block_delta", "index": self._blocks, "delta": delta})
