"""Payments: begun at a stand-in of Stripe, credited by signed events in any order, and given by operators."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import accumulate
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from accounts.answers import OPERATOR_TOKEN, RULES, SignedUp, assert_problem
from accounts.stripe_stand_in import API_KEY, WEBHOOK_SECRET, Json, Story, StripeStandIn, running_stripe, signed
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.payments import store
from tollgate_accounts.payments.handlers import take_event
from tollgate_accounts.payments.methods import Order
from tollgate_accounts.payments.store import NewPayment
from tollgate_accounts.payments.stripe_checkout import StripeCheckout
from tollgate_common.events import CreditAdjusted, CreditEvent, CreditGranted, decode_credit
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Pool

pytestmark = [
    pytest.mark.engines,
    # Stripe's library hands httpx a form as text.
    pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning"),
]

Headers = dict[str, str]
USD = 1_000_000_000
CENT = USD // 100


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    with running_stripe() as stand_in:
        yield stand_in


@pytest.fixture
async def checkout(stripe: StripeStandIn) -> AsyncIterator[StripeCheckout]:
    checkout = StripeCheckout(
        SecretStr(API_KEY), SecretStr(WEBHOOK_SECRET), api_url=stripe.url, return_url="http://console/payments"
    )
    async with aclosing(checkout):
        yield checkout


@pytest.fixture
async def client(pool: Pool, passwords: Passwords, checkout: StripeCheckout) -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(
        pool, passwords, lambda: None, rules=RULES, operator_token=SecretStr(OPERATOR_TOKEN), stripe=checkout
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://accounts") as client:
        yield client


async def begin(client: httpx.AsyncClient, headers: Headers, amount_nano: int = 25 * USD) -> dict[str, Any]:
    answer = await client.post("/v1/payments", json={"amount_nano": amount_nano}, headers=headers)
    assert answer.status_code == 201, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def deliver(client: httpx.AsyncClient, event: Json) -> None:
    body, headers = signed(event)
    answer = await client.post("/v1/stripe/events", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"received": True}), answer.text


async def credits(pool: Pool, account_id: str) -> list[CreditEvent]:  # noqa: A001 - the topic's name
    """What the ledger is told of an account, in its order."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT payload FROM outbox WHERE topic = 'credits.v1' AND key = %s ORDER BY id", [account_id]
        )
        return [decode_credit(row["payload"]) for row in await cursor.fetchall()]


async def account_of(client: httpx.AsyncClient, headers: Headers) -> str:
    return str((await client.get("/v1/account", headers=headers)).json()["account_id"])


async def payment_of(client: httpx.AsyncClient, headers: Headers) -> dict[str, Any]:
    (payment,) = (await client.get("/v1/payments", headers=headers)).json()["payments"]
    found: dict[str, Any] = payment
    return found


# --- by a customer --------------------------------------------------------------------------------------------------


async def test_a_payment_from_begin_to_credit(
    client: httpx.AsyncClient, pool: Pool, ada: Headers, stripe: StripeStandIn
) -> None:
    begun = await begin(client, ada)
    account_id = await account_of(client, ada)
    assert (begun["state"], begun["credited_nano"]) == ("pending", 0)
    assert begun["pay_at"].startswith("https://checkout.stripe.com/")
    (asked,) = stripe.asked
    assert asked.idempotency_key == begun["id"]
    assert asked.form == {
        "mode": "payment",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "2500",
        "line_items[0][price_data][product_data][name]": "Credit",
        "client_reference_id": begun["id"],
        "metadata[payment_id]": begun["id"],
        "metadata[account_id]": account_id,
        "payment_intent_data[metadata][payment_id]": begun["id"],
        "payment_intent_data[metadata][account_id]": account_id,
        "success_url": f"http://console/payments?payment={begun['id']}",
        "cancel_url": f"http://console/payments?payment={begun['id']}&canceled=1",
        "customer_email": "ada@example.com",
    }
    assert await credits(pool, account_id) == []

    await deliver(client, Story(begun["id"], 2500).completed())

    (grant,) = await credits(pool, account_id)
    assert isinstance(grant, CreditGranted)
    assert (grant.grant_id, grant.amount_nano, grant.source) == (begun["id"], 25 * USD, "payment")
    payment = await payment_of(client, ada)
    assert (payment["state"], payment["amount"], payment["credited_nano"]) == ("paid", "25.00", 25 * USD)
    assert payment["paid_at"] is not None


async def test_what_a_payment_refuses(client: httpx.AsyncClient, ada: Headers, stripe: StripeStandIn) -> None:
    for body, code, field in (
        ({"amount_nano": USD, "currency": "EUR"}, "unsupported_currency", "currency"),
        ({"amount_nano": USD, "currency": "usd"}, "invalid_input", "currency"),
        ({"amount_nano": USD - 1}, "amount_out_of_range", "amount_nano"),
        ({"amount_nano": 10_001 * USD}, "amount_out_of_range", "amount_nano"),
        ({"amount_nano": USD + 1}, "amount_not_allowed", "amount_nano"),
        ({"amount_nano": 1.5}, "invalid_input", "amount_nano"),
        ({"amount_nano": 0}, "invalid_input", "amount_nano"),
        ({}, "invalid_input", "amount_nano"),
    ):
        assert_problem(await client.post("/v1/payments", json=body, headers=ada), 422, code, field)
    assert stripe.asked == []
    assert (await client.get("/v1/payments", headers=ada)).json()["payments"] == []


async def test_stripe_that_does_not_answer(client: httpx.AsyncClient, ada: Headers, stripe: StripeStandIn) -> None:
    stripe.failure = 400
    answer = await client.post("/v1/payments", json={"amount_nano": USD}, headers=ada)
    assert_problem(answer, 503, "stripe_unavailable")
    payment = await payment_of(client, ada)
    assert (payment["state"], payment["credited_nano"]) == ("pending", 0)


async def test_an_order_that_is_repeated_opens_one_checkout(checkout: StripeCheckout) -> None:
    order = Order(new_id(), "a", 5 * USD, "USD", None)
    first = await checkout.begin(order)
    assert await checkout.begin(order) == first


async def test_without_stripe(pool: Pool, passwords: Passwords, ada: Headers) -> None:
    app = build_app(pool, passwords, lambda: None, rules=RULES)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://accounts") as client:
        answer = await client.post("/v1/payments", json={"amount_nano": USD}, headers=ada)
        assert_problem(answer, 403, "payments_not_configured")
        assert (await client.get("/v1/payments", headers=ada)).json()["methods"] == []
        body, headers = signed(Story(new_id(), 100).completed())
        answer = await client.post("/v1/stripe/events", content=body, headers=headers)
        assert_problem(answer, 403, "payments_not_configured")


async def test_an_organization_sees_its_own_payments(
    client: httpx.AsyncClient, ada: Headers, signed_up: SignedUp
) -> None:
    await begin(client, ada)
    bob = await signed_up("bob@example.com")
    assert (await client.get("/v1/payments", headers=bob)).json() == {
        "payments": [],
        "next_after": None,
        "methods": ["stripe"],
    }


# --- what Stripe tells ----------------------------------------------------------------------------------------------


async def test_only_what_stripe_signed_is_taken(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    story = Story((await begin(client, ada))["id"], 2500)
    body, good = signed(story.completed())
    _, of_another = signed(story.completed(), "whsec_of_someone_else")
    _, stale = signed(json.loads(body), at=time.time() - 3600)
    for content, headers in (
        (body, of_another),
        (body, stale),
        (body, {}),
        (body, {"Stripe-Signature": "nonsense"}),
        (body.replace(b"2500", b"9900"), good),
        (b"\xff", good),
    ):
        answer = await client.post("/v1/stripe/events", content=content, headers=headers)
        assert_problem(answer, 400, "invalid_signature", "Stripe-Signature")
    assert await credits(pool, await account_of(client, ada)) == []


async def test_events_that_are_not_ours_or_not_understood(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    story = Story((await begin(client, ada))["id"], 2500)
    await deliver(client, story.event("customer.created", {"id": "cus_1"}))
    await deliver(client, Story(new_id(), 2500).completed())
    foreign = story.completed()
    foreign["data"]["object"]["metadata"] = {}
    await deliver(client, foreign)
    not_understood: list[Any] = [
        {"id": "evt_1", "type": "checkout.session.completed", "created": 1, "data": {}},
        story.refund("a", 100, "a status of next year"),
        {"no": "event"},
        [],
    ]
    for broken in not_understood:
        body, headers = signed(broken)
        answer = await client.post("/v1/stripe/events", content=body, headers=headers)
        assert_problem(answer, 422, "invalid_event")
    large, headers = signed(story.event("customer.created", {"text": "x" * (1 << 20)}))
    assert_problem(await client.post("/v1/stripe/events", content=large, headers=headers), 413, "event_too_large")
    assert await credits(pool, await account_of(client, ada)) == []


async def test_another_currency_is_refused_and_says_why(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    story = Story((await begin(client, ada))["id"], 2500, currency="eur")
    body, headers = signed(story.completed())
    problem = assert_problem(
        await client.post("/v1/stripe/events", content=body, headers=headers), 422, "unsupported_currency", "currency"
    )
    assert "EUR" in problem["detail"]
    assert await credits(pool, await account_of(client, ada)) == []


async def test_one_event_ten_times_at_once_credits_once(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    event = Story((await begin(client, ada))["id"], 2500).completed()
    await asyncio.gather(*(deliver(client, event) for _ in range(10)))
    assert [told.amount_nano for told in await credits(pool, await account_of(client, ada))] == [25 * USD]


async def test_a_slow_method_credits_when_it_is_paid(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    story = Story((await begin(client, ada))["id"], 2500)
    await deliver(client, story.completed("unpaid"))
    assert (await payment_of(client, ada))["state"] == "pending"
    await deliver(client, story.paid_later())
    await deliver(client, story.completed("paid"))
    assert len(await credits(pool, await account_of(client, ada))) == 1


@pytest.mark.parametrize(("end", "state"), [("failed_later", "failed"), ("expired", "expired")])
async def test_a_payment_that_nobody_made(client: httpx.AsyncClient, ada: Headers, end: str, state: str) -> None:
    story = Story((await begin(client, ada))["id"], 2500)
    await deliver(client, getattr(story, end)())
    assert (await payment_of(client, ada))["state"] == state
    await deliver(client, story.completed())
    await deliver(client, getattr(story, end)())
    assert (await payment_of(client, ada))["state"] == "paid", "what was paid stays so"


async def test_refunds_and_disputes_step_by_step(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    story = Story((await begin(client, ada))["id"], 2500)
    account_id = await account_of(client, ada)
    steps: list[tuple[Json, int]] = [
        (story.completed(), 2500),
        (story.refund("a", 500, "pending", "refund.created"), 2000),
        (story.refund("a", 500, "succeeded"), 2000),
        (story.refund("b", 100, "pending", "refund.created"), 1900),
        (story.refund("b", 100, "failed", "refund.failed"), 2000),
        (story.dispute(2000, "warning_needs_response", "charge.dispute.created"), 2000),
        (story.dispute(2000, "needs_response", "charge.dispute.created"), 0),
        (story.dispute(2000, "under_review"), 0),
        (story.dispute(2000, "won", "charge.dispute.closed"), 2000),
    ]
    for event, cents in steps:
        await deliver(client, event)
        told = await credits(pool, account_id)
        assert sum(one.amount_nano for one in told) == cents * CENT
    assert [type(one) for one in told] == [CreditGranted] + [CreditAdjusted] * 5
    payment = await payment_of(client, ada)
    assert (payment["refunded_nano"], payment["disputed_nano"], payment["credited_nano"]) == (5 * USD, 0, 20 * USD)


async def test_a_lost_dispute_takes_its_credit_for_good(client: httpx.AsyncClient, pool: Pool, ada: Headers) -> None:
    story = Story((await begin(client, ada))["id"], 2500)
    await deliver(client, story.completed())
    await deliver(client, story.refund("a", 1000, "succeeded"))
    # A bank may dispute all of a charge that was refunded in part: no more than all of it is taken.
    await deliver(client, story.dispute(2500, "lost", "charge.dispute.closed"))
    told = await credits(pool, await account_of(client, ada))
    assert [one.amount_nano for one in told] == [25 * USD, -10 * USD, -15 * USD]


async def recorded(pool: Pool, account_id: str) -> str:
    """A payment of 25.00 that has been begun."""
    payment_id = new_id()
    async with pool.connection() as connection:
        new = NewPayment(payment_id, account_id, "stripe", None, 25 * USD, "USD", "")
        await store.add_payment(connection, new)
    return payment_id


def whole_story(payment_id: str) -> list[Json]:
    """A payment, two refunds of which one fails, and a dispute that is won: 20.00 are left."""
    story = Story(payment_id, 2500)
    return [
        story.completed(),
        story.refund("a", 500, "pending", "refund.created"),
        story.refund("a", 500, "succeeded"),
        story.refund("b", 300, "pending", "refund.created"),
        story.refund("b", 300, "failed", "refund.failed"),
        story.dispute(2000, "needs_response", "charge.dispute.created"),
        story.dispute(2000, "needs_response", "charge.dispute.funds_withdrawn"),
        story.dispute(2000, "won", "charge.dispute.closed"),
    ]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([*range(8), *range(8)]), at_once=st.booleans())
async def test_in_any_order_and_twice_each_the_same_credit_is_left(
    pool: Pool, checkout: StripeCheckout, order: list[int], at_once: bool
) -> None:
    account_id = new_id()
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO organisations (id, name) VALUES (%s, 'a')", [account_id])
    events = []
    for told in whole_story(await recorded(pool, account_id)):
        body, headers = signed(told)
        events.append(checkout.read(body, headers["Stripe-Signature"]))
    if at_once:
        await asyncio.gather(*(take_event(pool, checkout, events[number]) for number in order))
    else:
        for number in order:
            await take_event(pool, checkout, events[number])
    credit = await credits(pool, account_id)
    after_each = list(accumulate(one.amount_nano for one in credit))
    assert after_each[-1] == 20 * USD
    assert all(0 <= balance_nano <= 25 * USD for balance_nano in after_each)
    assert [one.amount_nano for one in credit if isinstance(one, CreditGranted)] == [25 * USD]
    ids = [one.grant_id if isinstance(one, CreditGranted) else one.adjustment_id for one in credit]
    assert len(set(ids)) == len(ids)
