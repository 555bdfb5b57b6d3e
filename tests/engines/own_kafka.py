"""A Kafka of one's own, to be stopped, frozen and started again: the shared one is not for that."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tollgate_common.kafka.brokers import Brokers
from tollgate_local.kafka import Kafka
from tollgate_local.ports import free_port
from waiting import PATIENCE_S


class OwnKafka:
    def __init__(self, kafka: Kafka, log_file: Path) -> None:
        self._kafka = kafka
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        asyncio.run(self._kafka.prepare())

    @property
    def brokers(self) -> Brokers:
        return Brokers(self._kafka.bootstrap)

    def start(self) -> None:
        """Return when it answers; what was stored in it before is there again."""
        spec = self._kafka.spec()
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(spec.argv, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, self._log_file.read_text()[-5000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return asyncio.run(self._kafka_is_ready())
        except OSError:
            return False

    async def _kafka_is_ready(self) -> bool:
        return await self._kafka.spec().is_ready()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process = None

    def freeze(self) -> None:
        """Its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def own_kafka(folder: Path) -> Iterator[OwnKafka]:
    folder.mkdir(exist_ok=True)
    log_file = folder / "kafka.log"
    with running(Kafka(folder, log_file, free_port(), free_port(), print, short_lived=True), log_file) as kafka:
        yield kafka


@contextmanager
def running(kafka: Kafka, log_file: Path) -> Iterator[OwnKafka]:
    own = OwnKafka(kafka, log_file)
    try:
        own.start()
        yield own
    finally:
        own.kill()
