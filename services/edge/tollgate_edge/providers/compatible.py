"""A server that is compatible with OpenAI's, but for the limit of a chat completion's answer, which it knows as
`max_tokens` alone: as Ollama, llama.cpp and most others do. A limit that it did not know would bound nothing."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from tollgate_edge.http.json_body import unescaped
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.openai import OpenAIProvider

_NEWER_NAME = "max_completion_tokens"


class CompatibleProvider(OpenAIProvider):
    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        return await super().complete(with_older_limit(request))

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        return super().stream(with_older_limit(request))


def with_older_limit(request: ProviderRequest) -> ProviderRequest:
    """The same request; a newer limit is one by the older name, and counts before it as at OpenAI."""
    if request.operation is not Operation.CHAT or _NEWER_NAME.encode() not in unescaped(request.body):
        return request
    members: dict[str, Any] = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
    limit = members.pop(_NEWER_NAME, b"null")
    if bytes(limit) != b"null":
        members["max_tokens"] = limit
    return request._replace(body=msgspec.json.encode(members))
