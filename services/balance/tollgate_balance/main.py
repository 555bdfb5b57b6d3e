"""Builds the balance service and starts it."""

from collections.abc import Callable

from tollgate_balance.accounts import api as accounts_api
from tollgate_balance.accounts import internal_api
from tollgate_balance.credits.consumer import create_consumer as create_credits_consumer
from tollgate_balance.expiry.worker import Expirer
from tollgate_balance.idempotency import api as idempotency_api
from tollgate_balance.leases import api as leases_api
from tollgate_balance.reconciliation import api as reconciliation_api
from tollgate_balance.reconciliation.source import LedgerReconciliationSource
from tollgate_balance.settings import BalanceSettings
from tollgate_balance.usage.consumer import UsageConsumer
from tollgate_balance.workers.gauges import Gauges
from tollgate_balance.workers.sweeper import Sweeper
from tollgate_common import cli
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.http import create_app, run_service
from tollgate_common.kafka.consumer import Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.postgres.outbox import Publisher
from tollgate_common.topics import Topic

# Larger batches do not raise the throughput. This size blocks lease calls for about 30 ms at most.
BATCH_RECORDS = 2_000
# Enough for a batch of each partition, the lanes of lease calls, and reads of balances.
CONNECTIONS = 20
# A balance is up to this much older, and a busy topic needs far fewer batches.
GATHER_MS = 50


async def serve(settings: BalanceSettings) -> None:
    brokers, prefix = settings.brokers, settings.topic_prefix
    dsn, usage_topic = settings.postgres_dsn.get_secret_value(), Topic.USAGE.named(prefix)
    group = f"{prefix}.balance"
    pool = postgres.create_pool(dsn, max_size=CONNECTIONS)
    producer = create_producer(brokers)
    dead_letters = DeadLetters(producer, prefix, group)
    keys = KeyDirectory(brokers, prefix)
    session_timeout_ms = settings.session_timeout_ms
    consumer = Consumer(
        brokers,
        group,
        [usage_topic],
        gather_ms=GATHER_MS,
        max_records=BATCH_RECORDS,
        session_timeout_ms=session_timeout_ms,
    )
    usage = UsageConsumer(consumer, pool, dead_letters)
    # A separate group, so that a rebalance of one topic does not stop the other.
    credit = create_credits_consumer(
        brokers,
        f"{group}.credits",
        Topic.CREDITS.named(prefix),
        pool,
        dead_letters,
        session_timeout_ms=session_timeout_ms,
    )
    publisher = Publisher(brokers, dsn, prefix, "balance")
    sweeper = Sweeper(brokers, usage_topic, pool, settings.lease)
    app = create_app("balance", ready=first_of(consumer.waiting_for, credit.waiting_for, keys.topic.waiting_for))
    tokens = Verifier(settings.accounts_url) if settings.accounts_url else None
    accounts_api.add_routes(app, pool, keys, tokens, settings.operator_token)
    token = settings.internal_token.get_secret_value() if settings.internal_token else None
    internal_api.add_routes(app, pool, token, tokens)
    leases_api.add_routes(app, pool, token, settings.lease, tokens)
    idempotency_api.add_routes(app, pool, token, tokens)
    reconciliation_api.add_routes(app, LedgerReconciliationSource(pool, prefix), token, tokens)
    workers = [
        usage.run(),
        credit.run(),
        publisher.run(),
        sweeper.run(),
        Expirer(pool).run(),
        Gauges(pool).run(),
        keys.topic.run(),
    ]
    if tokens:
        workers.append(tokens.run())
    await producer.start()
    try:
        async with pool:
            await run_service(app, settings.host, settings.port, *workers)
    finally:
        await producer.stop()


async def migrate(settings: BalanceSettings) -> list[str]:
    return await migrate_postgres(settings.postgres_dsn.get_secret_value(), "tollgate_common", "tollgate_balance")


def first_of(*checks: Callable[[], str | None]) -> Callable[[], str | None]:
    """Return a check that reports the first thing that any part of the service waits for."""
    return lambda: next((waiting_for for check in checks if (waiting_for := check())), None)


if __name__ == "__main__":
    cli.run("balance", BalanceSettings, serve, migrate)
