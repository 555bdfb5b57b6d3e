"""Translation of Anthropic's Messages to OpenAI's chat completions.

`top_k`, `thinking` and cache breakpoints are hints and dropped. A thinking block's `signature` is the name of the field
that the provider has for its reasoning, so that the history returns it in the same field.

Sources: docs.anthropic.com/en/api/messages, platform.openai.com/docs/api-reference/chat,
api-docs.deepseek.com/guides/thinking_mode, platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model,
docs.vllm.ai/en/latest/features/reasoning_outputs and openrouter.ai/docs/use-cases/reasoning-tokens.
"""

from typing import Any
from uuid import uuid4

import msgspec

from tollgate_edge.providers.translators.base import Json, content_parts, content_text, named_event, untranslatable
from tollgate_edge.providers.translators.messages_blocks import Block, MessageBlocks, is_object
from tollgate_edge.providers.translators.messages_context import (
    MessagesContext,
    client_id,
    document_text,
    error_text,
    new_id,
)
from tollgate_edge.providers.translators.tool_history import readable_arguments
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.parsers import parse_completion_usage
from tollgate_edge.usage.token_counting import count_text

_STOP_REASONS = {
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    # Mistral's name for the end of the context.
    "model_length": "max_tokens",
    "content_filter": "refusal",
}
# Each is one provider's name for the same reasoning. A provider that has several repeats it.
REASONING_FIELDS = ("reasoning_content", "reasoning")


def translate_request(messages: Json, context: MessagesContext | None = None) -> Json:
    """Translate a request. The model's name stays.

    Args:
        messages: the request.
        context: the provider's limits. The response must be translated with the same one.
    """
    context = context or MessagesContext()
    context.begin(messages)
    chat: Json = {
        "model": messages["model"],
        "messages": _turns(messages, context),
        "max_completion_tokens": context.limit(messages["max_tokens"]),
    }
    tools = [function_of(tool, context) for tool in messages.get("tools") or ()]
    choice = messages.get("tool_choice") or {}
    optional = {
        "stop": (messages.get("stop_sequences") or [])[: context.dialect.max_stops],
        "temperature": messages.get("temperature"),
        "top_p": messages.get("top_p"),
        "user": context.user(messages),
        "tools": [{"type": "function", "function": tool} for tool in tools],
        "tool_choice": _tool_choice(choice, context, tools),
        "parallel_tool_calls": False if tools and choice.get("disable_parallel_tool_use") else None,
        "response_format": _response_format(messages),
        "stream": messages.get("stream"),
        "stream_options": {"include_usage": True} if messages.get("stream") else None,
    }
    return chat | {name: value for name, value in optional.items() if value not in (None, [], {})}


def _turns(messages: Json, context: MessagesContext) -> list[Json]:
    system = content_text(messages.get("system"))
    turns: list[Json] = [{"role": "system", "content": system}] if system else []
    # Instructions between tool calls and their results, which must follow one another.
    waiting: list[Json] = []
    for message in messages["messages"]:
        match message["role"]:
            case "assistant":
                turns += waiting + _assistant(message, context)
                waiting = []
            case "system":
                waiting.append({"role": "system", "content": content_text(message["content"])})
                if not turns or not turns[-1].get("tool_calls"):
                    turns += waiting
                    waiting = []
            case _:
                results, own = _user(message, context)
                turns += results + waiting + own
                waiting = []
    return turns + waiting


def _assistant(message: Json, context: MessagesContext) -> list[Json]:
    texts, calls, thoughts = [], [], []
    field = REASONING_FIELDS[0]
    for block in content_parts(message["content"]):
        if block["type"] == "tool_use":
            arguments = msgspec.json.encode(block["input"]).decode()
            function = {"name": context.provider_name(block["name"]), "arguments": arguments}
            calls.append({"id": context.provider_id(block["id"]), "type": "function", "function": function})
        elif block["type"] == "thinking":
            thoughts.append(block["thinking"])
            field = block["signature"] if block.get("signature") in REASONING_FIELDS else field
        elif block["type"] != "server_tool_use":
            text = document_text(block)
            texts += [] if text is None else [text]
    turn: Json = {"role": "assistant", "content": "".join(texts) if texts else None}
    if calls:
        turn["tool_calls"] = calls
        if any(thoughts) and context.dialect.reads_reasoning:
            # DeepSeek and Moonshot reject a call without the thoughts that led to it.
            turn[field] = "".join(thoughts)
    return [turn] if texts or calls else []


def _user(message: Json, context: MessagesContext) -> tuple[list[Json], list[Json]]:
    """Translate a user turn to tool results, which come first, and the user's own content.

    Tool messages contain only text, so images in a tool result move to the start of the user's content.
    """
    results, parts = [], []
    for block in content_parts(message["content"]):
        if block["type"] == "tool_result":
            found = [(part, document_text(part)) for part in content_parts(block.get("content"))]
            text = error_text(block, "".join(text for _, text in found if text is not None))
            call_id = context.provider_id(block["tool_use_id"])
            results.append({"role": "tool", "tool_call_id": call_id, "content": text})
            parts += [_part(part) for part, text in found if text is None]
        else:
            parts.append(_part(block))
    if not parts:
        return results, []
    if all(part["type"] == "text" for part in parts):
        return results, [{"role": "user", "content": "".join(part["text"] for part in parts)}]
    return results, [{"role": "user", "content": parts}]


def _part(block: Json) -> Json:
    text = document_text(block)
    if text is not None:
        return {"type": "text", "text": text}
    match block["type"]:
        case "image" if block["source"]["type"] != "file":
            return {"type": "image_url", "image_url": {"url": source_url(block["source"])}}
        case "document" if block["source"]["type"] == "base64":
            return {"type": "file", "file": {"filename": "document.pdf", "file_data": source_url(block["source"])}}
        case kind:
            raise untranslatable("messages", f"it does not support content of type '{kind}'")


def source_url(source: Json) -> str:
    if source["type"] == "url":
        return str(source["url"])
    return f"data:{source['media_type']};base64,{source['data']}"


def function_of(tool: Json, context: MessagesContext) -> Json:
    if (tool.get("type") or "custom") != "custom":
        raise untranslatable("tools", f"it does not support tools of type '{tool['type']}'")
    function = {
        "name": context.provider_name(tool["name"]),
        "description": tool.get("description"),
        "parameters": tool["input_schema"],
    }
    if context.dialect.has_responses and isinstance(tool["input_schema"], dict):
        # OpenAI rejects an object schema without properties.
        function["parameters"] = {"properties": {}} | tool["input_schema"]
    return {name: value for name, value in function.items() if value is not None}


def _tool_choice(choice: Json, context: MessagesContext, tools: list[Json]) -> Any:
    kind = choice_kind(choice, tools)
    return {"type": "function", "function": {"name": context.provider_name(choice["name"])}} if kind == "tool" else kind


def choice_kind(choice: Json, tools: list[Json]) -> str | None:
    """Return OpenAI's word for a choice of tools: `tool` for a named one, None if there is no choice.

    OpenAI rejects a choice among no tools.
    """
    kind = choice.get("type")
    if not tools:
        return None
    return "required" if kind == "any" else kind if kind in ("auto", "none", "tool") else None


def _response_format(messages: Json) -> Json | None:
    output_format = (messages.get("output_config") or {}).get("format")
    if not output_format:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": output_format["schema"]}}


def stop_reason(finish_reason: str | None, *, has_calls: bool = False) -> str:
    """Translate a finish reason. OpenAI says `stop` after a call of a function that the request named."""
    return _STOP_REASONS.get(finish_reason or "") or ("tool_use" if has_calls else "end_turn")


def translate_response(completion: Json, context: MessagesContext | None = None) -> Json:
    """Translate a complete response: the first of its choices."""
    context = context or MessagesContext()
    choice = completion["choices"][0]
    message = choice["message"]
    content: list[Json] = []
    for kind, text, field in _texts(message):
        block = {"type": kind, kind: text}
        content.append(block | ({"signature": field} if kind == "thinking" else {}))
    calls = _calls(message)
    used_ids: set[str] = set()
    for call in calls:
        function = call.get("function") or {}
        call_id = client_id(call.get("id"))
        call_id = new_id() if call_id in used_ids else call_id
        used_ids.add(call_id)
        name = context.client_name(function.get("name") or "")
        arguments = readable_arguments(_arguments_text(function))
        content.append({"type": "tool_use", "id": call_id, "name": name, "input": arguments})
    reason = stop_reason(choice.get("finish_reason"), has_calls=bool(calls))
    usage = context.usage(parse_completion_usage(completion), sum(count_text(text_of_block(one)) for one in content))
    return new_message(completion) | {"content": content, "stop_reason": reason, "usage": usage}


def text_of_block(block: Json) -> str:
    """Return a block's text, its thinking, or the name and the arguments of its call."""
    if block["type"] == "tool_use":
        arguments = msgspec.json.encode(block["input"]).decode() if block["input"] else ""
        return f"{block['name']}{arguments}"
    return str(block[block["type"]])


def _texts(message: Json) -> list[tuple[str, str, str]]:
    """Return the thoughts and texts of a message or a delta: their kind, their text and the field of thoughts."""
    texts = []
    for field in REASONING_FIELDS:
        thoughts = message.get(field)
        if isinstance(thoughts, str) and thoughts:
            texts.append(("thinking", thoughts, field))
            break
    content = message.get("content") or message.get("refusal")
    if isinstance(content, list):
        # Mistral's reasoning models.
        for part in content:
            if part.get("type") == "thinking":
                thoughts = part["thinking"]
                text = thoughts if isinstance(thoughts, str) else content_text(thoughts)
                texts.append(("thinking", text, ""))
            else:
                texts.append(("text", part.get("text") or "", ""))
    elif content:
        texts.append(("text", content, ""))
    return [found for found in texts if found[1]]


def _calls(message: Json) -> list[Json]:
    calls: list[Json] = list(message.get("tool_calls") or ())
    if not calls and message.get("function_call"):
        # The field that `tool_calls` replaced.
        calls.append({"function": message["function_call"]})
    return calls


def _arguments_text(function: Json) -> str:
    """Return the arguments as text. Some servers, such as older Ollama, send an object."""
    arguments = function.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return msgspec.json.encode(arguments).decode()


def new_message(response: Json) -> Json:
    model = response.get("model") or ""
    return {
        "id": response.get("id") or f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def start_event(response: Json) -> bytes:
    message = new_message(response) | {"usage": {"input_tokens": 0, "output_tokens": 0}}
    return named_event({"type": "message_start", "message": message})


def end_events(reason: str, usage: Json) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    last = named_event({"type": "message_delta", "delta": delta, "usage": usage})
    return last + named_event({"type": "message_stop"})


class StreamTranslator:
    """The `EventTranslator` from chat completions to Messages. Texts and tool calls become consecutive blocks."""

    def __init__(self, context: MessagesContext | None = None) -> None:
        self._context = context or MessagesContext()
        self._is_started = False
        self._blocks = MessageBlocks()
        self._calls = _Calls()
        self._finish_reason = ""
        self.usage = StreamUsage()
        self._is_over = False

    def translate(self, event: Json) -> bytes:
        if event.get("error"):
            self._is_over = True
            return named_event({"type": "error", "error": event["error"]})
        events = b""
        if not self._is_started:
            self._is_started = True
            events = start_event(event)
        for choice in (event.get("choices") or ())[:1]:
            events += self._choice(choice)
            self.usage.note_text()
        self.usage.add(parse_completion_usage(event))
        return events

    def finish(self) -> bytes:
        if self._is_over or not self._finish_reason:
            # The provider broke the stream. Without a last event it does not count as complete.
            return b""
        events = self._blocks.finish()
        reason = stop_reason(self._finish_reason, has_calls=bool(self._calls.all))
        return events + end_events(reason, self._context.usage(self.usage.stated, self._blocks.output_tokens()))

    def _choice(self, choice: Json) -> bytes:
        delta = choice.get("delta") or {}
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        events = b""
        for kind, text, field in _texts(delta):
            events += self._blocks.write(kind, text, field)
        for call in _calls(delta):
            events += self._call(call)
        return events

    def _call(self, call: Json) -> bytes:
        function = call.get("function") or {}
        arguments = _arguments_text(function)
        block = self._calls.find(call)
        if block is None:
            block = self._calls.begin(call, self._context.client_name(function.get("name") or ""))
            return self._blocks.begin(block) + self._blocks.add(block, arguments)
        return self._blocks.add(block, arguments) if arguments else b""


class _Calls:
    """The tool calls of a stream. Servers tell them apart by index, by id, by both or only by their order."""

    def __init__(self) -> None:
        self.all: list[Block] = []
        self._indexes: dict[int, Block] = {}
        self._ids: dict[str, Block] = {}

    def find(self, call: Json) -> Block | None:
        """Return the call that a delta continues; None if it begins one."""
        index, call_id = call.get("index"), call.get("id")
        name = (call.get("function") or {}).get("name")
        known = self._ids.get(call_id) if call_id else None
        if known is not None and (index is None or self._indexes.get(index) is known):
            return known
        last = self.all[-1] if self.all else None
        found = self._indexes.get(index) if index is not None else last
        if found is None or not name:
            # A delta without a name continues a call, even if its id is new.
            return found or (last if not name else None)
        # With a name, it begins a call unless it only repeats the name of one that is not complete.
        begins = bool(call_id) or index is None or is_object(found.text)
        return None if begins else found

    def begin(self, call: Json, name: str) -> Block:
        call_id = call.get("id")
        own_id = new_id() if not call_id or call_id in self._ids else client_id(call_id)
        block = Block(("call", len(self.all)), {"type": "tool_use", "id": own_id, "name": name, "input": {}})
        self.all.append(block)
        if call_id:
            self._ids.setdefault(call_id, block)
        if call.get("index") is not None:
            self._indexes[call["index"]] = block
        return block
