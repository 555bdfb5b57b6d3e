"""What the counters and the journal say of answers that ended well, were left, or broke."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from local.provider.running import RunningProvider, read_until, running_provider

pytestmark = [pytest.mark.live]


def lines(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def test_a_whole_answer_is_in_the_journal_before_its_end(recorded: RunningProvider, journal: Path) -> None:
    for stream in (False, True):
        with recorded.connect("tokens:30", stream=stream) as connection:
            answer = read_until(connection, b"[DONE]\n\n" if stream else b"}}}")
        entry = lines(journal)[-1]
        assert entry["id"].encode() in answer
        assert entry["outcome"] == "completed"
        assert entry["stream"] is stream
        assert entry["delivered_tokens"] == entry["completion_tokens"] == 30
    stats = recorded.stats()
    assert (stats["answers_completed"], stats["streams_completed"], stats["tokens_delivered"]) == (1, 1, 60)


def test_a_stream_that_is_left_is_cancelled(recorded: RunningProvider, journal: Path) -> None:
    with recorded.connect("slow_chunks:20,tokens:1000", stream=True) as connection:
        read_until(connection, b'"delta":{"content":')
        assert recorded.stats()["in_flight"] == 1
    stats = recorded.wait_for_stats(lambda stats: stats["streams_cancelled"] == 1)
    assert stats["in_flight"] == 0
    (entry,) = lines(journal)
    assert entry["outcome"] == "cancelled"
    assert 1 <= entry["delivered_tokens"] == entry["completion_tokens"] < 1_000


def test_a_fast_stream_that_is_left_is_cancelled(recorded: RunningProvider) -> None:
    with recorded.connect("tokens:100000", stream=True) as connection:
        read_until(connection, b'"delta":{"content":')
    stats = recorded.wait_for_stats(lambda stats: stats["streams_cancelled"] == 1)
    assert stats["tokens_delivered"] < 100_000


@pytest.mark.parametrize("simulate", ["hang", "slow_first_byte:60000"])
def test_a_client_that_leaves_before_the_answer_is_noticed(
    recorded: RunningProvider, journal: Path, simulate: str
) -> None:
    with recorded.connect(simulate):
        recorded.wait_for_stats(lambda stats: stats["in_flight"] == 1)
    recorded.wait_for_stats(lambda stats: stats["answers_cancelled"] == 1)
    assert [(entry["outcome"], entry["completion_tokens"]) for entry in lines(journal)] == [("cancelled", 0)]


def test_a_broken_answer_is_told_from_a_cancelled_one(recorded: RunningProvider, journal: Path) -> None:
    recorded.raw("die_mid_stream:4", stream=True)
    recorded.raw("truncated_body")
    recorded.raw("close_before_answer")
    assert [(entry["outcome"], entry["delivered_tokens"]) for entry in lines(journal)] == [
        ("broken", 4),
        ("broken", 0),
        ("broken", 0),
    ]
    stats = recorded.stats()
    assert (stats["streams_broken"], stats["answers_broken"], stats["in_flight"]) == (1, 2, 0)


def test_a_stated_usage_that_is_wrong_leaves_the_journal_true(recorded: RunningProvider, journal: Path) -> None:
    with recorded.connect("wrong_usage:huge,tokens:9") as connection:
        read_until(connection, b"}}}")
    assert lines(journal)[0]["completion_tokens"] == 9


def test_the_journal_says_what_was_reasoned(recorded: RunningProvider, journal: Path) -> None:
    with recorded.connect("tokens:9", stream=True, model="o3") as connection:
        read_until(connection, b"[DONE]")
    (entry,) = lines(journal)
    assert entry["completion_tokens"] == entry["reasoning_tokens"] + entry["delivered_tokens"]
    assert entry["delivered_tokens"] == 9


def test_the_prompt_is_nowhere_in_the_journal(recorded: RunningProvider, journal: Path) -> None:
    with recorded.connect(messages=[{"role": "user", "content": "xylophone"}]) as connection:
        read_until(connection, b"}}}")
    assert "xylophone" not in journal.read_text()


def test_errors_are_no_generations(recorded: RunningProvider, journal: Path) -> None:
    with recorded.connect("error:500") as connection:
        read_until(connection, b"}}")
    stats = recorded.stats()
    assert (stats["requests"], stats["errors"], stats["in_flight"]) == (1, 1, 0)
    assert lines(journal) == []


def test_a_second_start_appends(journal: Path) -> None:
    with running_provider(journal=str(journal)) as second, second.connect() as connection:
        read_until(connection, b"}}}")
    with running_provider(journal=str(journal)) as third, third.connect() as connection:
        read_until(connection, b"}}}")
    assert len(lines(journal)) == 2


def test_a_stopped_provider_ends_what_it_was_sending(journal: Path) -> None:
    with (
        running_provider(journal=str(journal)) as stopped,
        stopped.connect("stall_mid_stream:3", stream=True) as connection,
    ):
        read_until(connection, b'"delta":{"content":', times=3)
        stopped.process.send_signal(signal.SIGTERM)
        assert stopped.process.wait(20) == 0
    (entry,) = lines(journal)
    assert (entry["outcome"], entry["delivered_tokens"]) == ("broken", 3)
