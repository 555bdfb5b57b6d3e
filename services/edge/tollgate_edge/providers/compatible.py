"""An OpenAI-compatible server that knows the output limit of a chat completion only as `max_tokens`.

Ollama, llama.cpp and most other servers do. They ignore `max_completion_tokens`, which would then not limit anything.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from tollgate_edge.http.json_body import unescaped
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.openai import OpenAIProvider

_NEW_FIELD = "max_completion_tokens"


class CompatibleProvider(OpenAIProvider):
    # The server may be a gateway that put the signatures into the ids itself, such as LiteLLM.
    _limits_ids = False

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        return await super().complete(with_max_tokens(request))

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        return super().stream(with_max_tokens(request))


def with_max_tokens(request: ProviderRequest) -> ProviderRequest:
    """Return the request with `max_completion_tokens` renamed to `max_tokens`. It takes precedence, as at OpenAI."""
    if request.operation is not Operation.CHAT or _NEW_FIELD.encode() not in unescaped(request.body):
        return request
    members: dict[str, Any] = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
    limit = members.pop(_NEW_FIELD, b"null")
    if bytes(limit) != b"null":
        members["max_tokens"] = limit
    return request._replace(body=msgspec.json.encode(members))
