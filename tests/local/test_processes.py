"""Real children: they start, fail, stop, and never outlive their launcher."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.children import FAILS, SLEEPS, STUBBORN, spec
from tollgate_local.errors import LocalError, ProcessError
from tollgate_local.processes import ManagedProcess, Reaper, run_to_end
from waiting import until


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    with Reaper() as reaper:
        yield reaper


async def test_is_ready_then_stops_at_the_signal(tmp_path: Path, reaper: Reaper) -> None:
    process = ManagedProcess(spec(tmp_path, SLEEPS), reaper)
    await process.start()
    await process.wait_ready()
    assert process.is_running

    await process.stop()

    assert "signal SIGTERM" in str(await process.wait_end())


async def test_end_before_ready_tells_the_last_lines(tmp_path: Path, reaper: Reaper) -> None:
    process = ManagedProcess(spec(tmp_path, FAILS, name="billing"), reaper)
    await process.start()

    with pytest.raises(ProcessError) as failure:
        await process.wait_ready()

    assert "billing ended with exit code 1 before it was ready" in str(failure.value)
    assert str(failure.value).endswith("    no such table: ledger")


async def test_last_lines_are_of_this_start_alone(tmp_path: Path, reaper: Reaper) -> None:
    (tmp_path / "part.log").write_text("a quarrel of yesterday\n")
    process = ManagedProcess(spec(tmp_path, FAILS), reaper)
    await process.start()

    assert "yesterday" not in str(await process.wait_end())


async def test_not_ready_in_time(tmp_path: Path, reaper: Reaper) -> None:
    process = ManagedProcess(spec(tmp_path, "import time; time.sleep(600)", ready_within_s=0.3), reaper)
    await process.start()

    with pytest.raises(ProcessError, match="part was not ready after"):
        await process.wait_ready()

    await process.stop()


async def test_a_stubborn_process_is_killed_with_its_children(tmp_path: Path, reaper: Reaper) -> None:
    with_child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); {STUBBORN}"
    process = ManagedProcess(spec(tmp_path, with_child), reaper)
    await process.start()
    await process.wait_ready()
    assert process.pid is not None
    await until(lambda: len(psutil.Process(process.pid).children()) == 1, "the child runs")
    child = psutil.Process(process.pid).children()[0]

    await process.stop()

    await until(lambda: not is_alive(child.pid), "the child is dead")


@pytest.mark.parametrize("program", [SLEEPS, STUBBORN])
def test_children_die_with_a_killed_launcher(tmp_path: Path, program: str) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(tmp_path), program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    with launcher:
        assert launcher.stdout is not None
        child = int(launcher.stdout.readline())
        assert is_alive(child)
        launcher.send_signal(signal.SIGKILL)

    asyncio.run(until(lambda: not is_alive(child), "the child is dead"))


LAUNCHER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from local.children import spec
    from tollgate_local.processes import ManagedProcess, Reaper

    async def main():
        with Reaper() as reaper:
            process = ManagedProcess(spec(Path(sys.argv[1]), sys.argv[2]), reaper)
            await process.start()
            await process.wait_ready()
            print(process.pid, flush=True)
            await asyncio.sleep(600)

    asyncio.run(main())
    """
)


def is_alive(pid: int) -> bool:
    """Alive and not a zombie: in a container nobody may collect orphans."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_a_command_that_fails_tells_its_last_lines() -> None:
    with pytest.raises(LocalError) as failure:
        await run_to_end("the migration of billing", [sys.executable, "-c", FAILS], {})

    assert str(failure.value).startswith("the migration of billing failed with exit code 1\n")
    assert "no such table: ledger" in str(failure.value)


async def test_a_cancelled_command_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    task = asyncio.create_task(run_to_end("a long one", [sys.executable, "-c", program], {}))
    await until(lambda: pid_file.exists() and pid_file.read_text() != "", "it runs")

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert not is_alive(int(pid_file.read_text()))
