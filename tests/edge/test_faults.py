"""What a provider's fault means for client, charge and log: the table in docs/requests.md, a test for each row and each
protocol on either side of the edge.

All requests are made at once, so that the silent ones are waited for together.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import httpx
import pytest

from edge.running import WITHIN_S, RequestEvents, RunningEdge, read_events
from tollgate_common.events import Outcome, StampedEvent

pytestmark = pytest.mark.live

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
# The API that the client speaks, and the model, whose provider speaks another or the same.
PROTOCOLS = {
    "chat": (CHAT, "gpt-4o"),
    "responses": (RESPONSES, "gpt-4o"),
    "chat-anthropic": (CHAT, "claude-sonnet-5-5"),
    "chat-gemini": (CHAT, "gemini-2.5-flash"),
    "messages": (MESSAGES, "claude-sonnet-5-5"),
    "messages-gemini": (MESSAGES, "gemini-2.5-flash"),
}
NOTHING, DELIVERED, COUNTED, STATED = "nothing", "what was delivered", "counted by the edge", "the provider's count"


class Row(NamedTuple):
    """`status` is the client's, 200 with an error event in the stream if the outcome is broken."""

    fault: str
    stream: bool
    status: int
    outcome: Outcome
    pays: str
    code: str = ""


WHOLE, STREAM = False, True
ROWS = [
    Row("error:400", WHOLE, 400, Outcome.REFUSED, NOTHING),
    Row("error:400", STREAM, 400, Outcome.REFUSED, NOTHING),
    Row("error:401", WHOLE, 502, Outcome.REFUSED, NOTHING, "provider_error"),
    Row("error:403", STREAM, 502, Outcome.REFUSED, NOTHING, "provider_error"),
    Row("error:429", WHOLE, 429, Outcome.REFUSED, NOTHING),
    Row("error:429", STREAM, 429, Outcome.REFUSED, NOTHING),
    Row("error:500", WHOLE, 500, Outcome.REFUSED, NOTHING),
    Row("hang", WHOLE, 504, Outcome.REFUSED, NOTHING, "provider_timeout"),
    Row("hang", STREAM, 504, Outcome.REFUSED, NOTHING, "provider_timeout"),
    Row("close_before_answer", WHOLE, 502, Outcome.REFUSED, NOTHING, "provider_error"),
    Row("close_before_answer", STREAM, 502, Outcome.REFUSED, NOTHING, "provider_error"),
    Row("garbage", WHOLE, 502, Outcome.REFUSED, NOTHING, "provider_error"),
    Row("garbage", STREAM, 502, Outcome.REFUSED, NOTHING, "provider_error"),
    Row("truncated_body", WHOLE, 502, Outcome.REFUSED, NOTHING, "provider_error"),
    Row("die_mid_stream:5", STREAM, 200, Outcome.BROKEN, DELIVERED, "provider_error"),
    Row("stall_mid_stream:5", STREAM, 200, Outcome.BROKEN, DELIVERED, "provider_timeout"),
    Row("garbage_mid_stream:5", STREAM, 200, Outcome.BROKEN, DELIVERED, "provider_error"),
    Row("error_mid_stream:5", STREAM, 200, Outcome.BROKEN, DELIVERED, "provider_error"),
    Row("no_usage,tokens:30", WHOLE, 200, Outcome.COMPLETED, COUNTED),
    Row("no_usage,tokens:30", STREAM, 200, Outcome.COMPLETED, COUNTED),
    Row("wrong_usage:negative,tokens:30", WHOLE, 200, Outcome.COMPLETED, COUNTED),
    Row("wrong_usage:negative,tokens:30", STREAM, 200, Outcome.COMPLETED, COUNTED),
    Row("wrong_usage:huge,tokens:30", WHOLE, 200, Outcome.COMPLETED, COUNTED),
    Row("wrong_usage:huge,tokens:30", STREAM, 200, Outcome.COMPLETED, COUNTED),
    Row("tokens:30", WHOLE, 200, Outcome.COMPLETED, STATED),
    Row("tokens:30", STREAM, 200, Outcome.COMPLETED, STATED),
]


EVENT_CODES = {"responses": "server_error", "chat-gemini": "internal", "messages-gemini": "internal"}


class Result(NamedTuple):
    answer: httpx.Response
    events: RequestEvents


def body_of(path: str, model: str, row: Row) -> dict[str, Any]:
    marked = f"What flows past the harbor? [simulate:{row.fault}]"
    body: dict[str, Any] = {"model": model, "stream": row.stream}
    if path == RESPONSES:
        return body | {"input": marked, "max_output_tokens": 1_000}
    if model == "gpt-4o":
        body["metadata"] = {"simulate": row.fault}
    return body | {"messages": [{"role": "user", "content": marked}], "max_tokens": 1_000}


@pytest.fixture(scope="module")
def results(edge: RunningEdge) -> Mapping[tuple[str, Row], Result]:
    return asyncio.run(all_results(edge))


async def all_results(edge: RunningEdge) -> dict[tuple[str, Row], Result]:
    headers = {"authorization": f"Bearer {edge.keys.good}"}
    async with httpx.AsyncClient(base_url=edge.url, headers=headers, trust_env=False, timeout=WITHIN_S) as client:

        async def ask(name: str, row: Row) -> tuple[tuple[str, Row], httpx.Response]:
            path, model = PROTOCOLS[name]
            return (name, row), await client.post(path, json=body_of(path, model, row))

        answers = await asyncio.gather(*(ask(name, row) for name in PROTOCOLS for row in ROWS))
    while True:
        recorded = await read_events(edge.brokers, edge.prefix)
        found = {asked: Result(answer, events_of(answer, recorded)) for asked, answer in answers}
        if all(result.events.closed for result in found.values()):
            return found
        await asyncio.sleep(0.2)


def events_of(answer: httpx.Response, recorded: Sequence[StampedEvent]) -> RequestEvents:
    request_id = answer.headers["x-request-id"]
    return RequestEvents.of(lambda request: request.request_id == request_id, recorded)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.fault}-{'stream' if row.stream else 'whole'}")
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_fault_ends_as_the_table_says(results: Mapping[tuple[str, Row], Result], name: str, row: Row) -> None:
    answer, events = results[name, row]
    assert answer.status_code == row.status, answer.text
    check_client(answer, row, is_messages=PROTOCOLS[name][0] == MESSAGES)
    (closed,) = events.closed
    assert len(events.opened) == 1
    assert (closed.outcome, closed.status) == (row.outcome, row.status)
    if row.code:
        # The provider's own code, if its error event has one.
        code = EVENT_CODES.get(name, row.code) if row.fault.startswith("error_mid_stream") else row.code
        assert closed.error_code == code
    if row.outcome is Outcome.COMPLETED:
        assert closed.error_code == ""
    else:
        assert closed.error_code != "" or row.status in {400, 500}
    if row.pays == NOTHING:
        assert not events.used
        return
    (used,) = events.used
    assert used.estimated == (row.pays != STATED)
    assert used.tokens.output == (5 if row.pays == DELIVERED else 30)
    # Anthropic states the prompt before the first token, and Gemini with each chunk: that is charged.
    assert (used.tokens.input > 0) == (row.pays != DELIVERED or "claude" in PROTOCOLS[name][1])
    assert used.outcome == row.outcome


def check_client(answer: httpx.Response, row: Row, *, is_messages: bool) -> None:
    if row.status != 200:
        error = answer.json()
        assert (error.get("type") == "error") == is_messages
        assert error["error"]["message"]
        if row.fault == "error:429":
            assert answer.headers["retry-after"] == "1"
    elif row.stream:
        last = answer.text.strip().split("\n\n")[-1]
        data = last.split("data: ", 1)[1]
        is_error = data != "[DONE]" and "error" in json.loads(data) and bool(json.loads(data)["error"])
        assert is_error == (row.outcome is Outcome.BROKEN)
