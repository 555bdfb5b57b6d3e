import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from engines.stores import clickhouse_database, delete_topics, postgres_database, unique_name
from reconciliation.world import ACCOUNTS, PARTITIONS, Edge, World
from tollgate_analytics.ingest.consumer import create_consumer as create_analytics_consumer
from tollgate_analytics.ingest.consumer import create_sink
from tollgate_analytics.reconciliation import source as analytics_reconciliation
from tollgate_balance.credits.handlers import grant_credit
from tollgate_balance.reconciliation import api as balance_reconciliation
from tollgate_balance.reconciliation.source import LedgerReconciliationSource
from tollgate_balance.usage.consumer import UsageConsumer
from tollgate_billing.catalog import handlers
from tollgate_billing.catalog.rating import Catalog
from tollgate_billing.catalog.store import models
from tollgate_billing.charges.consumer import create_consumer, create_handler
from tollgate_billing.dead_letters import api as dead_letters_api
from tollgate_billing.dead_letters.consumer import create_consumer as create_letters_consumer
from tollgate_billing.dead_letters.service import DeadLetterService
from tollgate_billing.reconciliation import api as reconciliation_api
from tollgate_billing.reconciliation.charge_source import ChargeReconciliationSource
from tollgate_billing.reconciliation.event_log import EventLog
from tollgate_billing.reconciliation.reconciler import Reconciler
from tollgate_billing.reconciliation.remote_source import RemoteReconciliationSource
from tollgate_billing.reconciliation.worker import ReconciliationWorker
from tollgate_common.auth.service_auth import ServiceCredential
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_common.clock import utc_now
from tollgate_common.events import CreditGranted
from tollgate_common.http import create_app
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.consumer import Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.postgres.outbox import Publisher
from tollgate_common.topics import Topic, create_topics
from tollgate_local.engines import EngineAddresses

INTERNAL_TOKEN = "the-internal-token-of-this-test-only"
OPERATOR_TOKEN = "the-operators-of-this-test"
CREDIT_NANO = 10**12


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(engines: EngineAddresses) -> AsyncIterator[World]:
    """Build one world for all tests of a module. Each test checks what its own damage adds to the report."""
    brokers, prefix = Brokers(engines.kafka_bootstrap), unique_name()
    await create_topics(brokers, prefix, PARTITIONS, 1)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(delete_topics, brokers, prefix)
        clickhouse_url = stack.enter_context(clickhouse_database(engines.clickhouse_url)).url
        ledger_dsn = stack.enter_context(postgres_database(engines.postgres_dsn))
        catalogue_dsn = stack.enter_context(postgres_database(engines.postgres_dsn))
        await migrate_clickhouse(clickhouse_url, "tollgate_billing")
        await migrate_clickhouse(clickhouse_url, "tollgate_analytics")
        await migrate_postgres(ledger_dsn, "tollgate_common", "tollgate_balance")
        await migrate_postgres(catalogue_dsn, "tollgate_common", "tollgate_billing")
        ledger = await stack.enter_async_context(postgres.create_pool(ledger_dsn))
        catalog = await stack.enter_async_context(postgres.create_pool(catalogue_dsn))
        client = await clickhouse.connect(clickhouse_url)
        stack.push_async_callback(client.close)
        producer = await stack.enter_async_context(create_producer(brokers))
        await prepare(ledger, catalog)

        # Balance and analytics as services that answer over HTTP, billing as the reconciler's own.
        balance = Consumer(brokers, f"{prefix}.balance", [Topic.USAGE.named(prefix)])
        usage = UsageConsumer(balance, ledger, DeadLetters(producer, prefix, f"{prefix}.balance"))
        billing = create_consumer(brokers, prefix)
        letters = DeadLetters(producer, prefix, billing.group)
        charges = create_handler(brokers, billing, client, letters, Catalog(catalog))
        analytics = create_analytics_consumer(brokers, prefix)
        sink = create_sink(brokers, prefix, analytics, client, producer)
        given_up = create_letters_consumer(brokers, prefix, catalog, billing.group)
        balance_app, analytics_app, app = (create_app(name, ready=lambda: None) for name in ("b", "a", "billing"))
        balance_reconciliation.add_routes(balance_app, LedgerReconciliationSource(ledger, prefix), INTERNAL_TOKEN)
        books = analytics_reconciliation.RequestReconciliationSource(client, brokers, prefix, analytics.group)
        analytics_reconciliation.add_routes(analytics_app, books, INTERNAL_TOKEN)
        peers = await stack.enter_async_context(
            httpx.AsyncClient(mounts={"http://b": served(balance_app), "http://a": served(analytics_app)})
        )
        credential = ServiceCredential("billing", INTERNAL_TOKEN, accounts_url=None)
        stack.push_async_callback(credential.aclose)
        reconciler = Reconciler(
            pool=catalog,
            event_log=EventLog(brokers),
            prefix=prefix,
            charges=ChargeReconciliationSource(client, catalog, brokers, prefix, billing.group),
            balance=RemoteReconciliationSource(peers, "http://b", credential),
            analytics=RemoteReconciliationSource(peers, "http://a", credential),
            abandoned_after=timedelta(0),
        )
        service = DeadLetterService(catalog, producer, prefix)
        worker = ReconciliationWorker(reconciler, interval_s=3600, window=timedelta(days=7))
        reconciliation_api.add_routes(app, reconciler, worker, SecretStr(OPERATOR_TOKEN))
        dead_letters_api.add_routes(app, service, SecretStr(OPERATOR_TOKEN))
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=served(app),
                base_url="http://billing",
                headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"},
            )
        )
        work = (
            usage.run(),
            billing.run(charges),
            sink.run(),
            given_up.run(),
            Publisher(brokers, catalogue_dsn, prefix, "billing").run(),
        )
        workers = [asyncio.create_task(one) for one in work]
        edge = await first_edge(catalog)
        yield World(brokers, prefix, producer, ledger, catalog, client, reconciler, service, http, edge, workers)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def served(app: FastAPI) -> httpx.ASGITransport:
    return httpx.ASGITransport(app)


async def prepare(ledger: Pool, catalog: Pool) -> None:
    await handlers.seed(catalog, ["openai"], utc_now())
    for account_id in ACCOUNTS:
        grant = CreditGranted(
            grant_id=account_id, account_id=account_id, at=utc_now(), amount_nano=CREDIT_NANO, source="promo"
        )
        await grant_credit(ledger, grant)


async def first_edge(catalog: Pool) -> Edge:
    async with catalog.connection() as connection:
        version = (await models(connection, "gpt-4o"))["gpt-4o"].versions[0]
    return Edge(version.price_version, version.prices)
