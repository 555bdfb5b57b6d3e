"""`tollgate-local`: the whole system, or only its engines, on this machine."""

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tollgate_local.engines import EnginePorts, build_engines
from tollgate_local.errors import LocalError
from tollgate_local.folders import RUN, write_private
from tollgate_local.instance import only_one
from tollgate_local.processes import Reaper
from tollgate_local.supervisor import Supervisor


def tell(line: str) -> None:
    print(line, flush=True)


async def run_engines(addresses_file: Path) -> None:
    """The engines alone, on free ports and with data that the next run deletes: for developers' tests."""
    home = RUN / "engines"
    with only_one(RUN / "engines.pid"), Reaper() as reaper:
        shutil.rmtree(home, ignore_errors=True)
        engines = build_engines(home, home / "logs", EnginePorts.free(), short_lived=True)
        async with Supervisor(engines.parts(), reaper, tell) as supervisor:
            await supervisor.wait_ready()
            write_private(addresses_file, msgspec.json.encode(engines.addresses).decode())
            tell(f"the engines are ready; to use them: export TOLLGATE_TEST_ENGINES={addresses_file}")
            await supervisor.wait_failure()


async def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` and ends it in good order at Ctrl-C, at a plain `kill`, and when the terminal closes."""
    task = asyncio.ensure_future(work)
    for stop_signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(stop_signal, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tollgate-local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    engines = commands.add_parser("engines", help="run the three engines alone, for tests")
    engines.add_argument("--json", type=Path, default=RUN / "engines.json", help="where to write their addresses")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    try:
        asyncio.run(until_signal(run_engines(arguments.json.resolve())))
    except LocalError as error:
        sys.exit(f"tollgate: {error}")
    except KeyboardInterrupt:
        sys.exit("tollgate: interrupted")
