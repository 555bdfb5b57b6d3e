"""The APIs of this edge, by path."""

from tollgate_edge.endpoints.base import Endpoint
from tollgate_edge.endpoints.chat import CHAT_COMPLETIONS

ENDPOINTS: dict[str, Endpoint] = {endpoint.path: endpoint for endpoint in (CHAT_COMPLETIONS,)}
