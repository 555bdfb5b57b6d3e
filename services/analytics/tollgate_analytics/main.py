"""The entry point: builds the service and runs its API, sink, tail and background jobs in one process."""

from contextlib import AsyncExitStack

from tollgate_analytics.api.app import build_app
from tollgate_analytics.api.dependencies import Services
from tollgate_analytics.ingest.consumer import create_consumer, create_sink, measure_freshness
from tollgate_analytics.live.tail import LiveTail
from tollgate_analytics.query.operator_reports import Balances
from tollgate_analytics.query.price_book import PriceBook
from tollgate_analytics.query.store import Store
from tollgate_analytics.reconciliation.source import RequestReconciliationSource, add_routes
from tollgate_analytics.retention.worker import Retention, refresh_floor_loop
from tollgate_analytics.rollup import usage_hours
from tollgate_analytics.settings import AnalyticsSettings
from tollgate_common import cli
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import customers, operators
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clickhouse import client as clickhouse
from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_common.http import run_service
from tollgate_common.kafka.producer import create_producer

# Roll-ups and retention run statements that take longer than a query of the API may.
MAINTENANCE_TIMEOUT_S = 3600


async def serve(settings: AnalyticsSettings) -> None:
    brokers, prefix = settings.brokers, settings.topic_prefix
    url = settings.clickhouse_url.get_secret_value()
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(create_producer(brokers))
        client = await clickhouse.connect(url)
        stack.push_async_callback(client.close)
        maintenance = await clickhouse.connect(url, timeout_s=MAINTENANCE_TIMEOUT_S)
        stack.push_async_callback(maintenance.close)

        consumer = create_consumer(brokers, prefix, session_timeout_ms=settings.session_timeout_ms)
        tokens = Verifier(settings.accounts_url) if settings.accounts_url else None
        keys = KeyDirectory(brokers, prefix)
        services = Services(
            store=Store(client),
            keys=keys,
            prices=PriceBook(brokers, prefix),
            consumer=consumer,
            tail=LiveTail(brokers, prefix),
            balances=Balances(brokers, prefix),
            find_customer=customers(keys, tokens),
            check_operator=operators(settings.operator_token, tokens),
        )
        await services.store.refresh_retention_floor()
        app = build_app(services)
        token = settings.internal_token.get_secret_value() if settings.internal_token else None
        add_routes(app, RequestReconciliationSource(client, brokers, prefix, consumer.group), token, tokens)
        retention = Retention(
            maintenance, rows_days=settings.analytics_raw_days, hours_days=settings.analytics_hourly_days
        )

        def is_leader() -> bool:
            return usage_hours.is_leader(consumer, prefix)

        workers = [
            create_sink(brokers, prefix, consumer, client, producer).run(),
            services.keys.topic.run(),
            services.prices.topic.run(),
            services.balances.topic.run(),
            services.tail.run(),
            measure_freshness(consumer, services.store.newest),
            usage_hours.run(maintenance, is_leader),
            retention.run(is_leader),
            refresh_floor_loop(services.store.refresh_retention_floor),
            *([tokens.run()] if tokens else []),
        ]
        await run_service(app, settings.host, settings.port, *workers)


async def migrate(settings: AnalyticsSettings) -> list[str]:
    return await migrate_clickhouse(settings.clickhouse_url.get_secret_value(), "tollgate_analytics")


if __name__ == "__main__":
    cli.run("analytics", AnalyticsSettings, serve, migrate)
