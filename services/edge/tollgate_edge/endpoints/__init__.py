"""The APIs that clients call: one module for each API, and `ENDPOINTS`, which maps paths to them."""

from tollgate_edge.endpoints.base import Endpoint
from tollgate_edge.endpoints.chat import CHAT_COMPLETIONS
from tollgate_edge.endpoints.completions import COMPLETIONS
from tollgate_edge.endpoints.count_tokens import COUNT_TOKENS
from tollgate_edge.endpoints.embeddings import EMBEDDINGS
from tollgate_edge.endpoints.images import IMAGES
from tollgate_edge.endpoints.messages import MESSAGES
from tollgate_edge.endpoints.moderations import MODERATIONS
from tollgate_edge.endpoints.rerank import RERANK
from tollgate_edge.endpoints.responses import RESPONSES
from tollgate_edge.endpoints.speech import SPEECH
from tollgate_edge.endpoints.transcriptions import TRANSCRIPTIONS, TRANSLATIONS

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint
    for endpoint in (
        CHAT_COMPLETIONS,
        COMPLETIONS,
        COUNT_TOKENS,
        EMBEDDINGS,
        IMAGES,
        MESSAGES,
        MODERATIONS,
        RERANK,
        RESPONSES,
        SPEECH,
        TRANSCRIPTIONS,
        TRANSLATIONS,
    )
}
