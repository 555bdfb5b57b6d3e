"""The edge as one ASGI application: the hot endpoint is dispatched in front of FastAPI, which would cost more than the
rest of the request."""

from fastapi import FastAPI

from tollgate_edge.chat import ChatCompletions
from tollgate_edge.errors import wrong_method
from tollgate_edge.exchange import Exchange, Receive, Scope, Send

CHAT_COMPLETIONS = "/v1/chat/completions"


class EdgeApp:
    def __init__(self, chat: ChatCompletions, api: FastAPI) -> None:
        self._chat = chat
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != CHAT_COMPLETIONS:
            await self._api(scope, receive, send)
        elif scope["method"] == "POST":
            await self._chat(scope, receive, send)
        else:
            await Exchange(scope, receive, send).fail(wrong_method(scope["method"], scope["path"], "POST"))
