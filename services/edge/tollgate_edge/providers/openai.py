"""A provider that speaks OpenAI's protocol, over one pool of connections.

What pyreqwest does when something breaks, tested with its 0.15: only a `ConnectError` whose cause is `client error
(Connect)` tells that nothing was sent; silence past the time-out comes as `ConnectTimeoutError` before the headers and
as `ReadTimeoutError` after them. Cancelling while it waits for headers leaves the provider at work; during the body's
reads it closes the connection at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from tollgate_edge.errors import INVALID_REQUEST, ApiError, Header, ProviderFailed

# An error's body is read to its end only up to this size.
_LARGEST_ERROR_BYTES = 64 << 10
# After an answer's last event its body is over; a connection whose body is not, is not worth waiting for.
_LAST_BYTES_TIMEOUT_S = 1.0
# What these tell is between the operator and the provider; passed on, it would tell a customer that his own key is
# wrong or his own credit spent.
_OPERATORS_OWN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}
_OPERATORS_QUOTA = "insufficient_quota"


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


_error_decoder = msgspec.json.Decoder(_ErrorBody)


class ProviderStream:
    """A streamed answer that has begun well."""

    def __init__(self, response: Response) -> None:
        self._reader = response.body_reader

    async def read(self) -> bytes | None:
        """The next bytes as they arrive; None at the end.

        Raises:
            ProviderFailed: the connection broke or fell silent.
        """
        try:
            chunk = await self._reader.read_chunk()
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise _failure(error) from error
        return None if chunk is None else bytes(chunk)

    async def read_to_end(self) -> None:
        """Read what follows an answer's last event, so that the connection can be used again."""
        with suppress(PyreqwestError, TimeoutError, OSError):
            async with asyncio.timeout(_LAST_BYTES_TIMEOUT_S):
                # Not `bytes()`, which refuses a body that has already been read to its end.
                while await self._reader.read_chunk() is not None:
                    pass


class _Timeouts(NamedTuple):
    connect: timedelta
    read: timedelta


class OpenAIProvider:
    name = "openai"

    def __init__(self, base_url: str, api_key: str, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        """Build the client; connections are made when they are needed.

        Args:
            base_url: ends with the API's version: `https://api.openai.com/v1`.
            api_key: the operator's.
            connect_timeout_s: for a connection.
            read_timeout_s: the longest silence, before the answer or in it.
        """
        self._chat_url = Url(base_url.rstrip("/") + "/chat/completions")
        timeouts = _Timeouts(timedelta(seconds=connect_timeout_s), timedelta(seconds=read_timeout_s))
        self._client = _build_client(api_key, timeouts)

    async def aclose(self) -> None:
        await self._client.close()

    async def complete(self, body: bytes) -> bytes:
        """The body of a whole answer, of status 200.

        Raises:
            ApiError: the provider refused.
            ProviderFailed: it could not be reached, broke off or fell silent.
        """
        try:
            response = await self._request(body).build().send()
            answer = bytes(await response.bytes())
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise _failure(error) from error
        if response.status != HTTPStatus.OK:
            raise _refusal(response, answer)
        return answer

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncIterator[ProviderStream]:
        """A streamed answer of status 200; leaving the context drops it and closes its connection.

        Raises:
            ApiError, ProviderFailed: as `complete`.
        """
        # The default limit would withhold the answer until 64 KiB of it have come.
        request = self._request(body).streamed_read_buffer_limit(1).build_streamed()
        try:
            response = await request.__aenter__()
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise _failure(error) from error
        try:
            if response.status != HTTPStatus.OK:
                raise _refusal(response, await _read_error(response))
            yield ProviderStream(response)
        finally:
            await request.__aexit__(None, None, None)

    def _request(self, body: bytes) -> RequestBuilder:
        return self._client.post(self._chat_url).body_bytes(body)


def _build_client(api_key: str, timeouts: _Timeouts) -> Client:
    return (
        ClientBuilder()
        .default_headers({"authorization": f"Bearer {api_key}", "content-type": "application/json"})
        .user_agent("tollgate")
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.read)
        # The answer goes on as it came; whoever wants it compressed does that in front of the edge.
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .follow_redirects(enable=False)
        .no_proxy()
        .build()
    )


async def _read_error(response: Response) -> bytes:
    try:
        body = await response.body_reader.read(_LARGEST_ERROR_BYTES)
    except (PyreqwestError, TimeoutError, OSError):
        # The status alone tells enough.
        return b""
    return bytes(body or b"")


def _failure(error: Exception) -> ProviderFailed:
    if isinstance(error, TimeoutError):
        return ProviderFailed(
            HTTPStatus.GATEWAY_TIMEOUT, "The provider did not answer in time.", code="provider_timeout"
        )
    return ProviderFailed(HTTPStatus.BAD_GATEWAY, "The provider could not be reached or broke off its answer.")


def _refusal(response: Response, body: bytes) -> ApiError:
    """A provider's error, in OpenAI's shape whatever its own was."""
    status = response.status
    try:
        error = _error_decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = _Error()
    if status in _OPERATORS_OWN or error.code == _OPERATORS_QUOTA or status < HTTPStatus.BAD_REQUEST:
        return ProviderFailed(HTTPStatus.BAD_GATEWAY, "The provider did not accept this gateway's request.")
    return ApiError(
        status,
        error.message or f"The provider answered with status {status}.",
        error_type=error.type or ("server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else INVALID_REQUEST),
        param=error.param,
        code=None if error.code is None else str(error.code),
        headers=_retry_after(response),
    )


def _retry_after(response: Response) -> tuple[Header, ...]:
    value = response.get_header("retry-after")
    return ((b"retry-after", value.encode()),) if value is not None and value.isascii() and value.isprintable() else ()
