"""Retries, fallback and circuit breakers, with providers that do as they are told and no real time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_edge.http.errors import ProviderError, ProviderFailed, ProviderRefused
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.routing.circuit_breaker import CircuitBreaker
from tollgate_edge.routing.config import RetryConfig
from tollgate_edge.routing.retries import Attempts
from tollgate_edge.routing.routes import Connection, Target, order_targets

REQUEST = ProviderRequest(Operation.CHAT, "gpt-4o", b'{"model":"gpt-4o"}')
UNSENT = ProviderFailed(502, "unreachable", sent=False)
TIMED_OUT = ProviderFailed(504, "silent", code="provider_timeout")


def refused(status: int, retry_after_s: float | None = None) -> ProviderRefused:
    return ProviderRefused(
        status, "no", error_type="server_error", param=None, code="busy", retry_after_s=retry_after_s
    )


def operator_error(status: int) -> ProviderFailed:
    return ProviderFailed(502, "not ours", upstream_status=status)


class Chunks:
    usage = None
    content_type = "text/event-stream"

    async def read(self) -> bytes | None:
        return None

    async def read_to_end(self) -> None:
        pass


class ScriptedProvider:
    """Does one after the other; at the end of its script it serves."""

    operations = frozenset({Operation.CHAT})

    def __init__(self, name: str, *script: ProviderError) -> None:
        self.name = name
        self.script = list(script)
        self.asked: list[str] = []

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        self.asked.append(request.model)
        if self.script:
            raise self.script.pop(0)
        return ProviderResponse(self.name.encode(), "application/json")

    @asynccontextmanager
    async def stream(self, request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        await self.complete(request)
        yield Chunks()

    async def aclose(self) -> None:
        pass


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def target(provider: ScriptedProvider, *, priority: int = 0, weight: float = 1, failures: int = 5) -> Target:
    name = f"{provider.name}/gpt-4o"
    return Target(
        Connection(provider.name, 1, provider), "gpt-4o", weight, priority, CircuitBreaker(failures, 10), name
    )


def attempts(targets: Sequence[Target], time: Time | None = None, *, most: int = 3) -> Attempts:
    time = time or Time()
    return Attempts(targets, RetryConfig(attempts=most), clock=time.clock, sleep=time.sleep)


async def test_fallback_to_next_target() -> None:
    first, second = ScriptedProvider("first", refused(503)), ScriptedProvider("second")
    time = Time()
    made = attempts([target(first), target(second, priority=1)], time)
    assert (await made.complete(REQUEST)).body == b"second"
    assert (made.count, made.target.name) == (2, "second/gpt-4o")
    (failed,) = made.failed
    assert (failed.target, failed.provider, failed.status, failed.error_code) == (
        "first/gpt-4o",
        "first",
        503,
        "busy",
    )
    assert time.slept == []


@pytest.mark.parametrize("error", [UNSENT, refused(429), refused(500), refused(529)])
async def test_single_target_is_retried_after_delay(error: ProviderError) -> None:
    provider, time = ScriptedProvider("only", error, error), Time()
    made = attempts([target(provider)], time)
    await made.complete(REQUEST)
    assert (made.count, len(made.failed)) == (3, 2)
    first, second = time.slept
    assert 0.1 <= first <= 0.2
    assert 0.2 <= second <= 0.4


@pytest.mark.parametrize(
    "error",
    [
        TIMED_OUT,
        refused(400),
        refused(404),
        ProviderFailed(502, "broke off"),
        ProviderFailed(502, "garbage", upstream_status=200),
    ],
)
async def test_unsafe_or_useless_retry_is_not_made(error: ProviderError) -> None:
    first, second = ScriptedProvider("first", error), ScriptedProvider("second")
    made = attempts([target(first), target(second, priority=1)])
    with pytest.raises(ProviderError) as caught:
        await made.complete(REQUEST)
    assert caught.value is error
    assert second.asked == []
    assert (made.count, len(made.failed)) == (1, 1)


async def test_attempts_are_bounded_and_last_error_is_raised() -> None:
    errors = [refused(500), refused(502), refused(503)]
    providers = [ScriptedProvider(str(number), error) for number, error in enumerate(errors)]
    made = attempts([target(provider, priority=number) for number, provider in enumerate(providers)], most=2)
    with pytest.raises(ProviderRefused) as caught:
        await made.complete(REQUEST)
    assert caught.value is errors[1]
    assert [failed.status for failed in made.failed] == [500, 502]
    assert providers[2].asked == []


async def test_target_that_rejects_key_is_not_retried() -> None:
    provider = ScriptedProvider("only", operator_error(401))
    made = attempts([target(provider)])
    with pytest.raises(ProviderFailed):
        await made.complete(REQUEST)
    assert len(provider.asked) == 1
    other = ScriptedProvider("other")
    made = attempts([target(ScriptedProvider("only", operator_error(401))), target(other, priority=1)])
    assert (await made.complete(REQUEST)).body == b"other"


async def test_long_retry_after_ends_attempts() -> None:
    provider, time = ScriptedProvider("only", refused(429, retry_after_s=20)), Time()
    made = attempts([target(provider)], time)
    with pytest.raises(ProviderRefused):
        await made.complete(REQUEST)
    assert time.slept == []


async def test_short_retry_after_is_honored() -> None:
    provider, time = ScriptedProvider("only", refused(429, retry_after_s=1)), Time()
    await attempts([target(provider)], time).complete(REQUEST)
    assert 1.1 <= time.slept[0] <= 1.2


def should_retry(error: ProviderError) -> bytes | None:
    return dict(error.headers).get(b"x-should-retry")


@pytest.mark.parametrize("status", [429, 500, 503, 524, 529])
async def test_sdk_does_not_repeat_attempts_of_the_edge(status: int) -> None:
    provider = ScriptedProvider("only", *(refused(status) for _ in range(3)))
    with pytest.raises(ProviderRefused) as caught:
        await attempts([target(provider)]).complete(REQUEST)
    assert len(provider.asked) == 3
    assert should_retry(caught.value) == b"false"


@pytest.mark.parametrize(
    "error",
    [
        refused(429, retry_after_s=20),
        refused(400),
        refused(409),
        ProviderFailed(504, "silent", code="provider_timeout"),
        ProviderFailed(502, "broke off"),
    ],
)
async def test_sdk_decides_on_errors_that_the_edge_has_not_retried(error: ProviderError) -> None:
    with pytest.raises(ProviderError) as caught:
        await attempts([target(ScriptedProvider("only", error))]).complete(REQUEST)
    assert should_retry(caught.value) is None


async def test_sdk_waits_as_long_as_the_provider_asks() -> None:
    errors = [refused(429, retry_after_s=1) for _ in range(3)]
    with pytest.raises(ProviderRefused) as caught:
        await attempts([target(ScriptedProvider("only", *errors))]).complete(REQUEST)
    assert should_retry(caught.value) is None


async def test_sdk_decides_if_the_edge_makes_one_attempt() -> None:
    with pytest.raises(ProviderRefused) as caught:
        await attempts([target(ScriptedProvider("only", refused(503)))], most=1).complete(REQUEST)
    assert should_retry(caught.value) is None


async def test_sdk_does_not_repeat_what_the_operators_key_may_not_do() -> None:
    with pytest.raises(ProviderFailed) as caught:
        await attempts([target(ScriptedProvider("only", operator_error(401)))]).complete(REQUEST)
    assert should_retry(caught.value) == b"false"


async def test_request_uses_target_model_name() -> None:
    provider = ScriptedProvider("other")
    renamed = Target(Connection("other", 1, provider), "gpt-4o-2024", 1, 0, CircuitBreaker(5, 10), "other/gpt-4o-2024")
    await attempts([renamed]).complete(REQUEST)
    assert provider.asked == ["gpt-4o-2024"]


async def test_stream_fallback_only_before_start() -> None:
    first, second = ScriptedProvider("first", refused(503)), ScriptedProvider("second")
    made = attempts([target(first), target(second, priority=1)])
    async with made.stream(REQUEST) as chunks:
        assert await chunks.read() is None
    assert made.target.name == "second/gpt-4o"
    made = attempts([target(second), target(first, priority=1)])
    broken = ProviderFailed(502, "broke off")
    with pytest.raises(ProviderFailed):
        async with made.stream(REQUEST):
            raise broken
    assert (made.count, made.failed) == (1, ())
    assert len(first.asked) == 1


class SlowProvider(ScriptedProvider):
    """Its headers take a while. It counts the streams that were closed."""

    closed = 0

    @asynccontextmanager
    async def stream(self, request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        self.asked.append(request.model)
        await asyncio.sleep(0.05)
        try:
            yield Chunks()
        finally:
            self.closed += 1


class FailingChunks(Chunks):
    async def read(self) -> bytes | None:
        raise refused(503)


class LateFailure(ScriptedProvider):
    @asynccontextmanager
    async def stream(self, request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        self.asked.append(request.model)
        yield FailingChunks()


async def test_client_that_leaves_during_a_fallback_stops_the_provider() -> None:
    slow = SlowProvider("slow")
    made = attempts([target(LateFailure("late")), target(slow, priority=1)])

    async def read_first() -> None:
        async with made.stream(REQUEST) as chunks:
            await chunks.read()

    reading = asyncio.create_task(read_first())
    async with asyncio.timeout(1):
        while not slow.asked:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert (slow.closed, made.count) == (1, 2)


async def test_last_late_failure_is_recorded_once() -> None:
    only = target(LateFailure("late"), failures=4)
    made = attempts([only])
    with pytest.raises(ProviderRefused):
        async with made.stream(REQUEST) as chunks:
            await chunks.read()
    assert (made.count, len(made.failed), made.served_by) == (3, 3, None)
    assert only.breaker.remaining_open_s(0) == 0


async def test_breaker_opens_after_failures_and_closes() -> None:
    ill, well, time = ScriptedProvider("ill", *[refused(500)] * 5), ScriptedProvider("well"), Time()
    targets = [target(ill, failures=3), target(well, priority=1, failures=3)]
    for _ in range(6):
        await attempts(targets, time).complete(REQUEST)
    assert len(ill.asked) == 3
    time.now_s += 12.1
    # One more failure is enough now.
    for _ in range(3):
        await attempts(targets, time).complete(REQUEST)
    assert len(ill.asked) == 4
    time.now_s += 12.1
    ill.script.clear()
    for _ in range(3):
        assert (await attempts(targets, time).complete(REQUEST)).body == b"ill"


async def test_retry_after_opens_breaker() -> None:
    storm, calm, time = ScriptedProvider("storm", refused(429, retry_after_s=50)), ScriptedProvider("calm"), Time()
    targets = [target(storm), target(calm, priority=1)]
    await attempts(targets, time).complete(REQUEST)
    time.now_s += 49
    await attempts(targets, time).complete(REQUEST)
    assert len(storm.asked) == 1
    time.now_s += 2
    assert (await attempts(targets, time).complete(REQUEST)).body == b"storm"


async def test_client_errors_do_not_open_breaker() -> None:
    provider, time = ScriptedProvider("only", *[refused(400)] * 9), Time()
    only = target(provider, failures=1)
    for _ in range(9):
        with pytest.raises(ProviderRefused):
            await attempts([only], time).complete(REQUEST)
    assert only.breaker.remaining_open_s(time.now_s) == 0


async def test_request_is_sent_if_all_breakers_are_open() -> None:
    provider, time = ScriptedProvider("only", *[TIMED_OUT] * 3), Time()
    only = target(provider, failures=1)
    for _ in range(3):
        with pytest.raises(ProviderFailed):
            await attempts([only], time).complete(REQUEST)
    assert (await attempts([only], time).complete(REQUEST)).body == b"only"
    assert only.breaker.remaining_open_s(time.now_s) == 0


@untimed
@given(priorities=st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_priority_precedes_weight(priorities: list[int]) -> None:
    targets = [target(ScriptedProvider(str(n)), priority=p, weight=n + 1) for n, p in enumerate(priorities)]
    ordered = order_targets(targets, 0.0)
    assert sorted(map(id, ordered)) == sorted(map(id, targets))
    assert [one.priority for one in ordered] == sorted(priorities)


def test_equal_priority_shares_by_weight() -> None:
    targets = [target(ScriptedProvider("heavy"), weight=3), target(ScriptedProvider("light"), weight=1)]
    first = Counter(order_targets(targets, 0.0)[0].connection.name for _ in range(20_000))
    # Six standard deviations to either side.
    assert 14_630 < first["heavy"] < 15_370
