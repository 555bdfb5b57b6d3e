"""Translation of Anthropic's Messages to OpenAI's Responses, for OpenAI's models that reason.

Chat completions of these models reject tools unless the model does not reason, and they return no reasoning. Responses
return each thought as an encrypted item. It becomes the `signature` of a thinking block, and the history returns it.
Nothing is stored at OpenAI. These models accept no `temperature`, no `top_p` and no `stop`.

Sources: platform.openai.com/docs/api-reference/responses, platform.openai.com/docs/guides/reasoning (encrypted
reasoning items), platform.openai.com/docs/api-reference/responses-streaming and
docs.anthropic.com/en/docs/build-with-claude/extended-thinking.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tollgate_edge.providers.error_body import stream_failure
from tollgate_edge.providers.translators.anthropic_to_openai import (
    choice_kind,
    end_events,
    function_of,
    new_message,
    source_url,
    start_event,
    text_of_block,
)
from tollgate_edge.providers.translators.base import Json, content_parts, content_text, named_event, untranslatable
from tollgate_edge.providers.translators.messages_blocks import (
    PING_EVENT,
    Block,
    MessageBlocks,
    new_head,
    signature_delta,
)
from tollgate_edge.providers.translators.messages_context import MessagesContext, client_id, document_text, error_text
from tollgate_edge.providers.translators.tool_history import readable_arguments
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.parsers import parse_usage
from tollgate_edge.usage.token_counting import count_text

# OpenAI rejects a smaller limit.
MIN_OUTPUT_TOKENS = 16
_ENCRYPTED = "reasoning.encrypted_content"
SIGNATURE_PREFIX = "openai_reasoning:"
# Models that do not return encrypted reasoning, although they may reason.
_CHAT_MODEL = re.compile(r"-chat\b")
# platform.openai.com/docs/guides/reasoning: since gpt-5.2.
_TAKES_XHIGH = re.compile(r"gpt-(5\.[2-9]|[6-9]|5\.1-codex-max)")
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}
# Budgets of older clients, in tokens.
_LOW_BUDGET, _MEDIUM_BUDGET = 4_096, 16_384
_STOP_REASONS = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}
_BETWEEN_SUMMARIES = "\n\n"


def serves(model: str) -> bool:
    """Whether Responses serve a model that reasons better than chat completions do."""
    return not _CHAT_MODEL.search(model)


def translate_request(messages: Json, context: MessagesContext) -> Json:
    """Translate a request. The model's name stays."""
    context.begin(messages)
    tools = [function_of(tool, context) for tool in messages.get("tools") or ()]
    choice = messages.get("tool_choice") or {}
    request: Json = {
        "model": messages["model"],
        "input": _items(messages, context),
        "max_output_tokens": max(MIN_OUTPUT_TOKENS, context.limit(messages["max_tokens"])),
        "store": False,
        "include": [_ENCRYPTED],
    }
    optional = {
        "instructions": content_text(messages.get("system")),
        "reasoning": _reasoning(messages),
        "user": context.user(messages),
        # Responses make every schema strict that does not say otherwise, which changes it.
        "tools": [{"type": "function", "strict": False, **tool} for tool in tools],
        "tool_choice": _tool_choice(choice, context, tools),
        "parallel_tool_calls": False if tools and choice.get("disable_parallel_tool_use") else None,
        "text": _text_format(messages),
        "stream": messages.get("stream"),
    }
    return request | {name: value for name, value in optional.items() if value not in (None, "", [], {})}


def _reasoning(messages: Json) -> Json:
    thinking = messages.get("thinking") or {}
    is_thinking = thinking.get("type") in ("adaptive", "enabled")
    effort = _EFFORTS.get((messages.get("output_config") or {}).get("effort") or "")
    if effort is None and thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens") or 0
        effort = "low" if budget < _LOW_BUDGET else "medium" if budget < _MEDIUM_BUDGET else "high"
    if effort == "xhigh" and not _TAKES_XHIGH.match(messages["model"]):
        effort = "high"
    summary = "auto" if is_thinking and thinking.get("display") != "omitted" else None
    return {name: value for name, value in (("effort", effort), ("summary", summary)) if value}


def _tool_choice(choice: Json, context: MessagesContext, tools: list[Json]) -> Any:
    kind = choice_kind(choice, tools)
    return {"type": "function", "name": context.provider_name(choice["name"])} if kind == "tool" else kind


def _text_format(messages: Json) -> Json | None:
    output_format = (messages.get("output_config") or {}).get("format")
    if not output_format:
        return None
    return {"format": {"type": "json_schema", "name": "answer", "schema": output_format["schema"]}}


def _items(messages: Json, context: MessagesContext) -> list[Json]:
    items: list[Json] = []
    for message in messages["messages"]:
        match message["role"]:
            case "assistant":
                items += _assistant(message, context)
            case "system":
                items.append({"role": "developer", "content": content_text(message["content"])})
            case _:
                items += _user(message, context)
    return items


def _assistant(message: Json, context: MessagesContext) -> list[Json]:
    items: list[Json] = []
    for block in content_parts(message["content"]):
        match block["type"]:
            case "thinking":
                items += _reasoning_item(block)
            case "tool_use":
                name, call_id = context.provider_name(block["name"]), context.provider_id(block["id"])
                arguments = msgspec.json.encode(block["input"]).decode()
                items.append({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})
            case "server_tool_use":
                pass
            case _:
                text = document_text(block)
                if text:
                    content = [{"type": "output_text", "text": text}]
                    items.append({"type": "message", "role": "assistant", "content": content})
    return items


def _reasoning_item(block: Json) -> list[Json]:
    """Return the encrypted item that a thinking block carries. Another provider's thinking is dropped."""
    signature = block.get("signature") or ""
    if not signature.startswith(SIGNATURE_PREFIX):
        return []
    item_id, _, encrypted = signature.removeprefix(SIGNATURE_PREFIX).partition(":")
    summary = [{"type": "summary_text", "text": block["thinking"]}] if block.get("thinking") else []
    return [{"type": "reasoning", "id": item_id, "summary": summary, "encrypted_content": encrypted}]


def _signature(item: Json) -> str:
    encrypted = item.get("encrypted_content")
    return f"{SIGNATURE_PREFIX}{item.get('id') or ''}:{encrypted}" if encrypted else ""


def _user(message: Json, context: MessagesContext) -> list[Json]:
    """Translate a user turn to outputs of tools, which come first, and the user's own content."""
    outputs: list[Json] = []
    parts: list[Json] = []
    for block in content_parts(message["content"]):
        if block["type"] == "tool_result":
            call_id = context.provider_id(block["tool_use_id"])
            outputs.append({"type": "function_call_output", "call_id": call_id, "output": _output(block)})
        else:
            parts.append(_part(block))
    return [*outputs, {"role": "user", "content": parts}] if parts else outputs


def _output(result: Json) -> str | list[Json]:
    parts = [_part(part) for part in content_parts(result.get("content"))]
    if all(part["type"] == "input_text" for part in parts):
        return error_text(result, "".join(part["text"] for part in parts))
    mark = error_text(result, "")
    return ([{"type": "input_text", "text": mark}] if mark else []) + parts


def _part(block: Json) -> Json:
    text = document_text(block)
    if text is not None:
        return {"type": "input_text", "text": text}
    match block["type"], block["source"]["type"] if isinstance(block.get("source"), dict) else None:
        case "image", "base64" | "url":
            return {"type": "input_image", "image_url": source_url(block["source"])}
        case "document", "base64":
            return {"type": "input_file", "filename": "document.pdf", "file_data": source_url(block["source"])}
        case "document", "url":
            return {"type": "input_file", "file_url": block["source"]["url"]}
        case kind, _:
            raise untranslatable("messages", f"it does not support content of type '{kind}'")


# --- the response ---------------------------------------------------------------------------------------------------


def translate_response(response: Json, context: MessagesContext) -> Json:
    """Translate a complete response.

    Raises:
        ProviderFailed: the response failed at OpenAI.
    """
    if response.get("status") == "failed" or response.get("error"):
        raise stream_failure(msgspec.json.encode({"type": "error", "error": response.get("error") or {}}))
    content: list[Json] = []
    for item in response["output"]:
        content += _content(item, context)
    usage = context.usage(
        parse_usage(response.get("usage") or {}), sum(count_text(text_of_block(block)) for block in content)
    )
    reason = _stop_reason(response, has_calls=any(block["type"] == "tool_use" for block in content))
    return new_message(response) | {"content": content, "stop_reason": reason, "usage": usage}


def _content(item: Json, context: MessagesContext) -> list[Json]:
    match item["type"]:
        case "reasoning":
            return [{"type": "thinking", "thinking": _thinking(item), "signature": _signature(item)}]
        case "message":
            texts = (part.get("text") or part.get("refusal") or "" for part in item["content"])
            return [{"type": "text", "text": text} for text in texts if text]
        case "function_call":
            call: Json = {
                "type": "tool_use",
                "id": client_id(item["call_id"]),
                "name": context.client_name(item["name"]),
            }
            return [call | {"input": readable_arguments(item["arguments"])}]
    return []


def _thinking(item: Json) -> str:
    parts = item.get("summary") or item.get("content") or ()
    return _BETWEEN_SUMMARIES.join(part.get("text") or "" for part in parts)


def _stop_reason(response: Json, *, has_calls: bool) -> str:
    reason = (response.get("incomplete_details") or {}).get("reason") or ""
    return _STOP_REASONS.get(reason) or ("tool_use" if has_calls else "end_turn")


class StreamTranslator:
    """The `EventTranslator` from Responses to Messages. Each output item becomes a block, or a block for each text."""

    def __init__(self, context: MessagesContext) -> None:
        self._context = context
        self._blocks = MessageBlocks()
        self._items: dict[int, Block] = {}
        self._has_calls = False
        self._last: Json | None = None
        self.usage = StreamUsage()
        self._on: dict[str, Callable[[Json], bytes]] = {
            "error": self._on_error,
            "keepalive": lambda _: PING_EVENT,
            "response.completed": self._on_end,
            "response.created": lambda event: start_event(event["response"]) + PING_EVENT,
            "response.failed": self._on_error,
            "response.function_call_arguments.delta": self._on_delta,
            "response.in_progress": lambda _: PING_EVENT,
            "response.incomplete": self._on_end,
            "response.output_item.added": self._on_item,
            "response.output_item.done": self._on_item_done,
            "response.output_text.delta": self._on_delta,
            "response.reasoning_summary_part.added": self._on_summary,
            "response.reasoning_summary_text.delta": self._on_delta,
            "response.reasoning_text.delta": self._on_delta,
            "response.refusal.delta": self._on_delta,
        }

    def translate(self, event: Json) -> bytes:
        handle = self._on.get(event["type"])
        return b"" if handle is None else handle(event)

    def finish(self) -> bytes:
        if self._last is None:
            # The provider broke the stream. Without a last event it does not count as complete.
            return b""
        events = self._blocks.finish()
        reason = _stop_reason(self._last, has_calls=self._has_calls)
        return events + end_events(reason, self._context.usage(self.usage.stated, self._blocks.output_tokens()))

    def _on_error(self, event: Json) -> bytes:
        self._last = None
        error = (event.get("response") or {}).get("error") or event.get("error") or event
        return named_event({"type": "error", "error": {"message": error.get("message"), "code": error.get("code")}})

    def _on_end(self, event: Json) -> bytes:
        self._last = event["response"]
        self.usage.add(parse_usage(event["response"].get("usage") or {}))
        return b""

    def _on_item(self, event: Json) -> bytes:
        item = event["item"]
        match item["type"]:
            case "function_call":
                self._has_calls = True
                name = self._context.client_name(item["name"])
                head = {"type": "tool_use", "id": client_id(item["call_id"]), "name": name, "input": {}}
                return self._begin(event["output_index"], head)
            case "reasoning":
                # The thoughts may stay hidden, so that nothing follows for minutes.
                return self._begin(event["output_index"], new_head("thinking"))
            case "message":
                return self._begin(event["output_index"], new_head("text"))
        return b""

    def _begin(self, index: int, head: Json) -> bytes:
        self._items[index] = block = Block(index, head, has_end=True)
        self.usage.note_text()
        return self._blocks.begin(block)

    def _on_delta(self, event: Json) -> bytes:
        self.usage.note_text()
        return self._blocks.add(self._items[event["output_index"]], event["delta"])

    def _on_summary(self, event: Json) -> bytes:
        if not event.get("summary_index"):
            return b""
        return self._blocks.add(self._items[event["output_index"]], _BETWEEN_SUMMARIES)

    def _on_item_done(self, event: Json) -> bytes:
        """End an item's block, with what its deltas left out."""
        item, index = event["item"], event["output_index"]
        events = b"" if index in self._items else self._on_item(event)
        block = self._items.get(index)
        if block is None:
            return events
        if block.is_empty:
            events += self._blocks.add(block, _whole_text(item))
        signature = _signature(item) if item["type"] == "reasoning" else ""
        if signature:
            block.closing = signature_delta(signature)
        return events + self._blocks.end(block)


def _whole_text(item: Json) -> str:
    match item["type"]:
        case "reasoning":
            return _thinking(item)
        case "message":
            return "".join(part.get("text") or part.get("refusal") or "" for part in item["content"])
    return str(item.get("arguments") or "")
