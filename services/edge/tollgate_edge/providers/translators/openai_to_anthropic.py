"""Translation of OpenAI's chat completions to Anthropic's Messages.

Features that Messages lacks are rejected if they change the response (`n`, `logprobs`, audio) and dropped if they are
hints (`seed`, penalties, `logit_bias`). Signed thinking is in `thinking_blocks` of a message, as at LiteLLM: a client
that returns them with the history lets the model continue its thoughts. Thinking without a signature
(`reasoning_content`) is dropped from the history, because Messages rejects it.

Sources: platform.openai.com/docs/api-reference/chat, docs.anthropic.com/en/api/messages and
docs.litellm.ai/docs/reasoning_content.
"""

import re
import time
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
from tollgate_edge.providers.translators.claude_models import ClaudeModel, claude_model
from tollgate_edge.providers.translators.thought_signatures import id_without_signature
from tollgate_edge.providers.translators.tool_history import readable_arguments, repair_calls
from tollgate_edge.streaming.chat_stream import DONE_EVENT
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import parse_messages_usage
from tollgate_edge.usage.rendering import as_chat_usage

_FINISH_REASONS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_JSON_ONLY = "Respond with one JSON object and nothing else."
# The user's message after a response that the model cannot continue itself.
_CONTINUE = "Continue."
_UNSAFE_ID = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_READABLE_ID = 40
# Parts of other providers' responses that clients send back.
_THOUGHTS = {"reasoning", "redacted_thinking", "thinking"}


def translate_request(chat: Json, max_output_tokens: int | None = None) -> Json:
    """Translate a request. The model's name stays.

    Args:
        chat: the request.
        max_output_tokens: the model's longest response, if known. Messages requires a limit and rejects a higher one.
    """
    if (chat.get("n") or 1) > 1:
        raise untranslatable("n", "it returns one choice only")
    if chat.get("logprobs"):
        raise untranslatable("logprobs", "it does not return them")
    reject_legacy_functions(chat)
    model = claude_model(chat["model"])
    longest = max_output_tokens or model.output_tokens
    system, messages = _split_system(repair_calls(chat["messages"]))
    output = _output_config(chat, system, model)
    tool_choice = _tool_choice(chat, system, model)
    if not messages:
        # Messages requires at least one turn.
        system, messages = [], [{"role": "user", "content": system}]
    _end_with_user(messages, model)
    translated: Json = {
        "model": chat["model"],
        "max_tokens": min(chat.get("max_completion_tokens") or chat.get("max_tokens") or longest, longest),
        "messages": messages,
    }
    optional = {
        "system": system,
        "output_config": output,
        "stop_sequences": _stop_sequences(chat.get("stop")),
        **_sampling(chat, model),
        "tools": [_tool(tool) for tool in chat.get("tools") or ()],
        "tool_choice": tool_choice,
        "metadata": {"user_id": chat["user"]} if chat.get("user") else None,
        "stream": chat.get("stream"),
    }
    return translated | {name: value for name, value in optional.items() if value not in (None, [], {})}


def _sampling(chat: Json, model: ClaudeModel) -> Json:
    temperature, top_p = chat.get("temperature"), chat.get("top_p")
    if not model.accepts_sampling:
        return {}
    if temperature is not None and not model.accepts_both_samplings:
        top_p = None
    # OpenAI allows temperatures up to 2.
    return {"temperature": None if temperature is None else min(temperature, 1), "top_p": top_p}


def _stop_sequences(stop: Any) -> list[str]:
    """Return the sequences without blank ones, which Messages rejects."""
    return [text for text in ([stop] if isinstance(stop, str) else stop or ()) if text.strip()]


def _split_system(messages: list[Json]) -> tuple[list[Json], list[Json]]:
    """Return the system's blocks and the turns.

    Consecutive messages of one role become one turn, because Messages requires tool results to be together.
    """
    system: list[Json] = []
    turns: list[Json] = []
    for message in messages:
        role = message["role"]
        if role in {"system", "developer"}:
            system += _marked(_content_blocks(message), message)
            continue
        turn_role = "assistant" if role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == turn_role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": turn_role, "content": blocks})
    for turn in turns:
        # Messages requires results before the user's own content.
        turn["content"].sort(key=lambda block: turn["role"] == "user" and block["type"] != "tool_result")
    return system, turns


def _end_with_user(turns: list[Json], model: ClaudeModel) -> None:
    """Change a final turn of the assistant to what the model accepts.

    Messages continues it ("prefill"); newer models reject it. None accepts space at its end.
    """
    last = turns[-1]
    if last["role"] != "assistant":
        return
    if not model.accepts_prefill:
        turns.append({"role": "user", "content": [{"type": "text", "text": _CONTINUE}]})
    elif last["content"][-1]["type"] == "text":
        last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()


def _blocks(message: Json) -> list[Json]:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": _safe_id(message["tool_call_id"])}
        content = _content_blocks(message)
        return _marked([result | {"content": content} if content else result], message)
    if message["role"] != "assistant":
        return _marked(_content_blocks(message), message)
    blocks = [*_signed_thinking(message), *_content_blocks(message)]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        made = {"id": _safe_id(call["id"]), "name": function["name"]}
        blocks.append({"type": "tool_use", **made, "input": readable_arguments(function.get("arguments"))})
    return _marked(blocks, message)


def _marked(blocks: list[Json], message: Json) -> list[Json]:
    """Put the cache breakpoint of a whole message on its last block."""
    mark = message.get("cache_control")
    if mark and blocks and blocks[-1]["type"] not in _THOUGHTS:
        blocks[-1] = {"cache_control": mark} | blocks[-1]
    return blocks


def _signed_thinking(message: Json) -> list[Json]:
    """Return the thinking blocks that Claude can verify."""
    blocks = []
    for block in message.get("thinking_blocks") or ():
        if block.get("type") == "thinking" and block.get("signature"):
            thinking = block.get("thinking") or ""
            blocks.append({"type": "thinking", "thinking": thinking, "signature": block["signature"]})
        elif block.get("type") == "redacted_thinking" and block.get("data"):
            blocks.append({"type": "redacted_thinking", "data": block["data"]})
    return blocks


def _safe_id(call_id: str) -> str:
    """Return the id in the alphabet of Messages. Different ids stay different."""
    call_id = id_without_signature(call_id)
    safe = _UNSAFE_ID.sub("_", call_id)
    if safe == call_id and call_id:
        return call_id
    return f"{safe[:_MAX_READABLE_ID]}_{sha256(call_id.encode()).hexdigest()[:12]}"


def _content_blocks(message: Json) -> list[Json]:
    """Translate a message's content, without blank texts.

    Messages rejects blank texts. OpenAI's clients send them beside tool calls, as empty system messages and as empty
    tool results.
    """
    parts = [part for part in content_parts(message.get("content")) if part["type"] not in _THOUGHTS]
    blocks = [_block(part) for part in parts]
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


def _output_config(chat: Json, system: list[Json], model: ClaudeModel) -> Json:
    output: Json = {}
    response_format = chat.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        output["format"] = {"type": "json_schema", "schema": response_format["json_schema"]["schema"]}
    elif response_format.get("type") == "json_object":
        system.append({"type": "text", "text": _JSON_ONLY})
    effort = _EFFORTS.get(chat.get("reasoning_effort") or "")
    accepted = model.effort(effort) if effort else None
    return output | ({"effort": accepted} if accepted else {})


def _tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        raise untranslatable("tools", "it supports functions only")
    function = tool["function"]
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    made = {"name": function["name"], "description": function.get("description"), "input_schema": schema}
    made["cache_control"] = tool.get("cache_control") or function.get("cache_control")
    return {name: value for name, value in made.items() if value is not None}


def _tool_choice(chat: Json, system: list[Json], model: ClaudeModel) -> Json | None:
    """Translate the choice. A model that rejects a forced call is asked for it in the system prompt instead."""
    if not chat.get("tools"):
        return None
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        made: Json = {"type": "tool", "name": choice["function"]["name"]}
    else:
        made = {"type": {"required": "any", "none": "none"}.get(choice or "auto", "auto")}
    if made["type"] in {"any", "tool"} and not model.accepts_forced_tools:
        wanted = f"the tool '{made['name']}'" if "name" in made else "one of the tools"
        system.append({"type": "text", "text": f"Respond with a call of {wanted}."})
        made = {"type": "auto"}
    if chat.get("parallel_tool_calls") is False and made["type"] != "none":
        made["disable_parallel_tool_use"] = True
    return made if choice is not None or len(made) > 1 else None


def finish_reason(stop_reason: str | None) -> str:
    return _FINISH_REASONS.get(stop_reason or "", "stop")


def _refusal(stop: Json) -> str | None:
    """Return why the model refused; None if it did not refuse or does not explain it."""
    return (stop.get("stop_details") or {}).get("explanation") if stop.get("stop_reason") == "refusal" else None


def translate_response(message: Json) -> Json:
    """Translate a complete response. Blocks of other types, such as those of server tools, are left out."""
    reply: Json = {"role": "assistant", "content": None, "refusal": _refusal(message)}
    texts, thoughts, calls = [], [], []
    for block in content_parts(message["content"]):
        match block.get("type"):
            case "text":
                texts.append(block.get("text") or "")
            case "thinking" | "redacted_thinking":
                thoughts.append(block)
            case "tool_use":
                arguments = msgspec.json.encode(block.get("input") or {}).decode()
                calls.append(_call(block["id"], block["name"], arguments))
    if texts:
        reply["content"] = "".join(texts)
    thinking = "".join(block.get("thinking") or "" for block in thoughts)
    if thinking:
        reply["reasoning_content"] = thinking
    if signed := _signed_thinking({"thinking_blocks": thoughts}):
        reply["thinking_blocks"] = signed
    if calls:
        reply["tool_calls"] = calls
    reason = finish_reason(message.get("stop_reason"))
    choice = {"index": 0, "message": reply, "logprobs": None, "finish_reason": reason}
    usage = parse_messages_usage(message.get("usage") or {})
    stated = {} if usage == NOTHING_STATED else {"usage": as_chat_usage(usage)}
    return _envelope(message, "chat.completion") | {"choices": [choice]} | stated


def _envelope(message: Json, kind: str) -> Json:
    return {
        "id": message.get("id") or f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": message.get("model") or "",
    }


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class _OpenCall(msgspec.Struct):
    """A tool call whose block has not ended."""

    index: int
    input: Json
    """The arguments that its start states, for a provider that sends no deltas."""
    has_arguments: bool = False


class StreamTranslator:
    """The `EventTranslator` from Messages to chat completions. Blocks of other types are left out."""

    def __init__(self) -> None:
        self._chunk: Json = {}
        self.usage = StreamUsage()
        self._calls = 0
        # The blocks that have not ended, by their index in the message.
        self._open_calls: dict[int, _OpenCall] = {}
        self._open_thoughts: dict[int, Json] = {}

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
        block, position = event["content_block"], event.get("index", 0)
        match block.get("type"):
            case "tool_use":
                self._open_calls[position] = _OpenCall(self._calls, block.get("input") or {})
                self._calls += 1
                call = {"index": self._calls - 1, **_call(block["id"], block["name"], "")}
                return self._delta({"tool_calls": [call]})
            case "thinking" | "redacted_thinking":
                self._open_thoughts[position] = dict(block)
                return self._delta({"reasoning_content": block["thinking"]}) if block.get("thinking") else b""
            case "text":
                return self._delta({"content": block["text"]}) if block.get("text") else b""
        return b""

    def _on_content_block_delta(self, event: Json) -> bytes:
        self.usage.note_text()
        delta, position = event["delta"], event.get("index", 0)
        match delta.get("type"):
            case "text_delta":
                return self._delta({"content": delta.get("text") or ""})
            case "thinking_delta":
                self._extend_thought(position, "thinking", delta["thinking"])
                return self._delta({"reasoning_content": delta["thinking"]})
            case "signature_delta":
                self._extend_thought(position, "signature", delta.get("signature") or "")
            case "input_json_delta":
                call = self._open_calls.get(position)
                if call is not None and delta.get("partial_json"):
                    call.has_arguments = True
                    return self._arguments(call, delta["partial_json"])
        return b""

    def _on_content_block_stop(self, event: Json) -> bytes:
        return self._end_block(event.get("index", 0))

    def _on_message_delta(self, event: Json) -> bytes:
        self.usage.add(parse_messages_usage(event.get("usage") or {}))
        delta = event.get("delta") or {}
        ended = b"".join(self._end_block(position) for position in [*self._open_thoughts, *self._open_calls])
        if refusal := _refusal(delta):
            ended += self._delta({"refusal": refusal})
        reason = delta.get("stop_reason")
        return ended + (self._delta({}, finish_reason(reason)) if reason else b"")

    def _on_message_stop(self, _event: Json) -> bytes:
        return self._usage_event() + DONE_EVENT

    @staticmethod
    def _on_error(event: Json) -> bytes:
        return data_event({"error": event["error"]})

    def _extend_thought(self, position: int, name: str, text: str) -> None:
        thought = self._open_thoughts.get(position)
        if thought is not None:
            thought[name] = (thought.get(name) or "") + text

    def _end_block(self, position: int) -> bytes:
        call, thought = self._open_calls.pop(position, None), self._open_thoughts.pop(position, None)
        if call is not None and not call.has_arguments:
            return self._arguments(call, msgspec.json.encode(call.input).decode())
        signed = _signed_thinking({"thinking_blocks": [thought] if thought is not None else []})
        return self._delta({"thinking_blocks": signed}) if signed else b""

    def _arguments(self, call: _OpenCall, arguments: str) -> bytes:
        return self._delta({"tool_calls": [{"index": call.index, "function": {"arguments": arguments}}]})

    def _usage_event(self) -> bytes:
        # The output of `message_start` is preliminary: alone, it is not a usage.
        if not self.usage.is_final:
            return b""
        return data_event(self._chunk | {"choices": [], "usage": as_chat_usage(self.usage.stated)})

    def _delta(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event(self._chunk | {"choices": [choice], "usage": None})
