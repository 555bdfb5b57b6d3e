"""Payments over HTTP: the customers' routes and Stripe's webhook."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.permissions import BillingMember, Public
from tollgate_accounts.payments import handlers, problems
from tollgate_accounts.payments.dependencies import StripeDep
from tollgate_accounts.payments.schemas import OwnPaymentPage, PaymentRequest, PaymentView, Received, StartedPaymentView
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_common.money import CURRENCY

PAGE = 100
MAX_PAGE = 1000
WEBHOOK = "/v1/stripe/events"
# Stripe's events are a few kilobytes.
MAX_EVENT_BYTES = 1 << 20

router = APIRouter(tags=["payments"])


@router.post(
    "/v1/payments",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        "/v1/payments",
        *access_problems.MEMBER_PROBLEMS,
        bad_request(),
        invalid_input("amount_nano"),
        problems.amount_out_of_range(handlers.MIN_NANO, handlers.MAX_NANO),
        problems.unsupported_currency("EUR", CURRENCY),
        problems.payments_not_configured(),
        problems.stripe_unavailable(),
    ),
)
async def pay(pool: PoolDep, stripe: StripeDep, caller: BillingMember, body: PaymentRequest) -> StartedPaymentView:
    """Starts a payment with Stripe Checkout. Send the customer to `pay_at`. Stripe's event grants the credit."""
    if stripe is None:
        raise problems.payments_not_configured()
    payment, started = await handlers.pay(
        pool,
        stripe,
        caller.actor,
        account_id=caller.account_id,
        amount_nano=body.amount_nano,
        currency=body.currency,
        email=caller.email,
    )
    return StartedPaymentView.started(payment, started.pay_at)


@router.get(
    "/v1/payments",
    responses=documented("/v1/payments", *access_problems.MEMBER_PROBLEMS, invalid_input("limit")),
)
async def list_payments(
    pool: PoolDep,
    stripe: StripeDep,
    caller: BillingMember,
    after: Annotated[UUID | None, Query(description="`next_after` of the previous page")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
) -> OwnPaymentPage:
    found = await handlers.list_payments(pool, caller.account_id, str(after) if after else None, limit)
    return OwnPaymentPage(
        payments=[PaymentView.of(payment) for payment in found],
        next_after=found[-1].id if len(found) == limit else None,
        methods=[] if stripe is None else [stripe.name],
    )


@router.post(
    WEBHOOK,
    dependencies=[Depends(Public("requires Stripe's signature"))],
    responses=documented(
        WEBHOOK,
        problems.invalid_signature(),
        problems.event_too_large(),
        problems.invalid_event("KeyError('data')"),
        problems.unsupported_currency("EUR", CURRENCY),
        problems.payments_not_configured(),
    ),
)
async def apply_event(
    pool: PoolDep,
    stripe: StripeDep,
    request: Request,
    signature: Annotated[
        str | None, Header(alias="Stripe-Signature", description="Stripe's signature of the body")
    ] = None,
) -> Received:
    """Accepts Stripe's events, in any order and any number of times."""
    if stripe is None:
        raise problems.payments_not_configured()
    payload = b""
    async for chunk in request.stream():
        payload += chunk
        if len(payload) > MAX_EVENT_BYTES:
            raise problems.event_too_large()
    await handlers.apply_event(pool, stripe, stripe.read(payload, signature))
    return Received()
