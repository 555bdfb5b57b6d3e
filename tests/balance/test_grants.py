"""How grants burn and expire: each rule, any interleaving of them, and that burning later is burning the same."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_balance.credits.portfolio import (
    Collected,
    CreditGrant,
    CreditPortfolio,
    add,
    burn,
    collect_all,
    expire,
    open_portfolio,
    take,
)
from tollgate_balance.ledger.accounts import Account, charge
from tollgate_common.errors import InconsistentState

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def grant(
    name: str, remaining_nano: int, *, priority: int = 100, expires_day: int | None = None, day: int = 0
) -> CreditGrant:
    expires_at = None if expires_day is None else BEGINNING + timedelta(days=expires_day)
    return CreditGrant(name, "a", "promo", remaining_nano, priority, BEGINNING + timedelta(days=day), expires_at)


def portfolio(*grants: CreditGrant, held_nano: int = 0, unburned_nano: int = 0) -> CreditPortfolio:
    posted_nano = sum(one.remaining_nano for one in grants) - unburned_nano
    return open_portfolio(Account("a", posted_nano, held_nano, unburned_nano=unburned_nano), grants)


def remaining(portfolio: CreditPortfolio) -> dict[str, int]:
    return {one.grant_id: one.remaining_nano for one in portfolio.grants}


def test_priority_then_expiry_then_age_then_id() -> None:
    ordered = [
        grant("first", 1, priority=1),
        grant("soon", 1, expires_day=5, day=9),
        grant("later", 1, expires_day=6, day=8),
        grant("old", 1, day=1),
        grant("a", 1, day=2),
        grant("b", 1, day=2),
        grant("last", 1, priority=200, expires_day=1),
    ]
    assert list(portfolio(*reversed(ordered)).grants) == ordered


def test_what_was_taken_burns_in_order() -> None:
    burned = burn(portfolio(grant("a", 5, expires_day=1), grant("b", 5), grant("c", 5, priority=200), unburned_nano=7))
    assert remaining(burned) == {"a": 0, "b": 3, "c": 5}
    assert burned.account == Account("a", 8, 0)


def test_a_new_grant_does_not_burn_for_what_was_taken_before_it() -> None:
    added = add(portfolio(grant("b", 5), unburned_nano=3), grant("a", 4, priority=1))
    assert remaining(added) == {"a": 4, "b": 2}
    assert added.account == Account("a", 6, 0)


def test_expiry_takes_what_has_not_burned() -> None:
    before = portfolio(grant("a", 5, expires_day=1), grant("b", 5), unburned_nano=3)
    after, taken_nano = collect_all(expire(before, {"a"}))
    assert (remaining(after), taken_nano) == ({"a": 0, "b": 5}, 0)
    assert after.account == Account("a", 5, 0)
    assert after.grants[0].expired_nano == 2


def test_a_grant_that_has_burned_out_does_not_expire() -> None:
    after = expire(portfolio(grant("a", 5, expires_day=1), grant("b", 5), unburned_nano=5), {"a"})
    assert not any(one.is_expired for one in after.grants)


def test_what_leases_hold_expires_as_it_comes_back_unless_usage_burns_it_before() -> None:
    held, _ = collect_all(expire(portfolio(grant("a", 10, expires_day=1), held_nano=8), {"a"}))
    assert held.account == Account("a", 8, 8, expiring_nano=8)

    used = held._replace(account=charge(held.account, 5, 5).account)
    used, _ = collect_all(used)
    assert used.account == Account("a", 3, 3, expiring_nano=3)

    returned, _ = collect_all(used._replace(account=used.account._replace(held_nano=0)))
    assert returned.account == Account("a", 0, 0)
    assert returned.grants[0].expired_nano == 2 + 3


def test_what_is_given_back_after_the_expiry_stays() -> None:
    spent, _ = collect_all(expire(portfolio(grant("a", 10, expires_day=1), unburned_nano=4), {"a"}))
    refunded, _ = collect_all(add(spent, grant("refund", 4)))
    assert remaining(refunded) == {"a": 0, "refund": 4}
    assert refunded.account.posted_nano == 4


def test_new_credit_lets_the_rest_expire_although_it_is_held() -> None:
    """Holds name no grant: what was held of the expired credit is then held of the new."""
    held, _ = collect_all(expire(portfolio(grant("a", 10, expires_day=1), held_nano=8), {"a"}))
    after, _ = collect_all(add(held, grant("b", 20)))
    assert remaining(after) == {"a": 0, "b": 20}
    assert after.account == Account("a", 20, 8)


def test_a_reduction_burns_what_has_expired_before_that_is_taken() -> None:
    held, _ = collect_all(expire(portfolio(grant("a", 10, expires_day=1), grant("b", 5), held_nano=15), {"a"}))
    due = held.account._replace(due_nano=6, held_nano=5)
    after, taken_nano = collect_all(held._replace(account=due))
    assert (remaining(after), taken_nano) == ({"a": 0, "b": 5}, 6)
    assert after.grants[0].expired_nano == 4


def test_more_taken_than_was_granted_is_damage() -> None:
    with pytest.raises(InconsistentState, match="2 nano-units more than was granted"):
        burn(portfolio(grant("a", 5), unburned_nano=5)._replace(account=Account("a", 0, 0, unburned_nano=7)))


# --- any interleaving -------------------------------------------------------------------------------------------------


@dataclass
class World:
    """An account through any steps, as the handlers take them, or with each taking burned at once."""

    burns_at_once: bool
    portfolio: CreditPortfolio = field(default_factory=portfolio)
    granted_nano: int = 0
    used_nano: int = 0
    reduced_nano: int = 0

    def step(self, name: str, amount_nano: int, priority: int, expires_day: int | None) -> None:
        account = self.portfolio.account
        match name:
            case "grant":
                new = grant(f"g{self.granted_nano}", amount_nano, priority=priority, expires_day=expires_day)
                self.granted_nano += amount_nano
                self._keep(collect_all(add(self.portfolio, new)))
            case "expire":
                ids = {one.grant_id for one in self.portfolio.grants if one.expires_at is not None and amount_nano % 2}
                self._keep(collect_all(expire(self.portfolio, ids)))
            case "hold":
                held_nano = account.held_nano + min(amount_nano, account.available_nano)
                self._change(account._replace(held_nano=held_nano))
            case "give back":
                self._change(account._replace(held_nano=max(0, account.held_nano - amount_nano)))
            case "use":
                charged = charge(account, amount_nano, min(account.held_nano, amount_nano // 2))
                self.used_nano += amount_nano - charged.written_off_nano
                self._change(charged.account)
            case "reduce":
                self._change(account._replace(due_nano=account.due_nano + amount_nano))

    def _change(self, account: Account) -> None:
        changed = self.portfolio._replace(account=account)
        self._keep(collect_all(changed) if self.burns_at_once else take(changed))

    def _keep(self, collected: Collected) -> None:
        self.portfolio = collected.portfolio
        self.reduced_nano += collected.taken_nano

    def check(self) -> None:
        account, grants = self.portfolio
        assert account.posted_nano >= account.held_nano >= 0
        assert account.posted_nano == sum(one.remaining_nano for one in grants) - account.unburned_nano
        assert account.expiring_nano == sum(one.remaining_nano for one in grants if one.is_expired)
        assert account.available_nano == 0 or (account.due_nano == account.expiring_nano == 0)
        assert account.expiring_nano == 0 or account.unburned_nano == 0
        # The ledger sums to zero: what was granted is used, reduced, expired or still there.
        expired_nano = sum(one.expired_nano for one in grants)
        assert self.granted_nano == self.used_nano + self.reduced_nano + expired_nano + account.posted_nano


NAMES = ("grant", "hold", "give back", "use", "reduce", "expire")
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 20), st.sampled_from((1, 100)), st.sampled_from((None, 1, 2))),
    max_size=20,
)


@given(STEPS)
def test_any_interleaving_keeps_the_sums_and_burning_later_burns_the_same(
    steps: list[tuple[str, int, int, int | None]],
) -> None:
    world, eager = World(burns_at_once=False), World(burns_at_once=True)
    for step in steps:
        for one in (world, eager):
            one.step(*step)
            one.check()
        assert burn(world.portfolio) == burn(eager.portfolio)
