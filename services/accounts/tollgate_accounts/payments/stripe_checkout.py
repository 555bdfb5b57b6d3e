"""Stripe Checkout: the customer pays on Stripe's page, and Stripe reports the outcome by signed events.

Follows Stripe's public API reference: https://docs.stripe.com/api/checkout/sessions/create and
https://docs.stripe.com/webhooks. The official library builds every request and verifies every signature.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import stripe
from pydantic import SecretStr

from tollgate_accounts.payments import problems
from tollgate_accounts.payments.methods import Order, StartedPayment
from tollgate_common.money import NANO_PER_UNIT

log = logging.getLogger(__name__)

# Stripe counts in the smallest coin: cents for USD, the only currency of a deployment.
NANO_PER_CENT = NANO_PER_UNIT // 100
PAYMENT_ID = "payment_id"
TIMEOUT_S = 20.0

# A refund takes the money until it has failed. A dispute takes it, but an inquiry (`warning_*`) does not.
_REFUND_RANKS = {"pending": 0, "requires_action": 0, "succeeded": 1, "failed": 2, "canceled": 2}
_DISPUTE_RANKS = {
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "needs_response": 2,
    "under_review": 3,
    "warning_closed": 4,
    "prevented": 4,
    "won": 4,
    "lost": 4,
}
_TAKES_NOTHING = {
    "failed",
    "canceled",
    "won",
    "prevented",
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
}


class CheckoutPaid(NamedTuple):
    """One of our checkouts was paid. Refunds and disputes refer to it by `intent`."""

    payment_id: str
    intent: str | None
    amount_nano: int
    currency: str


class CheckoutEnded(NamedTuple):
    """One of our checkouts ended without a payment: `failed` or `expired`."""

    payment_id: str
    state: str


class Reduction(NamedTuple):
    """A refund or a dispute as this event reports it. The event of the higher rank counts, then the newer one."""

    id: str
    kind: str
    intent: str
    amount_nano: int
    status: str
    takes: bool
    rank: int


class Event(NamedTuple):
    """An event from Stripe. `fact` is None if the event does not concern this deployment."""

    id: str
    type: str
    at: datetime
    fact: CheckoutPaid | CheckoutEnded | Reduction | None


class StripeCheckout:
    """The payment `Method` for cards and the other ways that Stripe offers."""

    name = "stripe"
    source = "payment"

    def __init__(
        self, api_key: SecretStr, webhook_secret: SecretStr, *, api_url: str | None = None, return_url: str
    ) -> None:
        """Build the client. It sends nothing yet.

        Args:
            api_key: Stripe's secret key.
            webhook_secret: verifies the events that Stripe sends to this deployment.
            api_url: replaces Stripe's own address.
            return_url: where Stripe sends the customer after a completed or canceled payment.
        """
        self._webhook_secret = webhook_secret
        self._return_url = return_url
        self._http = stripe.HTTPXClient(timeout=TIMEOUT_S)
        self._client = stripe.StripeClient(
            api_key.get_secret_value(),
            base_addresses={"api": api_url} if api_url else {},
            http_client=self._http,
            max_network_retries=2,
        )

    async def aclose(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def check(self, amount_nano: int) -> None:
        if amount_nano % NANO_PER_CENT:
            raise problems.amount_not_allowed(
                "amount_nano must be a multiple of 10,000,000: cards are charged in whole cents"
            )

    async def start(self, order: Order) -> StartedPayment:
        """Open a checkout. Stripe opens one per order, however often this is repeated.

        Raises:
            Problem: Stripe is unavailable or rejects the order.
        """
        cents = order.amount_nano // NANO_PER_CENT
        metadata = {PAYMENT_ID: order.payment_id, "account_id": order.account_id}
        params: dict[str, Any] = {
            "mode": "payment",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency.lower(),
                        "unit_amount": cents,
                        "product_data": {"name": "Credit"},
                    },
                }
            ],
            "client_reference_id": order.payment_id,
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "success_url": f"{self._return_url}?payment={order.payment_id}",
            "cancel_url": f"{self._return_url}?payment={order.payment_id}&canceled=1",
        }
        if order.email is not None:
            params["customer_email"] = order.email
        options: Any = {"idempotency_key": order.payment_id}
        try:
            session = await self._client.v1.checkout.sessions.create_async(params=params, options=options)  # type: ignore[arg-type]
        except stripe.StripeError as error:
            # The error's message may quote what was sent, but never the key.
            log.warning("Stripe did not open a checkout: %s %s", type(error).__name__, error.code)
            raise problems.stripe_unavailable() from error
        return StartedPayment(is_paid=False, reference=session.id, pay_at=session.url)

    def read(self, payload: bytes, signature: str | None) -> Event:
        """Verify a signed event and return it.

        Raises:
            Problem: the event is not signed by Stripe, was signed too long ago, or is invalid.
        """
        try:
            secret = self._webhook_secret.get_secret_value()
            stripe.WebhookSignature.verify_header(payload, signature, secret, stripe.Webhook.DEFAULT_TOLERANCE)
            event: dict[str, Any] = json.loads(payload)
            return Event(
                event["id"], event["type"], datetime.fromtimestamp(event["created"], UTC), _fact(event["type"], event)
            )
        except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
            raise problems.invalid_signature() from error
        except (ValueError, KeyError, TypeError) as error:
            raise problems.invalid_event(repr(error)) from error


def _fact(kind: str, event: dict[str, Any]) -> CheckoutPaid | CheckoutEnded | Reduction | None:
    thing = event["data"]["object"]
    match kind:
        case "checkout.session.completed" | "checkout.session.async_payment_succeeded":
            return _paid(thing)
        case "checkout.session.async_payment_failed":
            return _ended(thing, "failed")
        case "checkout.session.expired":
            return _ended(thing, "expired")
        case "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated":
            return _reduction(thing, "refund", _REFUND_RANKS)
        case _ if kind.startswith("charge.dispute."):
            return _reduction(thing, "dispute", _DISPUTE_RANKS)
    return None


def _paid(session: dict[str, Any]) -> CheckoutPaid | None:
    payment_id = _own_payment_id(session)
    # With a slow method, such as a bank debit, the session completes before it is paid.
    if payment_id is None or session["payment_status"] != "paid":
        return None
    amount_nano = int(session["amount_total"]) * NANO_PER_CENT
    return CheckoutPaid(payment_id, session.get("payment_intent"), amount_nano, str(session["currency"]).upper())


def _ended(session: dict[str, Any], state: str) -> CheckoutEnded | None:
    payment_id = _own_payment_id(session)
    return None if payment_id is None else CheckoutEnded(payment_id, state)


def _own_payment_id(session: dict[str, Any]) -> str | None:
    """Return our payment's id, or None for another checkout of the same Stripe account."""
    payment_id = (session.get("metadata") or {}).get(PAYMENT_ID)
    return None if payment_id is None else str(UUID(payment_id))


def _reduction(thing: dict[str, Any], kind: str, ranks: dict[str, int]) -> Reduction | None:
    intent, status = thing.get("payment_intent"), str(thing["status"])
    if intent is None:
        return None
    if status not in ranks:
        raise ValueError(f"the {kind} has the unknown status {status[:40]!r}")
    return Reduction(
        thing["id"],
        kind,
        intent,
        int(thing["amount"]) * NANO_PER_CENT,
        status,
        status not in _TAKES_NOTHING,
        ranks[status],
    )
