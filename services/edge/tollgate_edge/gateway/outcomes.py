"""How a request ended, and what of it is charged: one pure function."""

from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from tollgate_common.events import Outcome
from tollgate_common.rating import COMPLETION_CLASSES, TokenCounts
from tollgate_edge.event_log.request_events import RequestOutcome
from tollgate_edge.http.errors import ApiError
from tollgate_edge.streaming.chat_stream import CUT_OFF_REASON
from tollgate_edge.usage.merging import NOTHING_STATED, SettledUsage, StatedUsage, settle

RESPONSE_NOT_STORED = "response_not_stored"


class Ending(StrEnum):
    """What ended the request."""

    COMPLETED = "completed"
    CLIENT_LEFT = "client_left"
    CUT_OFF = "cut_off"
    """The credit ran out while the response streamed."""
    FAILED = "failed"
    """The provider rejected the request or failed, or the edge did."""


class Delivery(NamedTuple):
    """What is known of the response when the request ends. A stream is counted only where a row asks for it."""

    has_started: bool
    """Whether the client has received any of it."""
    count_output: Callable[[], int]
    """Counts the output tokens that were delivered."""
    estimate: Callable[[int], TokenCounts | None]
    """Estimates the usage of the prompt with so many output tokens; None is nothing to charge."""
    stated: StatedUsage = NOTHING_STATED
    """The provider's own usage, as far as it has stated it."""
    is_final: bool = False
    """Whether the provider stated its output after the last delivered text."""
    settled: SettledUsage | None = None
    """The usage if it is known already: of a complete response, or in other units such as images."""
    covered_tokens: int = 0
    """Output tokens that the reservation covers."""
    finish_reason: str = ""
    served_model: str = ""

    def settle(self, *, is_prompt_charged: bool = True) -> SettledUsage:
        if self.settled is not None:
            return self.settled
        return settle(
            self.stated,
            count_output=self.count_output,
            estimate=self.estimate,
            is_final=self.is_final,
            is_prompt_charged=is_prompt_charged,
        )


NOTHING_DELIVERED = Delivery(has_started=False, count_output=lambda: 0, estimate=lambda _: None)


def outcome_of(ending: Ending, delivery: Delivery, error: ApiError | None = None) -> RequestOutcome:
    """Decide the outcome of a request.

    What the provider has stated is charged in every row but the refusal. Only what it has not stated is counted:

    | what ended it | outcome | counted, and flagged as estimated |
    |---|---|---|
    | a complete response | `completed` | the prompt and the delivered output |
    | the client left | `cancelled` | the same |
    | the credit ran out | `cut_off` | the same, the output as far as the reservation covers it |
    | a failure before the first byte | `refused`, with the error's status | nothing, and nothing is charged |
    | a failure after it | `broken` | the delivered output without the prompt |

    `not_stored` and `unknown_usage` have the two rows that a later fact adds.

    Args:
        ending: what ended the request.
        delivery: what is known of the response.
        error: what the client is told; required for `CUT_OFF` and `FAILED`.
    """
    if ending is Ending.CUT_OFF:
        assert error is not None
        settled = delivery.settle()
        tokens = None if settled.tokens is None else _limited(settled.tokens, delivery.covered_tokens)
        return RequestOutcome(
            Outcome.CUT_OFF,
            HTTPStatus.OK,
            tokens,
            estimated=True,
            finish_reason=CUT_OFF_REASON,
            served_model=delivery.served_model,
            error_code=error.code,
            is_usage_impossible=settled.is_impossible,
        )
    if ending is not Ending.FAILED:
        outcome = Outcome.COMPLETED if ending is Ending.COMPLETED else Outcome.CANCELLED
        return _charged(outcome, delivery, delivery.settle())
    assert error is not None
    if not delivery.has_started:
        return RequestOutcome(Outcome.REFUSED, error.status, error_code=error.code)
    # The client has not received what it asked for, so a prompt that the provider has not counted is free.
    return _charged(Outcome.BROKEN, delivery, delivery.settle(is_prompt_charged=False), error.code)


def not_stored(outcome: RequestOutcome) -> RequestOutcome:
    """The outcome of a request whose response could not be stored under its idempotency key: nothing is charged."""
    return outcome._replace(tokens=None, error_code=RESPONSE_NOT_STORED)


def unknown_usage(error: ApiError) -> RequestOutcome:
    """The outcome of a request whose usage cannot be determined: `broken`, and nothing is charged."""
    return RequestOutcome(Outcome.BROKEN, HTTPStatus.OK, error_code=error.code)


def _charged(outcome: Outcome, delivery: Delivery, settled: SettledUsage, error_code: str = "") -> RequestOutcome:
    return RequestOutcome(
        outcome,
        HTTPStatus.OK,
        settled.tokens,
        estimated=settled.is_estimated,
        finish_reason=delivery.finish_reason,
        served_model=delivery.served_model,
        error_code=error_code,
        is_usage_impossible=settled.is_impossible,
    )


def _limited(tokens: TokenCounts, most_output: int) -> TokenCounts:
    """Limit the output, the plain one first, because the other classes are the provider's own count."""
    excess = tokens.completion - most_output
    if excess <= 0:
        return tokens
    limited = {}
    for name in COMPLETION_CLASSES:
        count = getattr(tokens, name)
        limited[name] = max(0, count - excess)
        excess -= count - limited[name]
    return msgspec.structs.replace(tokens, **limited)
