"""Gives back the holds of edges that died.

Guarantee: a boot's holds are released only after it is fenced and the ledger has consumed all of usage.v1 up to the
ends that were read after the fence. Without Kafka nothing is released. Crash windows: each step is a transaction of its
own that the next turn, here or in another instance, finds done or does; two instances may do the same step at once.
"""

import asyncio
import logging
from datetime import timedelta

import psycopg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tollgate_balance.idempotency import store as idempotency
from tollgate_balance.leases import boots
from tollgate_balance.leases import store as leases
from tollgate_common.clock import boot_clock_s
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

# Looks this often within the length of a lease.
TURNS_A_LEASE = 10


class Sweeper:
    def __init__(self, brokers: Brokers, usage_topic: str, pool: Pool, lease: timedelta) -> None:
        self._brokers = brokers
        self._usage_topic = usage_topic
        self._pool = pool
        self._lease = lease

    async def run(self) -> None:
        """Sweep until cancelled; a lost store is waited for."""
        lease_s = self._lease.total_seconds()
        heard_since = boot_clock_s()
        while True:
            try:
                # Who was silent while nobody heard it gets the length of a lease to be heard again.
                await self.sweep(fences=boot_clock_s() - heard_since >= lease_s)
            except psycopg.OperationalError as error:
                log.warning("no boot is fenced while the database is away: %s", error)
                heard_since = boot_clock_s()
            except KafkaError as error:
                log.warning("no hold is released while Kafka is away: %s", error)
            due_s = boot_clock_s() + lease_s / TURNS_A_LEASE
            await asyncio.sleep(lease_s / TURNS_A_LEASE)
            late_s = boot_clock_s() - due_s
            if late_s > lease_s / 2:
                log.warning("no boot is fenced for the length of a lease: this process stood still for %.1f s", late_s)
                heard_since = boot_clock_s()

    async def sweep(self, *, fences: bool = True) -> None:
        async with self._pool.connection() as connection:
            await idempotency.purge(connection)
        if fences:
            await boots.fence_silent_boots(self._pool, self._lease)
        async with self._pool.connection() as connection:
            boot_ids = await leases.read_boots_without_ends(connection)
        if boot_ids:
            # After the fences are committed: what those boots had acknowledged by then is below these ends.
            ends = await read_ends(self._brokers, self._usage_topic)
            reach(CrashPoint.BEFORE_ENDS)
            async with self._pool.connection() as connection:
                await leases.save_usage_ends(connection, boot_ids, ends)
            reach(CrashPoint.AFTER_ENDS)
        await boots.release_drained_boots(self._pool, self._usage_topic)


async def read_ends(brokers: Brokers, topic: str) -> list[int]:
    """The offset after the last record of each of the topic's partitions, in their order.

    Raises:
        KafkaError: a partition's end is not to be had now.
    """
    consumer = KafkaConsumer(topic, **brokers.options, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        numbers = sorted(consumer.partitions_for_topic(topic) or ())
        if not numbers or numbers != list(range(len(numbers))):
            raise KafkaError(f"partitions of {topic} are {numbers}: not all are known")
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
        return [ends[TopicPartition(topic, number)] for number in numbers]
    finally:
        await consumer.stop()
