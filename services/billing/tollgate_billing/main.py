"""Builds the billing service and starts it: the API, the outbox's publisher and the charges' sink, in one process."""

import argparse
import logging
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_billing.app import build_app
from tollgate_billing.catalog import handlers
from tollgate_billing.catalog.rating import Catalog
from tollgate_billing.charges.consumer import create_consumer, create_handler
from tollgate_billing.charges.store import Charges
from tollgate_billing.dead_letters import api as dead_letters_api
from tollgate_billing.dead_letters.consumer import create_consumer as create_letters_consumer
from tollgate_billing.dead_letters.service import DeadLetterService
from tollgate_billing.reconciliation import api as reconciliation_api
from tollgate_billing.reconciliation.charge_source import ChargeReconciliationSource
from tollgate_billing.reconciliation.event_log import EventLog
from tollgate_billing.reconciliation.reconciler import Reconciler
from tollgate_billing.reconciliation.remote_source import RemoteReconciliationSource
from tollgate_billing.reconciliation.worker import ReconciliationWorker
from tollgate_billing.settings import BillingSettings
from tollgate_common import cli
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.auth.service_auth import ServiceCredential
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_common.clock import utc_now
from tollgate_common.http import run_service
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.postgres.outbox import Publisher

log = logging.getLogger(__name__)

PEER_TIMEOUT_S = 60.0


async def serve(settings: BillingSettings) -> None:
    brokers, prefix = settings.brokers, settings.topic_prefix
    dsn = settings.postgres_dsn.get_secret_value()
    keys = KeyDirectory(brokers, prefix)
    publisher = Publisher(brokers, dsn, prefix, "billing")
    session_timeout_ms = settings.session_timeout_ms
    consumer = create_consumer(brokers, prefix, session_timeout_ms=session_timeout_ms)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(postgres.create_pool(dsn))
        seeded = await handlers.seed(pool, settings.price_provider_ids, utc_now())
        if seeded is not None:
            log.info("filled the empty catalog: %s", summary(seeded))
        client = await clickhouse.connect(settings.clickhouse_url.get_secret_value())
        stack.push_async_callback(client.close)
        producer = await stack.enter_async_context(create_producer(brokers))
        dead_letters = DeadLetters(producer, prefix, consumer.group)
        charges = create_handler(brokers, consumer, client, dead_letters, Catalog(pool))
        tokens = Verifier(settings.accounts_url) if settings.accounts_url else None
        app = build_app(
            pool,
            Charges(client),
            keys,
            settings.operator_token,
            lambda: keys.topic.waiting_for() or consumer.waiting_for(),
            tokens=tokens,
            provider_ids=settings.price_provider_ids,
        )
        workers = [publisher.run(), keys.topic.run(), consumer.run(charges)]
        if tokens:
            workers.append(tokens.run())
        letters = create_letters_consumer(brokers, prefix, pool, consumer.group, session_timeout_ms=session_timeout_ms)
        workers.append(letters.run())
        dead_letters_api.add_routes(app, DeadLetterService(pool, producer, prefix), settings.operator_token, tokens)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=PEER_TIMEOUT_S))
        credential = create_credential(settings)
        if credential is not None:
            stack.push_async_callback(credential.aclose)
        reconciler = create_reconciler(
            settings, pool=pool, charges=client, http=http, credential=credential, group=consumer.group
        )
        worker = None
        if reconciler is not None:
            window = timedelta(days=settings.reconciliation_days)
            worker = ReconciliationWorker(reconciler, interval_s=settings.reconciliation_interval_s, window=window)
            workers.append(worker.run())
        reconciliation_api.add_routes(app, reconciler, worker, settings.operator_token, tokens)
        await run_service(app, settings.host, settings.port, *workers)


def create_credential(settings: BillingSettings) -> ServiceCredential | None:
    """Return the credential that billing presents to other services, or None without the internal token."""
    if settings.internal_token is None:
        return None
    return ServiceCredential("billing", settings.internal_token.get_secret_value(), settings.accounts_url)


def create_reconciler(
    settings: BillingSettings,
    *,
    pool: Pool,
    charges: AsyncClient,
    http: httpx.AsyncClient,
    credential: ServiceCredential | None,
    group: str,
) -> Reconciler | None:
    """Build the reconciler. Return None if the settings it needs are missing."""
    if credential is None or settings.balance_url is None or settings.analytics_url is None:
        log.warning(
            "reconciliation is off; to enable it, set %s",
            "TOLLGATE_INTERNAL_TOKEN, TOLLGATE_BALANCE_URL, TOLLGATE_ANALYTICS_URL",
        )
        return None
    brokers, prefix = settings.brokers, settings.topic_prefix
    return Reconciler(
        pool=pool,
        event_log=EventLog(brokers),
        prefix=prefix,
        charges=ChargeReconciliationSource(charges, pool, brokers, prefix, group),
        balance=RemoteReconciliationSource(http, settings.balance_url, credential),
        analytics=RemoteReconciliationSource(http, settings.analytics_url, credential),
        abandoned_after=timedelta(seconds=settings.abandoned_after_s),
    )


async def migrate(settings: BillingSettings) -> list[str]:
    ran = await migrate_postgres(settings.postgres_dsn.get_secret_value(), "tollgate_common", "tollgate_billing")
    return ran + await migrate_clickhouse(settings.clickhouse_url.get_secret_value(), "tollgate_billing")


async def import_prices(settings: BillingSettings, _arguments: argparse.Namespace) -> str:
    async with postgres.create_pool(settings.postgres_dsn.get_secret_value()) as pool:
        done = await handlers.import_prices(pool, settings.price_provider_ids, utc_now())
    left_out = [f"\n  {model} is left out: {reason}" for model, reason in done.left_out.items()]
    kept = [f"\n  {model} keeps the operator's price" for model in done.kept]
    return summary(done) + "".join(kept + left_out)


def summary(done: handlers.PriceImport) -> str:
    return (
        f"{len(done.added)} price versions added, {len(done.unchanged)} models unchanged, "
        f"{len(done.kept)} keep an operator's price, {len(done.left_out)} left out because their price is not exact"
    )


IMPORT = cli.Command[BillingSettings](
    "import-prices", "add the new and changed prices of the bundled price data", lambda _parser: None, import_prices
)

if __name__ == "__main__":
    cli.run("billing", BillingSettings, serve, migrate, IMPORT)
