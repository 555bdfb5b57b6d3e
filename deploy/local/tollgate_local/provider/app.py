"""The ASGI application: authentication, dispatch to endpoints, and error responses."""

import hmac
from collections.abc import Awaitable, Callable

import msgspec

from tollgate_local.provider import gemini, messages
from tollgate_local.provider.chat import ChatEndpoint
from tollgate_local.provider.completions import CompletionEndpoint
from tollgate_local.provider.embeddings import embed
from tollgate_local.provider.errors import ApiError, ClientGoneError
from tollgate_local.provider.gemini import PREFIX as GEMINI_PREFIX
from tollgate_local.provider.gemini import GeminiEndpoint
from tollgate_local.provider.http_exchange import HttpExchange, Receive, Scope, Send
from tollgate_local.provider.media import media_endpoints
from tollgate_local.provider.messages import MessagesEndpoint
from tollgate_local.provider.models import MODELS, find_model
from tollgate_local.provider.prefix_cache import PrefixCache
from tollgate_local.provider.profiles.endpoint import ProfileEndpoint
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.responses import ResponseEndpoint

Endpoint = Callable[[HttpExchange], Awaitable[None]]
_MODEL_PATH = "/v1/models/"
_MESSAGES_PATH = "/v1/messages"
_PREFIXES = (_MODEL_PATH, GEMINI_PREFIX)


class Application:
    """Serves `/v1/` to callers with `api_key` (to everyone without one), and `/simulator/stats` to everyone."""

    def __init__(self, recorder: Recorder, api_key: str | None = None) -> None:
        self._recorder = recorder
        self._expected = f"Bearer {api_key}".encode() if api_key else None
        self._profiles = ProfileEndpoint(recorder)
        prefixes = PrefixCache()
        self._endpoints: dict[str, tuple[str, Endpoint]] = {
            "/v1/chat/completions": ("POST", ChatEndpoint(recorder, prefixes)),
            "/v1/completions": ("POST", CompletionEndpoint(recorder, prefixes)),
            "/v1/responses": ("POST", ResponseEndpoint(recorder, prefixes)),
            _MESSAGES_PATH: ("POST", MessagesEndpoint(recorder)),
            f"{_MESSAGES_PATH}/count_tokens": ("POST", messages.count),
            GEMINI_PREFIX: ("POST", GeminiEndpoint(recorder)),
            **{path: ("POST", endpoint) for path, endpoint in media_endpoints(recorder)},
            "/v1/embeddings": ("POST", embed),
            "/v1/models": ("GET", _list_models),
            _MODEL_PATH: ("GET", _show_model),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = HttpExchange(scope, receive, send)
        try:
            if exchange.path == "/simulator/stats":
                await exchange.answer(200, msgspec.json.encode(self._recorder.stats))
            else:
                await self._serve(exchange)
        except ApiError as error:
            self._recorder.stats.errors += 1
            await exchange.answer(error.status, _error_encoder(exchange.path)(error), headers=error.headers)
        except ClientGoneError:
            # uvicorn logs an error for a missing response unless the connection is closed.
            await exchange.drop()

    async def _serve(self, exchange: HttpExchange) -> None:
        self._recorder.stats.requests += 1
        self._check_key(exchange)
        if await self._profiles.serve(exchange):
            return
        path = next((prefix for prefix in _PREFIXES if exchange.path.startswith(prefix)), exchange.path)
        if path not in self._endpoints:
            raise ApiError(404, f"Invalid URL ({exchange.method} {exchange.path})")
        method, endpoint = self._endpoints[path]
        if exchange.method != method:
            raise ApiError(405, f"Not allowed to {exchange.method} on {exchange.path} (HINT: use {method})")
        await endpoint(exchange)

    def _check_key(self, exchange: HttpExchange) -> None:
        if self._expected is None:
            return
        presented = exchange.header(b"authorization")
        own = exchange.header(b"x-api-key") or exchange.header(b"x-goog-api-key")
        presented = b"Bearer " + own if own else presented
        if not presented:
            raise ApiError(401, "You didn't provide an API key in an Authorization header (Bearer YOUR_KEY).")
        if not hmac.compare_digest(presented, self._expected):
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")


def _error_encoder(path: str) -> Callable[[ApiError], bytes]:
    """Return the error encoder of the protocol of a path."""
    if path.startswith(_MESSAGES_PATH):
        return messages.error_body
    return gemini.error_body if path.startswith(GEMINI_PREFIX) else ApiError.body


async def _list_models(exchange: HttpExchange) -> None:
    listing = [model.listing() for model in MODELS.values()]
    await exchange.answer(200, msgspec.json.encode({"object": "list", "data": listing}))


async def _show_model(exchange: HttpExchange) -> None:
    model = find_model(exchange.path.removeprefix(_MODEL_PATH))
    await exchange.answer(200, msgspec.json.encode(model.listing()))
