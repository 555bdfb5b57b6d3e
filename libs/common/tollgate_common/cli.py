"""The command line that every service has: `python -m tollgate_<service>.main [serve|migrate] [--check-config]`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from tollgate_common.settings import ServiceSettings, load
from tollgate_common.telemetry import configure_logging

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def run(
    service: str,
    settings_class: type[SettingsT],
    serve: Callable[[SettingsT], Coroutine[Any, Any, None]],
    migrate: Callable[[SettingsT], Coroutine[Any, Any, list[str]]] | None = None,
) -> None:
    """Parse the command line, read the settings, and do what was asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m tollgate_{service}.main")
    commands = ["serve"] if migrate is None else ["serve", "migrate"]
    parser.add_argument("command", nargs="?", default="serve", choices=commands)
    parser.add_argument("--check-config", action="store_true", help="only say whether the settings are right")
    arguments = parser.parse_args()
    settings = load(settings_class)
    if arguments.check_config:
        sys.stdout.write(f"{service}: the settings are right\n")
        return
    configure_logging(service, settings.log_level)
    if arguments.command == "migrate" and migrate is not None:
        ran = asyncio.run(migrate(settings))
        sys.stdout.write(f"{service}: {len(ran)} migrations ran{''.join(f', {name}' for name in ran)}\n")
        return
    uvloop.run(serve(settings))
