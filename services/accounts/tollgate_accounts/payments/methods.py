"""How money comes in: one interface, an implementation for each way.

A method that ends at once says `is_paid`. One that sends the customer elsewhere says where, and tells what came of it
later, by events: `tollgate_accounts.payments.handlers` takes those in any order and any number of times.
"""

from typing import NamedTuple, Protocol


class Order(NamedTuple):
    """A payment that is recorded and not begun."""

    payment_id: str
    account_id: str
    amount_nano: int
    currency: str
    email: str | None
    """Of whoever pays, for the receipt."""


class Begun(NamedTuple):
    """`reference` is the method's own name for the payment, `pay_at` where the customer pays."""

    is_paid: bool
    reference: str | None = None
    pay_at: str | None = None


class Method(Protocol):
    name: str
    source: str
    """Of the grant: the ledger account that the credit comes from."""

    def check(self, amount_nano: int) -> None:
        """See that such an amount can be paid so, before anything is recorded.

        Raises:
            Problem: it cannot.
        """

    async def begin(self, order: Order) -> Begun:
        """Begin a payment; called again with the same order, it begins nothing more.

        Raises:
            Problem: the method does not answer, or refuses the order.
        """


class Manual:
    """Credit that an operator gives, with a reason: a transfer that arrived, a goodwill."""

    name = "manual"
    source = "manual"

    def check(self, amount_nano: int) -> None:
        """Any amount can be given."""

    async def begin(self, _order: Order) -> Begun:
        """The operator's word is the payment."""
        return Begun(is_paid=True)
