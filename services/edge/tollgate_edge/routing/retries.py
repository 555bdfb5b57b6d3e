"""Retries and fallback for one request, before the first byte of the response and only where they are safe.

A retry is safe if the request was certainly not processed: nothing was sent, or the provider responded with an error.
After a timeout or a broken connection the provider may still be generating at the operator's expense, so the decision
to retry is left to the client.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

from tollgate_common.events import FailedAttempt
from tollgate_edge.http.errors import ProviderError
from tollgate_edge.providers.base import ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.routing.config import RetryConfig
from tollgate_edge.routing.routes import Target, order_targets

_OVERLOADED = 529
# The provider cannot serve the request now, but may a moment later.
_BUSY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        _OVERLOADED,
    }
)
# The provider rejects the operator's key. Another key or provider may serve the request.
_KEY_REJECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
_UNHEALTHY = _BUSY | _KEY_REJECTED
# The upper bound on how long a `Retry-After` keeps a circuit open.
MAX_RETRY_AFTER_S = 600.0

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
        response = await self._try(lambda target: target.provider.complete(request.with_model(target.model)))
        self.target.breaker.record_success()
        return response

    @asynccontextmanager
    async def stream(self, request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        """Stream the response of the first target that starts one. There is no fallback after that.

        Raises:
            ProviderError: as `complete`, on entering.
        """
        async with AsyncExitStack() as stack:
            chunks = await self._try(
                lambda target: stack.enter_async_context(target.provider.stream(request.with_model(target.model)))
            )
            try:
                yield chunks
            except ProviderError:
                self.target.breaker.record_failure(self._clock())
                raise
            self.target.breaker.record_success()

    async def _try(self, send: Callable[[Target], Awaitable[ResultT]]) -> ResultT:
        first_started_s = self._clock()
        while True:
            self.count += 1
            started_s = self._clock()
            try:
                result = await send(self.target)
            except ProviderError as error:
                self._record_failure(error, started_s)
                wait_s = self._choose_next(error)
                if wait_s is None or self._clock() + wait_s - first_started_s > self._retries.within_s:
                    raise
            else:
                self._has_served = True
                return result
            if wait_s:
                await self._sleep(wait_s)

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
        is_unsent = not error.sent and error.upstream_status is None
        if self.count >= self._retries.attempts or not (is_unsent or error.upstream_status in _UNHEALTHY):
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
