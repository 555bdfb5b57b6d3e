"""The events of one request: opened, closed, and its usage."""

import re
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from tollgate_common.clock import utc_now
from tollgate_common.events import Outcome, RequestClosed, RequestDimensions, RequestOpened, TokensUsed
from tollgate_common.rating import TokenCounts
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic
from tollgate_edge.event_log.rotation import RotatingEventWriter
from tollgate_edge.event_log.writer import Batch
from tollgate_edge.http.json_body import MAX_MODEL_CHARS
from tollgate_edge.http.request_context import RequestContext
from tollgate_edge.pricing.catalog import Tariff
from tollgate_edge.routing.retries import Attempts

_MAX_CLIENT_CHARS = 64
# Maximum length of texts from the provider, so that events stay small.
_MAX_WORD_CHARS = 64
# SDKs send `OpenAI/Python 3.54.0`, `AsyncOpenAI/Python 3.54.0`, `OpenAI/JS 6.1.0`, `Anthropic/Python 0.71.0`.
_SDK = re.compile(r"(?:Async)?(OpenAI|Anthropic)/(\w+) ([\w.+-]+)")


class RequestOutcome(NamedTuple):
    """The outcome of a request. `tokens` is None without usage; the edge counted `estimated` tokens itself."""

    outcome: Outcome
    status: int
    tokens: TokenCounts | None = None
    estimated: bool = False
    finish_reason: str = ""
    served_model: str = ""
    error_code: str = ""
    is_usage_impossible: bool = False
    """Whether the provider stated a usage that cannot be true."""


class RequestMeter:
    def __init__(
        self,
        writer: RotatingEventWriter,
        context: RequestContext,
        tariff: Tariff,
        dimensions: RequestDimensions,
        *,
        attempts: Attempts,
    ) -> None:
        self._opening: Batch
        self._writer = writer
        self._context = context
        self._tariff = tariff
        self._dimensions = dimensions
        self._attempts = attempts

    def open(self) -> None:
        """Record that the request goes to the provider."""
        self._opening = self._writer.record(Topic.REQUESTS, self._dimensions.account_id, self._opened)

    async def opened(self) -> None:
        """Wait until the opening is durable.

        Required before the first byte of a response, unless the closing is awaited.
        """
        await self._opening.durable()

    def close(self, outcome: RequestOutcome, lease_id: str | None) -> tuple[int, Batch]:
        """Record the usage and the outcome of the request.

        Args:
            outcome: the outcome.
            lease_id: the lease of its reservation, if it has one.

        Returns:
            The charge in nano-units, and the batch with which both events become durable.
        """
        account_id = self._dimensions.account_id
        dimensions = replace(self._dimensions, served_model=outcome.served_model[:MAX_MODEL_CHARS])
        now = utc_now()
        amount_nano = 0
        if outcome.tokens is not None:
            amount_nano = self._tariff.amount_nano(outcome.tokens)
            self._writer.record(
                Topic.USAGE,
                account_id,
                lambda stamp: self._used(stamp, now, dimensions, outcome, amount_nano=amount_nano, lease_id=lease_id),
            )
        # The batch of the last event is enough, because batches become durable in order.
        return amount_nano, self._writer.record(
            Topic.REQUESTS, account_id, lambda stamp: self._closed(stamp, now, dimensions, outcome)
        )

    def _opened(self, stamp: Stamp) -> RequestOpened:
        return RequestOpened(stamp=stamp, at=self._context.arrived_at, request=self._dimensions)

    def _used(
        self,
        stamp: Stamp,
        now: datetime,
        dimensions: RequestDimensions,
        outcome: RequestOutcome,
        *,
        amount_nano: int,
        lease_id: str | None,
    ) -> TokensUsed:
        assert outcome.tokens is not None
        return TokensUsed(
            stamp=stamp,
            at=now,
            request=dimensions,
            tokens=outcome.tokens,
            amount_nano=amount_nano,
            price_version=self._tariff.price.price_version,
            plan_version=self._tariff.plan.plan_version,
            estimated=outcome.estimated,
            outcome=outcome.outcome,
            finish_reason=outcome.finish_reason[:_MAX_WORD_CHARS],
            lease_id=lease_id,
            status=outcome.status,
            error_code=outcome.error_code[:_MAX_WORD_CHARS],
            provider_cost_nano=self._tariff.provider_cost_nano(outcome.tokens),
        )

    def _closed(
        self, stamp: Stamp, now: datetime, dimensions: RequestDimensions, outcome: RequestOutcome
    ) -> RequestClosed:
        latency_ms = self._context.elapsed_ms()
        first_token_ms = self._context.first_byte_ms
        if first_token_ms is None and outcome.outcome is Outcome.COMPLETED:
            # A response that is sent as a whole: its first byte is sent with its last.
            first_token_ms = latency_ms
        return RequestClosed(
            stamp=stamp,
            at=now,
            request=dimensions,
            outcome=outcome.outcome,
            status=outcome.status,
            opened_at=self._context.arrived_at,
            latency_ms=latency_ms,
            first_token_ms=first_token_ms,
            error_code=outcome.error_code[:_MAX_WORD_CHARS],
            finish_reason=outcome.finish_reason[:_MAX_WORD_CHARS],
            attempts=max(1, self._attempts.count),
            target=self._attempts.target.name,
            failed_attempts=self._attempts.failed,
        )


@lru_cache(maxsize=1024)
def client_of(user_agent: bytes) -> str:
    """Return the client library and its version: `openai-python/3.54.0`, `curl/8.5.0`."""
    text = user_agent.decode("latin-1")
    sdk = _SDK.match(text)
    if sdk is not None:
        text = f"{sdk[1].lower()}-{sdk[2].lower()}/{sdk[3]}"
    return text.partition(" ")[0][:_MAX_CLIENT_CHARS]
