"""One Apache Kafka node on this machine: broker and controller in one JVM, KRaft, no ZooKeeper."""

import asyncio
import base64
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tollgate_local.folders import CACHE, KAFKA_BUILD, made_whole, write_private
from tollgate_local.kafka_jars import POM, fetch_jars, find_java, find_maven, jars_folder, kafka_version
from tollgate_local.ports import HOST
from tollgate_local.processes import ProcessSpec, Tell, run_to_end

# One collector thread and a modest heap: the machine is shared with everything else that `up` starts.
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")
# The first compiler only: ready in 2.5 instead of 3.2 s (2 cores), slower in a long run.
JVM_SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)
# Kafka's default of 50 would make a start wait for 100 empty partitions.
INTERNAL_PARTITIONS = 8


def node_settings(listeners: str, advertised: str, controller: str) -> dict[str, str]:
    """What makes a single node of Kafka; the same for the JVM on this machine and for a container."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": listeners,
        "advertised.listeners": advertised,
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        # A voter named here, not stored in the data, lets the ports change from one start to the next.
        "controller.quorum.voters": f"1@{controller}",
        # Topics are made with explicit partitions; a typing error must not make one.
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": str(INTERNAL_PARTITIONS),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": str(INTERNAL_PARTITIONS),
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }


class Kafka:
    """Listens on 127.0.0.1; its data is in `home/data`."""

    name = "kafka"

    def __init__(
        self,
        home: Path,
        log_file: Path,
        port: int,
        controller_port: int,
        tell: Tell,
        *,
        short_lived: bool,
        settings: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        """Find the programs; `prepare` makes the rest, and `spec` tells how to run it.

        Args:
            home: its settings and its data.
            log_file: where it logs to.
            port: of the broker.
            controller_port: of the controller.
            tell: gets a line a person can read for what takes long.
            short_lived: for data that nobody will miss: quicker to start.
            settings: beside ours, or instead of them.
            format_options: of the first start, such as `--add-scram` and a user.
        """
        self._home = home
        self._log_file = log_file
        self._jars = jars_folder(POM, CACHE)
        self._port = port
        self._tell = tell
        self._controller_port = controller_port
        self._settings = settings or {}
        self._format_options = format_options
        self._jvm = JVM + JVM_SHORT_LIVED if short_lived else JVM
        # Asked for now: what is missing is told before anything is started.
        self._java = find_java()
        self._maven = None if self._jars.exists() else find_maven()

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._port}"

    async def prepare(self) -> None:
        """Fetches the jars and formats the data folder on the first start; writes the settings on each."""
        if self._maven is not None:
            self._tell(f"fetching Apache Kafka {kafka_version(POM)} with Maven, 45 MB, this once")
            await fetch_jars(self._maven, POM, self._jars)
        data = self._home / "data"
        if not data.exists():
            with made_whole(data) as scratch:
                await self._format(scratch)
        self._write_settings(data)

    async def _format(self, data: Path) -> None:
        self._write_settings(data)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # In one word with its option: one id in 64 begins with "-" and would be read as an option itself.
        options = (f"--cluster-id={cluster_id}", f"--config={self._settings_file}", *self._format_options)
        argv = self._command("kafka.tools.StorageTool", "format", *options)
        await run_to_end("Kafka's format of its data folder", argv, {})

    def _write_settings(self, data: Path) -> None:
        controller = f"{HOST}:{self._controller_port}"
        listeners = f"BROKER://{self.bootstrap},CONTROLLER://{controller}"
        settings = node_settings(listeners, listeners, controller) | {"log.dirs": str(data)} | dict(self._settings)
        write_private(self._settings_file, "".join(f"{name}={value}\n" for name, value in settings.items()))

    @property
    def _settings_file(self) -> Path:
        return self._home / "server.properties"

    def _command(self, *what: str) -> tuple[str, ...]:
        log_settings = f"-Dlog4j2.configurationFile={(KAFKA_BUILD / 'log4j2.properties').as_uri()}"
        return (self._java, *self._jvm, log_settings, "-cp", f"{self._jars}/*", *what)

    def spec(self) -> ProcessSpec:
        return ProcessSpec(
            name=self.name,
            argv=self._command("kafka.Kafka", str(self._settings_file)),
            log_file=self._log_file,
            is_ready=partial(kafka_answers, self.bootstrap),
            stop_within_s=20,
        )


async def kafka_answers(bootstrap: str) -> bool:
    """Whether a broker there tells of itself: a node whose port is open may still be joining its own cluster."""
    host, port = bootstrap.split(":")
    # Tried first, because the client would log every refusal as an error; an OSError says "not yet" too.
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()
