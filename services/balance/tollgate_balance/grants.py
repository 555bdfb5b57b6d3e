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

from tollgate_balance.ledger import Account, collect
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


class Purse(NamedTuple):
    """An account and those of its grants of which something remains, in the order of burning."""

    account: Account
    grants: tuple[CreditGrant, ...]


class Collected(NamedTuple):
    purse: Purse
    taken_nano: int
    """What reductions took; what expiry took stands in the grants."""


def open_purse(account: Account, grants: Iterable[CreditGrant]) -> Purse:
    return Purse(account, tuple(sorted(grants, key=lambda grant: grant.place)))


def burn(purse: Purse) -> Purse:
    """Burn what was taken from the account since.

    Raises:
        Damaged: more was taken than its grants had.
    """
    left_nano, grants = purse.account.unburned_nano, []
    for grant in purse.grants:
        burned_nano = min(left_nano, grant.remaining_nano)
        left_nano -= burned_nano
        grants.append(grant._replace(remaining_nano=grant.remaining_nano - burned_nano))
    if left_nano:
        raise Damaged(f"account {purse.account.account_id} has spent {left_nano} more than was granted")
    return Purse(purse.account._replace(unburned_nano=0, expiring_nano=_expiring_nano(grants)), tuple(grants))


def add(purse: Purse, grant: CreditGrant) -> Purse:
    """Add credit. What was taken before burns first: it was taken from the grants that there were."""
    account, grants = burn(purse)
    account = account._replace(posted_nano=account.posted_nano + grant.remaining_nano)
    return open_purse(account, (*grants, grant))


def expire(purse: Purse, grant_ids: Collection[str]) -> Purse:
    """Mark grants of which something remains as expired; `collect_all` takes it."""
    account, grants = burn(purse)
    marked = tuple(
        grant._replace(is_expired=True) if grant.grant_id in grant_ids and grant.remaining_nano else grant
        for grant in grants
    )
    return Purse(account._replace(expiring_nano=_expiring_nano(marked)), marked)


def collect_all(purse: Purse) -> Collected:
    """Take from what is available what is due, then what remains of expired grants.

    In this order, for what is due burns what has expired first, and leaves more to the account's owner.
    """
    account, taken_nano = collect(purse.account)
    account, grants = burn(Purse(account, purse.grants))
    kept = []
    for grant in grants:
        expired_nano = min(grant.remaining_nano, account.available_nano) if grant.is_expired else 0
        account = account._replace(posted_nano=account.posted_nano - expired_nano)
        kept.append(
            grant._replace(
                remaining_nano=grant.remaining_nano - expired_nano, expired_nano=grant.expired_nano + expired_nano
            )
        )
    return Collected(Purse(account._replace(expiring_nano=_expiring_nano(kept)), tuple(kept)), taken_nano)


def take(purse: Purse) -> Collected:
    """As `collect_all`, but while nothing expires grants are neither needed nor changed."""
    if purse.account.expiring_nano:
        return collect_all(purse)
    account, taken_nano = collect(purse.account)
    return Collected(purse._replace(account=account), taken_nano)


def _expiring_nano(grants: Iterable[CreditGrant]) -> int:
    return sum(grant.remaining_nano for grant in grants if grant.is_expired)
