"""What comes out of a provider's stream must not depend on how the network cut it."""

import json
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_common.rating import TokenCounts
from tollgate_edge.streaming.chat_stream import ChatStream
from tollgate_edge.usage.merging import stated_classes
from tollgate_edge.usage.token_counting import count_text

USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
# Texts that look like what the edge searches for.
TRICKY = [
    "data: [DONE]\n\n",
    '"usage":{"prompt_tokens":1}',
    ',"usage":null',
    '"finish_reason":"stop"',
    '{"error":{}}',
    "ü\u2028€\r\n\n",
]


def chunk(content: str | None = None, *, finish: str | None = None, usage: Any = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c-1", "model": "gpt-4o-2024", "choices": choices, "usage": usage, **more}


def usage_chunk() -> dict[str, Any]:
    return {"id": "c-1", "model": "gpt-4o-2024", "choices": [], "usage": USAGE}


def event(data: dict[str, Any], *, spaced: bool = False) -> bytes:
    separators = None if spaced else (",", ":")
    return b"data: " + json.dumps(data, separators=separators, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def run(stream: ChatStream, parts: list[bytes]) -> bytes:
    out = b"".join(stream.feed(part) for part in parts)
    return out if stream.is_over else out + stream.finish()


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in at), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def outcome(stream: ChatStream) -> tuple[Any, ...]:
    failure = stream.failure and str(stream.failure)
    return (
        stream.done,
        failure,
        stated_classes(stream.usage.stated),
        stream.finish_reason,
        stream.served_model,
        stream.delivered_tokens(),
    )


texts = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(TRICKY)), max_size=8)
cuts = st.lists(st.integers(min_value=0, max_value=5_000), max_size=12)


class Manner(NamedTuple):
    """How a provider writes its events."""

    spaced: bool
    crlf: bool
    comments: bool


manners = st.builds(Manner, st.booleans(), st.booleans(), st.booleans())


@untimed
@given(texts=texts, at=cuts, strips=st.booleans(), manner=manners)
def test_stream_is_independent_of_chunking(texts: list[str], at: list[int], strips: bool, manner: Manner) -> None:
    events = [event(chunk(text), spaced=manner.spaced) for text in texts]
    events += [event(chunk(finish="stop"), spaced=manner.spaced), event(usage_chunk(), spaced=manner.spaced), DONE]
    data = (b": still alive\n\n" if manner.comments else b"").join(events)
    sent = data.replace(b"\n", b"\r\n") if manner.crlf else data
    whole, split = ChatStream(strips_usage=strips), ChatStream(strips_usage=strips)
    handed_on = run(whole, [sent])
    assert run(split, cut(sent, at)) == handed_on
    assert outcome(split) == outcome(whole)
    assert whole.done
    assert stated_classes(whole.usage.stated) == TokenCounts(input=12, output=5)
    assert (whole.finish_reason, whole.served_model) == ("stop", "gpt-4o-2024")
    assert whole.delivered_tokens() == count_text("".join(texts))
    received = [json.loads(line[5:]) for line in handed_on.split(b"\n") if line.startswith(b"data:")]
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in received if one["choices"]) == "".join(
        texts
    )
    assert any("usage" in one for one in received) != strips
    if not strips:
        assert handed_on == data.removesuffix(DONE)


@untimed
@given(at=cuts, ending=st.sampled_from([b"", b"data: {broken\n\n", event({"error": {"message": "oops"}})]))
def test_broken_stream_fails_for_any_chunking(at: list[int], ending: bytes) -> None:
    good = event(chunk("one ")) + event(chunk("two"))
    stream = ChatStream(strips_usage=True)
    handed_on = run(stream, cut(good + ending, at))
    assert handed_on == good.replace(b',"usage":null', b"")
    assert stream.failure
    assert not stream.done
    assert stated_classes(stream.usage.stated) is None
    assert stream.delivered_tokens() == 2


def test_data_after_done_is_ignored() -> None:
    stream = ChatStream(strips_usage=False)
    assert run(stream, [event(chunk(finish="stop")) + DONE + event(usage_chunk()), event(chunk("late"))]) == event(
        chunk(finish="stop")
    )
    assert stated_classes(stream.usage.stated) is None


def test_usage_is_removed_from_text_chunk() -> None:
    stream = ChatStream(strips_usage=True)
    handed_on = run(stream, [event(chunk("end", finish="length", usage=USAGE)) + DONE])
    received = json.loads(handed_on.removeprefix(b"data: "))
    assert "usage" not in received
    assert received["choices"][0]["delta"] == {"content": "end"}
    assert stated_classes(stream.usage.stated) == TokenCounts(input=12, output=5)


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b""])
def test_end_without_blank_line_or_done(last: bytes) -> None:
    stream = ChatStream(strips_usage=False)
    run(stream, [event(chunk("text")) + event(chunk(finish="stop")), last])
    assert stream.done
    assert stream.failure is None


def test_oversized_event_is_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollgate_edge.streaming.sse.MAX_EVENT_BYTES", 1000)
    stream = ChatStream(strips_usage=False)
    assert stream.feed(b"data: " + b"x" * 2000) == b""
    assert stream.failure


def test_unknown_chunks_are_forwarded() -> None:
    odd = [event({"choices": "none"}), event({"model": 7}), b"event: ping\ndata: {}\n\n", b"\ndata: {}\n\n"]
    stream = ChatStream(strips_usage=True)
    assert run(stream, [*odd, DONE]) == b"".join(odd)
    assert stream.done


def test_long_streams_are_counted_to_the_end() -> None:
    stream = ChatStream(strips_usage=True)
    words = [f"word{number} " for number in range(3000)]
    for word in words:
        stream.feed(event(chunk(word)))
    assert stream.delivered_tokens() == count_text("".join(words))
    assert stream.delivered_tokens() == count_text("".join(words)), "counting changes nothing"


def test_all_text_fields_are_counted() -> None:
    delta = {
        "reasoning_content": "thought ",
        "content": "text",
        "refusal": None,
        "tool_calls": [{"index": 0, "function": {"name": "look", "arguments": '{"a":1}'}}],
    }
    stream = ChatStream(strips_usage=True)
    stream.feed(event({"choices": [{"index": 0, "delta": delta}, {"index": 1, "delta": {"content": "other"}}]}))
    assert stream.delivered_tokens() == count_text('thought textlook{"a":1}') + count_text("other")
