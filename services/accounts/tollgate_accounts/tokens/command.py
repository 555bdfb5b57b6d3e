"""`rotate-signing-key`: creates a signing key before the scheduled rotation."""

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
        help="for a leaked key: the new key signs now, and all earlier tokens become invalid",
    )


async def rotate(settings: AccountsSettings, arguments: argparse.Namespace) -> str:
    """Add a signing key.

    Raises:
        CommandError: TOLLGATE_SIGNING_SECRET is not set.
    """
    if settings.signing_secret is None:
        raise CommandError("TOLLGATE_SIGNING_SECRET is not set, so there are no signing keys to rotate")
    seal = Seal(settings.signing_secret.get_secret_value())
    async with await connect(settings.postgres_dsn.get_secret_value()) as connection, connection.transaction():
        if arguments.at_once:
            kid = await handlers.replace_keys(connection, seal)
            return f"key {kid} signs from now on; all other keys are deleted"
        await store.lock_signing_keys(connection)
        kid = await handlers.add_key(connection, seal, handlers.PUBLISH_AHEAD)
    return f"key {kid} is published, and signs in {handlers.PUBLISH_AHEAD}"


ROTATE = Command("rotate-signing-key", "create a new signing key for access tokens", add_arguments, rotate)
