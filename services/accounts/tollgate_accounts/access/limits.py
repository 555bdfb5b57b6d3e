"""Limits on attempts, by e-mail, person and address. They count whether such an account exists or not."""

import math
from ipaddress import IPv6Address, IPv6Network, ip_address

from tollgate_accounts.access import problems, store
from tollgate_accounts.rules import Limit, Rules
from tollgate_common.postgres.connection import Pool

Try = tuple[Limit, str]


# What one customer of a provider has at the least, all of whose addresses are theirs (RFC 6177).
IPV6_PREFIX = 64


def subject_of(address: str) -> str:
    """Whose attempts count together: an address, of IPv6 its network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))


async def count(pool: Pool, rules: Rules, tries: list[Try], *by_address: Try) -> None:
    """Count an attempt, in a transaction of its own, before it is looked at.

    Args:
        pool: of the database.
        rules: say which addresses are not limited.
        tries: the limits that it counts for, each with whose attempt it is.
        by_address: further ones, whose second part is the address alone.

    Raises:
        Problem: one of the limits is passed.
    """
    counted = [*tries, *((limit, subject_of(address)) for limit, address in by_address if rules.counts(address))]
    most = {limit.action: limit.most for limit, _ in counted}
    async with pool.connection() as connection:
        found = await store.count_attempts(connection, counted)
        await store.purge_attempts(connection)
    passed = [attempts.ends_in for attempts in found if attempts.attempts > most[attempts.action]]
    if passed:
        raise problems.too_many_attempts(math.ceil(max(passed).total_seconds()))
