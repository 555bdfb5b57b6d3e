"""How credit burns and expires: pure, so that models can run it.

What is taken from an account, by usage or a reduction, burns its grants: by priority, then expiry, then age. A taking
changes no grant. It is counted in the account's `unburned_nano`, and burns before anything that depends on what remains
of each grant: a new grant, an expiry, a report. Burning later is burning the same, for the order is total and nothing
comes between. So posting a batch of usage costs the same, however many grants an account has.

Always: `posted = Σ remaining - unburned`, and `posted >= held >= 0`. Expiry takes at most what is available, and the
rest as holds come back, unless the usage that they were for burns it before; until then nothing is available.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from tollgate_balance.ledger.accounts import Account, collect
from tollgate_common.errors import Damaged

NEVER = datetime.max.replace(tzinfo=UTC)


class CreditGrant(NamedTuple):
    """`remaining_nano` is what burning has left of it; `expired_nano` is what its expiry has taken so far."""

    grant_id: str
    account_id: str
    source: str
    remaining_nano: int
    priority: int
    granted_at: datetime
    expires_at: datetime | None = None
    is_expired: bool = False
    expired_nano: int = 0

    @property
    def place(self) -> tuple[int, datetime, datetime, str]:
        """Where it stands in the order of burning; the id decides between equals."""
        return self.priority, self.expires_at or NEVER, self.granted_at, self.grant_id


class CreditPortfolio(NamedTuple):
    """An account and those of its grants of which something remains, in the order of burning."""

    account: Account
    grants: tuple[CreditGrant, ...]


class Collected(NamedTuple):
    portfolio: CreditPortfolio
    taken_nano: int
    """What reductions took; what expiry took stands in the grants."""


def open_portfolio(account: Account, grants: Iterable[CreditGrant]) -> CreditPortfolio:
    return CreditPortfolio(account, tuple(sorted(grants, key=lambda grant: grant.place)))


def burn(portfolio: CreditPortfolio) -> CreditPortfolio:
    """Burn what was taken from the account since.

    Raises:
        Damaged: more was taken than its grants had.
    """
    left_nano, grants = portfolio.account.unburned_nano, []
    for grant in portfolio.grants:
        burned_nano = min(left_nano, grant.remaining_nano)
        left_nano -= burned_nano
        grants.append(grant._replace(remaining_nano=grant.remaining_nano - burned_nano))
    if left_nano:
        raise Damaged(f"account {portfolio.account.account_id} has spent {left_nano} more than was granted")
    return CreditPortfolio(
        portfolio.account._replace(unburned_nano=0, expiring_nano=_expiring_nano(grants)), tuple(grants)
    )


def add(portfolio: CreditPortfolio, grant: CreditGrant) -> CreditPortfolio:
    """Add credit. What was taken before burns first: it was taken from the grants that there were."""
    account, grants = burn(portfolio)
    account = account._replace(posted_nano=account.posted_nano + grant.remaining_nano)
    return open_portfolio(account, (*grants, grant))


def expire(portfolio: CreditPortfolio, grant_ids: Collection[str]) -> CreditPortfolio:
    """Mark grants of which something remains as expired; `collect_all` takes it."""
    account, grants = burn(portfolio)
    marked = tuple(
        grant._replace(is_expired=True) if grant.grant_id in grant_ids and grant.remaining_nano else grant
        for grant in grants
    )
    return CreditPortfolio(account._replace(expiring_nano=_expiring_nano(marked)), marked)


def collect_all(portfolio: CreditPortfolio) -> Collected:
    """Take from what is available what is due, then what remains of expired grants.

    In this order, for what is due burns what has expired first, and leaves more to the account's owner.
    """
    account, taken_nano = collect(portfolio.account)
    account, grants = burn(CreditPortfolio(account, portfolio.grants))
    kept = []
    for grant in grants:
        expired_nano = min(grant.remaining_nano, account.available_nano) if grant.is_expired else 0
        account = account._replace(posted_nano=account.posted_nano - expired_nano)
        kept.append(
            grant._replace(
                remaining_nano=grant.remaining_nano - expired_nano, expired_nano=grant.expired_nano + expired_nano
            )
        )
    return Collected(CreditPortfolio(account._replace(expiring_nano=_expiring_nano(kept)), tuple(kept)), taken_nano)


def take(portfolio: CreditPortfolio) -> Collected:
    """As `collect_all`, but while nothing expires grants are neither needed nor changed."""
    if portfolio.account.expiring_nano:
        return collect_all(portfolio)
    account, taken_nano = collect(portfolio.account)
    return Collected(portfolio._replace(account=account), taken_nano)


def _expiring_nano(grants: Iterable[CreditGrant]) -> int:
    return sum(grant.remaining_nano for grant in grants if grant.is_expired)
