"""`tollgate-local`: the whole system, or only its engines, on this machine."""

import argparse
import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tollgate_local import up
from tollgate_local.engines import build_engines
from tollgate_local.errors import LocalError
from tollgate_local.folders import RUN, write_private
from tollgate_local.instance import only_one
from tollgate_local.ports import BASE_VARIABLE, DEFAULT_PORTS, free_ports, variable
from tollgate_local.processes import Reaper
from tollgate_local.supervisor import Supervisor
from tollgate_local.users import outside_folder

ENGINES_HOME = RUN / "engines"


def tell(line: str) -> None:
    # A terminal that has gone must not keep the rest from being stopped in order.
    with suppress(OSError):
        print(line, flush=True)


async def run_engines(addresses_file: Path) -> None:
    """The engines alone, on free ports and with data that the next run deletes: for developers' tests."""
    with only_one(RUN / "engines.pid"), Reaper() as reaper:
        for folder in (ENGINES_HOME, outside_folder(ENGINES_HOME / "postgres")):
            shutil.rmtree(folder, ignore_errors=True)
        engines = build_engines(ENGINES_HOME, ENGINES_HOME / "logs", free_ports(), tell, short_lived=True)
        async with Supervisor(engines.parts(), reaper, tell) as supervisor:
            await supervisor.wait_ready()
            write_private(addresses_file, msgspec.json.encode(engines.addresses).decode())
            tell(f"the engines are ready; to use them: export TOLLGATE_TEST_ENGINES={addresses_file}")
            await supervisor.wait_failure()


def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` and ends it in good order at Ctrl-C, at a plain `kill`, and when the terminal closes."""

    async def run() -> None:
        task = asyncio.ensure_future(work)

        def stop() -> None:
            if task.cancelling() == 0:  # a second signal would cancel the stop itself
                task.cancel()

        for stop_signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(stop_signal, stop)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


def parse() -> argparse.Namespace:
    environment = explain_environment()
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="tollgate-local", description=__doc__, epilog=environment, formatter_class=as_written
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    start = "start the whole system; Ctrl-C stops it, its data stays"
    commands.add_parser("up", help=start, description=start, epilog=environment, formatter_class=as_written)
    commands.add_parser("down", help="stop a system that runs in another terminal")
    commands.add_parser("reset", help="stop the system and delete its data")
    commands.add_parser("status", help="tell which parts answer")
    engines = commands.add_parser("engines", help="run Kafka, PostgreSQL and ClickHouse alone, for tests")
    engines.add_argument("--json", type=Path, default=RUN / "engines.json", help="where to write their addresses")
    return parser.parse_args()


def explain_environment() -> str:
    ports = "\n".join(f"  {variable(part):<32}{port}" for part, port in DEFAULT_PORTS.items())
    return f"""\
Ports are set in the environment; these are the defaults:
{ports}
{BASE_VARIABLE} moves all that are not set by themselves: the first part gets that port, the next one more.
{up.RUN_VARIABLE} is the folder of data and logs, .run in the project by default.
With OPENAI_API_KEY set, requests go to OpenAI instead of the simulated provider."""


def run(arguments: argparse.Namespace) -> None:
    home = up.find_home(os.environ)
    match arguments.command:
        case "up":
            until_signal(up.up(home, os.environ, tell))
        case "down":
            up.down(home, tell)
        case "reset":
            up.reset(home, tell)
        case "status":
            asyncio.run(up.status(home, tell))
        case "engines":
            until_signal(run_engines(arguments.json.resolve()))


def main() -> None:
    try:
        run(parse())
    except LocalError as error:
        sys.exit(f"tollgate: {error}")
    except KeyboardInterrupt:
        sys.exit("tollgate: interrupted")
