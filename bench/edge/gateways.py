"""The measured gateways: how to start and call each, and which processes belong to it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tollgate_local.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
PORTKEY = "@portkey-ai/gateway@1.15.2"
# Version 1.107.0 was compromised.
LITELLM = "litellm[proxy]==1.106.2"
MASTER_KEY = "sk-bench-0123456789abcdef0123456789"
WITHIN_S = 300.0


class Silent(Exception):
    """A gateway that does not respond."""


@dataclass(frozen=True)
class Gateway:
    name: str
    url: str
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    streams: bool = True

    def processes(self) -> list[psutil.Process]:
        own = psutil.Process(self.pid)
        return [own, *own.children(recursive=True)]

    def cpu_s(self) -> float:
        """Return the CPU time of all its processes so far."""
        times = [process.cpu_times() for process in self.processes()]
        return sum(one.user + one.system for one in times)

    def rss_bytes(self) -> int:
        return sum(process.memory_info().rss for process in self.processes())


@contextmanager
def provider(folder: Path) -> Iterator[str]:
    """The instant provider's base URL."""
    source, program = Path(__file__).with_name("provider.c"), folder / "provider"
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    port = free_port()
    with _running([str(program), str(port)], folder / "provider.log"):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def direct(upstream: str) -> Iterator[Gateway]:
    """No gateway: the cost of the load generator and the provider."""
    yield Gateway("provider alone", f"{upstream}/chat/completions", os.getpid())


@contextmanager
def bare(upstream: str, folder: Path) -> Iterator[Gateway]:
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("bare.py")), str(port), upstream]
    yield from _gateway("bare proxy", port, command, folder)


@contextmanager
def portkey(upstream: str, folder: Path) -> Iterator[Gateway]:
    home = CACHE / "portkey"
    program = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(home), PORTKEY], check=True)
    port = free_port()
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream, "authorization": "Bearer sk-bench"}
    command = ["node", str(program), "--headless", f"--port={port}"]
    settings = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    # On Node 20, this version responds to a streamed request to a custom host with 500 ("TypeError: immutable").
    yield from _gateway("Portkey 1.15.2", port, command, folder, headers=headers, settings=settings, streams=False)


@contextmanager
def litellm(upstream: str, folder: Path) -> Iterator[Gateway]:
    home = CACHE / "litellm"
    program = home / "bin" / "litellm"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", LITELLM], check=True)
    config = folder / "litellm.yaml"
    config.write_text(f"""
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{upstream}", api_key: sk-bench}}
litellm_settings: {{telemetry: false, num_retries: 0}}
general_settings: {{master_key: {MASTER_KEY}}}
""")
    port = free_port()
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True"}
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    yield from _gateway("LiteLLM 1.106.2", port, command, folder, headers=headers, settings=settings)


def _gateway(
    name: str,
    port: int,
    command: list[str],
    folder: Path,
    *,
    headers: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    streams: bool = True,
) -> Iterator[Gateway]:
    with _running(command, folder / f"{name.partition(' ')[0]}.log", settings) as process:
        gateway = Gateway(name, f"http://127.0.0.1:{port}/v1/chat/completions", process.pid, headers or {}, streams)
        wait_answers(gateway)
        yield gateway


@contextmanager
def _running(
    command: list[str], log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment | dict(settings or {})) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_answers(gateway: Gateway) -> None:
    """Wait for a successful response, or raise `Silent` with the last response."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    deadline, last = time.monotonic() + WITHIN_S, "nothing"
    while time.monotonic() < deadline:
        try:
            response = httpx.post(gateway.url, json=body, headers=dict(gateway.headers), timeout=10, trust_env=False)
        except httpx.TransportError as error:
            last = repr(error)
        else:
            if response.is_success:
                return
            last = response.text
        time.sleep(0.2)
    raise Silent(f"{gateway.name} does not respond; the last response was: {last}")
