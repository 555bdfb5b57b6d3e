"""The protocols that this edge speaks with providers, by the names that `gateway.yaml` has for them."""

from collections.abc import Mapping

from tollgate_edge.providers.anthropic import AnthropicProvider
from tollgate_edge.providers.base import Provider
from tollgate_edge.providers.compatible import CompatibleProvider
from tollgate_edge.providers.gemini import GeminiProvider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.providers.over_chat import MessagesOverChat
from tollgate_edge.routing.router import ProtocolSpec


def _speak_openai(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesOverChat(OpenAIProvider(base_url, api_key, timeouts))


def _speak_compatible(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesOverChat(CompatibleProvider(base_url, api_key, timeouts))


def _speak_gemini(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesOverChat(GeminiProvider(base_url, api_key, timeouts))


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "openai": ProtocolSpec(_speak_openai, "https://api.openai.com/v1"),
    "openai-compatible": ProtocolSpec(_speak_compatible, None),
    "anthropic": ProtocolSpec(AnthropicProvider, "https://api.anthropic.com/v1"),
    "gemini": ProtocolSpec(_speak_gemini, "https://generativelanguage.googleapis.com/v1beta"),
}
