"""The recount: what each service holds of each call, straight from its rows, against what the client got."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chaos.callers import Call
from e2e.running import Tollgate
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.events import Outcome
from tollgate_common.postgres import connection as postgres


class Charge(NamedTuple):
    request_id: str
    amount_nano: int
    outcome: str
    is_estimated: bool


@dataclass
class Held:
    """All that the services hold of one call: lists, so that whatever is doubled shows."""

    charges: list[Charge] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    """Request ids, as they are in the reports."""
    closed: list[str] = field(default_factory=list)
    used: list[tuple[str, int]] = field(default_factory=list)
    posted: list[tuple[str, int]] = field(default_factory=list)
    """From the ledger: request id and amount."""

    @property
    def request_ids(self) -> set[str]:
        charged = {charge.request_id for charge in self.charges}
        return charged | {request_id for request_id, _ in (*self.used, *self.posted)} | {*self.opened, *self.closed}


ReconciliationSource = dict[str, Held]


async def read_books(tollgate: Tollgate, key_id: str) -> ReconciliationSource:
    """By the user whom the call named; a posting that no event explains stands under its request id."""
    books: ReconciliationSource = defaultdict(Held)
    users: dict[str, str] = {}
    reports = "SELECT end_user, kind, request_id, amount_nano FROM request_events WHERE key_id = {key_id:String}"
    for user, kind, request_id, amount_nano in await _rows(tollgate, "analytics", reports, key_id):
        users[request_id] = user
        held = books[user]
        match kind:
            case "opened":
                held.opened.append(request_id)
            case "closed":
                held.closed.append(request_id)
            case _:
                held.used.append((request_id, amount_nano))
    charges = (
        "SELECT end_user, request_id, amount_nano, outcome, estimated FROM charges "
        "WHERE kind = 'charge' AND key_id = {key_id:String}"
    )
    for user, *charge in await _rows(tollgate, "billing", charges, key_id):
        books[user].charges.append(Charge(*charge))
    for request_id, amount_nano in await _postings(tollgate, key_id):
        books[users.get(request_id, request_id)].posted.append((request_id, amount_nano))
    return books


async def _rows(tollgate: Tollgate, service: str, statement: str, key_id: str) -> Sequence[Sequence[Any]]:
    client = await clickhouse.connect(tollgate.clickhouse_url(service))
    try:
        return (await client.query(statement, parameters={"key_id": key_id})).result_rows
    finally:
        await client.close()


async def _postings(tollgate: Tollgate, key_id: str) -> list[tuple[str, int]]:
    account = "SELECT account_id FROM request_events WHERE key_id = {key_id:String} LIMIT 1"
    [[account_id]] = await _rows(tollgate, "analytics", account, key_id)
    async with await postgres.connect(tollgate.postgres_dsn("balance")) as connection:
        found = await connection.execute(
            "SELECT reference, amount_nano FROM postings WHERE kind = 'usage' AND account_id = %s", [account_id]
        )
        return [(row["reference"], row["amount_nano"]) for row in await found.fetchall()]


def differences(calls: Sequence[Call], books: ReconciliationSource) -> list[str]:
    """Each call that is not as docs/requests.md says, and whatever nobody asked for."""
    users = {call.user for call in calls}
    unasked = [f"nobody made {user}: {held}" for user, held in books.items() if user not in users]
    return unasked + [
        f"{what}: {call} has {books.get(call.user)}" for call in calls for what in _wrong(call, books.get(call.user))
    ]


def _wrong(call: Call, held: Held | None) -> Iterator[str]:
    held = held or Held()
    charged = [(charge.request_id, charge.amount_nano) for charge in held.charges]
    if not charged == held.used == held.posted:
        yield "charge, report and ledger differ"
    if len(charged) > 1 or len(held.opened) > 1 or len(held.closed) > 1:
        yield "it was counted twice"
    if len(held.request_ids) > 1 or (call.request_id and not held.request_ids <= {call.request_id}):
        yield "it has another id"
    if call.is_answered:
        if charged != [(call.request_id, call.cost_nano)]:
            yield f"it cost {call.cost_nano}"
        if not len(held.opened) == len(held.closed) == 1:
            yield "it was opened and closed once"
    elif call.is_whole:
        # Refused by the edge, of which nothing is recorded, or by the provider, which costs nothing.
        if charged or len(held.opened) != len(held.closed):
            yield "it was refused"
    else:
        yield from _wrong_if_broken(call, held)


def _wrong_if_broken(call: Call, held: Held) -> Iterator[str]:
    """Its edge or its connection died. Nothing, or what had been delivered, or the whole with its last byte lost."""
    for charge in held.charges:
        if charge.outcome not in (Outcome.COMPLETED, Outcome.CANCELLED):
            yield "no client sees such an end as a broken connection"
        if call.cost_nano is not None and not charge.is_estimated and charge.amount_nano != call.cost_nano:
            yield f"it was told usage that costs {call.cost_nano}"
    if held.charges and not held.opened:
        yield "it was charged and never opened"
