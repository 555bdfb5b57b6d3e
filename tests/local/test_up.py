"""`tollgate-local up` as a stranger meets it: the calls it prints, a second start, a killed service, the end."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tollgate_local.instance import running_pid
from tollgate_local.ports import free_ports, variable
from waiting import until

PROGRAM = Path(sys.executable).parent / "tollgate-local"
READY_WITHIN_S = 300
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder of data that PostgreSQL's user may enter, unlike pytest's own."""
    home = Path(tempfile.mkdtemp(prefix="tollgate-test-up-"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    ports = {variable(part): str(port) for part, port in free_ports().items()}
    without_key = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return without_key | ports | {"TOLLGATE_RUN_DIR": str(home)}


class Up:
    """A running `up` and what it has told so far."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def told(self) -> str:
        return self._output.read_text()

    def curls(self) -> list[str]:
        """The commands to paste, as they stand there."""
        return re.findall(r"^  (curl (?:.*\\\n)*.*)$", self.told, re.MULTILINE)


@asynccontextmanager
async def running(home: Path, environment: dict[str, str]) -> AsyncIterator[Up]:
    output = home / "told"
    with output.open("w") as file:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "up", env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    up = Up(process, output)
    try:
        await until(
            lambda: "Paste a call" in up.told or process.returncode is not None, "ready", within_s=READY_WITHIN_S
        )
        assert process.returncode is None, up.told
        yield up
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


def command(name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, name], check=False, capture_output=True, text=True, env=environment, timeout=120)


def paste(curl: str) -> str:
    return subprocess.run(["bash", "-c", curl], check=True, capture_output=True, text=True, timeout=30).stdout


async def test_what_it_prints_works_when_pasted(home: Path, environment: dict[str, str]) -> None:
    async with running(home, environment) as up:
        chat, usage, balance = up.curls()

        assert "choices" in json.loads(paste(chat))
        await until(lambda: '"gpt-4o-mini"' in paste(usage), "the call's usage")
        await until(lambda: json.loads(paste(balance))["posted_nano"] < 10 * 10**9, "the call's cost")

        found = re.search(r"console +(http://\S+)\n +sign in as +(\S+) with the password (\S+)", up.told)
        assert found is not None
        console, email, password = found.groups()
        page = {"Origin": console, "Tollgate-Console": "1"}
        async with httpx.AsyncClient(base_url=console) as visitor:
            assert '<div id="app">' in (await visitor.get("/")).text
            answer = await visitor.post("/api/session", json={"email": email, "password": password}, headers=page)
            assert answer.status_code == 201
            assert (await visitor.get("/api/session")).json()["account"]["email"] == email

        assert re.search(r"edge +127\.0\.0\.1:\d+ +ready", command("status", environment).stdout)
        again = command("up", environment)
        assert again.returncode == 1
        assert again.stderr == f"tollgate: already running, as process {up.process.pid}; stop that first\n"
        engines = psutil.Process(up.process.pid).children(recursive=True)

    assert up.process.returncode == 0
    stops = re.findall(r"^stopping (.*)$", up.told, re.MULTILINE)
    assert "edge" in stops[0]
    assert stops[-1] == "kafka, postgres, clickhouse"
    assert not any(engine.is_running() for engine in engines)


async def test_a_second_start_keeps_the_data_and_survives_a_killed_service(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    credentials = (home / "demo.json").read_text()
    # A machine whose Node is too old for the console.
    (tmp_path / "node").write_text("#!/bin/sh\necho v18.20.4\n")
    (tmp_path / "node").chmod(0o755)
    environment = environment | {"PATH": f"{tmp_path}:{environment['PATH']}"}
    async with running(home, environment) as up:
        assert f"starting without the web console, which is built with Node 20 or newer; {tmp_path}/node is" in up.told
        assert "sign in as" not in up.told
        assert (home / "demo.json").read_text() == credentials
        chat, usage, _ = up.curls()
        assert '"gpt-4o-mini"' in paste(usage)

        billing = find_service(up.process.pid, "billing")
        billing.kill()
        await until(lambda: up.told.count("billing is ready") == 2, "billing is back", within_s=READY_WITHIN_S)
        assert "billing ended with signal SIGKILL" in up.told
        assert "choices" in json.loads(paste(chat))

        stopped = await asyncio.to_thread(command, "down", environment)
        assert stopped.stdout.endswith("stopped; the data stays\n")
        assert await up.process.wait() == 0


def test_reset_deletes_what_is_stored(home: Path, environment: dict[str, str]) -> None:
    assert (home / "data" / "kafka").exists()

    assert command("reset", environment).returncode == 0

    assert not (home / "data").exists()
    assert not (home / "demo.json").exists()
    assert running_pid(home / "up.pid") is None


def find_service(launcher: int, name: str) -> psutil.Process:
    return next(child for child in psutil.Process(launcher).children(recursive=True) if child.name() == name)
