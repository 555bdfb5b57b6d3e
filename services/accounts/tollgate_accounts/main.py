"""Builds and starts the accounts service."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from argon2 import PasswordHasher

from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.keys.consumers import LastUse
from tollgate_accounts.mails.mailer import Mailer
from tollgate_accounts.mails.smtp import Smtp
from tollgate_accounts.operators import command as operators_command
from tollgate_accounts.operators.balance_client import BalanceClient
from tollgate_accounts.payments.stripe_checkout import StripeCheckout
from tollgate_accounts.promo import command as promo_command
from tollgate_accounts.readiness import Readiness
from tollgate_accounts.settings import AccountsSettings
from tollgate_accounts.tokens import command as tokens_command
from tollgate_accounts.tokens.handlers import Issuer
from tollgate_accounts.tokens.seal import Seal
from tollgate_common import cli
from tollgate_common.http import run_service
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.postgres.outbox import Publisher

PACKAGES = ("tollgate_common", "tollgate_accounts")


async def serve(settings: AccountsSettings) -> None:
    dsn = settings.postgres_dsn.get_secret_value()
    publisher = Publisher(settings.brokers, dsn, settings.topic_prefix, "accounts")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(postgres.create_pool(dsn))
        readiness = Readiness(pool, *PACKAGES)
        seal = Seal(settings.signing_secret.get_secret_value()) if settings.signing_secret else None
        issuer = Issuer(pool, seal)
        stripe, balance = open_stripe(settings), open_balance(settings, issuer)
        for client in (stripe, balance):
            if client is not None:
                stack.push_async_callback(client.aclose)
        app = build_app(
            pool,
            Passwords(PasswordHasher()),
            readiness.waiting_for,
            rules=settings.rules(),
            issuer=issuer,
            internal_token=settings.internal_token,
            operator_token=settings.operator_token,
            stripe=stripe,
            balance=balance,
        )
        mailer = Mailer(pool, Smtp(settings).send, settings.mail_from, settings.console_url)
        workers = (
            readiness.run(),
            _after(readiness, publisher.run),
            _after(readiness, issuer.run),
            _after(readiness, mailer.run),
            _after(readiness, LastUse(settings.brokers, settings.topic_prefix, pool).run),
        )
        await run_service(app, settings.host, settings.port, *workers)


def open_stripe(settings: AccountsSettings) -> StripeCheckout | None:
    if settings.stripe_api_key is None or settings.stripe_webhook_secret is None or settings.console_url is None:
        return None
    return StripeCheckout(
        settings.stripe_api_key,
        settings.stripe_webhook_secret,
        api_url=settings.stripe_api_url,
        return_url=f"{settings.console_url.rstrip('/')}/payments",
    )


def open_balance(settings: AccountsSettings, issuer: Issuer) -> BalanceClient | None:
    """Build the client of the balance service.

    It authenticates with a token that this service signs, or with the shared secret if signing is not configured.
    """
    url, secret = settings.balance_url, settings.internal_token
    if url is None or secret is None:
        return None

    async def authorization() -> str:
        if settings.signing_secret is None:
            return secret.get_secret_value()
        text, _ = await issuer.for_service("accounts")
        return text

    return BalanceClient(url, authorization)


async def _after(readiness: Readiness, work: Callable[[], Awaitable[None]]) -> None:
    """Start the work once the service is ready."""
    await readiness.wait_until_ready()
    await work()


async def migrate(settings: AccountsSettings) -> list[str]:
    return await migrate_postgres(settings.postgres_dsn.get_secret_value(), *PACKAGES)


if __name__ == "__main__":
    cli.run(
        "accounts",
        AccountsSettings,
        serve,
        migrate,
        promo_command.CREATE,
        tokens_command.ROTATE,
        operators_command.GRANT,
    )
