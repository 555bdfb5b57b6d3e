"""The protocols that this edge speaks with providers, by the names that `gateway.yaml` has for them."""

from collections.abc import Mapping

from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.routing.router import SpokenProtocol

PROTOCOLS: Mapping[str, SpokenProtocol] = {
    "openai": SpokenProtocol(OpenAIProvider, "https://api.openai.com/v1"),
}
