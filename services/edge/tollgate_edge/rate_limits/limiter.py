"""The limits of each API key, enforced in memory: docs/limits.md.

A limit applies to all edges together. Each of the `edges` enforces an equal share, so that no request needs a remote
call. docs/limits.md describes what this costs in accuracy.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Self

from tollgate_common.events import KeyLimits, KeyRecord
from tollgate_edge.http.errors import Header
from tollgate_edge.http.request_context import RequestContext, Scope
from tollgate_edge.rate_limits.client_address import Network, client_address, is_within, parse_networks
from tollgate_edge.rate_limits.errors import (
    account_suspended,
    address_not_allowed,
    rate_limited,
    too_many_in_flight,
)
from tollgate_edge.rate_limits.gcra import Bucket

# The number of keys whose buckets are kept, most recently used first. A bucket refills within a minute, so dropping
# an older one normally changes nothing.
MAX_KEYS = 100_000


class _KeyUsage:
    """The buckets and requests in flight of one key."""

    __slots__ = ("in_flight", "requests", "tokens")

    def __init__(self) -> None:
        self.requests = Bucket()
        self.tokens = Bucket()
        self.in_flight = 0


class Permit:
    """The admission of one request. For a key without limits it has no effect."""

    __slots__ = ("_is_released", "_limits", "_rate_limiter", "_taken_tokens", "_usage", "max_body_bytes")

    def __init__(
        self, rate_limiter: "RateLimiter", limits: KeyLimits, usage: _KeyUsage | None, max_body_bytes: int
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self._rate_limiter = rate_limiter
        self._limits = limits
        self._usage = usage
        self._taken_tokens = 0
        self._is_released = False

    def reserve_tokens(self, estimate: int) -> None:
        """Take the tokens that the request is expected to use.

        Raises:
            ApiError: 429.
        """
        limit = self._limits.tokens_per_minute
        if self._usage is None or limit is None:
            return
        share, now_s = self._rate_limiter.share(limit), self._rate_limiter.clock()
        # A request larger than the bucket needs a full bucket.
        estimate = min(estimate, int(max(1.0, share)))
        wait_s = self._usage.tokens.take(estimate, share, now_s)
        if wait_s:
            raise rate_limited("tokens", limit, wait_s)
        self._taken_tokens = estimate

    def settle_tokens(self, used: int) -> None:
        """Replace the estimate by the actual usage. The difference may leave a debt that delays later requests."""
        limit = self._limits.tokens_per_minute
        if self._usage is not None and limit is not None:
            self._usage.tokens.correct(used - self._taken_tokens, self._rate_limiter.share(limit))
            self._taken_tokens = used

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Release the permit at the end of the request. Later calls have no effect."""
        if self._usage is not None and not self._is_released:
            self._is_released = True
            self._usage.in_flight -= 1

    def headers(self) -> Sequence[Header]:
        """Return OpenAI's `x-ratelimit-*` headers. The remaining units are those of this edge."""
        usage = self._usage
        if usage is None:
            return ()
        now_s = self._rate_limiter.clock()
        headers: list[Header] = []
        for name, limit, bucket in (
            (b"requests", self._limits.requests_per_minute, usage.requests),
            (b"tokens", self._limits.tokens_per_minute, usage.tokens),
        ):
            if limit is not None:
                remaining = bucket.remaining(self._rate_limiter.share(limit), now_s)
                headers += [
                    (b"x-ratelimit-limit-" + name, b"%d" % limit),
                    (b"x-ratelimit-remaining-" + name, b"%d" % min(remaining, limit)),
                    (b"x-ratelimit-reset-" + name, format_duration(bucket.reset_s(now_s))),
                ]
        return headers


class RateLimiter:
    def __init__(
        self,
        *,
        max_body_bytes: int,
        defaults: KeyLimits = KeyLimits(),  # noqa: B008 - it is frozen
        trusted_proxies: tuple[Network, ...] = (),
        edges: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the rate limiter.

        Args:
            max_body_bytes: upper bound for every key.
            defaults: the deployment's limits, for limits that a key does not set.
            trusted_proxies: networks whose X-Forwarded-For is trusted.
            edges: returns the number of processes that share the limits.
            clock: a monotonic clock in seconds.
        """
        self.clock = clock
        self._max_body_bytes = max_body_bytes
        self._defaults = defaults
        self._trusted_proxies = trusted_proxies
        self._edges = edges
        self._usage_by_key: OrderedDict[str, _KeyUsage] = OrderedDict()
        self._effective: dict[KeyLimits, KeyLimits] = {}

    def share(self, limit: int) -> float:
        """Return this edge's share of a limit."""
        return limit / max(1, self._edges())

    def check(self, key: KeyRecord, scope: Scope) -> None:
        """Check that the key is not suspended and may be used from the client's address.

        Raises:
            ApiError: 403.
        """
        if key.suspended:
            raise account_suspended()
        if key.allowed_ips is not None:
            address = client_address(scope, self._trusted_proxies)
            if not is_within(address, parse_networks(key.allowed_ips)):
                raise address_not_allowed(address)

    def admit(self, key: KeyRecord, context: RequestContext) -> Permit:
        """Admit a request. The caller must release the permit.

        Raises:
            ApiError: 403 or 429.
        """
        self.check(key, context.scope)
        limits = self._limits_of(key)
        body_bytes = min(self._max_body_bytes, limits.max_body_bytes or self._max_body_bytes)
        if limits.requests_per_minute is None and limits.tokens_per_minute is None and limits.max_in_flight is None:
            return Permit(self, limits, None, body_bytes)
        usage = self._key_usage(key.key_id)
        permit = Permit(self, limits, usage, body_bytes)
        # A rejection also carries the headers.
        context.extra_headers = permit.headers
        self._take_slot(usage, limits)
        return permit

    def _take_slot(self, usage: _KeyUsage, limits: KeyLimits) -> None:
        max_in_flight = limits.max_in_flight
        if max_in_flight is not None and usage.in_flight >= max(1, int(self.share(max_in_flight))):
            raise too_many_in_flight(max_in_flight)
        limit = limits.requests_per_minute
        if limit is not None:
            wait_s = usage.requests.take(1, self.share(limit), self.clock())
            if wait_s:
                raise rate_limited("requests", limit, wait_s)
        usage.in_flight += 1

    def _limits_of(self, key: KeyRecord) -> KeyLimits:
        limits = self._effective.get(key.limits)
        if limits is None:
            if len(self._effective) >= MAX_KEYS:
                self._effective.clear()
            own, default = key.limits, self._defaults
            limits = self._effective[own] = KeyLimits(
                requests_per_minute=_or(own.requests_per_minute, default.requests_per_minute),
                tokens_per_minute=_or(own.tokens_per_minute, default.tokens_per_minute),
                max_in_flight=_or(own.max_in_flight, default.max_in_flight),
                max_body_bytes=_or(own.max_body_bytes, default.max_body_bytes),
            )
        return limits

    def _key_usage(self, key_id: str) -> _KeyUsage:
        usage = self._usage_by_key.get(key_id)
        if usage is None:
            usage = self._usage_by_key[key_id] = _KeyUsage()
            self._drop_oldest()
        else:
            self._usage_by_key.move_to_end(key_id)
        return usage

    def _drop_oldest(self) -> None:
        if len(self._usage_by_key) > MAX_KEYS:
            key_id, oldest = self._usage_by_key.popitem(last=False)
            if oldest.in_flight:
                self._usage_by_key[key_id] = oldest


def _or(own: int | None, default: int | None) -> int | None:
    return default if own is None else own


def format_duration(seconds: float) -> bytes:
    """Format a duration as OpenAI does, in Go's notation: `12ms`, `1s`, `6m0s`, `1.5s`."""
    ms = math.ceil(seconds * 1000)
    if ms < 1000:  # noqa: PLR2004 - milliseconds in a second
        return b"%dms" % ms
    minutes, ms = divmod(ms, 60_000)
    rest = f"{ms / 1000:.3f}".rstrip("0").rstrip(".")
    return (f"{minutes}m{rest}s" if minutes else f"{rest}s").encode()
