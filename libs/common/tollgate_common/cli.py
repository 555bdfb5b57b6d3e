"""The command line that every service has: `python -m tollgate_<service>.main [serve|migrate|...] [--check-config]`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import uvloop

from tollgate_common import crash_points
from tollgate_common.errors import CommandError
from tollgate_common.json_logs import configure_logging
from tollgate_common.settings import ServerSettings, ServiceSettings, load

SettingsT = TypeVar("SettingsT", bound=ServerSettings)


@dataclass(frozen=True)
class Command(Generic[SettingsT]):
    """A command of a service's command line besides `serve` and `migrate`.

    `run` returns the line to print, or raises CommandError.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[SettingsT, argparse.Namespace], Coroutine[Any, Any, str]]


def run(
    service: str,
    settings_class: type[SettingsT],
    serve: Callable[[SettingsT], Coroutine[Any, Any, None]],
    migrate: Callable[[SettingsT], Coroutine[Any, Any, list[str]]] | None = None,
    *commands: Command[SettingsT],
    check: Callable[[SettingsT], None] | None = None,
) -> None:
    """Parse the command line, read the settings, and run the command.

    `check` validates what the settings refer to, such as a file; it raises CommandError.
    """
    if migrate is not None:
        commands = (_migration(migrate), *commands)
    arguments = _parser(service, commands).parse_args()
    settings = load(settings_class)
    if check is not None:
        try:
            check(settings)
        except CommandError as error:
            sys.exit(f"{service}: {error}")
    if getattr(arguments, "check_config", False):
        sys.stdout.write(f"{service}: the settings are valid\n")
        return
    configure_logging(service, settings.log_level)
    crash_points.arm(settings.crash_at)
    command = next((command for command in commands if command.name == arguments.command), None)
    try:
        if command is None:
            uvloop.run(_serve(serve, settings))
            return
        sys.stdout.write(f"{service}: {asyncio.run(command.run(settings, arguments))}\n")
    except CommandError as error:
        sys.exit(f"{service}: {error}")


async def _serve(serve: Callable[[SettingsT], Coroutine[Any, Any, None]], settings: SettingsT) -> None:
    if isinstance(settings, ServiceSettings):
        # Imported here, because a service without Kafka does not install aiokafka.
        from tollgate_common.kafka.access import check_access

        await check_access(settings.brokers)
    await serve(settings)


def _parser(service: str, commands: tuple[Command[SettingsT], ...]) -> argparse.ArgumentParser:
    # The option is allowed before and after the command. With a default, one parser would overwrite the other's value.
    options = argparse.ArgumentParser(add_help=False)
    about = "check the settings and exit"
    options.add_argument("--check-config", action="store_true", default=argparse.SUPPRESS, help=about)
    parser = argparse.ArgumentParser(prog=f"python -m tollgate_{service}.main", parents=[options])
    subparsers = parser.add_subparsers(dest="command", metavar="command")
    subparsers.add_parser("serve", help="run the service; this is the default", parents=[options])
    for command in commands:
        command.add_arguments(subparsers.add_parser(command.name, help=command.help, parents=[options]))
    return parser


def _migration(migrate: Callable[[SettingsT], Coroutine[Any, Any, list[str]]]) -> Command[SettingsT]:
    async def run_migrations(settings: SettingsT, _: argparse.Namespace) -> str:
        ran = await migrate(settings)
        return f"{len(ran)} migrations applied{''.join(f', {name}' for name in ran)}"

    return Command("migrate", "apply the pending migrations of the database", lambda _: None, run_migrations)
