"""Small real children for the tests of processes: Python programs that behave as told."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tollgate_local.processes import ProcessSpec

# Ready at once, ends at SIGTERM as every process does that does not handle it.
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
# Will not hear of a polite stop.
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
FAILS = "import sys; print('a line'); sys.exit('no such table: ledger')"
BOUND_S = 20


def has_logged(log_file: Path, text: str = "up") -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return text in await asyncio.to_thread(log_file.read_text)

    return check


def spec(folder: Path, program: str, name: str = "part", ready_within_s: float = BOUND_S) -> ProcessSpec:
    log_file = folder / f"{name}.log"
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-c", program),
        log_file=log_file,
        is_ready=has_logged(log_file),
        ready_within_s=ready_within_s,
        stop_within_s=0.5,
    )
