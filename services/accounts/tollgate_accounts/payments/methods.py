"""The interface of payment methods, and the operators' method.

A method that completes at once returns `is_paid`. A method that sends the customer elsewhere returns a URL and reports
the outcome by events, which `tollgate_accounts.payments.handlers` accepts in any order and any number of times.
"""

from typing import NamedTuple, Protocol


class Order(NamedTuple):
    """A payment that is recorded and not yet started."""

    payment_id: str
    account_id: str
    amount_nano: int
    currency: str
    email: str | None
    """The customer's e-mail address, for the receipt."""


class StartedPayment(NamedTuple):
    """A started payment. `reference` is the method's own name for it; `pay_at` is where the customer pays."""

    is_paid: bool
    reference: str | None = None
    pay_at: str | None = None


class Method(Protocol):
    name: str
    source: str
    """The grant's source: the ledger account that the credit comes from."""

    def check(self, amount_nano: int) -> None:
        """Check that the amount is allowed, before anything is recorded.

        Raises:
            Problem: the amount is not allowed.
        """

    async def start(self, order: Order) -> StartedPayment:
        """Start a payment. Repeating this with the same order starts nothing more.

        Raises:
            Problem: the method is unavailable or rejects the order.
        """


class Manual:
    """Credit that an operator grants with a reason, such as a bank transfer or a gesture of goodwill."""

    name = "manual"
    source = "manual"

    def check(self, amount_nano: int) -> None:
        """Accept any amount."""

    async def start(self, _order: Order) -> StartedPayment:
        """Return a payment that is already paid: the operator's request is the payment."""
        return StartedPayment(is_paid=True)
