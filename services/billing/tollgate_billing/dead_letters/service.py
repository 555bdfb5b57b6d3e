"""Operators' decisions about dead letters. Each is one transaction."""

import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

from psycopg.rows import DictRow

from tollgate_billing.dead_letters import store
from tollgate_billing.dead_letters.state import State
from tollgate_billing.dead_letters.store import Source
from tollgate_common.errors import Problem
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.postgres.connection import Connection, Pool
from tollgate_common.topics import WITH_DEAD_LETTERS

log = logging.getLogger(__name__)

NEWEST = datetime(9999, 1, 1, tzinfo=UTC)


class Page(NamedTuple):
    messages: list[DictRow]
    next: tuple[datetime, str] | None


class DeadLetterService:
    def __init__(self, pool: Pool, producer: KafkaProducer, prefix: str) -> None:
        self._pool = pool
        self._producer = producer
        self._sources = {topic.named(prefix) for topic in WITH_DEAD_LETTERS}

    async def page(self, state: str | None, before: tuple[datetime, str] | None, limit: int) -> Page:
        """Read messages with dead letters, newest first. `before` is the end of the previous page."""
        moment, source = before or (NEWEST, "")
        async with self._pool.connection() as connection:
            # One more row than requested shows whether there is a next page.
            rows = await store.page(connection, state, moment, source, limit + 1)
        if len(rows) <= limit:
            return Page(rows, None)
        last = rows[limit - 1]
        return Page(rows[:limit], (last["first_sent_at"], last["source"]))

    async def read(self, source: str) -> tuple[DictRow, list[DictRow]]:
        """Read a message's state, and one row for each of its dead letters.

        Raises:
            Problem: 404 if there is no dead letter of this source.
        """
        async with self._pool.connection() as connection:
            return await _known(connection, source), await store.letters_of(connection, source)

    async def retry(self, source: str) -> None:
        """Send the message again, with its bytes, key and partition. Consumers that have it drop it by seq or id.

        It is sent before the decision is recorded. A crash in between leaves it open, and sending it again is harmless.

        Raises:
            Problem: 404 if it is unknown, 409 if its source topic is unknown.
            aiokafka.errors.KafkaError: it could not be sent; nothing is recorded.
        """
        async with self._pool.connection() as connection:
            await store.lock(connection, source)
            await _known(connection, source)
            place = Source.parse(source)
            if place is None or place.topic not in self._sources:
                raise Problem(
                    HTTPStatus.CONFLICT,
                    "source_not_found",
                    f"{source} names no topic of this deployment, so it cannot be sent again; discard it instead",
                )
            newest = (await store.letters_of(connection, source))[-1]
            await self._producer.send_and_wait(place.topic, newest["value"], newest["key"], partition=place.partition)
            await store.decide(connection, source, State.RETRIED, "")
        log.info("dead letter %s was sent again", source)

    async def discard(self, source: str, reason: str) -> None:
        """Discard the message, with a reason. Its gap stays, with this label.

        Raises:
            Problem: 404 if it is unknown, 409 if it was sent again.
        """
        async with self._pool.connection() as connection:
            await store.lock(connection, source)
            known = await _known(connection, source)
            if known["state"] == State.RETRIED:
                raise Problem(
                    HTTPStatus.CONFLICT,
                    "already_retried",
                    f"{source} was sent again at {known['decided_at'].isoformat()}; if that failed too, there is a "
                    "new dead letter to discard",
                )
            await store.decide(connection, source, State.DISCARDED, reason)
        log.info("dead letter %s was discarded: %s", source, reason)


async def _known(connection: Connection, source: str) -> DictRow:
    found = await store.source(connection, source)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "dead_letter_not_found", f"there is no dead letter of {source}")
    return found
