"""HTTP requests to a provider over one connection pool, with the classification of failures.

The behavior of pyreqwest on failures, tested with version 0.15: only a `ConnectError` whose cause is `client error
(Connect)` proves that nothing was sent. A timeout raises `ConnectTimeoutError` before the headers and
`ReadTimeoutError` after them. Cancellation while waiting for headers does not stop the provider; cancellation while
reading the body closes the connection at once. A body that it decompresses has no `content-encoding` any more, and its
chunks are as current as those of the provider.

A provider that reports an error with status 200 is treated as if it had used the error's own status: MiniMax and
OpenRouter do so in a whole response, and many others in the first event of a stream.
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
from tollgate_edge.providers.error_body import ErrorDetails, find_error, find_event_error
from tollgate_edge.streaming.sse import BLANK_LINE, event_data, first_data_event, is_comment, valid_unicode

# Error bodies are read up to this size.
_MAX_ERROR_BYTES = 64 << 10
# The body normally ends right after the last event. If it does not, waiting longer costs more than a new connection.
_LAST_BYTES_TIMEOUT_S = 1.0
_NOTHING_SENT = "client error (Connect)"
_NO_ENCODING = ("", "identity", "none")
_JSON_TYPES = ("application/json", "text/json")
_STREAM_TYPES = ("text/event-stream", "text/plain", "application/x-ndjson", *_JSON_TYPES)
# Each shape of an error with status 200 has one of these members.
_ERROR_MEMBERS = (b'"error"', b'"errors"', b'"base_resp"', b'"msg"', b'"success"', b'"code"')
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
_MIN_SECRET_CHARS = 8


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

    def __init__(self, response: Response, to_error: Callable[[ErrorDetails, bytes], ProviderError]) -> None:
        """Wrap a response whose headers have arrived.

        Args:
            response: the response.
            to_error: converts an error that the body reports, given its parsed and its raw form.
        """
        self.content_type = _content_type(response)
        self._reader = response.body_reader
        self._to_error = to_error
        # Audio is not looked at.
        self._is_first = self.content_type.lower().startswith(_STREAM_TYPES)

    async def read(self) -> bytes | None:
        return await (self._read_first() if self._is_first else self._read_next())

    async def _read_first(self) -> bytes | None:
        """Read until the first event with data is complete.

        Raises:
            ProviderRefused, ProviderFailed: the event is an error.
        """
        data = await self._read_next()
        while data is not None and _is_undecided(data):
            more = await self._read_next()
            if more is None:
                break
            data += more
        if data is None or not is_comment(data):
            self._is_first = False
        found = _first_error(data or b"")
        if found is not None:
            raise self._to_error(*found)
        return data

    async def _read_next(self) -> bytes | None:
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
        self._secrets = _secrets(headers)
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
            raise self._error(response, response.status, content)
        _check_encoding(response)
        content_type = _content_type(response)
        if content_type.lower().startswith(_JSON_TYPES):
            content = valid_unicode(content)
            found = find_error(content) if _may_be_error(content) else None
            if found is not None:
                raise self._error(response, found.implied_status, content)
        return ProviderResponse(content, content_type)

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
                raise self._error(response, response.status, await _read_error(response))
            _check_encoding(response)
            yield HttpResponseChunks(
                response, lambda error, content: self._error(response, error.implied_status, content)
            )
        finally:
            await request.__aexit__(None, None, None)

    def _request(self, path: str, body: bytes, content_type: str, headers: Headers) -> RequestBuilder:
        request = self._client.post(self._url(path)).header("content-type", content_type).body_bytes(body)
        for name, value in headers:
            request = request.header(name, value)
        return request

    def _error(self, response: Response, status: int, content: bytes) -> ProviderError:
        """Convert an error. Some providers repeat the API key in their message."""
        for secret in self._secrets:
            content = content.replace(secret, b"***")
        if _encoding(response):
            content = b""
        return self._to_provider_error(ErrorResponse(status, content, response.get_header("retry-after")))

    def _build_url(self, path: str) -> Url:
        return Url(f"{self._base_url}/{path}")


def _build_client(headers: Mapping[str, str], timeouts: Timeouts) -> Client:
    return (
        ClientBuilder()
        .default_headers({"accept-encoding": "identity", **headers})
        .user_agent("tollgate")
        .connect_timeout(timedelta(seconds=timeouts.connect_s))
        .read_timeout(timedelta(seconds=timeouts.read_s))
        # Compression is left to a proxy in front of the edge. A provider that compresses all the same is understood.
        .gzip(enable=True)
        .brotli(enable=True)
        .zstd(enable=True)
        .deflate(enable=True)
        .follow_redirects(enable=False)
        .no_proxy()
        .build()
    )


def _content_type(response: Response) -> str:
    return response.get_header("content-type") or JSON


def _encoding(response: Response) -> str:
    """Return the encoding of a body that could not be decoded; empty if there is none."""
    encoding = (response.get_header("content-encoding") or "").strip().lower()
    return "" if encoding in _NO_ENCODING else encoding


def _check_encoding(response: Response) -> None:
    encoding = _encoding(response)
    if encoding:
        message = f"The provider compressed its response with {encoding[:32]!r}, which this gateway cannot decode."
        raise ProviderFailed(HTTPStatus.BAD_GATEWAY, message, upstream_status=response.status)


def _may_be_error(content: bytes) -> bool:
    """Whether to parse a whole body as an error. A quote within a text is escaped, so no text matches by chance."""
    return len(content) <= _MAX_ERROR_BYTES and any(name in content for name in _ERROR_MEMBERS)


def _is_undecided(data: bytes) -> bool:
    """Whether more of a stream is needed to know if it begins with an error."""
    if len(data) > _MAX_ERROR_BYTES:
        return False
    if data.lstrip().startswith((b"{", b"[")):
        # A whole body instead of a stream.
        return True
    if data.endswith(BLANK_LINE):
        return False
    return first_data_event(data) is None and not is_comment(data)


def _first_error(data: bytes) -> tuple[ErrorDetails, bytes] | None:
    """Return the error with which a stream begins, parsed and raw; None if it begins with something else."""
    if b"error" not in data and not any(name in data for name in _ERROR_MEMBERS):
        return None
    if data.lstrip().startswith((b"{", b"[")):
        body, found = data, find_error(data)
    else:
        event = first_data_event(data) or first_data_event(data + BLANK_LINE) or b""
        body, found = event_data(event), find_event_error(event)
    return None if found is None else (found, body)


def _secrets(headers: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the API keys in the headers of every request."""
    keys = [value.split()[-1] for name, value in headers.items() if name.lower() in _KEY_HEADERS and value.strip()]
    return tuple(key.encode() for key in keys if len(key) >= _MIN_SECRET_CHARS)


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
