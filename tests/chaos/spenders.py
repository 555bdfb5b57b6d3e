"""Hundreds of requests at once that want to spend one account's credit, and a watch on what the account has left."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

import httpx
import psycopg
from psycopg.rows import DictRow, dict_row

from e2e.running import Customer, Tollgate
from tollgate_common.money import NANO_PER_UNIT, decimal_from_nano
from tollgate_common.postgres import connection as postgres
from waiting import until

# Nano-units per output token, as OpenAI publishes them; what a request costs is drawn evenly over the powers of ten.
OUTPUT_NANO = {"gpt-4o": 10_000, "gpt-4o-mini": 600}
MIN_NANO, MAX_NANO = 100_000, 200_000_000
MAX_TOKENS = 20_000
# So often comes again who is told that requests in flight hold the credit, and much oftener whom nobody can tell.
TRIES, LONG_TRIES = 3, 60
PATIENCE_S = 120.0
LOOK_EVERY_S = 0.03


@dataclass
class Watch:
    """What the account's row in the database was while the load ran."""

    looks: int = 0
    least_available_nano: int = NANO_PER_UNIT
    most_held_nano: int = 0


@contextmanager
def watching(dsn: str) -> Iterator[Watch]:
    """Look at every account all the time, in a thread of its own: hundreds of clients keep the event loop busy.

    At each look `posted >= held >= 0`, and what is held is the sum of the leases' holds.
    """
    watch, is_over = Watch(), threading.Event()
    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(_look_always, dsn, watch, is_over)
        try:
            yield watch
        finally:
            is_over.set()
        looking.result()
    assert watch.looks


def _look_always(dsn: str, watch: Watch, is_over: threading.Event) -> None:
    while not is_over.is_set():
        try:
            with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
                while not is_over.is_set():
                    _look(connection, watch)
                    time.sleep(LOOK_EVERY_S)
        except psycopg.OperationalError:
            time.sleep(LOOK_EVERY_S)  # it is being restarted


def _look(connection: psycopg.Connection[DictRow], watch: Watch) -> None:
    row = connection.execute(
        "SELECT min(posted_nano - held_nano) AS available, min(held_nano) AS least_held, max(held_nano) AS held, "
        "sum(held_nano) AS all_held, (SELECT coalesce(sum(greatest(0, authorised_nano - settled_nano)), 0) "
        "FROM leases WHERE state <> 'released') AS leased FROM accounts"
    ).fetchone()
    assert row is not None
    assert row["available"] >= 0, row
    assert row["least_held"] >= 0, row
    assert row["all_held"] == row["leased"], row
    watch.looks += 1
    watch.most_held_nano = max(watch.most_held_nano, row["held"])
    watch.least_available_nano = min(watch.least_available_nano, row["available"])


class ReconciliationSource(NamedTuple):
    """What the ledger says of one account at the end, straight from the database."""

    posted_nano: int
    used_nano: int
    written_off_nano: int
    fenced: int
    released_nano: int
    """All that the released leases had been granted: what may be written off at the most."""


async def read_books(tollgate: Tollgate, account_id: str) -> ReconciliationSource:
    async with await postgres.connect(tollgate.postgres_dsn("balance")) as connection:
        found = await connection.execute(
            "SELECT posted_nano, "
            "(SELECT coalesce(sum(amount_nano), 0)::bigint FROM postings "
            " WHERE account_id = %(account)s AND kind = 'usage') AS used_nano, "
            "(SELECT coalesce(sum(amount_nano), 0)::bigint FROM postings "
            " WHERE account_id = %(account)s AND kind = 'write_off') AS written_off_nano, "
            "(SELECT count(*) FROM boots WHERE fenced_at IS NOT NULL) AS fenced, "
            "(SELECT coalesce(sum(authorised_nano), 0)::bigint FROM leases "
            " WHERE account_id = %(account)s AND state = 'released') AS released_nano "
            "FROM accounts WHERE account_id = %(account)s",
            {"account": account_id},
        )
        row = await found.fetchone()
    assert row is not None
    return ReconciliationSource(**row)


@dataclass
class Spenders:
    """Requests of random kind, size and edge, all at once."""

    tollgate: Tollgate
    edges: Sequence[str]
    customer: Customer
    seed: int
    requests: int
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        chance = random.Random(self.seed)
        calls = [self._draw(chance, number) for number in range(self.requests)]
        limits = httpx.Limits(max_connections=self.requests)
        async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits, trust_env=False) as http:
            await asyncio.gather(*(self._insist(http, edge, body) for edge, body in calls))

    def _draw(self, chance: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        model = chance.choice(list(OUTPUT_NANO))
        cost_nano = MIN_NANO * (MAX_NANO / MIN_NANO) ** chance.random()
        tokens = min(MAX_TOKENS, max(1, int(cost_nano / OUTPUT_NANO[model])))
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": f"Say {number}"}],
            "metadata": {"simulate": f"tokens:{tokens}"},
            "stream": chance.random() < 0.5,
        }
        # Whole answers always have a limit: without one they reserve the model's size.
        if not body["stream"] or chance.random() < 0.5:
            body["max_tokens"] = int(tokens * chance.uniform(1, 2))
        return chance.choice(self.edges), body

    async def _insist(self, http: httpx.AsyncClient, edge: str, body: dict[str, Any]) -> None:
        outcome, tries = "", Counter[str]()
        while tries["held"] + tries["broken"] < TRIES and tries["unavailable"] < LONG_TRIES:
            outcome = await self._call(http, edge, body)
            tries[outcome] += 1
            if outcome not in ("held", "broken", "unavailable"):
                break
            await asyncio.sleep(1)
        self.outcomes[outcome] += 1

    async def _call(self, http: httpx.AsyncClient, edge: str, body: dict[str, Any]) -> str:
        url = f"{self.tollgate.system.url(edge)}/v1/chat/completions"
        try:
            answer = await http.post(url, json=body, headers=self.customer.with_key)
        except httpx.TransportError:
            return "broken"
        if answer.status_code == HTTPStatus.PAYMENT_REQUIRED:
            assert answer.json()["error"]["code"] == "insufficient_quota"
            assert answer.headers["x-should-retry"] == "false"
            return "held" if "held" in answer.text else "spent"
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            assert answer.json()["error"]["code"] in {"balance_unavailable", "not_ready"}, answer.text
            return "unavailable"
        assert answer.status_code == HTTPStatus.OK, answer.text
        return _how_it_ended(answer.text) if body["stream"] else "served"


def _how_it_ended(stream: str) -> str:
    if '"insufficient_quota"' in stream:
        assert '"finish_reason":"length"' in stream
        return "cut off"
    if '"balance_unavailable"' in stream:
        return "cut off, nobody could be asked"
    assert stream.endswith("data: [DONE]\n\n"), stream[-500:]
    return "served"


async def settled(tollgate: Tollgate, customer: Customer, within_s: float = 120) -> str:
    """The account's id, once nothing is held: every lease is closed or released, and all usage is in the ledger."""

    async def nothing_held() -> bool:
        try:
            return bool((await tollgate.balance(customer))["held_nano"] == 0)
        except httpx.HTTPError:
            return False  # it is being restarted

    await until(nothing_held, within_s=within_s)
    account_id: str = (await tollgate.balance(customer))["account_id"]
    return account_id


def report(spenders: Spenders, watch: Watch, books: ReconciliationSource) -> None:
    print(
        f"seed {spenders.seed}: {dict(spenders.outcomes)}; {watch.looks} looks, least available "
        f"{decimal_from_nano(watch.least_available_nano)}, most held {decimal_from_nano(watch.most_held_nano)}; "
        f"left {decimal_from_nano(books.posted_nano)}; written off {decimal_from_nano(books.written_off_nano)} "
        f"of at most {decimal_from_nano(books.released_nano)}; fenced {books.fenced}"
    )
