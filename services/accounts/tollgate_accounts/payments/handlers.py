"""The use cases of payments.

A payment's credit follows from facts alone: what was paid, less what refunds and disputes take now. `_settle` compares
that with what has been posted and posts the difference: the first time a grant, afterwards adjustments. So events may
come in any order and any number of times; the last of them leaves the same credit.
"""

import logging
from datetime import UTC

from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor, Detail
from tollgate_accounts.credit import store as credit
from tollgate_accounts.payments import problems, store
from tollgate_accounts.payments.methods import Begun, Manual, Method, Order
from tollgate_accounts.payments.store import NewPayment, Payment, Told
from tollgate_accounts.payments.stripe_checkout import Ended, Event, Paid, Reduction, StripeCheckout
from tollgate_common.events import CreditAdjusted, CreditGranted
from tollgate_common.ids import new_id
from tollgate_common.money import CURRENCY, NANO_PER_UNIT
from tollgate_common.postgres.connection import Connection, Pool

log = logging.getLogger(__name__)

MIN_NANO = 1 * NANO_PER_UNIT
MAX_NANO = 10_000 * NANO_PER_UNIT
# More than this in one act is a typing error.
MAX_MANUAL_NANO = 1_000_000 * NANO_PER_UNIT


async def pay(
    pool: Pool, method: Method, actor: Actor, *, account_id: str, amount_nano: int, currency: str, email: str | None
) -> tuple[Payment, Begun]:
    """Begin a payment by a customer. The payment is recorded first: whatever the method tells of it is then known.

    Raises:
        Problem: the amount or the currency is not taken, or the method does not answer.
    """
    check_currency(currency)
    if not MIN_NANO <= amount_nano <= MAX_NANO:
        raise problems.amount_out_of_range(MIN_NANO, MAX_NANO)
    method.check(amount_nano)
    payment_id = new_id()
    async with pool.connection() as connection:
        new = NewPayment(payment_id, account_id, method.name, None, amount_nano, currency, "")
        await store.add_payment(connection, new)
        await _record_begin(connection, actor, new)
    begun = await method.begin(Order(payment_id, account_id, amount_nano, currency, email))
    async with pool.connection() as connection:
        if begun.reference is not None:
            await store.name_payment(connection, payment_id, begun.reference)
        if begun.is_paid:
            await _pay_in_full(connection, method, payment_id)
        return await store.read_payment(connection, payment_id), begun


async def give(
    pool: Pool, actor: Actor, *, account_id: str, amount_nano: int, reason: str, reference: str | None
) -> Payment:
    """Credit by an operator. With a reference, a repeated call gives nothing more.

    Raises:
        Problem: a credit of this reference was given with another account or amount.
    """
    method = Manual()
    payment_id = new_id()
    async with pool.connection() as connection:
        new = NewPayment(payment_id, account_id, method.name, reference, amount_nano, CURRENCY, reason)
        if not await store.add_payment(connection, new):
            assert reference is not None, "only references are taken"
            given = await store.read_payment(
                connection, await store.find_by_reference(connection, method.name, reference)
            )
            if (given.account_id, given.amount_nano) != (account_id, amount_nano):
                raise problems.reference_taken()
            return given
        await _record_begin(connection, actor, new)
        begun = await method.begin(Order(payment_id, account_id, amount_nano, CURRENCY, None))
        assert begun.is_paid, "an operator's word is the payment"
        await _pay_in_full(connection, method, payment_id)
        return await store.read_payment(connection, payment_id)


async def adjust(pool: Pool, actor: Actor, *, account_id: str, amount_nano: int, reason: str) -> str:
    """A correction by an operator, up or down; its id."""
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
    """Newest first, from behind the payment `after`."""
    async with pool.connection() as connection:
        return await store.list_payments(connection, account_id, after, limit)


async def take_event(pool: Pool, method: StripeCheckout, event: Event) -> None:
    """Let an event have its effect, once, in one transaction.

    Raises:
        Problem: a payment came in a currency that this deployment does not keep.
    """
    if event.fact is None:
        return
    async with pool.connection() as connection:
        if not await store.add_event(connection, method.name, event.id, event.type):
            return
        match event.fact:
            case Paid():
                payment_id = await _take_paid(connection, event.fact)
            case Ended(payment_id=payment_id, state=state):
                await store.mark_ended(connection, payment_id, state)
                return
            case Reduction():
                payment_id = await _take_reduction(connection, event, event.fact)
        if payment_id is not None:
            await _settle(connection, method, payment_id)


async def _take_paid(connection: Connection, paid: Paid) -> str | None:
    check_currency(paid.currency)
    if paid.intent is not None:
        await store.lock_intent(connection, paid.intent)
    payment = await store.lock_payment(connection, paid.payment_id)
    if payment is None:
        # Of another deployment on the same Stripe account.
        log.warning("Stripe tells of payment %s, which is not recorded here", paid.payment_id)
        return None
    await store.mark_paid(connection, payment.id, paid.amount_nano)
    if paid.intent is not None:
        await store.name_intent(connection, payment.id, paid.intent)
    return payment.id


async def _take_reduction(connection: Connection, event: Event, reduction: Reduction) -> str | None:
    await store.lock_intent(connection, reduction.intent)
    told = Told(
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
    await store.save_reduction(connection, told)
    # None before the payment's own event: that one will look for reductions.
    return await store.find_by_intent(connection, reduction.intent)


async def _pay_in_full(connection: Connection, method: Method, payment_id: str) -> None:
    payment = await store.lock_payment(connection, payment_id)
    assert payment is not None, "it was recorded before"
    await store.mark_paid(connection, payment_id, payment.amount_nano)
    await _settle(connection, method, payment_id)


async def _settle(connection: Connection, method: Method, payment_id: str) -> None:
    """Post the difference between what the payment is worth and what has been posted for it."""
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
    """The payment's credit in full; its grant has the payment's id, so the ledger takes it once in any case."""
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
    await credit.tell(connection, version, event)


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
    await credit.tell(connection, version, event)
    return adjustment_id


def check_currency(currency: str) -> None:
    """Refuse money of another currency than the deployment's.

    Raises:
        Problem: it is of another.
    """
    if currency != CURRENCY:
        raise problems.currency_not_accepted(currency, CURRENCY)


async def _record_begin(connection: Connection, actor: Actor, payment: NewPayment) -> None:
    details: dict[str, Detail] = {"method": payment.method, "amount_nano": payment.amount_nano}
    if payment.reason:
        details["reason"] = payment.reason
    await audit.record(
        connection, actor, "payment.begun", ("payment", payment.id), account_id=payment.account_id, details=details
    )
