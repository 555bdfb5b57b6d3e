"""The parts of Tollgate as data: what each is given, what must be done before it starts."""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg import sql

from tollgate_local.console import build_console
from tollgate_local.engines import EngineAddresses
from tollgate_local.folders import write_private
from tollgate_local.ports import HOST
from tollgate_local.processes import ProcessSpec, run_forked
from tollgate_local.supervisor import Part

# One machine: enough to see partitions at work.
TOPIC_PARTITIONS = 4
# Who stops a system on their own machine does not wait for long answers; a stop allows more than the drain.
DRAIN_S = 5
STOP_WITHIN_S = 15


@dataclass(frozen=True)
class Service:
    """A service: `python -m tollgate_<name>.main`, with a database of its own in the stores that it uses."""

    name: str
    uses_postgres: bool = False
    uses_clickhouse: bool = False
    depends_on: tuple[str, ...] = ("topics",)
    # Whose program it runs: its own, or that of the service that it is one more of.
    program: str = ""
    # Which balance service it asks, where there are several.
    asks: str = "balance"

    @property
    def kind(self) -> str:
        return self.program or self.name

    @property
    def module(self) -> str:
        return f"tollgate_{self.kind}.main"


SERVICES = (
    Service("accounts", uses_postgres=True),
    Service("billing", uses_postgres=True, uses_clickhouse=True),
    Service("balance", uses_postgres=True),
    Service("analytics", uses_clickhouse=True),
    Service("edge"),
)


CONSOLE = Service("console", depends_on=())


@dataclass(frozen=True)
class ProviderAccount:
    """A model provider to forward requests to, with our key there."""

    url: str
    api_key: str


@dataclass(frozen=True)
class System:
    """All services on this machine, over engines that run already."""

    # Asked when a part starts: PostgreSQL's password exists only after its first start.
    engines: Callable[[], EngineAddresses]
    # By part, as in `ports.DEFAULT_PORTS`.
    ports: Mapping[str, int]
    # What services write outside of the engines.
    data: Path
    logs: Path
    # First part of the names of topics and PostgreSQL databases, and ClickHouse's database: systems on the same
    # engines do not meet.
    name: str = "tollgate"
    # None runs the simulated provider.
    provider: ProviderAccount | None = None
    # Beside one of each; their ports are in `ports` too.
    more: tuple[Service, ...] = ()
    # Further variables for every service.
    settings: Mapping[str, str] = field(default_factory=dict)
    # Further variables for one part: a service by its kind, or `topics`.
    own_settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # The web console, whose build needs Node.
    with_console: bool = False

    def url(self, part: str) -> str:
        return f"http://{HOST}:{self.ports[part]}"

    def secret(self, name: str) -> str:
        """A secret of this system's own, made at its first use and kept with its data."""
        file = self.data / "secrets" / name
        if not file.exists():
            write_private(file, secrets.token_hex(32))
        return file.read_text()

    def parts(self) -> list[Part]:
        steps = [Part("topics", spec=None, prepare=self._create_topics)]
        simulated = [] if self.provider else [Part("provider", self._provider_spec)]
        simulated.append(Part("mails", self._mails_spec))
        services = [
            Part(
                service.name,
                partial(self._service_spec, service),
                partial(self._prepare_stores, service),
                service.depends_on,
            )
            for service in (*SERVICES, *self.more)
        ]
        console = [Part("console", partial(self._service_spec, CONSOLE), build_console)] if self.with_console else []
        return steps + simulated + services + console

    async def _create_topics(self) -> None:
        environment = self._common_environment() | {
            "TOLLGATE_TOPIC_PARTITIONS": str(TOPIC_PARTITIONS),
            "TOLLGATE_TOPIC_REPLICATION": "1",
            **self.own_settings.get("topics", {}),
        }
        await run_forked("the creation of topics", python("tollgate_common.topics", "create"), environment)

    async def _prepare_stores(self, service: Service) -> None:
        if service.uses_postgres:
            await ensure_database(self.engines().postgres_dsn, self._database(service))
        if service.uses_postgres or service.uses_clickhouse:
            what = f"the migration of {service.name}"
            await run_forked(what, python(service.module, "migrate"), self.environment(service))

    def _service_spec(self, service: Service) -> ProcessSpec:
        return ProcessSpec(
            name=service.name,
            argv=python(service.module),
            is_forked=True,
            env=self.environment(service),
            log_file=self.logs / f"{service.name}.log",
            is_ready=partial(answers_well, f"{self.url(service.name)}/readyz"),
            stop_within_s=STOP_WITHIN_S,
        )

    def _provider_spec(self) -> ProcessSpec:
        return ProcessSpec(
            name="provider",
            argv=python("tollgate_local.provider"),
            is_forked=True,
            env={"TOLLGATE_PROVIDER_HOST": HOST, "TOLLGATE_PROVIDER_PORT": str(self.ports["provider"])},
            log_file=self.logs / "provider.log",
            is_ready=partial(answers_well, f"{self.url('provider')}/v1/models"),
        )

    def _mails_spec(self) -> ProcessSpec:
        return ProcessSpec(
            name="mails",
            argv=python(
                "tollgate_local.mails", "--smtp-port", str(self.ports["smtp"]), "--port", str(self.ports["mails"])
            ),
            is_forked=True,
            env={},
            log_file=self.logs / "mails.log",
            is_ready=partial(answers_well, f"{self.url('mails')}/v1/mails"),
        )

    def environment(self, service: Service) -> dict[str, str]:
        """What the service reads its settings from."""
        if service.kind == "console":
            return self._console_environment()
        engines = self.engines()
        environment = self._common_environment()
        environment["TOLLGATE_BALANCE_URL"] = self.url(service.asks)
        environment |= {"TOLLGATE_HOST": HOST, "TOLLGATE_PORT": str(self.ports[service.name])}
        if service.uses_postgres:
            environment["TOLLGATE_POSTGRES_DSN"] = with_path(engines.postgres_dsn, self._database(service))
        if service.uses_clickhouse:
            environment["TOLLGATE_CLICKHOUSE_URL"] = with_path(engines.clickhouse_url, self.name)
        if service.kind == "edge":
            environment |= self._edge_environment()
        if service.kind in ("accounts", "analytics", "balance", "billing"):
            environment |= self._operators_environment()
        if service.kind == "billing":
            environment["TOLLGATE_PRICE_PROVIDERS"] = "openai,anthropic,google"
        if service.kind == "accounts":
            environment["TOLLGATE_SIGNING_SECRET"] = self.secret("signing-secret")
            environment |= self._mail_environment()
            if self.with_console:
                environment["TOLLGATE_CONSOLE_URL"] = self.url("console")
        return {**environment, **self.settings, **self.own_settings.get(service.kind, {})}

    def _console_environment(self) -> dict[str, str]:
        asked = ("accounts", "analytics", "balance", "billing")
        return {f"TOLLGATE_{name.upper()}_URL": self.url(name) for name in asked} | {
            "TOLLGATE_HOST": HOST,
            "TOLLGATE_PORT": str(self.ports["console"]),
            "TOLLGATE_CONSOLE_URL": self.url("console"),
            "TOLLGATE_PUBLIC_API_URL": f"{self.url('edge')}/v1",
            "PYTHONUNBUFFERED": "1",
        }

    def _common_environment(self) -> dict[str, str]:
        return {
            "TOLLGATE_KAFKA_BOOTSTRAP": self.engines().kafka_bootstrap,
            "TOLLGATE_TOPIC_PREFIX": self.name,
            "TOLLGATE_INTERNAL_TOKEN": self.secret("internal-token"),
            "TOLLGATE_ACCOUNTS_URL": self.url("accounts"),
            "TOLLGATE_ANALYTICS_URL": self.url("analytics"),
            "PYTHONUNBUFFERED": "1",
        }

    def _operators_environment(self) -> dict[str, str]:
        # Whoever has set one of their own keeps it.
        own = "TOLLGATE_OPERATOR_TOKEN" in os.environ
        return {} if own else {"TOLLGATE_OPERATOR_TOKEN": self.secret("operator-token")}

    def _mail_environment(self) -> dict[str, str]:
        # The mails are caught and shown, and whoever tries the system out need not open one before they sign in. All
        # calls come from this machine, so a limit by address would meet the wrong ones.
        return {
            "TOLLGATE_EMAIL_VERIFICATION": "optional",
            "TOLLGATE_SMTP_HOST": HOST,
            "TOLLGATE_SMTP_PORT": str(self.ports["smtp"]),
            "TOLLGATE_SMTP_SECURITY": "none",
            "TOLLGATE_UNLIMITED_ADDRESSES": "127.0.0.0/8",
        }

    def _edge_environment(self) -> dict[str, str]:
        # The simulated provider takes any key.
        provider = self.provider or ProviderAccount(f"{self.url('provider')}/v1", "simulated")
        return {
            "TOLLGATE_OPENAI_URL": provider.url,
            "TOLLGATE_OPENAI_API_KEY": provider.api_key,
            **self._other_providers(),
            "TOLLGATE_SPOOL_DIR": str(self.data / "spool"),
            "TOLLGATE_DRAIN_S": str(DRAIN_S),
        }

    def _other_providers(self) -> dict[str, str]:
        """Anthropic and Gemini: simulated beside a simulated OpenAI, else those that the environment has a key for."""
        if self.provider is not None:
            known = {"ANTHROPIC_API_KEY": "TOLLGATE_ANTHROPIC_API_KEY", "GEMINI_API_KEY": "TOLLGATE_GEMINI_API_KEY"}
            return {own: os.environ[name] for name, own in known.items() if os.environ.get(name)}
        return {
            "TOLLGATE_ANTHROPIC_URL": f"{self.url('provider')}/v1",
            "TOLLGATE_ANTHROPIC_API_KEY": "simulated",
            "TOLLGATE_GEMINI_URL": f"{self.url('provider')}/v1beta",
            "TOLLGATE_GEMINI_API_KEY": "simulated",
        }

    def _database(self, service: Service) -> str:
        return f"{self.name}_{service.kind}"


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module with the launcher's own Python."""
    return (sys.executable, "-m", module, *arguments)


def with_path(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


async def ensure_database(admin_dsn: str, name: str) -> None:
    async with await psycopg.AsyncConnection.connect(admin_dsn, autocommit=True) as admin:
        found = await admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if await found.fetchone() is None:
            await admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


async def answers_well(url: str) -> bool:
    """Whether a GET of this URL is answered with success."""
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
