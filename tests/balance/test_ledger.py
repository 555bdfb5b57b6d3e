"""The ledger's arithmetic, and what the database itself refuses."""

from typing import LiteralString

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_balance.ledger.accounts import Account, charge, collect
from tollgate_common.postgres.connection import Pool

amounts = st.integers(0, 1_000)


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    held_nano, available_nano = draw(amounts), draw(amounts)
    return Account("a", held_nano + available_nano, held_nano, due_nano=0 if available_nano else draw(amounts))


@given(accounts(), amounts, amounts)
def test_a_charge_never_overspends_and_writes_off_only_what_is_uncovered(
    account: Account, covered_nano: int, uncovered_nano: int
) -> None:
    covered_nano = min(covered_nano, account.held_nano)
    charged, written_off_nano = charge(account, covered_nano + uncovered_nano, covered_nano)

    assert charged.posted_nano >= charged.held_nano >= 0
    assert charged.held_nano == account.held_nano - covered_nano
    assert account.posted_nano - charged.posted_nano == covered_nano + uncovered_nano - written_off_nano
    assert written_off_nano == max(0, uncovered_nano - account.available_nano)


@given(accounts(), amounts)
def test_what_is_due_is_taken_before_anything_is_available(account: Account, credit_nano: int) -> None:
    collected, taken_nano = collect(account._replace(posted_nano=account.posted_nano + credit_nano))

    assert collected.due_nano == account.due_nano - taken_nano >= 0
    assert collected.posted_nano == account.posted_nano + credit_nano - taken_nano
    assert collected.due_nano == 0 or collected.available_nano == 0


POSTING: LiteralString = (
    "INSERT INTO postings (account_id, kind, debit, credit, amount_nano, reference, happened_at, event_partition,"
    " event_offset) VALUES ('a', 'usage', '{}', '{}', {}, 'r', now(), 0, 1)"
)


@pytest.mark.engines
@pytest.mark.parametrize(
    ("statement", "refused_by"),
    [
        ("UPDATE postings SET amount_nano = 1", "append-only"),
        ("DELETE FROM postings", "append-only"),
        ("TRUNCATE postings", "append-only"),
        (POSTING.format("customer_credit", "revenue", 0), "amount_nano_check"),
        (POSTING.format("customer_credit", "revenue", -1), "amount_nano_check"),
        (POSTING.format("customer_credit", "revenue", 5), "postings_by_event"),
        (POSTING.format("customer_credit", "revenue", 5).replace("0, 1)", "NULL, NULL)"), "usage_names_its_event"),
        (POSTING.format("revenue", "payments", 1), "one_customer_leg"),
        (POSTING.format("customer_credit", "customer_credit", 1), "one_customer_leg"),
        ("INSERT INTO accounts (account_id, posted_nano) VALUES ('a', -1)", "never_overspent"),
        ("INSERT INTO accounts (account_id, posted_nano, held_nano) VALUES ('a', 1, 2)", "never_overspent"),
        ("INSERT INTO accounts (account_id, held_nano) VALUES ('a', -1)", "never_overspent"),
        ("INSERT INTO accounts (account_id, posted_nano, due_nano) VALUES ('a', 1, 1)", "due_is_taken_first"),
    ],
)
async def test_the_database_refuses(pool: Pool, statement: LiteralString, refused_by: str) -> None:
    async with pool.connection() as connection:
        await connection.execute(POSTING.format("customer_credit", "revenue", 5))
    with pytest.raises(psycopg.Error, match=refused_by):
        async with pool.connection() as connection:
            await connection.execute(statement)
