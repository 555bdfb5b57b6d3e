"""How credit burns and expires. Pure, so that models can run it.

Usage and reductions burn an account's grants by priority, then expiry, then age. Taking credit changes no grant; it
increases the account's `unburned_nano`, which burns before the next operation that depends on the remainders (a new
grant, an expiry, a report). Deferring is safe, because the order is total and nothing happens in between. The cost of
posting a batch of usage does not depend on the number of grants.

Invariants: `posted = Σ remaining - unburned`, and `posted >= held >= 0`. Expiry takes at most the available credit, and
the rest as holds are released, unless the usage behind those holds burns it first. Until then nothing is available.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from tollgate_balance.ledger.accounts import Account, collect
from tollgate_common.errors import InconsistentState

NEVER = datetime.max.replace(tzinfo=UTC)


class CreditGrant(NamedTuple):
    """A grant. `remaining_nano` is left after burning; `expired_nano` is what its expiry has taken so far."""

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
        """The position in the order of burning. The id decides between equal grants."""
        return self.priority, self.expires_at or NEVER, self.granted_at, self.grant_id


class CreditPortfolio(NamedTuple):
    """An account and its grants with a remainder, in the order of burning."""

    account: Account
    grants: tuple[CreditGrant, ...]


class Collected(NamedTuple):
    portfolio: CreditPortfolio
    taken_nano: int
    """The amount that reductions took. The amounts that expiry took are in the grants."""


def open_portfolio(account: Account, grants: Iterable[CreditGrant]) -> CreditPortfolio:
    return CreditPortfolio(account, tuple(sorted(grants, key=lambda grant: grant.place)))


def burn(portfolio: CreditPortfolio) -> CreditPortfolio:
    """Burn the amount that was taken from the account since the last burn.

    Raises:
        InconsistentState: more was taken than the grants contained.
    """
    left_nano, grants = portfolio.account.unburned_nano, []
    for grant in portfolio.grants:
        burned_nano = min(left_nano, grant.remaining_nano)
        left_nano -= burned_nano
        grants.append(grant._replace(remaining_nano=grant.remaining_nano - burned_nano))
    if left_nano:
        raise InconsistentState(
            f"account {portfolio.account.account_id} has spent {left_nano} nano-units more than was granted"
        )
    return CreditPortfolio(
        portfolio.account._replace(unburned_nano=0, expiring_nano=_expiring_nano(grants)), tuple(grants)
    )


def add(portfolio: CreditPortfolio, grant: CreditGrant) -> CreditPortfolio:
    """Add credit. Earlier usage burns first, because it was taken from the earlier grants."""
    account, grants = burn(portfolio)
    account = account._replace(posted_nano=account.posted_nano + grant.remaining_nano)
    return open_portfolio(account, (*grants, grant))


def expire(portfolio: CreditPortfolio, grant_ids: Collection[str]) -> CreditPortfolio:
    """Mark grants that have a remainder as expired. `collect_all` takes the remainder."""
    account, grants = burn(portfolio)
    marked = tuple(
        grant._replace(is_expired=True) if grant.grant_id in grant_ids and grant.remaining_nano else grant
        for grant in grants
    )
    return CreditPortfolio(account._replace(expiring_nano=_expiring_nano(marked)), marked)


def collect_all(portfolio: CreditPortfolio) -> Collected:
    """Take due reductions from available credit, then the remainders of expired grants.

    Reductions come first, because they burn expired credit first, which leaves more to the account's owner.
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
    """Do the same as `collect_all`, but neither need nor change grants while nothing expires."""
    if portfolio.account.expiring_nano:
        return collect_all(portfolio)
    account, taken_nano = collect(portfolio.account)
    return Collected(portfolio._replace(account=account), taken_nano)


def _expiring_nano(grants: Iterable[CreditGrant]) -> int:
    return sum(grant.remaining_nano for grant in grants if grant.is_expired)
