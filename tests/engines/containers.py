"""The engines as containers, where a Docker engine answers: the images that production runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from tollgate_local.clickhouse import clickhouse_answers
from tollgate_local.engines import EngineAddresses
from tollgate_local.kafka import kafka_answers, node_settings
from tollgate_local.kafka_jars import POM, kafka_version
from tollgate_local.ports import HOST, free_port
from tollgate_local.postgres import MAX_CONNECTIONS, postgres_answers

POSTGRES_IMAGE = "postgres:17"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.9"
# In the containers only this run's tests log in, from this machine.
USER = PASSWORD = "tollgate"
PING_WITHIN_S = 2
READY_WITHIN_S = 90


def docker_answers() -> bool:
    """Whether a Docker engine is there, within two seconds."""
    try:
        client = docker.from_env(timeout=PING_WITHIN_S)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


@contextmanager
def containers() -> Iterator[EngineAddresses]:
    with ExitStack() as stack:
        addresses = EngineAddresses(start_kafka(stack), start_postgres(stack), start_clickhouse(stack))
        wait_until_ready("kafka", kafka_answers, addresses.kafka_bootstrap)
        wait_until_ready("postgres", postgres_answers, addresses.postgres_dsn)
        wait_until_ready("clickhouse", clickhouse_answers, addresses.clickhouse_url)
        yield addresses


def start_kafka(stack: ExitStack) -> str:
    # A broker tells its clients where it listens, so its port on this machine must be known before it starts.
    port = free_port()
    listeners = f"BROKER://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093"
    settings = node_settings(listeners, f"BROKER://{HOST}:{port}", "127.0.0.1:9093")
    environment = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
    image = f"apache/kafka:{kafka_version(POM)}"
    stack.enter_context(DockerContainer(image).with_envs(**environment).with_bind_ports(port, port))
    return f"{HOST}:{port}"


def start_postgres(stack: ExitStack) -> str:
    container = DockerContainer(POSTGRES_IMAGE).with_exposed_ports(5432)
    container.with_envs(POSTGRES_USER=USER, POSTGRES_PASSWORD=PASSWORD, POSTGRES_DB="postgres")
    container.with_command(f"postgres -c fsync=off -c max_connections={MAX_CONNECTIONS}")
    return f"postgresql://{USER}:{PASSWORD}@{address(stack.enter_context(container), 5432)}/postgres"


def start_clickhouse(stack: ExitStack) -> str:
    container = DockerContainer(CLICKHOUSE_IMAGE).with_exposed_ports(8123)
    container.with_envs(CLICKHOUSE_USER=USER, CLICKHOUSE_PASSWORD=PASSWORD, CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT="1")
    return f"http://{USER}:{PASSWORD}@{address(stack.enter_context(container), 8123)}"


def address(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"


def wait_until_ready(name: str, answers: Callable[[str], Awaitable[bool]], where: str) -> None:
    async def answers_now() -> bool:
        return await answers(where)

    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            if asyncio.run(answers_now()):
                return
        time.sleep(0.2)
    raise TimeoutError(f"the container of {name} did not answer at {where} within {READY_WITHIN_S} s")
