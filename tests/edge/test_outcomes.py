"""Every row of the table of outcomes, and what must hold in all of them."""

from http import HTTPStatus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_common.events import Outcome
from tollgate_common.rating import TokenCounts
from tollgate_edge.gateway.outcomes import (
    NOTHING_DELIVERED,
    RESPONSE_NOT_STORED,
    Delivery,
    Ending,
    not_stored,
    outcome_of,
    unknown_usage,
)
from tollgate_edge.http.errors import ApiError, internal_error
from tollgate_edge.usage.merging import NOTHING_STATED, SettledUsage, StatedUsage

PROMPT = 100
STATED = StatedUsage(prompt=90, output=40)
CHARGED = TokenCounts(input=90, output=40)
PIECES = TokenCounts(images=2)
ERROR = ApiError(HTTPStatus.BAD_GATEWAY, "no", code="provider_error")


def delivery(
    *,
    stated: StatedUsage = NOTHING_STATED,
    is_final: bool = True,
    settled: TokenCounts | None = None,
    delivered: int = 0,
    covered: int = 1000,
    started: bool = True,
) -> Delivery:
    return Delivery(
        has_started=started,
        count_output=lambda: delivered,
        estimate=lambda output: TokenCounts(input=PROMPT, output=output),
        stated=stated,
        is_final=is_final,
        settled=None if settled is None else SettledUsage(settled),
        covered_tokens=covered,
        finish_reason="stop",
        served_model="model-1",
    )


def counted(output: int, prompt: int = PROMPT) -> TokenCounts:
    return TokenCounts(input=prompt, output=output)


@pytest.mark.parametrize(
    ("ending", "given", "outcome", "tokens", "estimated"),
    [
        (Ending.COMPLETED, delivery(stated=STATED, delivered=7), Outcome.COMPLETED, CHARGED, False),
        (Ending.COMPLETED, delivery(delivered=7), Outcome.COMPLETED, counted(7), True),
        (Ending.COMPLETED, delivery(settled=PIECES, delivered=7), Outcome.COMPLETED, PIECES, False),
        (Ending.CLIENT_LEFT, delivery(stated=STATED, delivered=7), Outcome.CANCELLED, CHARGED, False),
        (Ending.CLIENT_LEFT, delivery(delivered=7), Outcome.CANCELLED, counted(7), True),
        (Ending.CLIENT_LEFT, delivery(started=False), Outcome.CANCELLED, counted(0), True),
        # The provider has stated its prompt, and an output that is older than the last text.
        (
            Ending.CLIENT_LEFT,
            delivery(stated=StatedUsage(prompt=90, output=1), is_final=False, delivered=7),
            Outcome.CANCELLED,
            counted(7, prompt=90),
            True,
        ),
        (
            Ending.CLIENT_LEFT,
            delivery(stated=STATED, is_final=False, delivered=7),
            Outcome.CANCELLED,
            CHARGED,
            False,
        ),
        (Ending.CUT_OFF, delivery(delivered=7), Outcome.CUT_OFF, counted(7), True),
        (Ending.CUT_OFF, delivery(delivered=7, covered=5), Outcome.CUT_OFF, counted(5), True),
        (Ending.CUT_OFF, delivery(stated=STATED, delivered=7), Outcome.CUT_OFF, CHARGED, True),
        (
            Ending.CUT_OFF,
            delivery(stated=StatedUsage(prompt=90, output=40, reasoning=30), covered=35),
            Outcome.CUT_OFF,
            TokenCounts(input=90, output=5, reasoning=30),
            True,
        ),
        (Ending.FAILED, delivery(started=False, delivered=7), Outcome.REFUSED, None, False),
        (Ending.FAILED, delivery(stated=STATED), Outcome.BROKEN, CHARGED, False),
        (Ending.FAILED, delivery(delivered=7), Outcome.BROKEN, TokenCounts(output=7), True),
        (Ending.FAILED, delivery(), Outcome.BROKEN, None, True),
        (
            Ending.FAILED,
            delivery(stated=StatedUsage(prompt=90, output=1), is_final=False, delivered=7),
            Outcome.BROKEN,
            counted(7, prompt=90),
            True,
        ),
        (Ending.FAILED, NOTHING_DELIVERED, Outcome.REFUSED, None, False),
    ],
)
def test_each_row_of_the_table(
    ending: Ending, given: Delivery, outcome: Outcome, tokens: TokenCounts | None, estimated: bool
) -> None:
    found = outcome_of(ending, given, ERROR)
    assert (found.outcome, found.tokens, found.estimated) == (outcome, tokens, estimated)


def test_an_error_is_named_where_there_is_one() -> None:
    assert outcome_of(Ending.COMPLETED, delivery()).error_code == ""
    assert outcome_of(Ending.FAILED, delivery(), ERROR).error_code == "provider_error"
    refused = outcome_of(Ending.FAILED, delivery(started=False), ERROR)
    assert (refused.status, refused.error_code) == (502, "provider_error")
    cut = outcome_of(Ending.CUT_OFF, delivery(), ApiError(402, "no", code="insufficient_quota"))
    assert (cut.status, cut.error_code, cut.finish_reason, cut.served_model) == (
        200,
        "insufficient_quota",
        "length",
        "model-1",
    )


def test_what_is_not_stored_or_unknown_is_not_charged() -> None:
    unstored = not_stored(outcome_of(Ending.COMPLETED, delivery(stated=STATED)))
    assert (unstored.outcome, unstored.tokens, unstored.error_code) == (Outcome.COMPLETED, None, RESPONSE_NOT_STORED)
    unknown = unknown_usage(internal_error())
    assert (unknown.outcome, unknown.tokens, unknown.error_code) == (Outcome.BROKEN, None, "internal_error")


COUNTS = st.integers(0, 10_000)


@given(
    ending=st.sampled_from(Ending),
    stated=st.builds(StatedUsage, prompt=COUNTS, output=COUNTS),
    is_final=st.booleans(),
    delivered=COUNTS,
    covered=COUNTS,
    started=st.booleans(),
)
def test_a_stated_usage_is_charged_and_a_cut_off_never_beyond_its_cover(
    *, ending: Ending, stated: StatedUsage, is_final: bool, delivered: int, covered: int, started: bool
) -> None:
    known = delivery(stated=stated, is_final=is_final, delivered=delivered, covered=covered, started=started)
    found = outcome_of(ending, known, ERROR)
    if found.outcome is Outcome.REFUSED:
        assert found.tokens is None
        return
    if found.tokens is None:
        assert (found.outcome, stated.prompt, stated.output, delivered) == (Outcome.BROKEN, 0, 0, 0)
        return
    if found.outcome is Outcome.CUT_OFF:
        assert found.tokens.output <= covered
        stated = msgspec.structs.replace(stated, output=min(stated.output, covered))
        delivered = min(delivered, covered)
    assert found.tokens.prompt >= stated.prompt
    assert found.tokens.output >= stated.output
    if stated.prompt:
        assert found.tokens.prompt == stated.prompt
    if is_final and stated.output:
        assert found.tokens.output == stated.output
    else:
        assert found.tokens.output == max(stated.output, delivered)
