"""The provider protocols that the edge supports, by their names in `gateway.yaml`."""

from collections.abc import Mapping

from tollgate_edge.providers.anthropic import AnthropicProvider
from tollgate_edge.providers.base import Provider
from tollgate_edge.providers.compatible import CompatibleProvider
from tollgate_edge.providers.gemini import GeminiProvider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.messages_via_chat import MessagesViaChat
from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.providers.translators.messages_context import COMPATIBLE, OPENAI
from tollgate_edge.routing.router import ProtocolSpec


def _create_openai(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesViaChat(OpenAIProvider(base_url, api_key, timeouts), OPENAI)


def _create_compatible(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesViaChat(CompatibleProvider(base_url, api_key, timeouts), COMPATIBLE)


def _create_gemini(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesViaChat(GeminiProvider(base_url, api_key, timeouts))


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "openai": ProtocolSpec(_create_openai, "https://api.openai.com/v1"),
    "openai-compatible": ProtocolSpec(_create_compatible, None),
    "anthropic": ProtocolSpec(AnthropicProvider, "https://api.anthropic.com/v1"),
    "gemini": ProtocolSpec(_create_gemini, "https://generativelanguage.googleapis.com/v1beta"),
}
