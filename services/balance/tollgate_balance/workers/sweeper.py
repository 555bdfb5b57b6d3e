"""The sweeper fences silent boots and releases their holds.

Guarantee: a boot's holds are released only after it is fenced and the ledger has consumed all of usage.v1 up to the
ends that were read after the fence. Without Kafka nothing is released. Crash windows: each step is one transaction. The
next turn, here or in another instance, finds it done or does it. Two instances may run the same step at once.
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

# Turns of the sweeper within the duration of a lease.
TURNS_A_LEASE = 10


class Sweeper:
    def __init__(self, brokers: Brokers, usage_topic: str, pool: Pool, lease: timedelta) -> None:
        self._brokers = brokers
        self._usage_topic = usage_topic
        self._pool = pool
        self._lease = lease

    async def run(self) -> None:
        """Sweep until canceled. Wait while a store is unavailable."""
        lease_s = self._lease.total_seconds()
        heard_since = boot_clock_s()
        while True:
            try:
                # After an outage of the database or of this process, boots get a full lease duration to renew.
                await self.sweep(fences=boot_clock_s() - heard_since >= lease_s)
            except psycopg.OperationalError as error:
                log.warning("fencing waits for the database: %s", error)
                heard_since = boot_clock_s()
            except KafkaError as error:
                log.warning("releasing holds waits for Kafka: %s", error)
            # Not `retries.repeat`: what the pause took decides whether the next turn may fence.
            due_s = boot_clock_s() + lease_s / TURNS_A_LEASE
            await asyncio.sleep(lease_s / TURNS_A_LEASE)
            late_s = boot_clock_s() - due_s
            if late_s > lease_s / 2:
                log.warning(
                    "fencing pauses for the duration of a lease, because this process did not run for %.1f s", late_s
                )
                heard_since = boot_clock_s()

    async def sweep(self, *, fences: bool = True) -> None:
        async with self._pool.connection() as connection:
            await idempotency.purge(connection)
        if fences:
            await boots.fence_silent_boots(self._pool, self._lease)
        async with self._pool.connection() as connection:
            boot_ids = await leases.read_boots_without_ends(connection)
        if boot_ids:
            # Read the ends after the fences are committed, so that all acknowledged usage of those boots is below them.
            ends = await read_ends(self._brokers, self._usage_topic)
            reach(CrashPoint.BEFORE_ENDS)
            async with self._pool.connection() as connection:
                await leases.save_usage_ends(connection, boot_ids, ends)
            reach(CrashPoint.AFTER_ENDS)
        await boots.release_drained_boots(self._pool, self._usage_topic)


async def read_ends(brokers: Brokers, topic: str) -> list[int]:
    """Return the end offset of each partition of the topic, in order.

    Raises:
        KafkaError: the end of a partition is not available now.
    """
    consumer = KafkaConsumer(topic, **brokers.options, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        numbers = sorted(consumer.partitions_for_topic(topic) or ())
        if not numbers or numbers != list(range(len(numbers))):
            raise KafkaError(f"the metadata of {topic} has the partitions {numbers}, expected a range from 0")
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
        return [ends[TopicPartition(topic, number)] for number in numbers]
    finally:
        await consumer.stop()
