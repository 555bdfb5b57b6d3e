"""`grant-operator`: creates the first operator."""

import argparse

from tollgate_accounts.audit.store import Actor
from tollgate_accounts.operators import handlers
from tollgate_accounts.settings import AccountsSettings
from tollgate_common.cli import Command
from tollgate_common.errors import CommandError, Problem
from tollgate_common.postgres.connection import connect

# The actor of commands: anyone who may run commands on the deployment's machines.
COMMAND_LINE_ACTOR = Actor("operator", "command-line", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", help="a verified e-mail address")


async def grant(settings: AccountsSettings, arguments: argparse.Namespace) -> str:
    """Make the person an operator. Repeating this is not an error.

    Raises:
        CommandError: no person with a verified address of this name exists.
    """
    async with await connect(settings.postgres_dsn.get_secret_value()) as connection, connection.transaction():
        try:
            person_id = await handlers.grant(connection, COMMAND_LINE_ACTOR, arguments.email)
        except Problem as problem:
            raise CommandError(problem.detail) from problem
    return f"{arguments.email} (person {person_id}) is an operator"


GRANT = Command("grant-operator", "make a signed-up person an operator", add_arguments, grant)
