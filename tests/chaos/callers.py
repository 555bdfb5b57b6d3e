"""Callers who keep asking while processes die, and write down what they got, call by call."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import Any

import httpx

from chaos.oracle import USD, cost_nano

PATIENCE_S = 60.0
# Between two calls that were refused, so that a stopped service is not drowned in calls.
PAUSE_S = 0.05


@dataclass
class Call:
    """One call as its client saw it. `user` names it in every event, for a call that died may have shown no id."""

    user: str
    model: str
    request_id: str | None = None
    status: int | None = None
    usage: dict[str, Any] | None = None
    is_whole: bool = False
    """The answer came to its last byte."""

    @property
    def is_answered(self) -> bool:
        return self.is_whole and self.status == HTTPStatus.OK

    @property
    def cost_nano(self) -> int | None:
        """None if the client was told no usage."""
        return None if self.usage is None else cost_nano(self.model, self.usage)

    @property
    def outcome(self) -> str:
        if self.is_answered:
            return "answered"
        if self.is_whole:
            return f"refused with {self.status}"
        return "broken off" if self.status else "no answer"


@dataclass
class Callers:
    """One customer's clients: each makes a call after the other, streamed or not, at any of the edges."""

    urls: list[str]
    key: str
    seed: int
    clients: int
    key_id: str
    calls: list[Call] = field(default_factory=list)
    is_paused: bool = False
    is_over: bool = False

    @property
    def answered(self) -> int:
        return sum(call.is_answered for call in self.calls)

    def outcomes(self) -> dict[str, int]:
        return dict(Counter(call.outcome for call in self.calls))

    async def run(self) -> None:
        """Call until `is_over`."""
        numbers = count()
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits, trust_env=False) as http:
            await asyncio.gather(*(self._call_always(http, client, numbers) for client in range(self.clients)))

    async def _call_always(self, http: httpx.AsyncClient, client: int, numbers: "count[int]") -> None:
        chance = random.Random(f"{self.seed} {client}")
        while not self.is_over:
            if self.is_paused:
                await asyncio.sleep(PAUSE_S)
                continue
            call = Call(f"caller-{next(numbers)}", chance.choice(list(USD)))
            self.calls.append(call)
            try:
                await self._make(http, call, chance)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_S)
            if not call.is_answered:
                await asyncio.sleep(PAUSE_S)

    async def _make(self, http: httpx.AsyncClient, call: Call, chance: random.Random) -> None:
        is_streamed = chance.random() < 0.5
        body: dict[str, Any] = {
            "model": call.model,
            "messages": [{"role": "user", "content": f"I am {call.user}"}],
            "max_tokens": 32,
            "user": call.user,
            "stream": is_streamed,
        }
        if is_streamed:
            # Long enough that processes die in the middle of it.
            behaviour = f"tokens:{chance.randint(1, 24)},slow_chunks:{chance.choice((1, 20, 60))}"
            body |= {"stream_options": {"include_usage": True}, "metadata": {"simulate": behaviour}}
        headers = {"authorization": f"Bearer {self.key}"}
        url = f"{chance.choice(self.urls)}/v1/chat/completions"
        async with http.stream("POST", url, json=body, headers=headers) as answer:
            call.status, call.request_id = answer.status_code, answer.headers["x-request-id"]
            if answer.is_success and is_streamed:
                await _read_stream(answer, call)
                return
            content = await answer.aread()
            call.is_whole = True
            if answer.is_success:
                call.usage = json.loads(content)["usage"]


async def _read_stream(answer: httpx.Response, call: Call) -> None:
    async for line in answer.aiter_lines():
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            call.is_whole = True
        elif data:
            event = json.loads(data)
            assert "error" not in event, event
            call.usage = event.get("usage") or call.usage
