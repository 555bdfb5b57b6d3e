"""Translation of OpenAI's chat completions to Anthropic's Messages.

Sources: platform.openai.com/docs/api-reference/chat and docs.anthropic.com/en/api/messages. Features that Messages
lacks are rejected if they change the response (`n`, `logprobs`, audio) and dropped if they are hints (`seed`,
penalties, `logit_bias`).
"""

import time

import msgspec

from tollgate_edge.providers.translators.base import (
    Json,
    content_parts,
    data_event,
    parse_arguments,
    reject_legacy_functions,
    split_data_url,
    untranslatable,
)
from tollgate_edge.streaming.chat_stream import DONE_EVENT
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import parse_messages_usage
from tollgate_edge.usage.rendering import as_chat_usage

# Messages requires a limit, and a model rejects one above its maximum: docs.anthropic.com, "Models overview".
_DEFAULT_LIMIT = 4_096
_MAX_TOKENS = (("claude-3-5", 8_192), ("claude-3-7", 64_000), ("claude-3", 4_096), ("claude-opus-4-", 32_000))
_DEFAULT_MAX_TOKENS = 64_000
_FINISH_REASONS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_JSON_ONLY = "ProviderResponse with one JSON object and nothing else."


def translate_request(chat: Json) -> Json:
    """Translate a request. The model's name stays."""
    if (chat.get("n") or 1) > 1:
        raise untranslatable("n", "it returns one choice only")
    if chat.get("logprobs"):
        raise untranslatable("logprobs", "it does not return them")
    reject_legacy_functions(chat)
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens") or _DEFAULT_LIMIT
    system, messages = _split_system(chat["messages"])
    translated: Json = {
        "model": chat["model"],
        "max_tokens": min(limit, _max_output_tokens(chat["model"])),
        "messages": messages,
    }
    output = _output_config(chat, system)
    stop = chat.get("stop")
    temperature = chat.get("temperature")
    optional = {
        "system": system,
        "output_config": output,
        "stop_sequences": [stop] if isinstance(stop, str) else stop,
        # OpenAI allows values up to 2.
        "temperature": None if temperature is None else min(temperature, 1),
        "top_p": chat.get("top_p"),
        "tools": [_tool(tool) for tool in chat.get("tools") or ()],
        "tool_choice": _tool_choice(chat),
        "metadata": {"user_id": chat["user"]} if chat.get("user") else None,
        "stream": chat.get("stream"),
    }
    return translated | {name: value for name, value in optional.items() if value not in (None, [], {})}


def _max_output_tokens(model: str) -> int:
    return next((limit for name, limit in _MAX_TOKENS if model.startswith(name)), _DEFAULT_MAX_TOKENS)


def _split_system(messages: list[Json]) -> tuple[list[Json], list[Json]]:
    """Return the system's blocks and the turns.

    Consecutive messages of one role become one turn, because Messages requires tool results to be together.
    """
    system: list[Json] = []
    turns: list[Json] = []
    for message in messages:
        role = message["role"]
        if role in {"system", "developer"}:
            system += _content_blocks(message)
            continue
        turn_role = "assistant" if role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == turn_role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": turn_role, "content": blocks})
    return system, turns


def _blocks(message: Json) -> list[Json]:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
        content = _content_blocks(message)
        return [result | {"content": content} if content else result]
    blocks = _content_blocks(message)
    for call in message.get("tool_calls") or ():
        function = call["function"]
        blocks.append(
            {
                "type": "tool_use",
                "id": call["id"],
                "name": function["name"],
                "input": parse_arguments(function.get("arguments") or ""),
            }
        )
    return blocks


def _content_blocks(message: Json) -> list[Json]:
    """Translate a message's content, without blank texts.

    Messages rejects blank texts. OpenAI's clients send them beside tool calls, as empty system messages and as empty
    tool results.
    """
    blocks = [_block(part) for part in content_parts(message.get("content"))]
    return [block for block in blocks if block["type"] != "text" or block["text"].strip()]


def _block(part: Json) -> Json:
    block = _content(part)
    # Anthropic's cache breakpoint, which clients may add to OpenAI's content parts.
    return block | {"cache_control": part["cache_control"]} if part.get("cache_control") else block


def _content(part: Json) -> Json:
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["text"]}
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
        case "image_url":
            url = part["image_url"]["url"]
            return {"type": "image", "source": _source(url)}
        case "file" if part["file"].get("file_data"):
            return {"type": "document", "source": _source(part["file"]["file_data"])}
        case kind:
            raise untranslatable("messages", f"it does not support content of type '{kind}'")


def _source(url: str) -> Json:
    data = split_data_url(url)
    if data is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": data[0], "data": data[1]}


def _output_config(chat: Json, system: list[Json]) -> Json:
    output: Json = {}
    response_format = chat.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        output["format"] = {"type": "json_schema", "schema": response_format["json_schema"]["schema"]}
    elif response_format.get("type") == "json_object":
        system.append({"type": "text", "text": _JSON_ONLY})
    effort = _EFFORTS.get(chat.get("reasoning_effort") or "")
    return output | ({"effort": effort} if effort else {})


def _tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        raise untranslatable("tools", "it supports functions only")
    function = tool["function"]
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    made = {"name": function["name"], "description": function.get("description"), "input_schema": schema}
    made["cache_control"] = tool.get("cache_control")
    return {name: value for name, value in made.items() if value is not None}


def _tool_choice(chat: Json) -> Json | None:
    if not chat.get("tools"):
        return None
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        made: Json = {"type": "tool", "name": choice["function"]["name"]}
    else:
        made = {"type": {"required": "any", "none": "none"}.get(choice or "auto", "auto")}
    if chat.get("parallel_tool_calls") is False and made["type"] != "none":
        made["disable_parallel_tool_use"] = True
    return made if choice is not None or len(made) > 1 else None


def finish_reason(stop_reason: str | None) -> str:
    return _FINISH_REASONS.get(stop_reason or "", "stop")


def translate_response(message: Json) -> Json:
    """Translate a complete response."""
    reply: Json = {"role": "assistant", "content": None, "refusal": None}
    texts, thinking, calls = [], [], []
    for block in message["content"]:
        match block["type"]:
            case "text":
                texts.append(block["text"])
            case "thinking":
                thinking.append(block["thinking"])
            case "tool_use":
                calls.append(_call(block["id"], block["name"], msgspec.json.encode(block["input"]).decode()))
    if texts:
        reply["content"] = "".join(texts)
    if thinking:
        reply["reasoning_content"] = "".join(thinking)
    if calls:
        reply["tool_calls"] = calls
    choice = {"index": 0, "message": reply, "logprobs": None, "finish_reason": finish_reason(message["stop_reason"])}
    usage = parse_messages_usage(message.get("usage") or {})
    stated = {} if usage == NOTHING_STATED else {"usage": as_chat_usage(usage)}
    return _envelope(message, "chat.completion") | {"choices": [choice]} | stated


def _envelope(message: Json, kind: str) -> Json:
    return {"id": message["id"], "object": kind, "created": int(time.time()), "model": message["model"]}


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class StreamTranslator:
    """The `EventTranslator` from Messages to chat completions."""

    def __init__(self) -> None:
        self._chunk: Json = {}
        self.usage = StreamUsage()
        self._calls = -1

    def translate(self, event: Json) -> bytes:
        handle = getattr(self, f"_on_{event['type']}", None)
        events: bytes = handle(event) if handle is not None else b""
        return events

    def finish(self) -> bytes:
        return b""

    def _on_message_start(self, event: Json) -> bytes:
        message = event["message"]
        self._chunk = _envelope(message, "chat.completion.chunk")
        self.usage.add(parse_messages_usage(message.get("usage") or {}))
        # Its output is preliminary.
        self.usage.note_text()
        return self._delta({"role": "assistant", "content": ""})

    def _on_content_block_start(self, event: Json) -> bytes:
        block = event["content_block"]
        if block["type"] == "tool_use":
            self._calls += 1
            return self._delta({"tool_calls": [{"index": self._calls, **_call(block["id"], block["name"], "")}]})
        return self._delta({"content": block["text"]}) if block.get("text") else b""

    def _on_content_block_delta(self, event: Json) -> bytes:
        self.usage.note_text()
        delta = event["delta"]
        match delta["type"]:
            case "text_delta":
                return self._delta({"content": delta["text"]})
            case "thinking_delta":
                return self._delta({"reasoning_content": delta["thinking"]})
            case "input_json_delta":
                function = {"arguments": delta["partial_json"]}
                return self._delta({"tool_calls": [{"index": self._calls, "function": function}]})
        return b""

    def _on_message_delta(self, event: Json) -> bytes:
        self.usage.add(parse_messages_usage(event.get("usage") or {}))
        reason = event["delta"].get("stop_reason")
        return self._delta({}, finish_reason(reason)) if reason else b""

    def _on_message_stop(self, _event: Json) -> bytes:
        return self._usage_event() + DONE_EVENT

    @staticmethod
    def _on_error(event: Json) -> bytes:
        return data_event({"error": event["error"]})

    def _usage_event(self) -> bytes:
        # The output of `message_start` is preliminary: alone, it is not a usage.
        if not self.usage.is_final:
            return b""
        return data_event(self._chunk | {"choices": [], "usage": as_chat_usage(self.usage.stated)})

    def _delta(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event(self._chunk | {"choices": [choice], "usage": None})
