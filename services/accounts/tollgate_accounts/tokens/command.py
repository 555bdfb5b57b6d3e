"""`rotate-signing-key`: how an operator makes a new key before its time."""

import argparse

from tollgate_accounts.settings import AccountsSettings
from tollgate_accounts.tokens import handlers, store
from tollgate_accounts.tokens.seal import Seal
from tollgate_common.cli import Command
from tollgate_common.errors import CommandError
from tollgate_common.postgres.connection import connect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="for a key that leaked: the new one signs now, and every token that was given before is void",
    )


async def rotate(settings: AccountsSettings, arguments: argparse.Namespace) -> str:
    """Add a key.

    Raises:
        CommandError: the deployment has no secret to encrypt it with.
    """
    if settings.signing_secret is None:
        raise CommandError("TOLLGATE_SIGNING_SECRET is not set, so there are no signing keys")
    seal = Seal(settings.signing_secret.get_secret_value())
    async with await connect(settings.postgres_dsn.get_secret_value()) as connection, connection.transaction():
        if arguments.at_once:
            kid = await handlers.replace_keys(connection, seal)
            return f"key {kid} signs from now on; all others are gone"
        await store.lock_signing_keys(connection)
        kid = await handlers.add_key(connection, seal, handlers.PUBLISHED_BEFORE)
    return f"key {kid} is published, and signs in {handlers.PUBLISHED_BEFORE}"


ROTATE = Command("rotate-signing-key", "make a new key for access tokens", add_arguments, rotate)
