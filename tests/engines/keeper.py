"""Keeps the engines of one test run: a program that the first test in need of them starts.

It ends when the run does, however that ends: pytest's main process holds a lock on a file for as long as it lives, the
system lets go of it at any kind of death, and the keeper, which tries for that lock, then stops the engines. What the
keeper itself starts dies with it (`tollgate_local.reaper`, or Docker's own reaper for containers).
"""

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from engines.containers import containers, docker_answers
from engines.run import addresses_file, alive_file, keeper_file
from tollgate_local.engines import EngineAddresses, build_engines
from tollgate_local.errors import LocalError
from tollgate_local.folders import write_private
from tollgate_local.instance import lock, only_one
from tollgate_local.ports import free_ports
from tollgate_local.processes import Reaper
from tollgate_local.supervisor import Supervisor
from tollgate_local.users import outside_folder

POLL_S = 0.2


async def end_of_run(folder: Path) -> None:
    with alive_file(folder).open() as file:
        while not lock(file.fileno()):
            await asyncio.sleep(POLL_S)


def announce(folder: Path, addresses: EngineAddresses) -> None:
    write_private(addresses_file(folder), msgspec.json.encode(addresses).decode())


async def keep_containers(folder: Path) -> None:
    with containers() as addresses:
        announce(folder, addresses)
        await end_of_run(folder)


async def keep_embedded(folder: Path) -> None:
    engines = build_engines(folder, folder / "logs", free_ports(), print, short_lived=True)
    with Reaper() as reaper:
        async with Supervisor(engines.parts(), reaper, print) as supervisor:
            await supervisor.wait_ready()
            announce(folder, engines.addresses)
            await supervisor.wait_failure()


async def keep(folder: Path) -> None:
    ended = asyncio.create_task(end_of_run(folder))
    kept = asyncio.create_task(keep_containers(folder) if docker_answers() else keep_embedded(folder))
    await asyncio.wait([ended, kept], return_when="FIRST_COMPLETED")
    ended.cancel()
    if not kept.done():
        kept.cancel()  # once: a second time would cancel the stop itself
    with suppress(asyncio.CancelledError):
        await kept


def main() -> None:
    # Ctrl-C is for pytest: the engines stop when it has ended, not before its tests are done with them.
    os.setsid()
    folder = Path(sys.argv[1])
    with only_one(keeper_file(folder)):
        try:
            asyncio.run(keep(folder))
        except LocalError as error:
            sys.exit(str(error))
        for made in (folder, outside_folder(folder / "postgres")):
            shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    main()
