"""Order of start and stop, and what happens when a part dies."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from local.children import FAILS, SLEEPS, spec
from tollgate_local.errors import LocalError, ProcessError
from tollgate_local.processes import Reaper
from tollgate_local.supervisor import Part, Patience, Supervisor
from waiting import until


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    with Reaper() as reaper:
        yield reaper


@pytest.fixture
def told() -> list[str]:
    return []


def part(folder: Path, name: str, *depends_on: str) -> Part:
    return Part(name, partial(spec, folder, SLEEPS, name), depends_on=depends_on)


async def test_starts_in_order_of_needs_and_stops_in_reverse(tmp_path: Path, reaper: Reaper, told: list[str]) -> None:
    parts = [part(tmp_path, "edge", "billing"), part(tmp_path, "billing", "kafka"), part(tmp_path, "kafka")]

    async with Supervisor(parts, reaper, told.append) as supervisor:
        await supervisor.wait_ready()

    assert [line.split(" after")[0] for line in told] == [
        "kafka is ready",
        "billing is ready",
        "edge is ready",
        "stopping edge",
        "stopping billing",
        "stopping kafka",
    ]


async def test_a_step_is_done_before_what_needs_it(tmp_path: Path, reaper: Reaper, told: list[str]) -> None:
    async def create_topics() -> None:
        told.append("topics created")

    steps = [part(tmp_path, "edge", "topics"), Part("topics", spec=None, prepare=create_topics)]

    async with Supervisor(steps, reaper, told.append) as supervisor:
        await supervisor.wait_ready()

    assert told[0] == "topics created"
    assert told[1].startswith("edge is ready")


async def test_a_killed_part_is_told_and_started_again(tmp_path: Path, reaper: Reaper, told: list[str]) -> None:
    async with Supervisor([part(tmp_path, "billing")], reaper, told.append) as supervisor:
        await supervisor.wait_ready()
        first = supervisor.pid("billing")
        assert first is not None

        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.pid("billing") not in {None, first}, "billing runs again")
        await until(lambda: sum("billing is ready" in line for line in told) == 2, "billing is ready again")

    told_of_death = next(line for line in told if "SIGKILL" in line)
    assert told_of_death.startswith("billing ended with signal SIGKILL; the end of")
    assert "starting billing again in 0.5 s" in told_of_death


async def test_gives_up_on_a_part_that_keeps_dying(tmp_path: Path, reaper: Reaper, told: list[str]) -> None:
    # It must be ready once: a first start that fails is not tried again.
    marker = tmp_path / "was-ready"
    lives_once = f"from pathlib import Path; Path({str(marker)!r}).touch(exist_ok=False); {SLEEPS}"

    parts = [Part("edge", partial(spec, tmp_path, lives_once, "edge"))]
    async with Supervisor(parts, reaper, told.append, Patience(first_delay_s=0.01)) as supervisor:
        await supervisor.wait_ready()
        first = supervisor.pid("edge")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ProcessError, match="gave up on edge, which failed 6 times in a row"):
            await supervisor.wait_failure()


async def test_never_gives_up_where_it_is_told_so(tmp_path: Path, reaper: Reaper, told: list[str]) -> None:
    patience = Patience(first_delay_s=0.01, longest_delay_s=0.02, quick_deaths_allowed=None)
    marker = tmp_path / "was-ready"
    lives_once = f"from pathlib import Path; Path({str(marker)!r}).touch(exist_ok=False); {SLEEPS}"
    parts = [Part("edge", partial(spec, tmp_path, lives_once, "edge"))]
    async with Supervisor(parts, reaper, told.append, patience) as supervisor:
        await supervisor.wait_ready()
        first = supervisor.pid("edge")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: sum("starting edge again in 0.0 s" in line for line in told) > 6, "it was tried often")
        marker.unlink()
        await until(lambda: "edge is ready" in told[-1], "edge is ready again")


async def test_a_first_start_that_fails_is_not_tried_again(tmp_path: Path, reaper: Reaper, told: list[str]) -> None:
    fails = Part("accounts", partial(spec, tmp_path, FAILS, "accounts"))

    async with Supervisor([fails, part(tmp_path, "edge", "accounts")], reaper, told.append) as supervisor:
        with pytest.raises(ProcessError, match="accounts ended with exit code 1 before it was ready"):
            await supervisor.wait_ready()

    assert not (tmp_path / "edge.log").exists()


async def test_a_step_that_fails_is_raised(tmp_path: Path, reaper: Reaper, told: list[str]) -> None:
    async def refuse() -> None:
        raise LocalError("no such disk")

    async with Supervisor([Part("topics", spec=None, prepare=refuse)], reaper, told.append) as supervisor:
        with pytest.raises(LocalError, match="no such disk"):
            await supervisor.wait_ready()


async def test_a_check_that_swallows_its_cancellation_does_not_hold_up_the_stop(
    tmp_path: Path, reaper: Reaper, told: list[str]
) -> None:
    checks = 0

    async def swallow() -> bool:
        nonlocal checks
        checks += 1
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
        return True

    edge = replace(spec(tmp_path, SLEEPS, "edge"), is_ready=swallow)
    async with Supervisor([Part("edge", lambda: edge)], reaper, told.append):
        await until(lambda: checks == 1, "it is checked")

    assert told[-1] == "stopping edge"
