"""Retries and fallback for one request, before the first event of the response and only where they are safe.

A retry is safe if the request was certainly not processed: nothing was sent, or the provider responded with an error.
After a timeout or a broken connection the provider may still be generating at the operator's expense, so the decision
to retry is left to the client.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, TypeVar

from tollgate_common.events import FailedAttempt
from tollgate_edge.http.errors import OVERLOADED, ProviderError, ProviderRefused
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.routing.config import RetryConfig
from tollgate_edge.routing.routes import Target, order_targets
from tollgate_edge.streaming.sse import is_comment
from tollgate_edge.streaming.stream_usage import StreamUsage

# developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors
_CLOUDFLARE = frozenset({520, 521, 522, 523, 524, 525, 526, 527, 530})
# The provider cannot serve the request now, but may a moment later.
_BUSY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        OVERLOADED,
        *_CLOUDFLARE,
    }
)
# The provider rejects the operator's key. Another key or provider may serve the request.
_KEY_REJECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
_UNHEALTHY = _BUSY | _KEY_REJECTED
# The upper bound on how long a `Retry-After` keeps a circuit open.
MAX_RETRY_AFTER_S = 600.0
# Anthropic's clients know status 529.
_MESSAGES = frozenset({Operation.MESSAGES, Operation.COUNT_TOKENS})

ResultT = TypeVar("ResultT")


class Attempts:
    """Sends one request to one target after another until one responds, like a single provider."""

    def __init__(
        self,
        targets: Sequence[Target],
        retries: RetryConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Create the attempts of one request.

        Args:
            targets: at least one.
            retries: limits on attempts and delays.
            clock: a monotonic clock in seconds.
            sleep: waits for a number of seconds.
        """
        self._targets = order_targets(targets, clock())
        self._retries = retries
        self._clock = clock
        self._sleep = sleep
        self._failed: list[FailedAttempt] = []
        # Targets that may be retried after every target was tried.
        self._retryable: list[Target] = []
        self._has_served = False
        self._last_error: ProviderError | None = None
        self._started_s = self._attempt_started_s = clock()
        self.count = 0
        self.target = self._targets[0]

    @property
    def failed(self) -> tuple[FailedAttempt, ...]:
        """The failed attempts, in order."""
        return tuple(self._failed)

    @property
    def served_by(self) -> Target | None:
        """The target whose response, or part of it, the client receives; None if no attempt succeeded."""
        return self.target if self._has_served else None

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        """Return the complete response of the first target that succeeds.

        Raises:
            ProviderError: the error of the last attempt.
        """
        response = await self._try(request, lambda target: target.provider.complete(request.with_model(target.model)))
        self.target.breaker.record_success()
        return response

    @asynccontextmanager
    async def stream(self, request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        """Stream the response of the first target that starts one. There is no fallback after that.

        A response starts with its first event: a provider that sends an error instead has not started one.

        Raises:
            ProviderError: as `complete`, on entering or on reading the first event.
        """
        async with AsyncExitStack() as stack:

            async def send(target: Target) -> ResponseChunks:
                return await stack.enter_async_context(target.provider.stream(request.with_model(target.model)))

            async def send_again(error: ProviderError) -> ResponseChunks:
                await stack.aclose()
                return await self._try(request, send, error)

            try:
                yield FallbackChunks(await self._try(request, send), send_again)
            except ProviderError as error:
                if error is not self._last_error:
                    self.target.breaker.record_failure(self._clock())
                raise
            self.target.breaker.record_success()

    async def _try(
        self,
        request: ProviderRequest,
        send: Callable[[Target], Awaitable[ResultT]],
        error: ProviderError | None = None,
    ) -> ResultT:
        """Send the request until an attempt succeeds.

        Args:
            request: the request.
            send: sends it to a target.
            error: of the attempt before, if its response has already begun.
        """
        while True:
            if error is not None:
                wait_s = self._fail(error, request.operation)
                if wait_s:
                    await self._sleep(wait_s)
            self.count += 1
            self._attempt_started_s = self._clock()
            try:
                result = await send(self.target)
            except ProviderError as failed:
                error = failed
            else:
                self._has_served = True
                return result

    def _fail(self, error: ProviderError, operation: Operation) -> float:
        """Record a failed attempt, choose the next target and return the delay in seconds.

        Raises:
            ProviderError: `error`, if there is no next attempt.
        """
        self._has_served = False
        self._last_error = error
        self._record_failure(error, self._attempt_started_s)
        wait_s = self._choose_next(error)
        if wait_s is not None and self._clock() + wait_s - self._started_s <= self._retries.within_s:
            return wait_s
        if self._is_retry_useless(error):
            error.forbid_retry()
        if operation in _MESSAGES and isinstance(error, ProviderRefused):
            error.keep_overloaded()
        raise error

    def _is_retry_useless(self, error: ProviderError) -> bool:
        """Whether the client's SDK would only multiply attempts that were made here already.

        An SDK that waits as long as the provider asks does something new, and so does one whose request was never
        repeated here.
        """
        if error.upstream_status in _KEY_REJECTED:
            return True
        return self.count > 1 and error.retry_after_s is None and _is_retryable(error)

    def _record_failure(self, error: ProviderError, started_s: float) -> None:
        now_s = self._clock()
        self._failed.append(
            FailedAttempt(
                target=self.target.name,
                provider=self.target.connection.provider_name,
                latency_ms=int((now_s - started_s) * 1000),
                status=error.upstream_status,
                error_code=error.code,
            )
        )
        breaker = self.target.breaker
        if (
            error.upstream_status is None
            or error.upstream_status in _UNHEALTHY
            or error.upstream_status == HTTPStatus.OK
        ):
            breaker.record_failure(now_s)
        else:
            # The provider is healthy and rejects this request.
            breaker.record_success()
        if error.retry_after_s is not None:
            breaker.open_until(now_s + min(error.retry_after_s, MAX_RETRY_AFTER_S))

    def _choose_next(self, error: ProviderError) -> float | None:
        """Choose the target of the next attempt and return the delay in seconds; None if there is no next attempt."""
        if self.count >= self._retries.attempts or not _is_retryable(error):
            return None
        if error.upstream_status not in _KEY_REJECTED:
            self._retryable.append(self.target)
        if self.count < len(self._targets):
            self.target = self._targets[self.count]
            return 0.0
        if not self._retryable:
            return None
        now_s = self._clock()
        self.target = min(self._retryable, key=lambda target: target.breaker.remaining_open_s(now_s))
        self._retryable.remove(self.target)
        return self._delay_s(error, now_s)

    def _delay_s(self, error: ProviderError, now_s: float) -> float | None:
        """Return a random delay below a doubling bound; None if the provider asks for more than `longest_delay_s`."""
        requested_s = self.target.breaker.remaining_open_s(now_s) if error.retry_after_s is not None else 0.0
        if requested_s > self._retries.longest_delay_s:
            return None
        repeats = self.count - len(self._targets)
        bound_s = min(self._retries.longest_delay_s, self._retries.first_delay_s * 2**repeats)
        delay_s: float = requested_s + bound_s * random.uniform(0.5, 1)  # noqa: S311 - no secret
        return delay_s


class FallbackChunks:
    """The chunks of the first target whose response does not begin with an error."""

    read: Callable[[], Coroutine[Any, Any, bytes | None]]

    def __init__(
        self, chunks: ResponseChunks, send_again: Callable[[ProviderError], Awaitable[ResponseChunks]]
    ) -> None:
        """Wrap the chunks of a target whose headers have arrived.

        Args:
            chunks: the chunks.
            send_again: takes the error and returns the chunks of another attempt, or raises the error.
        """
        self._chunks = chunks
        self._send_again = send_again
        self.content_type = chunks.content_type
        self.read = self._read_first

    @property
    def usage(self) -> StreamUsage | None:
        return self._chunks.usage

    async def read_to_end(self) -> None:
        await self._chunks.read_to_end()

    async def _read_first(self) -> bytes | None:
        while True:
            try:
                chunk = await self._chunks.read()
            except ProviderError as error:
                self._chunks = await self._next(error)
                self.content_type = self._chunks.content_type
                continue
            if chunk is None or not is_comment(chunk):
                self.read = self._chunks.read
            return chunk

    async def _next(self, error: ProviderError) -> ResponseChunks:
        """Make another attempt. A cancellation waits for its headers, because it could not stop the provider sooner."""
        sending = asyncio.ensure_future(self._send_again(error))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            with suppress(ProviderError):
                await sending
            raise


def _is_retryable(error: ProviderError) -> bool:
    is_unsent = not error.sent and error.upstream_status is None
    return is_unsent or error.upstream_status in _UNHEALTHY
