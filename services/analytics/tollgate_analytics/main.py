"""Builds the analytics service and starts it: the API, the sink, the keys and the prices, in one process."""

from tollgate_analytics.api import operators as operator_api
from tollgate_analytics.api.app import build_app
from tollgate_analytics.ingest.consumer import create_consumer, create_sink, measure_freshness
from tollgate_analytics.live.tail import LiveTail
from tollgate_analytics.query.operator_reports import Balances
from tollgate_analytics.query.price_book import PriceBook
from tollgate_analytics.query.store import Store
from tollgate_analytics.reconciliation.source import RequestReconciliationSource, add_routes
from tollgate_analytics.retention.worker import Retention, refresh_floor_loop
from tollgate_analytics.rollup import usage_hours as rollup
from tollgate_analytics.settings import AnalyticsSettings
from tollgate_common import cli
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.http import run_service
from tollgate_common.kafka.producer import create_producer


async def serve(settings: AnalyticsSettings) -> None:
    brokers, prefix = settings.brokers, settings.topic_prefix
    keys, prices = KeyDirectory(brokers, prefix), PriceBook(brokers, prefix)
    consumer = create_consumer(brokers, prefix, session_timeout_ms=settings.session_timeout_ms)
    producer = create_producer(brokers)
    await producer.start()
    try:
        url = settings.clickhouse_url.get_secret_value()
        client = await clickhouse.connect(url)
        # Its statements take longer than a question may.
        upkeep = await clickhouse.connect(url, timeout_s=3600)
        try:
            sink = create_sink(brokers, prefix, consumer, client, producer)
            tokens = Verifier(settings.accounts_url) if settings.accounts_url else None
            tail = LiveTail(brokers, prefix)
            store = Store(client)
            await store.refresh_retention_floor()
            retention = Retention(
                upkeep, rows_days=settings.analytics_raw_days, hours_days=settings.analytics_hourly_days
            )
            app = build_app(store, keys, prices, consumer, tail, tokens=tokens)
            token = settings.internal_token.get_secret_value() if settings.internal_token else None
            add_routes(app, RequestReconciliationSource(client, brokers, prefix, consumer.group), token, tokens)
            balances = Balances(brokers, prefix)
            operator_api.add_routes(app, store, balances, settings.operator_token, tokens)
            workers = [
                sink.run(),
                keys.topic.run(),
                prices.topic.run(),
                tail.run(),
                balances.topic.run(),
                measure_freshness(consumer, store.newest),
                rollup.run(upkeep, lambda: rollup.leads(consumer, prefix)),
                retention.run(lambda: rollup.leads(consumer, prefix)),
                refresh_floor_loop(store.refresh_retention_floor),
                *([tokens.run()] if tokens else []),
            ]
            await run_service(app, settings.host, settings.port, *workers)
        finally:
            await upkeep.close()
            await client.close()
    finally:
        await producer.stop()


async def migrate(settings: AnalyticsSettings) -> list[str]:
    return await clickhouse.migrate(settings.clickhouse_url.get_secret_value(), "tollgate_analytics")


if __name__ == "__main__":
    cli.run("analytics", AnalyticsSettings, serve, migrate)
