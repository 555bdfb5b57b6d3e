"""The protocols that this edge speaks with providers, by the names that `gateway.yaml` has for them."""

from collections.abc import Mapping

from tollgate_edge.providers.anthropic import AnthropicProvider
from tollgate_edge.providers.base import Provider
from tollgate_edge.providers.compatible import CompatibleProvider
from tollgate_edge.providers.gemini import GeminiProvider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.providers.over_chat import MessagesOverChat
from tollgate_edge.routing.router import SpokenProtocol


def _speak_openai(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesOverChat(OpenAIProvider(base_url, api_key, timeouts))


def _speak_compatible(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesOverChat(CompatibleProvider(base_url, api_key, timeouts))


def _speak_gemini(base_url: str, api_key: str, timeouts: Timeouts) -> Provider:
    return MessagesOverChat(GeminiProvider(base_url, api_key, timeouts))


PROTOCOLS: Mapping[str, SpokenProtocol] = {
    "openai": SpokenProtocol(_speak_openai, "https://api.openai.com/v1"),
    "openai-compatible": SpokenProtocol(_speak_compatible, None),
    "anthropic": SpokenProtocol(AnthropicProvider, "https://api.anthropic.com/v1"),
    "gemini": SpokenProtocol(_speak_gemini, "https://generativelanguage.googleapis.com/v1beta"),
}
