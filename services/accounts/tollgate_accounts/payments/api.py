"""Payments over HTTP: by customers, and what Stripe tells of them."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member, Public
from tollgate_accounts.access.roles import Role
from tollgate_accounts.payments import handlers, problems
from tollgate_accounts.payments.schemas import BegunPaymentView, OwnPaymentPage, PaymentRequest, PaymentView, Received
from tollgate_accounts.payments.stripe_checkout import StripeCheckout
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_common.money import CURRENCY
from tollgate_common.postgres.connection import Pool

PAGE = 100
MAX_PAGE = 1000
WEBHOOK = "/v1/stripe/events"
# Stripe's events are some kilobytes.
MAX_EVENT_BYTES = 1 << 20


def routes(pool: Pool, access: Access, stripe: StripeCheckout | None) -> APIRouter:
    router = APIRouter(tags=["payments"])
    payer = access.member(Role.OWNER, Role.ADMIN, Role.BILLING)

    @router.post(
        "/v1/payments",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/payments",
            *access_problems.OF_MEMBERS,
            bad_request(),
            invalid_input("amount_nano"),
            problems.amount_out_of_range(handlers.MIN_NANO, handlers.MAX_NANO),
            problems.currency_not_accepted("EUR", CURRENCY),
            problems.payments_not_configured(),
            problems.stripe_unavailable(),
        ),
    )
    async def pay(caller: Annotated[Member, Depends(payer)], body: PaymentRequest) -> BegunPaymentView:
        """Begin a payment with Stripe Checkout: send the customer to `pay_at`. Credit comes when Stripe says so."""
        if stripe is None:
            raise problems.payments_not_configured()
        payment, begun = await handlers.pay(
            pool,
            stripe,
            caller.actor,
            account_id=caller.account_id,
            amount_nano=body.amount_nano,
            currency=body.currency,
            email=caller.email,
        )
        return BegunPaymentView.begun(payment, begun.pay_at)

    @router.get(
        "/v1/payments",
        responses=documented("/v1/payments", *access_problems.OF_MEMBERS, invalid_input("limit")),
    )
    async def list_payments(
        caller: Annotated[Member, Depends(payer)],
        after: Annotated[UUID | None, Query(description="`next_after` of the page before")] = None,
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
        dependencies=[Depends(Public("takes only what Stripe has signed"))],
        responses=documented(
            WEBHOOK,
            problems.signature_wrong(),
            problems.event_too_large(),
            problems.event_unreadable("KeyError('data')"),
            problems.currency_not_accepted("EUR", CURRENCY),
            problems.payments_not_configured(),
        ),
    )
    async def take_event(
        request: Request,
        signature: Annotated[
            str | None, Header(alias="Stripe-Signature", description="made by Stripe over the body")
        ] = None,
    ) -> Received:
        """An event from Stripe, in any order and any number of times."""
        if stripe is None:
            raise problems.payments_not_configured()
        payload = b""
        async for chunk in request.stream():
            payload += chunk
            if len(payload) > MAX_EVENT_BYTES:
                raise problems.event_too_large()
        await handlers.take_event(pool, stripe, stripe.read(payload, signature))
        return Received()

    return router
