"""The provider protocols that the edge supports, by their names in `gateway.yaml`."""

from collections.abc import Callable, Mapping

from tollgate_edge.providers import bedrock, vertex
from tollgate_edge.providers.anthropic import AnthropicProvider
from tollgate_edge.providers.azure import AzureProvider
from tollgate_edge.providers.base import Provider
from tollgate_edge.providers.bedrock import BedrockProvider
from tollgate_edge.providers.compatible import CompatibleProvider
from tollgate_edge.providers.gemini import GeminiProvider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.messages_via_chat import MessagesViaChat
from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.providers.translators.messages_context import COMPATIBLE, OPENAI, PLAIN, Dialect
from tollgate_edge.providers.vertex import VertexProvider
from tollgate_edge.routing.router import ProtocolSpec, ProviderFactory


def _chat_only(create: Callable[[str, str, Timeouts], Provider], dialect: Dialect = PLAIN) -> ProviderFactory:
    """Return the factory of a protocol that has no Messages and no options."""

    def create_provider(base_url: str, api_key: str, timeouts: Timeouts, _options: ProviderOptions) -> Provider:
        return MessagesViaChat(create(base_url, api_key, timeouts), dialect)

    return create_provider


def _create_anthropic(base_url: str, api_key: str, timeouts: Timeouts, options: ProviderOptions) -> Provider:  # noqa: ARG001
    return AnthropicProvider(base_url, api_key, timeouts)


def _create_azure(base_url: str, api_key: str, timeouts: Timeouts, options: ProviderOptions) -> Provider:
    return MessagesViaChat(AzureProvider(base_url, api_key, timeouts, options), OPENAI)


def _create_bedrock(base_url: str, api_key: str, timeouts: Timeouts, options: ProviderOptions) -> Provider:
    return BedrockProvider(base_url, api_key, timeouts, options)


def _create_vertex(base_url: str, api_key: str, timeouts: Timeouts, options: ProviderOptions) -> Provider:
    return VertexProvider(base_url, api_key, timeouts, options)


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "openai": ProtocolSpec(_chat_only(OpenAIProvider, OPENAI), "https://api.openai.com/v1"),
    "openai-compatible": ProtocolSpec(_chat_only(CompatibleProvider, COMPATIBLE), None),
    "anthropic": ProtocolSpec(_create_anthropic, "https://api.anthropic.com/v1"),
    "gemini": ProtocolSpec(_chat_only(GeminiProvider), "https://generativelanguage.googleapis.com/v1beta"),
    "azure": ProtocolSpec(
        _create_azure, None, options=frozenset({"api_version", "tenant_id", "client_id", "authority"})
    ),
    "bedrock": ProtocolSpec(
        _create_bedrock,
        None,
        regional_url=bedrock.regional_url,
        options=frozenset({"region"}),
        required_options=frozenset({"region"}),
        has_ambient_credentials=True,
        find_problem=bedrock.find_problem,
    ),
    "vertex": ProtocolSpec(
        _create_vertex,
        None,
        regional_url=vertex.regional_url,
        options=frozenset({"project", "region"}),
        required_options=frozenset({"project", "region"}),
        has_ambient_credentials=True,
        find_problem=vertex.find_problem,
    ),
}
