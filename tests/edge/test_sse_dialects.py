"""The ways in which providers write server-sent events: a stream has one meaning, however it is written and cut."""

import json
from collections.abc import Callable
from itertools import cycle, pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.recorded import RecordedChunks
from edge.untimed import untimed
from tollgate_common.rating import TokenCounts
from tollgate_edge.endpoints.base import ResponseStream
from tollgate_edge.endpoints.messages import MessagesStream
from tollgate_edge.endpoints.responses import ResponsesStream
from tollgate_edge.providers.translators import openai_to_anthropic, openai_to_gemini
from tollgate_edge.providers.translators.base import EventTranslator, TranslatedChunks
from tollgate_edge.streaming.chat_stream import ChatStream
from tollgate_edge.streaming.sse import EventBuffer, event_data, valid_unicode
from tollgate_edge.usage.merging import stated_classes

USAGE = {"prompt_tokens": 20, "completion_tokens": 500, "total_tokens": 520}
TOKENS = TokenCounts(input=20, output=500)
BYTE_ORDER_MARK = "\ufeff"


def chat_events(*texts: str) -> list[dict[str, Any]]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    return [*(chunk({"content": text}) for text in texts), chunk({}, "stop") | {"usage": USAGE}]


def messages_events(*texts: str) -> list[dict[str, Any]]:
    usage = {"input_tokens": 20, "output_tokens": 1}
    return [
        {"type": "message_start", "message": {"id": "m", "model": "m", "role": "assistant", "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 500}},
        {"type": "message_stop"},
    ]


def responses_events(*texts: str) -> list[dict[str, Any]]:
    response: dict[str, Any] = {"id": "r", "model": "m", "output": [], "error": None}
    usage = {"input_tokens": 20, "output_tokens": 500}
    return [
        {"type": "response.created", "response": response},
        *({"type": "response.output_text.delta", "delta": text} for text in texts),
        {"type": "response.completed", "response": response | {"status": "completed", "usage": usage}},
    ]


def gemini_events(*texts: str) -> list[dict[str, Any]]:
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 500, "totalTokenCount": 520}
    events: list[dict[str, Any]] = [
        {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}]} for text in texts
    ]
    end = {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": usage, "modelVersion": "m"}
    return [*events, end]


class Dialect(NamedTuple):
    """How a provider writes its events. `ends` are the line ends, in turn."""

    ends: tuple[str, ...] = ("\n",)
    has_mark: bool = False
    has_space: bool = True
    is_indented: bool = False
    has_comments: bool = False
    has_ids: bool = False
    is_ascii: bool = True

    def write(self, events: list[dict[str, Any]], *, named: bool = False, done: bool = False) -> bytes:
        texts = [self._json(event) for event in events] + (["[DONE]"] if done else [])
        lines: list[str] = ["retry: 3000", ""] if self.has_ids else []
        for number, text in enumerate(texts):
            lines += [": still there", ""] if self.has_comments else []
            lines += [f"event: {events[number]['type']}"] if named and number < len(events) else []
            lines += [f"id: {number}"] if self.has_ids else []
            lines += [f"data:{' ' if self.has_space else ''}{line}" for line in text.split("\n")]
            lines.append("")
        ends = cycle(self.ends)
        written = ""
        for line in lines:
            end = next(ends)
            # An empty line that ends with LF after a CR would not be a line.
            written += line + ("\r\n" if not line and end == "\n" and written.endswith("\r") else end)
        return ((BYTE_ORDER_MARK if self.has_mark else "") + written).encode("utf-8", "surrogatepass")

    def _json(self, event: dict[str, Any]) -> str:
        return json.dumps(event, ensure_ascii=self.is_ascii, indent=1 if self.is_indented else None)


dialects = st.builds(
    Dialect,
    st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=4).map(tuple),
    *[st.booleans()] * 6,
)
cuts = st.lists(st.integers(0, 3_000), max_size=12)
TEXTS = ("Hello", " w\u00f6rld \u2028", '"usage": {"prompt_tokens": 1}\r\n\r\n', "data: [DONE]\n\n", "!")
CLIENT_STREAMS: dict[str, tuple[Callable[[], ResponseStream], Callable[..., list[dict[str, Any]]], bool]] = {
    "chat": (lambda: ChatStream(strips_usage=False), chat_events, False),
    "messages": (MessagesStream, messages_events, True),
    "responses": (ResponsesStream, responses_events, True),
}


def parts_of(data: bytes, at: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in at), len(data)])]


def relay(stream: ResponseStream, parts: list[bytes]) -> bytes:
    sent = b"".join(map(stream.feed, parts))
    return sent + (b"" if stream.is_over else stream.finish()) + stream.last_event


def received(sent: bytes) -> list[Any]:
    buffer = EventBuffer()
    data = [event_data(event) for event in buffer.feed(sent).split(b"\n\n")]
    return [json.loads(one) for one in data if one and one != b"[DONE]"]


@pytest.mark.parametrize("name", CLIENT_STREAMS)
@untimed
@given(dialect=dialects, at=cuts)
def test_a_stream_has_one_meaning_in_every_dialect(name: str, dialect: Dialect, at: list[int]) -> None:
    create, events_of, named = CLIENT_STREAMS[name]
    events = events_of(*TEXTS)
    stream = create()
    sent = relay(stream, parts_of(dialect.write(events, named=named, done=name == "chat"), at))
    assert stream.failure is None
    assert stream.done
    assert stated_classes(stream.usage.stated) == TOKENS
    assert received(sent) == events


TRANSLATIONS: dict[str, tuple[Callable[[], EventTranslator], Callable[..., list[dict[str, Any]]], bool]] = {
    "anthropic": (openai_to_anthropic.StreamTranslator, messages_events, True),
    "gemini": (openai_to_gemini.StreamTranslator, gemini_events, False),
}


async def translate(name: str, dialect: Dialect, texts: tuple[str, ...], at: list[int]) -> str:
    """Return the text that a client of chat completions gets from another provider, and check that nothing is lost."""
    create, events_of, named = TRANSLATIONS[name]
    chunks = TranslatedChunks(RecordedChunks(parts_of(dialect.write(events_of(*texts), named=named), at)), create())
    stream = ChatStream(strips_usage=True)
    sent = b""
    while not stream.is_over:
        part = await chunks.read()
        sent += stream.finish() if part is None else stream.feed(part)
    assert stream.failure is None
    assert stated_classes((chunks.usage or stream.usage).stated) == TOKENS
    choices = [choice for event in received(sent) for choice in event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("name", TRANSLATIONS)
@pytest.mark.parametrize("at", [[], list(range(0, 3_000, 7)), list(range(3_000))])
@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(("\r",)),
        Dialect(("\r\n", "\n"), has_mark=True),
        Dialect(has_space=False, is_indented=True, has_comments=True),
        Dialect(("\n", "\r", "\r\n"), has_ids=True, is_ascii=False),
    ],
)
async def test_a_translation_reads_every_dialect(name: str, dialect: Dialect, at: list[int]) -> None:
    assert await translate(name, dialect, TEXTS, at) == "".join(TEXTS)


# Between two tokens: an emoji in two deltas, and halves that never find each other.
HALVES = [("\ud83d", "\ude00 smile"), ("a\ud83d", "b"), ("\ude00", "\\\ud83d"), ("\\ud83d", "\ud83d\ud83d\ude00")]


@pytest.mark.parametrize("halves", HALVES)
@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("name", CLIENT_STREAMS)
def test_half_of_a_surrogate_pair_loses_no_usage(name: str, halves: tuple[str, str], is_ascii: bool) -> None:
    create, events_of, named = CLIENT_STREAMS[name]
    written = Dialect(is_ascii=is_ascii).write(events_of(*halves), named=named, done=name == "chat")
    stream = create()
    sent = relay(stream, [event + b"\n\n" for event in written.split(b"\n\n")[:-1]])
    assert stream.failure is None
    assert stated_classes(stream.usage.stated) == TOKENS
    # The client gets the halves as they came, and may join them.
    assert sent == written


@pytest.mark.parametrize("halves", HALVES)
@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("name", TRANSLATIONS)
async def test_half_of_a_surrogate_pair_is_translated(name: str, halves: tuple[str, str], is_ascii: bool) -> None:
    text = await translate(name, Dialect(is_ascii=is_ascii), halves, [])
    assert text.encode()


@pytest.mark.parametrize("halves", HALVES)
def test_half_of_a_surrogate_pair_in_the_event_with_the_usage(halves: tuple[str, str]) -> None:
    last = chat_events()[0]
    last["choices"][0]["delta"] = {"content": halves[0]}
    stream = ChatStream(strips_usage=True)
    relay(stream, [Dialect().write([last], done=True)])
    assert stream.failure is None
    assert stated_classes(stream.usage.stated) == TOKENS


def test_only_invalid_escapes_are_replaced() -> None:
    texts = [rb'"\ud83d\ude00"', rb'"\\ud83d"', rb'"\\\\ud83d \n\u00e9"', '"ü😀"'.encode()]
    assert [valid_unicode(text) for text in texts] == texts
    assert valid_unicode(rb'"\\\ud83d"') == rb'"\\\ufffd"'
    assert valid_unicode(rb'"\uD83D\uD83D\uDE00\uDE00"') == rb'"\ufffd\uD83D\uDE00\ufffd"'
    assert json.loads(valid_unicode(b'"a\xed\xa0\xbdb\xff"'))[0] == "a"
