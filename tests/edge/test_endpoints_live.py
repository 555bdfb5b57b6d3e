"""OpenAI's other endpoints through a real edge, each called with its SDK and metered in its own classes."""

import io
import wave
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError
from openai.types.responses import ResponseCompletedEvent, ResponseTextDeltaEvent

from edge.running import UNIT_PRICES, WITHIN_S, RunningEdge
from tollgate_common.events import Outcome, TokensUsed
from tollgate_common.rating import TokenCounts, rate

pytestmark = pytest.mark.live

TEXT = "What flows past the harbor?"


def sound(seconds: int) -> io.BytesIO:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(bytes(2 * 8_000 * seconds))
    file.seek(0)
    file.name = "sound.wav"
    return file


async def used_by(edge: RunningEdge, headers: Mapping[str, str], endpoint: str) -> TokensUsed:
    """What a request that completed used, which was also charged so."""
    events = await edge.events(headers["x-request-id"])
    (used,) = events.used
    assert (len(events.opened), events.closed[0].outcome) == (1, Outcome.COMPLETED)
    assert used.request.endpoint == endpoint
    prices = UNIT_PRICES.get(used.request.model)
    if prices is not None:
        assert used.amount_nano == rate(used.tokens, prices).amount_nano
    return used


async def test_embeddings(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.embeddings.with_raw_response.create(
        model="text-embedding-3-small", input=[TEXT, "The river"], dimensions=8, user="user-7"
    )
    answer = raw.parse()
    assert [len(row.embedding) for row in answer.data] == [8, 8]
    used = await used_by(edge, raw.headers, "/v1/embeddings")
    assert used.tokens == TokenCounts(input=answer.usage.prompt_tokens)
    assert used.request.end_user == "user-7"


@pytest.mark.parametrize("stream", [False, True])
async def test_completions(edge: RunningEdge, sdk: AsyncOpenAI, stream: bool) -> None:
    prompts = [TEXT, "The river"]
    if stream:
        raw_stream = await sdk.completions.with_raw_response.create(
            model="gpt-3.5-turbo-instruct", prompt=prompts, max_tokens=9, stream=True
        )
        chunks = [chunk async for chunk in raw_stream.parse()]
        assert all(chunk.choices and chunk.usage is None for chunk in chunks)
        assert sum(bool(chunk.choices[0].text) for chunk in chunks) == 18
        used = await used_by(edge, raw_stream.headers, "/v1/completions")
    else:
        raw = await sdk.completions.with_raw_response.create(
            model="gpt-3.5-turbo-instruct", prompt=prompts, max_tokens=9
        )
        assert [choice.finish_reason for choice in raw.parse().choices] == ["length", "length"]
        used = await used_by(edge, raw.headers, "/v1/completions")
    assert (used.tokens.output, used.finish_reason, used.estimated) == (18, "length", False)
    assert used.tokens.input > 0


async def test_response(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.responses.with_raw_response.create(model="o4-mini", input=TEXT, instructions="Be brief")
    answer = raw.parse()
    assert answer.output_text
    assert answer.usage
    used = await used_by(edge, raw.headers, "/v1/responses")
    assert (used.tokens.prompt, used.tokens.completion) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert used.tokens.reasoning == answer.usage.output_tokens_details.reasoning_tokens > 0
    assert (used.finish_reason, used.request.served_model) == ("completed", "o4-mini")


async def test_response_stream_ends_with_usage(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.responses.with_raw_response.create(
        model="gpt-4o", input=f"{TEXT} [simulate:tokens:40]", stream=True
    )
    events = [event async for event in raw.parse()]
    assert sum(isinstance(event, ResponseTextDeltaEvent) for event in events) == 40
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.usage
    used = await used_by(edge, raw.headers, "/v1/responses")
    assert used.tokens == TokenCounts(input=last.response.usage.input_tokens, output=40)


async def test_conversation_with_returned_items(sdk: AsyncOpenAI) -> None:
    """As OpenAI's guides do it, with a client that has not said that nothing is stored."""
    said: list[Any] = [{"role": "user", "content": TEXT}]
    first = await sdk.responses.create(model="o4-mini", input=said)
    thoughts = {"type": "reasoning", "id": "rs_1", "summary": []}
    said += [thoughts, *first.output, {"role": "user", "content": "Why?"}]
    assert (await sdk.responses.create(model="o4-mini", input=said)).output_text
    with pytest.raises(NotFoundError, match="rs_1"):
        await sdk.responses.create(model="o4-mini", input=said, store=False)


async def test_response_reports_cache_writes(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    async def ask() -> TokensUsed:
        raw = await sdk.responses.with_raw_response.create(
            model="gpt-5.6-luna", input="What flows past?", instructions="The water is written down. " * 400
        )
        return await used_by(edge, raw.headers, "/v1/responses")

    first, second = await ask(), await ask()
    assert first.tokens.cache_write == first.tokens.prompt > 1_024
    assert second.tokens.cached_input > 1_024
    assert second.tokens.cache_write == second.tokens.prompt - second.tokens.cached_input < 128


async def test_images_by_image_and_by_token(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    by_image = await sdk.images.with_raw_response.generate(model="dall-e-3", prompt="A harbor", n=2)
    assert len(by_image.parse().data or ()) == 2
    assert (await used_by(edge, by_image.headers, "/v1/images/generations")).tokens == TokenCounts(images=2)
    by_token = await sdk.images.with_raw_response.generate(model="gpt-image-1", prompt="A harbor", quality="low")
    usage = by_token.parse().usage
    assert usage
    used = await used_by(edge, by_token.headers, "/v1/images/generations")
    assert used.tokens == TokenCounts(input=usage.input_tokens, image_output=usage.output_tokens)


async def test_partial_images(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.images.with_raw_response.generate(
        model="gpt-image-1", prompt="A harbor", stream=True, partial_images=2, quality="low"
    )
    kinds = [event.type async for event in raw.parse()]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert (await used_by(edge, raw.headers, "/v1/images/generations")).tokens.image_output == 272


async def test_speech_is_forwarded_as_bytes(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.audio.speech.with_raw_response.create(model="tts-1", input=TEXT + "é", voice="alloy")
    assert raw.headers["content-type"] == "audio/mpeg"
    assert (await raw.aread() if hasattr(raw, "aread") else raw.content)[:2] == b"\xff\xfb"
    assert (await used_by(edge, raw.headers, "/v1/audio/speech")).tokens == TokenCounts(characters=len(TEXT) + 1)


async def test_speech_by_token_requires_events(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await sdk.audio.speech.create(model="gpt-4o-mini-tts", input=TEXT, voice="alloy")
    assert caught.value.code == "model_not_priced"
    raw = await sdk.audio.speech.with_raw_response.create(
        model="gpt-4o-mini-tts", input=TEXT, voice="alloy", stream_format="sse"
    )
    tokens = (await used_by(edge, raw.headers, "/v1/audio/speech")).tokens
    assert tokens.audio_output > 0
    assert tokens.input > 0


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "srt"])
async def test_transcriptions_by_second(edge: RunningEdge, sdk: AsyncOpenAI, response_format: Any) -> None:
    raw = await sdk.audio.transcriptions.with_raw_response.create(
        model="whisper-1",
        file=sound(3),
        response_format=response_format,
    )
    used = await used_by(edge, raw.headers, "/v1/audio/transcriptions")
    assert used.tokens == TokenCounts(audio_seconds=3)
    assert used.estimated == (response_format == "srt")


async def test_transcription_stream_by_token(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.audio.transcriptions.with_raw_response.create(model="gpt-4o-transcribe", file=sound(3), stream=True)
    events = [event async for event in raw.parse()]
    assert events[-1].type == "transcript.text.done"
    used = await used_by(edge, raw.headers, "/v1/audio/transcriptions")
    assert used.tokens == TokenCounts(audio_input=30, output=len(events) - 1)


async def test_moderation_costs_request_price(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.moderations.with_raw_response.create(input=TEXT)
    assert not raw.parse().results[0].flagged
    used = await used_by(edge, raw.headers, "/v1/moderations")
    assert (used.tokens, used.amount_nano) == (TokenCounts(), 7)


async def test_rerank(edge: RunningEdge) -> None:
    body = {"model": "rerank-v3.5", "query": TEXT, "documents": ["river"] * 150, "top_n": 3}
    async with httpx.AsyncClient(base_url=edge.url, trust_env=False, timeout=WITHIN_S) as client:
        answer = await client.post("/v1/rerank", json=body, headers={"authorization": f"Bearer {edge.keys.good}"})
    assert len(answer.json()["results"]) == 3
    assert (await used_by(edge, answer.headers, "/v1/rerank")).tokens == TokenCounts(searches=2)


async def test_chat_with_speech_model_is_rejected(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await sdk.chat.completions.create(model="tts-1", messages=[{"role": "user", "content": TEXT}])
    assert caught.value.code == "model_not_priced"
