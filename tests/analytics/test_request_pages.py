"""Pages of requests hold what a recount of the events says, whatever is asked and however many statements fill them."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from analytics.conftest import Analytics
from analytics.traffic import Sent, traffic
from tollgate_common.events import RequestClosed

pytestmark = pytest.mark.engines


async def pages(analytics: Analytics, headers: dict[str, str], parameters: dict[str, Any]) -> list[str]:
    told: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await analytics.http.get("/v1/requests", params=parameters | cursor, headers=headers)
        page = answer.json()
        assert answer.status_code == 200, page
        assert len(page["data"]) <= parameters["limit"]
        told += [request["id"] for request in page["data"]]
        if page["next_cursor"] is None:
            return told
        cursor = {"cursor": page["next_cursor"]}


def recount(sent: list[Sent], asked: dict[str, Any]) -> list[str]:
    closed = [event for _, event in sent if isinstance(event, RequestClosed) and event.request.account_id == "acc-a"]
    wanted = [
        event
        for event in closed
        if ("start" not in asked or event.at >= datetime.fromisoformat(asked["start"]))
        and ("end" not in asked or event.at < datetime.fromisoformat(asked["end"]))
        and ("status_class" not in asked or f"{event.status // 100}xx" in asked["status_class"])
        and ("status" not in asked or str(event.status) in asked["status"])
        and ("outcome" not in asked or event.outcome in asked["outcome"])
        and ("model" not in asked or event.request.model in asked["model"])
    ]
    wanted.sort(key=lambda event: (event.at, event.request.request_id), reverse=True)
    return [event.request.request_id for event in wanted]


async def test_pages_agree_with_a_recount(analytics: Analytics) -> None:
    sent = traffic(seed=93, requests=120, accounts=["acc-a", "acc-d"], days=120)
    await analytics.send(sent)
    await analytics.until_rows(len(sent))
    _, headers = await analytics.add_key("acc-a", "acc-a-key-0", "laptop")
    closed = [event for _, event in sent if isinstance(event, RequestClosed)]
    chance = random.Random(93)
    values = {
        "status_class": sorted({f"{event.status // 100}xx" for event in closed}),
        "status": sorted({str(event.status) for event in closed}),
        "outcome": sorted({event.outcome.value for event in closed}),
        "model": sorted({event.request.model for event in closed}),
    }
    assert {"2xx", "4xx"} <= {*values["status_class"]}
    told = 0
    for _ in range(60):
        asked: dict[str, Any] = {"limit": chance.choice((4, 15, 100))}
        for name in chance.sample([*values], chance.choice((0, 0, 1, 1, 2))):
            asked[name] = chance.sample(values[name], chance.randint(1, min(2, len(values[name]))))
        # Ranges that begin and end where a request did: one end is in, the other is not.
        first, last = sorted(chance.choice(closed).at for _ in range(2))
        asked |= {"start": first.isoformat()} if chance.random() < 0.5 else {}
        if chance.random() < 0.5:
            asked["end"] = max(last, first + timedelta(milliseconds=1)).isoformat()
        found = await pages(analytics, headers, asked)
        assert found == recount(sent, asked), asked
        told += len(found)
    assert told > 200
