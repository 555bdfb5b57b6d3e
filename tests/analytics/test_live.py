"""The live stream on the real log: nothing missed, nothing doubled, resumed where it ended, and slow readers told."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from analytics.conftest import Analytics
from analytics.traffic import Sent, traffic
from tollgate_analytics.api.streaming_response import hold_open
from tollgate_analytics.live import tail as live
from tollgate_analytics.live.event_stream import open_stream
from tollgate_analytics.live.position import Position
from tollgate_analytics.live.tail import LiveTail
from tollgate_analytics.query.scopes import Scope
from tollgate_common.errors import Problem
from tollgate_common.events import RequestClosed, TokensUsed

pytestmark = pytest.mark.engines

MINE = Scope("acc-a")


class Frame(NamedTuple):
    id: str
    event: str
    data: Any


async def frames(source: AsyncIterator[bytes], count: int) -> list[Frame]:
    """The next frames that are events."""
    found: list[Frame] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            lines = dict(line.split(": ", 1) for line in (await anext(source)).decode().strip().split("\n"))
            if "event" in lines:
                found.append(Frame(lines["id"], lines["event"], json.loads(lines["data"])))
    return found


def told(sent: list[Sent], account_id: str = "acc-a", key_id: str = "") -> list[tuple[str, str]]:
    kinds = {RequestClosed: "request", TokensUsed: "usage"}
    return sorted(
        (kinds[type(event)], event.request.request_id)
        for _, event in sent
        if isinstance(event, RequestClosed | TokensUsed)
        and event.request.account_id == account_id
        and key_id in ("", event.request.key_id)
    )


def as_told(found: list[Frame]) -> list[tuple[str, str]]:
    return sorted((frame.event, frame.data["id"]) for frame in found)


def check_totals(frame: Frame, sent: list[Sent]) -> None:
    events = [event for _, event in sent if getattr(getattr(event, "request", None), "account_id", "") == "acc-a"]
    assert frame.data["totals"]["requests"] == sum(isinstance(event, RequestClosed) for event in events)
    assert frame.data["totals"]["cost_nano"] == sum(e.amount_nano for e in events if isinstance(e, TokensUsed))
    assert frame.data["totals"]["tokens"] == sum(e.tokens.total for e in events if isinstance(e, TokensUsed))


async def test_an_account_sees_its_own_events_with_running_totals(analytics: Analytics) -> None:
    source = await hold_open(open_stream(analytics.tail, MINE, None))
    (first,) = await frames(source, 1)
    assert (first.event, first.data["requests"]) == ("totals", 0)
    sent = traffic(seed=61, requests=40, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    found = await frames(source, len(told(sent)))
    assert as_told(found) == told(sent)
    check_totals(found[-1], sent)
    await source.aclose()


async def test_who_comes_back_with_an_id_misses_nothing_and_sees_nothing_twice(analytics: Analytics) -> None:
    source = await hold_open(open_stream(analytics.tail, MINE, None))
    (first,) = await frames(source, 1)
    sent = traffic(seed=62, requests=40, accounts=["acc-a", "acc-d"])
    await analytics.send(sent)
    half = len(told(sent)) // 2
    found = await frames(source, half)
    await source.aclose()
    # Another instance, which has seen none of it, and more while nobody listened.
    later = traffic(seed=63, requests=10, accounts=["acc-a"])
    await analytics.send(later)
    other = LiveTail(analytics.brokers, analytics.prefix)
    following = asyncio.create_task(other.run())
    await analytics.until(lambda: _ready(other))
    again = await hold_open(open_stream(other, MINE, Position.parse(found[-1].id)))
    rest = await frames(again, 1 + len(told(sent)) - half + len(told(later)))
    assert rest[0].data == found[-1].data["totals"]
    assert as_told(found + rest[1:]) == sorted(told(sent) + told(later))
    check_totals(rest[-1], sent + later)
    await again.aclose()
    following.cancel()
    assert first.id


async def _ready(tail: LiveTail) -> bool:
    return tail.waiting_for() is None


async def test_a_key_that_may_see_itself_sees_its_own_requests_only(analytics: Analytics) -> None:
    scope = Scope("acc-a", only_key="acc-a-key-1")
    source = await hold_open(open_stream(analytics.tail, scope, None))
    sent = traffic(seed=64, requests=30, accounts=["acc-a"])
    await analytics.send(sent)
    expected = told(sent, key_id="acc-a-key-1")
    assert as_told((await frames(source, 1 + len(expected)))[1:]) == expected
    await source.aclose()


async def test_a_slow_reader_is_dropped_told_and_can_resume(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUE_EVENTS", 5)
    source = await hold_open(open_stream(analytics.tail, MINE, None))
    await frames(source, 1)
    sent = traffic(seed=65, requests=20, accounts=["acc-a"])
    before = analytics.tail.current_position("acc-a")
    await analytics.send(sent)

    async def is_too_much() -> bool:
        now = analytics.tail.current_position("acc-a")
        return now.requests - before.requests + now.usage - before.usage >= len(told(sent))

    await analytics.until(is_too_much)
    found: list[Frame] = []
    while not found or found[-1].event != "dropped":
        found.extend(await frames(source, 1))
    with pytest.raises(StopAsyncIteration):
        await anext(source)
    monkeypatch.setattr(live, "QUEUE_EVENTS", 2_000)
    again = await hold_open(open_stream(analytics.tail, MINE, Position.parse(found[-1].id)))
    missing = len(told(sent)) - (len(found) - 1)
    rest = await frames(again, 1 + missing)
    assert as_told(found[:-1] + rest[1:]) == told(sent)
    await again.aclose()


@pytest.mark.parametrize("text", ["x", "", "W10", Position(-1, 0).text()])
def test_an_id_from_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="Last-Event-ID"):
        Position.parse(text)


async def test_a_position_that_cannot_be_resumed_from_is_refused(analytics: Analytics) -> None:
    for position in (Position(1 << 40, 0), Position(0, 1 << 40)):
        with pytest.raises(Problem, match="too long ago"):
            await hold_open(open_stream(analytics.tail, MINE, position))
    assert not analytics.tail.subscriber_count("acc-a")


async def test_an_account_has_a_bounded_number_of_streams(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_SUBSCRIBERS", 1)
    source = await hold_open(open_stream(analytics.tail, MINE, None))
    with pytest.raises(Problem, match="follow this account already") as refused:
        await hold_open(open_stream(analytics.tail, MINE, None))
    assert refused.value.status == 429
    other = await hold_open(open_stream(analytics.tail, Scope("acc-d"), None))
    for opened in (source, other):
        await frames(opened, 1)
        await opened.aclose()
