"""The edge as one ASGI application.

Model requests are dispatched before FastAPI, whose overhead would exceed the rest of the request.
"""

import time

from fastapi import FastAPI

from tollgate_common.ids import new_id
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.gateway.handler import ModelCalls
from tollgate_edge.http.cors import answer_preflight, is_open
from tollgate_edge.http.errors import wrong_method
from tollgate_edge.http.request_context import ANY_PAGE, Message, Receive, RequestContext, Scope, Send, request_headers


class EdgeApp:
    def __init__(self, calls: ModelCalls, api: FastAPI) -> None:
        self._calls = calls
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
        elif scope["method"] == "OPTIONS" and is_open(scope["path"]):
            await answer_preflight(scope, send)
        elif scope["path"] not in ENDPOINTS:
            await self._api(scope, receive, _with_edge_headers(scope["path"], send))
        elif scope["method"] == "POST":
            await self._calls(scope, receive, send)
        else:
            context = RequestContext(scope, receive, send)
            context.error_format = ENDPOINTS[context.path].error_format
            await context.fail(wrong_method(scope["method"], context.path, "POST"))


def _with_edge_headers(path: str, send: Send) -> Send:
    """Add the headers that every response of the edge has to a response of FastAPI."""
    started = time.perf_counter()
    shared = ANY_PAGE if is_open(path) else ()

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            elapsed_ms = int((time.perf_counter() - started) * 1000)
            message["headers"] = [*message["headers"], *request_headers(path, new_id(), elapsed_ms), *shared]
        await send(message)

    return send_with_headers
