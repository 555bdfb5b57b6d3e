"""Builds and starts the accounts service."""

from argon2 import PasswordHasher

from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.promo import command as promo_command
from tollgate_accounts.readiness import Readiness
from tollgate_accounts.settings import AccountsSettings
from tollgate_common import cli, postgres
from tollgate_common.http import run_service
from tollgate_common.outbox import Publisher

PACKAGES = ("tollgate_common", "tollgate_accounts")


async def serve(settings: AccountsSettings) -> None:
    dsn = settings.postgres_dsn.get_secret_value()
    publisher = Publisher(settings.kafka_bootstrap, dsn, settings.topic_prefix, "accounts")
    async with postgres.create_pool(dsn) as pool:
        readiness = Readiness(pool, *PACKAGES)
        app = build_app(pool, Passwords(PasswordHasher()), readiness.waiting_for)
        await run_service(app, settings.host, settings.port, readiness.run(), _publish(publisher, readiness))


async def _publish(publisher: Publisher, readiness: Readiness) -> None:
    await readiness.once()
    await publisher.run()


async def migrate(settings: AccountsSettings) -> list[str]:
    return await postgres.migrate(settings.postgres_dsn.get_secret_value(), *PACKAGES)


if __name__ == "__main__":
    cli.run("accounts", AccountsSettings, serve, migrate, promo_command.CREATE)
