"""`grant-operator`: how the first operator becomes one."""

import argparse

from tollgate_accounts.audit.store import Actor
from tollgate_accounts.operators import handlers
from tollgate_accounts.settings import AccountsSettings
from tollgate_common.cli import Command
from tollgate_common.errors import CommandError, Problem
from tollgate_common.postgres.connection import connect

# Whoever may run commands on the deployment's machines.
AT_THE_COMMAND_LINE = Actor("operator", "command-line", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", help="of a person who has signed up and confirmed it")


async def grant(settings: AccountsSettings, arguments: argparse.Namespace) -> str:
    """Make the person an operator; again is no error.

    Raises:
        CommandError: nobody has signed up with this e-mail and confirmed it.
    """
    async with await connect(settings.postgres_dsn.get_secret_value()) as connection, connection.transaction():
        try:
            person_id = await handlers.grant(connection, AT_THE_COMMAND_LINE, arguments.email)
        except Problem as problem:
            raise CommandError(problem.detail) from problem
    return f"{arguments.email} (person {person_id}) is an operator"


GRANT = Command("grant-operator", "make a person who has signed up an operator", add_arguments, grant)
