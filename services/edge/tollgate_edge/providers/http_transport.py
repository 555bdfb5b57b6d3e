"""HTTP requests to a provider over one connection pool, with the classification of failures.

The behavior of pyreqwest on failures, tested with version 0.15: only a `ConnectError` whose cause is `client error
(Connect)` proves that nothing was sent. A timeout raises `ConnectTimeoutError` before the headers and
`ReadTimeoutError` after them. Cancellation while waiting for headers does not stop the provider; cancellation while
reading the body closes the connection at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, PyreqwestError
from pyreqwest.http import Url
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from tollgate_common.clock import utc_now
from tollgate_edge.http.errors import Header, ProviderError, ProviderFailed
from tollgate_edge.providers.base import JSON, Headers, ProviderResponse

# Error bodies are read up to this size.
_MAX_ERROR_BYTES = 64 << 10
# The body normally ends right after the last event. If it does not, waiting longer costs more than a new connection.
_LAST_BYTES_TIMEOUT_S = 1.0
_NOTHING_SENT = "client error (Connect)"


class Timeouts(NamedTuple):
    """`connect_s` limits connecting; `read_s` limits each wait for data, before or within the response."""

    connect_s: float
    read_s: float


class ErrorResponse(NamedTuple):
    """A provider's response with a status other than 200."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def retry_after_s(self) -> float | None:
        return None if self.retry_after is None else seconds_until(self.retry_after)

    @property
    def headers(self) -> tuple[Header, ...]:
        """The headers that are forwarded to the client."""
        value = self.retry_after
        is_clean = value is not None and value.isascii() and value.isprintable()
        return ((b"retry-after", value.encode()),) if is_clean and value is not None else ()


class HttpResponseChunks:
    """The `ResponseChunks` of an HTTP response with status 200."""

    usage = None

    def __init__(self, response: Response) -> None:
        self.content_type = _content_type(response)
        self._reader = response.body_reader

    async def read(self) -> bytes | None:
        try:
            chunk = await self._reader.read_chunk()
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise _failure(error, HTTPStatus.OK) from error
        return None if chunk is None else bytes(chunk)

    async def read_to_end(self) -> None:
        with suppress(PyreqwestError, TimeoutError, OSError):
            async with asyncio.timeout(_LAST_BYTES_TIMEOUT_S):
                # Not `bytes()`, which fails if the body has already been read to its end.
                while await self._reader.read_chunk() is not None:
                    pass


class Transport:
    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        to_provider_error: Callable[[ErrorResponse], ProviderError],
    ) -> None:
        """Create the client. It connects when the first request needs a connection.

        Args:
            base_url: prefix of every path.
            headers: sent with every request, for authentication.
            timeouts: for connecting and reading.
            to_provider_error: converts the provider's error response.
        """
        self._base_url = base_url.rstrip("/")
        self._client = _build_client(headers, timeouts)
        self._to_provider_error = to_provider_error
        self._url = lru_cache(maxsize=256)(self._build_url)

    async def aclose(self) -> None:
        await self._client.close()

    async def complete(self, path: str, body: bytes, content_type: str, headers: Headers = ()) -> ProviderResponse:
        """As `Provider.complete`."""
        try:
            response = await self._request(path, body, content_type, headers).build().send()
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise _failure(error, None) from error
        try:
            content = bytes(await response.bytes())
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise _failure(error, response.status) from error
        if response.status != HTTPStatus.OK:
            raise self._to_provider_error(ErrorResponse(response.status, content, response.get_header("retry-after")))
        return ProviderResponse(content, _content_type(response))

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, content_type: str, headers: Headers = ()
    ) -> AsyncIterator[HttpResponseChunks]:
        """As `Provider.stream`."""
        # The default limit would delay the response until 64 KiB have arrived.
        request = self._request(path, body, content_type, headers).streamed_read_buffer_limit(1).build_streamed()
        try:
            response = await request.__aenter__()
        except (PyreqwestError, TimeoutError, OSError) as error:
            raise _failure(error, None) from error
        try:
            if response.status != HTTPStatus.OK:
                error_body = await _read_error(response)
                raise self._to_provider_error(
                    ErrorResponse(response.status, error_body, response.get_header("retry-after"))
                )
            yield HttpResponseChunks(response)
        finally:
            await request.__aexit__(None, None, None)

    def _request(self, path: str, body: bytes, content_type: str, headers: Headers) -> RequestBuilder:
        request = self._client.post(self._url(path)).header("content-type", content_type).body_bytes(body)
        for name, value in headers:
            request = request.header(name, value)
        return request

    def _build_url(self, path: str) -> Url:
        return Url(f"{self._base_url}/{path}")


def _build_client(headers: Mapping[str, str], timeouts: Timeouts) -> Client:
    return (
        ClientBuilder()
        .default_headers(dict(headers))
        .user_agent("tollgate")
        .connect_timeout(timedelta(seconds=timeouts.connect_s))
        .read_timeout(timedelta(seconds=timeouts.read_s))
        # The response is forwarded as it arrives. Compression is left to a proxy in front of the edge.
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .follow_redirects(enable=False)
        .no_proxy()
        .build()
    )


def _content_type(response: Response) -> str:
    return response.get_header("content-type") or JSON


async def _read_error(response: Response) -> bytes:
    try:
        body = await response.body_reader.read(_MAX_ERROR_BYTES)
    except (PyreqwestError, TimeoutError, OSError):
        # The status alone is enough to classify the error.
        return b""
    return bytes(body or b"")


def _failure(error: Exception, upstream_status: int | None) -> ProviderFailed:
    if isinstance(error, TimeoutError):
        return ProviderFailed(
            HTTPStatus.GATEWAY_TIMEOUT,
            "The provider did not respond in time.",
            code="provider_timeout",
            upstream_status=upstream_status,
        )
    return ProviderFailed(
        HTTPStatus.BAD_GATEWAY,
        "The provider is unreachable or broke the connection.",
        sent=not _is_unsent(error),
        upstream_status=upstream_status,
    )


def _is_unsent(error: Exception) -> bool:
    return isinstance(error, ConnectError) and _NOTHING_SENT in str(error.details)


def seconds_until(retry_after: str) -> float | None:
    """Return the seconds to wait by a `Retry-After` header (RFC 9110, 10.2.3); None if it is invalid."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - utc_now()).total_seconds())
    except (ValueError, TypeError):
        return None
