"""Who pays what for each ending of a stream, in each protocol. The table in docs/requests.md comes from these runs."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edge.in_process import CENT, Result, streamed
from tollgate_common.events import Outcome
from tollgate_edge.http.errors import ProviderError, ProviderFailed
from tollgate_edge.providers.translators import anthropic_to_openai, openai_to_anthropic, openai_to_gemini
from tollgate_edge.providers.translators.base import EventTranslator

DOCUMENT = Path(__file__).parents[2] / "docs" / "requests.md"
BEGIN, END = "<!-- endings: begin, written by tests/edge/test_endings.py -->", "<!-- endings: end -->"
# Set to write the table into the document.
UPDATE = "TOLLGATE_UPDATE_DOCS"

PROMPT, CACHED, OUTPUT = 900, 800, 40
WORD = " harbor"

Event = bytes | ProviderError
Script = Callable[[int, bool], list[Event]]
"""The events of a response of so many words; whether the provider states its usage."""


def data(**members: Any) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\n\n"


def typed(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\n".encode() + data(type=kind, **members)


def openai_usage(output: int) -> dict[str, Any]:
    details = {"cached_tokens": CACHED}
    return {
        "prompt_tokens": PROMPT,
        "completion_tokens": output,
        "total_tokens": PROMPT + output,
        "prompt_tokens_details": details,
    }


def openai(words: int, states: bool) -> list[Event]:
    said = [data(choices=[{"index": 0, "delta": {"content": WORD}, "finish_reason": None}]) for _ in range(words)]
    end = [data(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])]
    return [*said, *end, *([data(choices=[], usage=openai_usage(OUTPUT))] if states else []), b"data: [DONE]\n\n"]


def compatible(words: int, states: bool) -> list[Event]:
    """A server that states its usage in each chunk."""
    events: list[Event] = []
    for number in range(1, words + 1):
        usage = {"usage": openai_usage(number)} if states else {}
        events.append(data(choices=[{"index": 0, "delta": {"content": WORD}, "finish_reason": None}], **usage))
    usage = {"usage": openai_usage(OUTPUT)} if states else {}
    return [*events, data(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], **usage), b"data: [DONE]\n\n"]


def legacy(words: int, states: bool) -> list[Event]:
    said = [data(choices=[{"index": 0, "text": WORD, "finish_reason": None}]) for _ in range(words)]
    end = [data(choices=[{"index": 0, "text": "", "finish_reason": "stop"}])]
    return [*said, *end, *([data(choices=[], usage=openai_usage(OUTPUT))] if states else []), b"data: [DONE]\n\n"]


def anthropic(words: int, states: bool) -> list[Event]:
    prompt = {"input_tokens": PROMPT - CACHED, "cache_read_input_tokens": CACHED, "output_tokens": 1}
    message = {"id": "m", "model": "served", "content": [], **({"usage": prompt} if states else {})}
    delta = {"type": "text_delta", "text": WORD}
    return [
        typed("message_start", message=message),
        typed("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(typed("content_block_delta", index=0, delta=delta) for _ in range(words)),
        typed("content_block_stop", index=0),
        typed(
            "message_delta",
            delta={"stop_reason": "end_turn"},
            **({"usage": {"output_tokens": OUTPUT}} if states else {}),
        ),
        typed("message_stop"),
    ]


def gemini(words: int, states: bool) -> list[Event]:
    def chunk(output: int, **more: Any) -> bytes:
        stated = {"promptTokenCount": PROMPT, "cachedContentTokenCount": CACHED, "candidatesTokenCount": output}
        candidate = {"content": {"parts": [{"text": WORD}]}, "index": 0} | more
        usage = {"usageMetadata": stated | {"totalTokenCount": PROMPT + output}} if states else {}
        return data(candidates=[candidate], **usage)

    return [*(chunk(number) for number in range(1, words)), chunk(OUTPUT, finishReason="STOP")]


def responses(words: int, states: bool) -> list[Event]:
    usage = {"input_tokens": PROMPT, "output_tokens": OUTPUT, "input_tokens_details": {"cached_tokens": CACHED}}
    done = {"id": "r", "status": "completed", "model": "served", **({"usage": usage} if states else {})}
    return [
        typed("response.created", response={"id": "r", "status": "in_progress", "model": "served"}),
        *(typed("response.output_text.delta", delta=WORD) for _ in range(words)),
        typed("response.completed", response=done),
    ]


class Row(NamedTuple):
    path: str
    provider: str
    script: Script
    translators: Callable[[], Sequence[EventTranslator]] = tuple

    @property
    def body(self) -> bytes:
        body: dict[str, Any] = {"model": "m", "stream": True}
        if self.path == "/v1/responses":
            body["input"] = "What flows past the harbor?"
        elif self.path == "/v1/completions":
            body["prompt"] = "What flows past the harbor?"
        else:
            body["messages"] = [{"role": "user", "content": "What flows past the harbor?"}]
        if self.path == "/v1/messages":
            body["max_tokens"] = 10_000
        return json.dumps(body).encode()


CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ROWS = [
    Row(CHAT, "OpenAI", openai),
    Row(CHAT, "states usage in each chunk", compatible),
    Row(CHAT, "Anthropic", anthropic, lambda: [openai_to_anthropic.StreamTranslator()]),
    Row(CHAT, "Gemini", gemini, lambda: [openai_to_gemini.StreamTranslator()]),
    Row(MESSAGES, "Anthropic", anthropic),
    Row(MESSAGES, "OpenAI's chat", openai, lambda: [anthropic_to_openai.StreamTranslator()]),
    Row(
        MESSAGES,
        "Gemini",
        gemini,
        lambda: [openai_to_gemini.StreamTranslator(), anthropic_to_openai.StreamTranslator()],
    ),
    Row("/v1/responses", "OpenAI", responses),
    Row("/v1/completions", "OpenAI", legacy),
]

WORDS, LEFT_AFTER = 20, 6
BROKEN = ProviderFailed(502, "The provider is unreachable or broke the connection.")


async def completed(row: Row) -> Result:
    return await streamed(row.path, row.body, row.script(WORDS, True), translators=row.translators())


async def unstated(row: Row) -> Result:
    return await streamed(row.path, row.body, row.script(WORDS, False), translators=row.translators())


async def left(row: Row) -> Result:
    events = row.script(WORDS, True)
    return await streamed(row.path, row.body, events, translators=row.translators(), leaves_after=LEFT_AFTER)


async def broken(row: Row) -> Result:
    events = [*row.script(WORDS, True)[: WORDS // 2], BROKEN]
    return await streamed(row.path, row.body, events, translators=row.translators())


async def cut_off(row: Row) -> Result:
    events = row.script(1_500, True)
    return await streamed(row.path, row.body, events, translators=row.translators(), credit_nano=CENT)


ENDINGS = {
    "completes": (completed, Outcome.COMPLETED),
    "completes without usage": (unstated, Outcome.COMPLETED),
    "client leaves": (left, Outcome.CANCELLED),
    "provider breaks off": (broken, Outcome.BROKEN),
    "credit runs out": (cut_off, Outcome.CUT_OFF),
}


def charged(result: Result) -> str:
    """What a cell of the table says: where the prompt and the output that are charged come from."""
    tokens = result.outcome.tokens
    assert tokens is not None
    if tokens.prompt == PROMPT:
        assert tokens.cached_input == CACHED
        prompt = "stated"
    else:
        prompt = "counted" if tokens.prompt else "free"
    output = "stated" if not result.outcome.estimated else "counted"
    return f"{prompt}, {output}"


async def table() -> str:
    lines = ["| endpoint | provider | " + " | ".join(ENDINGS) + " |", "|---|---|" + "---|" * len(ENDINGS)]
    for row in ROWS:
        cells = []
        for ending, outcome in ENDINGS.values():
            result = await ending(row)
            assert result.outcome.outcome is outcome
            cells.append(charged(result))
        lines.append(f"| `{row.path}` | {row.provider} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.path} {row.provider}")
async def test_a_complete_response_is_charged_as_stated(row: Row) -> None:
    result = await completed(row)
    tokens = result.outcome.tokens
    assert tokens is not None
    assert (tokens.input, tokens.cached_input, tokens.output) == (PROMPT - CACHED, CACHED, OUTPUT)
    assert not result.outcome.estimated


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.path} {row.provider}")
async def test_what_was_stated_before_the_client_left_is_charged(row: Row) -> None:
    tokens = (await left(row)).outcome.tokens
    assert tokens is not None
    assert 0 < tokens.output < WORDS
    if row.script in (anthropic, gemini, compatible):
        assert (tokens.input, tokens.cached_input) == (PROMPT - CACHED, CACHED)
    else:
        assert tokens.input > 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.path} {row.provider}")
async def test_a_stream_with_finish_and_usage_is_complete_whatever_follows(row: Row) -> None:
    events = row.script(WORDS, True)
    if row.script is not gemini and row.script is not responses:
        events.pop()
    result = await streamed(row.path, row.body, [*events, BROKEN], translators=row.translators())
    tokens = result.outcome.tokens
    assert tokens is not None
    assert (result.outcome.outcome, tokens.output, result.outcome.estimated) == (Outcome.COMPLETED, OUTPUT, False)


async def test_the_document_has_the_table() -> None:
    found = await table()
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN + "\n")
    written, _, after = rest.partition("\n" + END)
    if os.environ.get(UPDATE):
        DOCUMENT.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}")
    else:
        assert written == found, f"run this test with {UPDATE}=1 to write the table into {DOCUMENT.name}"
