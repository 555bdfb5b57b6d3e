"""How a request ended, and what of it is charged: one pure function."""

from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

from tollgate_common.events import Outcome
from tollgate_common.rating import TokenCounts
from tollgate_edge.event_log.request_events import RequestOutcome
from tollgate_edge.http.errors import ApiError
from tollgate_edge.streaming.chat_stream import CUT_OFF_REASON

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
    stated: TokenCounts | None
    """The provider's own usage."""
    count_output: Callable[[], int]
    """Counts the output tokens that were delivered."""
    estimate: Callable[[int], TokenCounts | None]
    """Estimates the usage of the prompt with so many output tokens; None is nothing to charge."""
    covered_tokens: int = 0
    """Output tokens that the reservation covers."""
    finish_reason: str = ""
    served_model: str = ""


NOTHING_DELIVERED = Delivery(has_started=False, stated=None, count_output=lambda: 0, estimate=lambda _: None)


def outcome_of(ending: Ending, delivery: Delivery, error: ApiError | None = None) -> RequestOutcome:
    """Decide the outcome of a request.

    | what ended it | outcome | charged |
    |---|---|---|
    | a complete response | `completed` | the stated usage, else prompt and delivered output, estimated |
    | the client left | `cancelled` | the same |
    | the credit ran out | `cut_off` | prompt and generated output, as far as it was covered, estimated |
    | a failure before the first byte | `refused`, with the error's status | nothing |
    | a failure after it | `broken` | the stated usage, else the delivered output without the prompt, estimated |

    `not_stored` and `unknown_usage` have the two rows that a later fact adds.

    Args:
        ending: what ended the request.
        delivery: what is known of the response.
        error: what the client is told; required for `CUT_OFF` and `FAILED`.
    """
    if ending is Ending.CUT_OFF:
        assert error is not None
        generated = max(0 if delivery.stated is None else delivery.stated.completion, delivery.count_output())
        tokens = delivery.estimate(min(generated, delivery.covered_tokens))
        return RequestOutcome(
            Outcome.CUT_OFF,
            HTTPStatus.OK,
            tokens,
            estimated=True,
            finish_reason=CUT_OFF_REASON,
            served_model=delivery.served_model,
            error_code=error.code,
        )
    if ending is not Ending.FAILED:
        outcome = Outcome.COMPLETED if ending is Ending.COMPLETED else Outcome.CANCELLED
        return _charged(outcome, delivery, delivery.stated or delivery.estimate(delivery.count_output()))
    assert error is not None
    if not delivery.has_started:
        return RequestOutcome(Outcome.REFUSED, error.status, error_code=error.code)
    tokens_or_none = delivery.stated
    if tokens_or_none is None and (output := delivery.count_output()):
        # The client has not received what it asked for, so the prompt is free.
        tokens_or_none = TokenCounts(output=output)
    return _charged(Outcome.BROKEN, delivery, tokens_or_none, error.code)


def not_stored(outcome: RequestOutcome) -> RequestOutcome:
    """The outcome of a request whose response could not be stored under its idempotency key: nothing is charged."""
    return outcome._replace(tokens=None, error_code=RESPONSE_NOT_STORED)


def unknown_usage(error: ApiError) -> RequestOutcome:
    """The outcome of a request whose usage cannot be determined: `broken`, and nothing is charged."""
    return RequestOutcome(Outcome.BROKEN, HTTPStatus.OK, error_code=error.code)


def _charged(outcome: Outcome, delivery: Delivery, tokens: TokenCounts | None, error_code: str = "") -> RequestOutcome:
    return RequestOutcome(
        outcome,
        HTTPStatus.OK,
        tokens,
        estimated=delivery.stated is None,
        finish_reason=delivery.finish_reason,
        served_model=delivery.served_model,
        error_code=error_code,
    )
