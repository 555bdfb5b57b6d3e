"""usage.v1 → the table of charges.

Guarantee: each event becomes exactly one row, whichever process is killed and whenever. The crash windows are those of
the sink (`tollgate_common.clickhouse.sink`). A charge is rated again from billing's catalog before it becomes a row. If
the result differs from the edge's amount, the event goes to the dead letters with both amounts.

A successor that builds a declared block again must find the same prices. It does: a version is in the catalog before
any edge knows it, and the catalog is read again for a block that names an unknown version.
"""

from collections.abc import Sequence

from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_billing.catalog.rating import Catalog
from tollgate_billing.charges.rows import check_fits, rows
from tollgate_common.clickhouse.blocks import Table
from tollgate_common.clickhouse.sink import Sink
from tollgate_common.events import TokensUsed, UsageEvent, usage_decoder
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.consumer import SESSION_TIMEOUT_MS, Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.topics import Topic

# Long enough to keep the number of parts low. No view shows charges live.
LINGER_S = 1.0


def create_consumer(brokers: Brokers, prefix: str, *, session_timeout_ms: int = SESSION_TIMEOUT_MS) -> Consumer:
    return Consumer(
        brokers,
        f"{prefix}.billing",
        [Topic.USAGE.named(prefix)],
        linger_s=LINGER_S,
        session_timeout_ms=session_timeout_ms,
    )


def create_handler(
    brokers: Brokers, consumer: Consumer, clickhouse: AsyncClient, dead_letters: DeadLetters, catalog: Catalog
) -> Sink[UsageEvent]:
    return Sink(
        brokers=brokers,
        consumer=consumer,
        clickhouse=clickhouse,
        table=charges_table(catalog),
        dead_letters=dead_letters,
    )


def charges_table(catalog: Catalog) -> Table[UsageEvent]:
    def check(event: UsageEvent) -> None:
        check_fits(event)
        if isinstance(event, TokensUsed):
            catalog.rate(event)

    async def learn(events: Sequence[UsageEvent]) -> None:
        used = [event for event in events if isinstance(event, TokensUsed)]
        await catalog.learn({event.price_version for event in used} | {event.plan_version for event in used})

    return Table("charges", lambda _topic: usage_decoder, check, lambda events: rows(events, catalog.versions), learn)
