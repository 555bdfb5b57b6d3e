"""Limits on attempts by e-mail, person and address. They apply whether or not such an account exists."""

import math
from ipaddress import IPv6Address, IPv6Network, ip_address

from tollgate_accounts.access import problems, store
from tollgate_accounts.rules import Limit, Rules
from tollgate_common.postgres.connection import Pool

Attempt = tuple[Limit, str]


# The smallest IPv6 network that a provider assigns to one customer (RFC 6177).
IPV6_PREFIX = 64


def subject_of(address: str) -> str:
    """Return the subject whose attempts count together: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))


async def count_attempt(pool: Pool, rules: Rules, attempts: list[Attempt], *by_address: Attempt) -> None:
    """Count an attempt before it is processed, in a transaction of its own.

    Args:
        pool: connections to the accounts database.
        rules: name the addresses that are exempt.
        attempts: the limits to count against, each with its subject.
        by_address: further limits, each with the caller's address as its subject.

    Raises:
        Problem: a limit is exceeded.
    """
    counted = [*attempts, *((limit, subject_of(address)) for limit, address in by_address if rules.counts(address))]
    allowed = {limit.action: limit.max_attempts for limit, _ in counted}
    async with pool.connection() as connection:
        found = await store.count_attempts(connection, counted)
        await store.purge_attempts(connection)
    passed = [row.ends_in for row in found if row.attempts > allowed[row.action]]
    if passed:
        raise problems.too_many_attempts(math.ceil(max(passed).total_seconds()))
