"""CORS: any page in a browser may call the edge. See docs/decisions/0024-allow-browser-requests-from-any-origin.md.

Source: fetch.spec.whatwg.org, "HTTP CORS protocol".
"""

from http import HTTPStatus

from tollgate_edge.http.errors import Header
from tollgate_edge.http.request_context import Message, Scope, Send

_MAX_AGE_S = 86_400
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-max-age", b"%d" % _MAX_AGE_S),
)


def is_open(path: str) -> bool:
    """Whether a path is for customers, not for operators."""
    return path.startswith("/v1/")


async def answer_preflight(scope: Scope, send: Send) -> None:
    """Allow all headers that the browser requests. The request itself fails if the path does not exist."""
    asked = next((value for name, value in scope["headers"] if name == b"access-control-request-headers"), None)
    headers = _PREFLIGHT if asked is None else (*_PREFLIGHT, (b"access-control-allow-headers", asked))
    start: Message = {"type": "http.response.start", "status": HTTPStatus.NO_CONTENT, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": b""})
