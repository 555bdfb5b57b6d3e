"""Builds the billing service and starts it: the API, the outbox's publisher and the charges' sink, in one process."""

import argparse
import logging
from contextlib import AsyncExitStack

from tollgate_billing import handlers
from tollgate_billing.api import build_app
from tollgate_billing.catalogue import Catalogue
from tollgate_billing.consumers import create_consumer, create_handler
from tollgate_billing.settings import BillingSettings
from tollgate_billing.store import Charges
from tollgate_common import cli, clickhouse, postgres
from tollgate_common.clock import utc_now
from tollgate_common.dead_letters import DeadLetters
from tollgate_common.http import run_service
from tollgate_common.keys import KeyDirectory
from tollgate_common.outbox import Publisher
from tollgate_common.producer import create_producer

log = logging.getLogger(__name__)


async def serve(settings: BillingSettings) -> None:
    bootstrap, prefix = settings.kafka_bootstrap, settings.topic_prefix
    dsn = settings.postgres_dsn.get_secret_value()
    keys = KeyDirectory(bootstrap, prefix)
    publisher = Publisher(bootstrap, dsn, prefix, "billing")
    consumer = create_consumer(bootstrap, prefix)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(postgres.create_pool(dsn))
        seeded = await handlers.seed(pool, settings.price_provider_ids, utc_now())
        if seeded is not None:
            log.info("the catalogue was empty: %s", summary(seeded))
        client = await clickhouse.connect(settings.clickhouse_url.get_secret_value())
        stack.push_async_callback(client.close)
        producer = await stack.enter_async_context(create_producer(bootstrap))
        dead_letters = DeadLetters(producer, prefix, consumer.group)
        charges = create_handler(bootstrap, consumer, client, dead_letters, Catalogue(pool))
        app = build_app(
            pool,
            Charges(client),
            keys,
            settings.operator_token,
            lambda: keys.topic.waiting_for() or consumer.waiting_for(),
        )
        await run_service(app, settings.host, settings.port, publisher.run(), keys.topic.run(), consumer.run(charges))


async def migrate(settings: BillingSettings) -> list[str]:
    ran = await postgres.migrate(settings.postgres_dsn.get_secret_value(), "tollgate_common", "tollgate_billing")
    return ran + await clickhouse.migrate(settings.clickhouse_url.get_secret_value(), "tollgate_billing")


async def import_prices(settings: BillingSettings, _arguments: argparse.Namespace) -> str:
    async with postgres.create_pool(settings.postgres_dsn.get_secret_value()) as pool:
        done = await handlers.import_prices(pool, settings.price_provider_ids, utc_now())
    left_out = [f"\n  {model} is left out: {reason}" for model, reason in done.left_out.items()]
    kept = [f"\n  {model} keeps the operator's price" for model in done.kept]
    return summary(done) + "".join(kept + left_out)


def summary(done: handlers.Import) -> str:
    return (
        f"{len(done.added)} price versions added, {len(done.unchanged)} models unchanged, "
        f"{len(done.kept)} keep an operator's price, {len(done.left_out)} cannot be priced exactly and are left out"
    )


IMPORT = cli.Command[BillingSettings](
    "import-prices", "add the bundled prices that are new or have changed", lambda _parser: None, import_prices
)

if __name__ == "__main__":
    cli.run("billing", BillingSettings, serve, migrate, IMPORT)
