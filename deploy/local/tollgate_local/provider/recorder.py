"""The outcome of every generation, as counters and as a journal that tests can compare with."""

import os
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tollgate_local.provider.generation import Generation


class Outcome(StrEnum):
    COMPLETED = "completed"  # the complete response was written to the connection
    CANCELLED = "cancelled"  # the client closed the connection first
    BROKEN = "broken"  # the provider failed on request, or was stopped


class Stats(msgspec.Struct):
    """Counters since the start; `tokens_delivered` counts visible tokens handed to open connections."""

    requests: int = 0
    errors: int = 0
    in_flight: int = 0
    answers_completed: int = 0
    answers_cancelled: int = 0
    answers_broken: int = 0
    streams_completed: int = 0
    streams_cancelled: int = 0
    streams_broken: int = 0
    tokens_delivered: int = 0


class JournalEntry(msgspec.Struct):
    """A line of the journal.

    `completion_tokens` were generated, `delivered_tokens` of them were sent. Without failures the difference is
    `reasoning_tokens`.
    """

    id: str
    model: str
    stream: bool
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    delivered_tokens: int
    outcome: Outcome


class Recorder:
    """Counts outcomes and appends them to `journal`, if given.

    A line is written with one system call before the last byte of the response is sent. A client with a complete
    response finds the line even if this process is killed afterwards.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self.stats = Stats()
        self._journal = None
        if journal is not None:
            self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            os.close(self._journal)

    def opened(self, generation: Generation, *, stream: bool) -> "GenerationProgress":
        self.stats.in_flight += 1
        return GenerationProgress(self, generation, stream=stream)

    def settled(self, entry: JournalEntry) -> None:
        stats = self.stats
        stats.in_flight -= 1
        stats.tokens_delivered += entry.delivered_tokens
        kind = "streams" if entry.stream else "answers"
        counter = f"{kind}_{entry.outcome}"
        setattr(stats, counter, getattr(stats, counter) + 1)
        if self._journal is not None:
            os.write(self._journal, msgspec.json.encode(entry) + b"\n")


class GenerationProgress:
    """The progress of one generation. It is settled once; later calls have no effect."""

    def __init__(self, recorder: Recorder, generation: Generation, *, stream: bool) -> None:
        self._recorder = recorder
        self._generation = generation
        self._stream = stream
        self._reasoning_tokens = 0
        self._visible_tokens = 0
        self._delivered_tokens = 0
        self._settled = False

    def thought(self) -> None:
        self._reasoning_tokens = self._generation.reasoning_tokens

    def delivered(self, tokens: int) -> None:
        self._visible_tokens += tokens
        self._delivered_tokens += tokens

    def delivered_all(self) -> None:
        self.delivered(self._generation.visible_tokens)

    def wrote_without_delivery(self) -> None:
        self._visible_tokens = self._generation.visible_tokens

    def settle(self, outcome: Outcome) -> None:
        if self._settled:
            return
        self._settled = True
        generation = self._generation
        self._recorder.settled(
            JournalEntry(
                id=generation.id,
                model=generation.model,
                stream=self._stream,
                prompt_tokens=generation.prompt_tokens,
                cached_tokens=generation.cached_tokens,
                completion_tokens=self._reasoning_tokens + self._visible_tokens,
                reasoning_tokens=self._reasoning_tokens,
                delivered_tokens=self._delivered_tokens,
                outcome=outcome,
            )
        )
