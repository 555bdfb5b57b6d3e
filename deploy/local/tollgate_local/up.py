"""`up`, `down`, `reset` and `status`: the whole system on this machine, its data below .run/."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tollgate_local.console import missing_for_console
from tollgate_local.demo import ensure_demo, read_demo
from tollgate_local.engines import build_engines
from tollgate_local.errors import LocalError
from tollgate_local.folders import RUN
from tollgate_local.forking import fork_server
from tollgate_local.instance import only_one, running_pid
from tollgate_local.ports import HOST, is_free, read_ports, require_free
from tollgate_local.processes import Reaper, Tell
from tollgate_local.supervisor import Supervisor
from tollgate_local.system import CONSOLE, SERVICES, ProviderAccount, System, answers_well
from tollgate_local.tasks import apart, end_tasks
from tollgate_local.users import outside_folder

OPENAI_URL = "https://api.openai.com/v1"
STOP_WITHIN_S = 120
# Which folder a system lives in; another folder, with other ports, is another system.
RUN_VARIABLE = "TOLLGATE_RUN_DIR"


@dataclass(frozen=True)
class Home:
    """Where one system keeps what it stores and tells."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def pid_file(self) -> Path:
        return self.folder / "up.pid"

    @property
    def ports_file(self) -> Path:
        """The ports of the `up` that runs, for `status` in another terminal, whose environment may differ."""
        return self.folder / "ports.json"

    @property
    def demo_file(self) -> Path:
        return self.folder / "demo.json"


def find_home(environment: Mapping[str, str]) -> Home:
    named = environment.get(RUN_VARIABLE)
    return Home(Path(named).resolve() if named else RUN)


async def up(home: Home, environment: Mapping[str, str], tell: Tell) -> None:
    """Starts everything and keeps it alive until it is cancelled; LocalError when it cannot."""
    started_at = time.monotonic()
    ports = read_ports(environment)
    with only_one(home.pid_file), Reaper() as reaper:
        require_free(ports)
        home.ports_file.write_bytes(msgspec.json.encode(ports))
        keep_last_logs(home.logs)
        engines = build_engines(home.data, home.logs, ports, tell, short_lived=False)
        missing = missing_for_console()
        system = System(
            lambda: engines.addresses,
            ports,
            home.data,
            home.logs,
            provider=real_provider(environment),
            with_console=missing is None,
        )
        if missing is not None:
            tell(f"starting without the web console, which is built with {missing}")
        fork_server()  # it imports what services need while the engines start
        tell("starting the engines")
        async with Supervisor(engines.parts(), reaper, tell) as running_engines:
            await running_engines.wait_ready()
            tell("starting the services")
            async with Supervisor(system.parts(), reaper, tell) as running_services:
                await running_services.wait_ready()
                api_key = await apart(ensure_demo(system, home.demo_file))
                tell(welcome(system, home.demo_file, api_key, time.monotonic() - started_at))
                await first_failure(running_engines, running_services)


def real_provider(environment: Mapping[str, str]) -> ProviderAccount | None:
    key = environment.get("OPENAI_API_KEY")
    return ProviderAccount(OPENAI_URL, key) if key else None


async def first_failure(*supervisors: Supervisor) -> None:
    """Returns never: raises what the first of them could not keep alive."""
    watches = [asyncio.create_task(supervisor.wait_failure()) for supervisor in supervisors]
    try:
        done, _ = await asyncio.wait(watches, return_when="FIRST_COMPLETED")
        for watch in done:
            watch.result()
    finally:
        await end_tasks(watches)


def keep_last_logs(logs: Path) -> None:
    """A log holds one `up`; that of the one before stands beside it, for who looks for what went wrong."""
    logs.mkdir(parents=True, exist_ok=True)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.previous"))


def welcome(system: System, demo_file: Path, api_key: str, took_s: float) -> str:
    model = "gpt-4o-mini"
    provider = system.provider.url if system.provider else "simulated, because OPENAI_API_KEY is not set"
    return f"""
Tollgate is ready after {took_s:.0f} s. Ctrl-C stops it; its data stays.

{_told_of_console(system, demo_file)}  API for any OpenAI SDK   {system.url("edge")}/v1
  accounts                 {system.url("accounts")}/docs
  usage                    {system.url("analytics")}/docs
  mails that are sent      {system.url("mails")}
  model provider           {provider}
  demo account             {demo_file}
  logs                     {system.logs}

Paste a call:

  curl {system.url("edge")}/v1/chat/completions \\
    -H 'Authorization: Bearer {api_key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello"}}]}}'

and see what it used, by model and by key:

  curl {system.url("analytics")}/v1/usage -H 'Authorization: Bearer {api_key}'

and what is left of the credit:

  curl {system.url("balance")}/v1/balance -H 'Authorization: Bearer {api_key}'
"""


def _told_of_console(system: System, demo_file: Path) -> str:
    if not system.with_console:
        return ""
    demo = read_demo(demo_file)
    return f"""\
  console                  {system.url("console")}
    sign in as             {demo.email} with the password {demo.password}
"""


def down(home: Home, tell: Tell) -> None:
    """Stops a running `up`, in good order, and returns when it has stopped."""
    pid = running_pid(home.pid_file)
    if pid is None:
        tell("nothing is running")
        return
    tell(f"stopping process {pid}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN_S
    while running_pid(home.pid_file) == pid:
        if time.monotonic() > deadline:
            raise LocalError(f"process {pid} did not stop within {STOP_WITHIN_S} s; its parts' logs are in {home.logs}")
        time.sleep(0.1)
    tell("stopped; the data stays")


def reset(home: Home, tell: Tell) -> None:
    """Stops a running `up` and deletes its data, the demo account and the logs."""
    if running_pid(home.pid_file) is not None:
        down(home, tell)
    with only_one(home.pid_file):
        for folder in (home.data, home.logs, outside_folder(home.data / "postgres")):
            shutil.rmtree(folder, ignore_errors=True)
        home.demo_file.unlink(missing_ok=True)
    tell("the data is deleted")


async def status(home: Home, tell: Tell) -> None:
    """One line a part; whether each answers is asked now, not remembered."""
    pid = running_pid(home.pid_file)
    if pid is None:
        tell("nothing is running; start it with: make up")
        return
    ports = msgspec.json.decode(home.ports_file.read_bytes(), type=dict[str, int])
    tell(f"running as process {pid}")
    services = {service.name for service in (*SERVICES, CONSOLE)}
    for part, port in ports.items():
        ready = await answers_well(f"http://{HOST}:{port}/readyz") if part in services else not is_free(port)
        tell(f"  {part:<18}{HOST}:{port:<8}{'ready' if ready else 'not ready'}")
