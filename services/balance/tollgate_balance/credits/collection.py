"""The end of every change of an account: take due reductions and expired credit, then save the account."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from prometheus_client import Counter

from tollgate_balance.credits import store
from tollgate_balance.credits.portfolio import Collected, CreditGrant, open_portfolio, take
from tollgate_balance.ledger import store as ledger
from tollgate_balance.ledger.accounts import EXPIRED_TO, Account, Kind, LedgerAccount, Posting
from tollgate_common.clock import utc_now
from tollgate_common.postgres.connection import Connection

EXPIRED = Counter("tollgate_balance_expired_nano", "Expired credit that was posted.")

Grants = Mapping[str, Collection[CreditGrant]]


async def read_expiring(connection: Connection, accounts: Iterable[Account]) -> Grants:
    """Read the open grants of the locked accounts with expiring credit. Other accounts cost nothing."""
    account_ids = [account.account_id for account in accounts if account.expiring_nano]
    return await store.read_open(connection, account_ids) if account_ids else {}


async def save_taken(connection: Connection, accounts: Sequence[Account]) -> None:
    """Take due reductions and expired credit from locked accounts, then save them."""
    grants = await read_expiring(connection, accounts)
    collected = [take(open_portfolio(account, grants.get(account.account_id, ()))) for account in accounts]
    await save_collected(connection, collected, grants)


async def save_collected(connection: Connection, collected: Sequence[Collected], before: Grants) -> None:
    """Save portfolios and post what was taken. `before` has their grants as stored."""
    taken_nano = {portfolio.account.account_id: taken_nano for portfolio, taken_nano in collected if taken_nano}
    if taken_nano:
        await ledger.take_due(connection, taken_nano)
    stored = {grant.grant_id: grant for grants in before.values() for grant in grants}
    changed = [grant for portfolio, _ in collected for grant in portfolio.grants if stored.get(grant.grant_id) != grant]
    if changed:
        await store.save_grants(connection, changed)
    expiries = [
        _expiry_posting(grant, expired_nano)
        for grant in changed
        if (expired_nano := grant.expired_nano - stored[grant.grant_id].expired_nano)
    ]
    if expiries:
        await ledger.add_postings(connection, expiries)
    await ledger.save_accounts(connection, [portfolio.account for portfolio, _ in collected])
    EXPIRED.inc(sum(posting.amount_nano for posting in expiries))


def _expiry_posting(grant: CreditGrant, amount_nano: int) -> Posting:
    return Posting(
        grant.account_id,
        Kind.EXPIRY,
        LedgerAccount.CUSTOMER_CREDIT,
        EXPIRED_TO[grant.source],
        amount_nano,
        grant.grant_id,
        utc_now(),
    )
