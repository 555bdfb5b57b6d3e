"""What a key may do: the decisions of the rate_limiter, on a clock of the test's own."""

from collections.abc import Callable
from typing import Any

import pytest

from tollgate_common.events import KeyLimits, KeyRecord
from tollgate_edge.http.errors import ApiError
from tollgate_edge.http.request_context import RequestContext
from tollgate_edge.rate_limits.client_address import parse_networks
from tollgate_edge.rate_limits.limiter import Permit, RateLimiter

MAX_BODY_BYTES = 1000


class Clock:
    def __init__(self) -> None:
        self.now_s = 50_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rate_limiter(clock: Clock) -> RateLimiter:
    return gate_of(clock)


def gate_of(clock: Clock, *, edges: Callable[[], int] = lambda: 1, **options: Any) -> RateLimiter:
    return RateLimiter(max_body_bytes=MAX_BODY_BYTES, edges=edges, clock=clock, **options)


def context(peer: str = "203.0.113.7", *forwarded: str) -> RequestContext:
    async def unused(*_: Any) -> Any:
        raise AssertionError

    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    client = (peer, 5000) if peer else None
    return RequestContext({"path": "/v1/models", "headers": headers, "client": client}, unused, unused)


def key(*, allowed_ips: tuple[str, ...] | None = None, is_suspended: bool = False, **limits: int) -> KeyRecord:
    return KeyRecord(
        key_id="key-1",
        account_id="account-1",
        name="one",
        plan="standard",
        allowed_ips=allowed_ips,
        suspended=is_suspended,
        limits=KeyLimits(**limits),
    )


def refused(call: Callable[[], object], status: int, code: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    assert (caught.value.status, caught.value.code) == (status, code)
    return caught.value


def shown(permit: Permit) -> dict[str, str]:
    return {name.decode().removeprefix("x-ratelimit-"): value.decode() for name, value in permit.headers()}


def test_key_without_limits_has_no_headers(rate_limiter: RateLimiter) -> None:
    permit = rate_limiter.admit(key(), context())
    permit.reserve_tokens(10**9)
    permit.settle_tokens(10**9)
    permit.release()
    assert permit.max_body_bytes == MAX_BODY_BYTES
    assert shown(permit) == {}


def test_requests_per_minute(rate_limiter: RateLimiter, clock: Clock) -> None:
    limited = key(requests_per_minute=3)
    tickets = [rate_limiter.admit(limited, context()) for _ in range(3)]
    assert shown(tickets[-1]) == {"limit-requests": "3", "remaining-requests": "0", "reset-requests": "1m0s"}
    error = refused(lambda: rate_limiter.admit(limited, context()), 429, "rate_limit_exceeded")
    assert (b"retry-after", b"20") in error.headers
    clock.now_s += 20
    rate_limiter.admit(limited, context())


def test_rejection_has_limit_headers(rate_limiter: RateLimiter) -> None:
    limited = key(requests_per_minute=1)
    rate_limiter.admit(limited, context())
    second = context()
    refused(lambda: rate_limiter.admit(limited, second), 429, "rate_limit_exceeded")
    assert (b"x-ratelimit-remaining-requests", b"0") in second.extra_headers()


def test_token_estimate_is_settled_by_usage(rate_limiter: RateLimiter, clock: Clock) -> None:
    limited = key(tokens_per_minute=600)
    first = rate_limiter.admit(limited, context())
    first.reserve_tokens(500)
    assert shown(first) == {"limit-tokens": "600", "remaining-tokens": "100", "reset-tokens": "50s"}
    second = rate_limiter.admit(limited, context())
    refused(lambda: second.reserve_tokens(200), 429, "rate_limit_exceeded")
    first.settle_tokens(200)
    second.reserve_tokens(200)
    # More than it asked for: the next one waits for it.
    second.settle_tokens(1000)
    assert shown(second)["remaining-tokens"] == "0"
    clock.now_s += 60
    third = rate_limiter.admit(limited, context())
    refused(lambda: third.reserve_tokens(1), 429, "rate_limit_exceeded")
    clock.now_s += 1
    third.reserve_tokens(1)


def test_oversized_request_needs_full_bucket(rate_limiter: RateLimiter, clock: Clock) -> None:
    limited = key(tokens_per_minute=600)
    rate_limiter.admit(limited, context()).reserve_tokens(1_000_000)
    late = rate_limiter.admit(limited, context())
    refused(lambda: late.reserve_tokens(1_000_000), 429, "rate_limit_exceeded")
    clock.now_s += 60
    late.reserve_tokens(1_000_000)


def test_requests_in_flight(rate_limiter: RateLimiter) -> None:
    limited = key(max_in_flight=2)
    first, _second = rate_limiter.admit(limited, context()), rate_limiter.admit(limited, context())
    error = refused(lambda: rate_limiter.admit(limited, context()), 429, "rate_limit_exceeded")
    assert (b"retry-after", b"1") in error.headers
    first.release()
    first.release()
    rate_limiter.admit(limited, context())
    refused(lambda: rate_limiter.admit(limited, context()), 429, "rate_limit_exceeded")


def test_rejected_request_is_not_in_flight(rate_limiter: RateLimiter, clock: Clock) -> None:
    limited = key(requests_per_minute=1, max_in_flight=1)
    rate_limiter.admit(limited, context()).release()
    for _ in range(3):
        refused(lambda: rate_limiter.admit(limited, context()), 429, "rate_limit_exceeded")
    clock.now_s += 60
    rate_limiter.admit(limited, context())


def test_edges_share_a_limit(clock: Clock) -> None:
    edges = [gate_of(clock, edges=lambda: 3) for _ in range(3)]
    limited = key(requests_per_minute=30)
    for rate_limiter in edges:
        for _ in range(10):
            rate_limiter.admit(limited, context())
        refused(lambda rate_limiter=rate_limiter: rate_limiter.admit(limited, context()), 429, "rate_limit_exceeded")  # type: ignore[misc]


def test_new_edge_takes_share_at_once(clock: Clock) -> None:
    count = 1
    rate_limiter = gate_of(clock, edges=lambda: count)
    limited = key(requests_per_minute=60)
    for _ in range(30):
        rate_limiter.admit(limited, context())
    count = 2
    # Half of its share is left, as half of the whole was.
    assert shown(rate_limiter.admit(limited, context()))["remaining-requests"] == "14"


def test_smaller_body_limit_of_key_applies(rate_limiter: RateLimiter) -> None:
    assert rate_limiter.admit(key(max_body_bytes=10), context()).max_body_bytes == 10
    assert rate_limiter.admit(key(max_body_bytes=10**9), context()).max_body_bytes == MAX_BODY_BYTES


def test_deployment_limits_apply_to_keys_without_own(clock: Clock) -> None:
    rate_limiter = gate_of(clock, defaults=KeyLimits(requests_per_minute=1))
    assert shown(rate_limiter.admit(key(requests_per_minute=100), context()))["limit-requests"] == "100"
    clock.now_s += 60
    assert shown(rate_limiter.admit(key(tokens_per_minute=9), context())) == {
        "limit-requests": "1",
        "remaining-requests": "0",
        "reset-requests": "1m0s",
        "limit-tokens": "9",
        "remaining-tokens": "9",
        "reset-tokens": "0ms",
    }
    refused(lambda: rate_limiter.admit(key(), context()), 429, "rate_limit_exceeded")


def test_suspended_key_is_rejected(rate_limiter: RateLimiter) -> None:
    refused(lambda: rate_limiter.admit(key(is_suspended=True), context()), 403, "account_suspended")


OFFICE = ("203.0.113.0/24", "2001:db8::/32")
PROXIES = parse_networks(("10.0.0.0/8",))


@pytest.mark.parametrize(
    ("peer", "forwarded", "is_allowed"),
    [
        ("203.0.113.7", (), True),
        ("2001:db8::7", (), True),
        ("::ffff:203.0.113.7", (), True),
        ("198.51.100.1", (), False),
        ("", (), False),
        # Written by somebody who is not trusted.
        ("198.51.100.1", ("203.0.113.7",), False),
        ("10.0.0.1", ("203.0.113.7",), True),
        ("10.0.0.1", ("198.51.100.1",), False),
        # The client wrote the first; the proxies added the others.
        ("10.0.0.1", ("203.0.113.7, 198.51.100.1, 10.9.9.9",), False),
        ("10.0.0.1", ("203.0.113.7", "198.51.100.1", "10.9.9.9"), False),
        ("10.0.0.1", ("198.51.100.1, 203.0.113.7",), True),
        ("10.0.0.1", ("nonsense",), False),
        ("10.0.0.1", (), False),
    ],
)
def test_allowed_addresses(clock: Clock, peer: str, forwarded: tuple[str, ...], is_allowed: bool) -> None:
    rate_limiter = gate_of(clock, trusted_proxies=PROXIES)
    restricted = key(allowed_ips=OFFICE)
    if is_allowed:
        rate_limiter.admit(restricted, context(peer, *forwarded))
    else:
        refused(lambda: rate_limiter.admit(restricted, context(peer, *forwarded)), 403, "ip_not_allowed")
