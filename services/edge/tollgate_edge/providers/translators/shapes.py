"""The fields of requests that translations read.

A request is validated against its shape only after its translation failed, to name the invalid field.
"""

from typing import Any

import msgspec


class _ImageUrl(msgspec.Struct):
    url: str


class _ChatPart(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _ImageUrl | None = None
    file: dict[str, Any] | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: str | None = None


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _ChatMessage(msgspec.Struct):
    role: str
    content: str | list[_ChatPart] | None = None
    tool_calls: list[_Call] | None = None


class _FunctionTool(msgspec.Struct):
    type: str
    function: _Function | None = None


class ChatShape(msgspec.Struct):
    messages: list[_ChatMessage]
    n: int | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    tools: list[_FunctionTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    source: dict[str, Any] | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any]


class _System(msgspec.Struct):
    text: str


class MessagesShape(msgspec.Struct):
    messages: list[_Message]
    system: str | list[_System] | None = None
    metadata: dict[str, Any] | None = None
    tools: list[_Tool] | None = None
    tool_choice: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
