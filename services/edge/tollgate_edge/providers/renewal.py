"""A credential that expires, such as an access token, and is renewed before it does.

Concurrent requests share one renewal. While the credential is still valid, requests use it and the renewal runs beside
them. A failed renewal is repeated at most once per `_RETRY_S`, until the credential has expired: then each request
waits for a renewal, and fails with it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Generic, NamedTuple, TypeVar

from tollgate_edge.http.errors import ProviderFailed

log = logging.getLogger(__name__)

_RETRY_S = 10.0

ValueT = TypeVar("ValueT")


class Issued(NamedTuple, Generic[ValueT]):
    """A credential that is valid for `lifetime_s` from now."""

    value: ValueT
    lifetime_s: float


class RenewedCredential(Generic[ValueT]):
    def __init__(
        self,
        name: str,
        issue: Callable[[], Awaitable[Issued[ValueT]]],
        *,
        margin_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the credential. It is issued when the first request needs it.

        Args:
            name: names the credential in logs and errors; never a secret.
            issue: obtains a new one. Its exceptions never contain a secret.
            margin_s: how long before the expiry it is renewed, at most half of its lifetime.
            clock: a monotonic clock in seconds.
        """
        self._name = name
        self._issue = issue
        self._margin_s = margin_s
        self._clock = clock
        self._value: ValueT | None = None
        self._renew_at_s = self._expires_at_s = 0.0
        self._renewal: asyncio.Task[ValueT] | None = None

    async def get(self) -> ValueT:
        """Return the credential; obtain it first if there is no valid one.

        Raises:
            ProviderFailed: it cannot be obtained. Nothing was sent to the provider, so another attempt is safe.
        """
        now_s = self._clock()
        if self._value is not None and now_s < self._expires_at_s:
            if now_s >= self._renew_at_s and self._renewal is None:
                self._renew_at_s = now_s + _RETRY_S
                self._start()
            return self._value
        # A request that is canceled must not cancel the renewal that others wait for.
        return await asyncio.shield(self._renewal or self._start())

    async def aclose(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()

    def _start(self) -> "asyncio.Task[ValueT]":
        self._renewal = asyncio.create_task(self._renew())
        self._renewal.add_done_callback(self._finish)
        return self._renewal

    def _finish(self, renewal: "asyncio.Task[ValueT]") -> None:
        self._renewal = None
        if not renewal.cancelled():
            # Mark the exception as seen: nobody may have waited for it.
            renewal.exception()

    async def _renew(self) -> ValueT:
        started_s = self._clock()
        try:
            issued = await self._issue()
        except Exception as error:
            # Any failure of a credential library has the same effect on the request.
            log.warning("cannot obtain %s: %s", self._name, error)
            raise ProviderFailed(
                HTTPStatus.BAD_GATEWAY, "This gateway could not obtain credentials for the provider.", sent=False
            ) from error
        self._value = issued.value
        self._expires_at_s = started_s + issued.lifetime_s
        self._renew_at_s = self._expires_at_s - min(self._margin_s, issued.lifetime_s / 2)
        return issued.value
