"""Use cases of payments.

A payment's credit is a function of recorded facts: the amount paid, less what refunds and disputes currently take.
`_settle` compares it with what has been posted and posts the difference: first a grant, then adjustments. Events may
therefore come in any order and any number of times; after the last one the credit is the same.
"""

import logging
from datetime import UTC

from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor, Detail
from tollgate_accounts.credit import store as credit
from tollgate_accounts.payments import problems, store
from tollgate_accounts.payments.methods import Manual, Method, Order, StartedPayment
from tollgate_accounts.payments.store import NewPayment, Payment, ReportedReduction
from tollgate_accounts.payments.stripe_checkout import CheckoutEnded, CheckoutPaid, Event, Reduction, StripeCheckout
from tollgate_common.events import CreditAdjusted, CreditGranted
from tollgate_common.ids import new_id
from tollgate_common.money import CURRENCY, NANO_PER_UNIT
from tollgate_common.postgres.connection import Connection, Pool

log = logging.getLogger(__name__)

MIN_NANO = 1 * NANO_PER_UNIT
MAX_NANO = 10_000 * NANO_PER_UNIT
# A larger amount in one request is a typing error.
MAX_MANUAL_NANO = 1_000_000 * NANO_PER_UNIT


async def pay(
    pool: Pool, method: Method, actor: Actor, *, account_id: str, amount_nano: int, currency: str, email: str | None
) -> tuple[Payment, StartedPayment]:
    """Start a customer's payment. It is recorded first, so that every later event about it is recognized.

    Raises:
        Problem: the amount or the currency is not allowed, or the payment method is unavailable.
    """
    check_currency(currency)
    if not MIN_NANO <= amount_nano <= MAX_NANO:
        raise problems.amount_out_of_range(MIN_NANO, MAX_NANO)
    method.check(amount_nano)
    payment_id = new_id()
    async with pool.connection() as connection:
        new = NewPayment(payment_id, account_id, method.name, None, amount_nano, currency, "")
        await store.add_payment(connection, new)
        await _record_start(connection, actor, new)
    started = await method.start(Order(payment_id, account_id, amount_nano, currency, email))
    async with pool.connection() as connection:
        if started.reference is not None:
            await store.set_reference(connection, payment_id, started.reference)
        if started.is_paid:
            await _pay_in_full(connection, method, payment_id)
        return await store.read_payment(connection, payment_id), started


async def grant_credit(
    pool: Pool, actor: Actor, *, account_id: str, amount_nano: int, reason: str, reference: str | None
) -> Payment:
    """Grant credit as an operator. With a reference, repeating the request grants nothing more.

    Raises:
        Problem: the reference exists with another account or amount.
    """
    method = Manual()
    payment_id = new_id()
    async with pool.connection() as connection:
        new = NewPayment(payment_id, account_id, method.name, reference, amount_nano, CURRENCY, reason)
        if not await store.add_payment(connection, new):
            assert reference is not None, "only a reference can exist already"
            given = await store.read_payment(
                connection, await store.find_by_reference(connection, method.name, reference)
            )
            if (given.account_id, given.amount_nano) != (account_id, amount_nano):
                raise problems.reference_exists()
            return given
        await _record_start(connection, actor, new)
        started = await method.start(Order(payment_id, account_id, amount_nano, CURRENCY, None))
        assert started.is_paid, "the manual method is paid at once"
        await _pay_in_full(connection, method, payment_id)
        return await store.read_payment(connection, payment_id)


async def adjust(pool: Pool, actor: Actor, *, account_id: str, amount_nano: int, reason: str) -> str:
    """Adjust credit up or down as an operator. Return the adjustment's id."""
    async with pool.connection() as connection:
        adjustment_id = await _adjust(connection, account_id, amount_nano, reason)
        details: dict[str, Detail] = {"amount_nano": amount_nano, "reason": reason}
        await audit.record(
            connection,
            actor,
            "credit.adjusted",
            ("adjustment", adjustment_id),
            account_id=account_id,
            details=details,
        )
    return adjustment_id


async def list_payments(pool: Pool, account_id: str, after: str | None, limit: int) -> list[Payment]:
    """Return a page of payments, newest first, starting after the payment `after`."""
    async with pool.connection() as connection:
        return await store.list_payments(connection, account_id, after, limit)


async def apply_event(pool: Pool, method: StripeCheckout, event: Event) -> None:
    """Apply an event once, in one transaction.

    Raises:
        Problem: the payment's currency is not the deployment's.
    """
    if event.fact is None:
        return
    async with pool.connection() as connection:
        if not await store.add_event(connection, method.name, event.id, event.type):
            return
        match event.fact:
            case CheckoutPaid():
                payment_id = await _apply_paid(connection, event.fact)
            case CheckoutEnded(payment_id=payment_id, state=state):
                await store.mark_ended(connection, payment_id, state)
                return
            case Reduction():
                payment_id = await _apply_reduction(connection, event, event.fact)
        if payment_id is not None:
            await _settle(connection, method, payment_id)


async def _apply_paid(connection: Connection, paid: CheckoutPaid) -> str | None:
    check_currency(paid.currency)
    if paid.intent is not None:
        await store.lock_intent(connection, paid.intent)
    payment = await store.lock_payment(connection, paid.payment_id)
    if payment is None:
        # Another deployment may use the same Stripe account.
        log.warning("Stripe reported payment %s, which is not recorded here", paid.payment_id)
        return None
    await store.mark_paid(connection, payment.id, paid.amount_nano)
    if paid.intent is not None:
        await store.set_intent(connection, payment.id, paid.intent)
    return payment.id


async def _apply_reduction(connection: Connection, event: Event, reduction: Reduction) -> str | None:
    await store.lock_intent(connection, reduction.intent)
    reported = ReportedReduction(
        reduction.id,
        reduction.kind,
        reduction.intent,
        reduction.amount_nano,
        reduction.status,
        reduction.takes,
        reduction.rank,
        event.at,
        event.id,
    )
    await store.save_reduction(connection, reported)
    # None until the payment's own event arrives, which then reads the reductions.
    return await store.find_by_intent(connection, reduction.intent)


async def _pay_in_full(connection: Connection, method: Method, payment_id: str) -> None:
    payment = await store.lock_payment(connection, payment_id)
    assert payment is not None, "it was recorded before"
    await store.mark_paid(connection, payment_id, payment.amount_nano)
    await _settle(connection, method, payment_id)


async def _settle(connection: Connection, method: Method, payment_id: str) -> None:
    """Post the difference between the payment's current worth and what has been posted for it."""
    payment = await store.lock_payment(connection, payment_id)
    assert payment is not None, "the caller has found it"
    if payment.state != "paid":
        return
    refunded_nano, disputed_nano = await store.sum_reductions(connection, payment_id)
    worth_nano = max(0, payment.amount_nano - refunded_nano - disputed_nano)
    posted_nano = payment.credited_nano
    if not payment.granted:
        await _grant(connection, method, payment)
        posted_nano = payment.amount_nano
    if worth_nano != posted_nano:
        what = "refund or dispute" if worth_nano < posted_nano else "dispute won or refund failed"
        reason = f"{what}, payment {payment_id}"
        await _adjust(connection, payment.account_id, worth_nano - posted_nano, reason, payment_id=payment_id)
    await store.save_settlement(
        connection,
        payment_id,
        refunded_nano=refunded_nano,
        disputed_nano=disputed_nano,
        credited_nano=worth_nano,
    )


async def _grant(connection: Connection, method: Method, payment: Payment) -> None:
    """Grant the payment's full amount. The grant has the payment's id, so the ledger applies it at most once."""
    assert payment.paid_at is not None, "it is paid"
    version = await credit.next_version(connection, payment.account_id)
    event = CreditGranted(
        grant_id=payment.id,
        account_id=payment.account_id,
        at=payment.paid_at.astimezone(UTC),
        amount_nano=payment.amount_nano,
        source=method.source,
        reason=payment.reason or f"payment by {method.name}",
    )
    await credit.publish(connection, version, event)


async def _adjust(
    connection: Connection, account_id: str, amount_nano: int, reason: str, *, payment_id: str | None = None
) -> str:
    version = await credit.next_version(connection, account_id)
    adjustment_id = new_id()
    at = await store.add_adjustment(
        connection,
        adjustment_id=adjustment_id,
        account_id=account_id,
        payment_id=payment_id,
        amount_nano=amount_nano,
        reason=reason,
    )
    event = CreditAdjusted(
        adjustment_id=adjustment_id,
        account_id=account_id,
        at=at.astimezone(UTC),
        amount_nano=amount_nano,
        reason=reason,
    )
    await credit.publish(connection, version, event)
    return adjustment_id


def check_currency(currency: str) -> None:
    """Require the deployment's currency.

    Raises:
        Problem: the currency is another.
    """
    if currency != CURRENCY:
        raise problems.unsupported_currency(currency, CURRENCY)


async def _record_start(connection: Connection, actor: Actor, payment: NewPayment) -> None:
    details: dict[str, Detail] = {"method": payment.method, "amount_nano": payment.amount_nano}
    if payment.reason:
        details["reason"] = payment.reason
    await audit.record(
        connection, actor, "payment.begun", ("payment", payment.id), account_id=payment.account_id, details=details
    )
