"""One request's attempts: retries and fallback, before the first byte of an answer and only where they are safe.

Safe is what was surely not processed: nothing was sent, or the provider answered with an error. A time-out and a broken
connection leave open whether the provider is at work, and at the operator's expense: they are the client's to repeat.
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
# The provider could not serve the request now. It may a moment later.
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
# It does not take the operator's key: another key or provider may serve, this one will not.
_KEY_REJECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
_UNHEALTHY = _BUSY | _KEY_REJECTED
# No `Retry-After` keeps a target out for longer.
MAX_AVOIDED_S = 600.0

ResultT = TypeVar("ResultT")


class Attempts:
    """Asks one target after another, as if they were one provider. For one request."""

    def __init__(
        self,
        targets: Sequence[Target],
        retries: RetryConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin with none made.

        Args:
            targets: one at least.
            retries: how many attempts, and how long to wait between two at one target.
            clock: seconds that do not go back.
            sleep: waits so many of them.
        """
        self._targets = order_targets(targets, clock())
        self._retries = retries
        self._clock = clock
        self._sleep = sleep
        self._failed: list[FailedAttempt] = []
        # Those that may be tried again when all have been tried.
        self._again: list[Target] = []
        self._has_served = False
        self.count = 0
        self.target = self._targets[0]

    @property
    def failed(self) -> tuple[FailedAttempt, ...]:
        """The attempts that did not serve, in order."""
        return tuple(self._failed)

    @property
    def served_by(self) -> Target | None:
        """Whose answer the client gets, or has got a part of; None if no attempt was answered."""
        return self.target if self._has_served else None

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        """A whole answer of the first target that gives one.

        Raises:
            ProviderError: of the last attempt.
        """
        answer = await self._try(lambda target: target.provider.complete(request.naming(target.model)))
        self.target.breaker.record_success()
        return answer

    @asynccontextmanager
    async def stream(self, request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        """A streamed answer of the first target that begins one; there is no way back from it.

        Raises:
            ProviderError: as `complete`, on entering.
        """
        async with AsyncExitStack() as stack:
            chunks = await self._try(
                lambda target: stack.enter_async_context(target.provider.stream(request.naming(target.model)))
            )
            try:
                yield chunks
            except ProviderError:
                self.target.breaker.record_failure(self._clock())
                raise
            self.target.breaker.record_success()

    async def _try(self, ask: Callable[[Target], Awaitable[ResultT]]) -> ResultT:
        began_s = self._clock()
        while True:
            self.count += 1
            asked_s = self._clock()
            try:
                result = await ask(self.target)
            except ProviderError as error:
                self._note(error, asked_s)
                wait_s = self._choose_next(error)
                if wait_s is None or self._clock() + wait_s - began_s > self._retries.within_s:
                    raise
            else:
                self._has_served = True
                return result
            if wait_s:
                await self._sleep(wait_s)

    def _note(self, error: ProviderError, asked_s: float) -> None:
        now_s = self._clock()
        self._failed.append(
            FailedAttempt(
                target=self.target.name,
                provider=self.target.connection.provider_name,
                latency_ms=int((now_s - asked_s) * 1000),
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
            # It is well; it does not like this request.
            breaker.record_success()
        if error.retry_after_s is not None:
            breaker.open_until(now_s + min(error.retry_after_s, MAX_AVOIDED_S))

    def _choose_next(self, error: ProviderError) -> float | None:
        """Set the target of the next attempt and tell how long to wait for it; None if there is to be none."""
        is_unsent = not error.sent and error.upstream_status is None
        if self.count >= self._retries.attempts or not (is_unsent or error.upstream_status in _UNHEALTHY):
            return None
        if error.upstream_status not in _KEY_REJECTED:
            self._again.append(self.target)
        if self.count < len(self._targets):
            self.target = self._targets[self.count]
            return 0.0
        if not self._again:
            return None
        now_s = self._clock()
        self.target = min(self._again, key=lambda target: target.breaker.remaining_open_s(now_s))
        self._again.remove(self.target)
        return self._pause_s(error, now_s)

    def _pause_s(self, error: ProviderError, now_s: float) -> float | None:
        """Somewhere up to a bound that doubles; None if the provider asks for longer than a client should wait."""
        asked_s = self.target.breaker.remaining_open_s(now_s) if error.retry_after_s is not None else 0.0
        if asked_s > self._retries.longest_delay_s:
            return None
        repeats = self.count - len(self._targets)
        bound_s = min(self._retries.longest_delay_s, self._retries.first_delay_s * 2**repeats)
        pause_s: float = asked_s + bound_s * random.uniform(0.5, 1)  # noqa: S311 - no secret
        return pause_s
