"""aiokafka's clients, which close all their connections, also if their start fails or is canceled.

aiokafka leaves that to the caller, and neither `async with` nor `start()` before a `try` does it. No object owns the
connection that a client bootstraps from until the first metadata has arrived. The garbage collector later finds what is
left, and warns of an unclosed client.

Every client of the project is one of these. `create_producer` adds the settings that a producer needs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Self
from weakref import WeakSet

import aiokafka.client
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager

from tollgate_common.private_api import require, unsupported

CLOSE_TIMEOUT_S = 1.0

_opened: ContextVar[WeakSet[AIOKafkaConnection] | None] = ContextVar("_opened", default=None)


class KafkaConsumer(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka is not typed
    _was_started = False

    async def start(self) -> None:
        self._was_started = True
        async with _closed_on_failure(self.stop):
            await super().start()

    def __del__(self) -> None:
        # A consumer that was never started has nothing to close.
        if self._was_started:
            super().__del__()


class KafkaProducer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka is not typed
    _was_started = False

    async def start(self) -> None:
        self._was_started = True
        async with _closed_on_failure(self.stop):
            await super().start()

    def __del__(self) -> None:
        if self._was_started:
            super().__del__()


class KafkaAdmin(AIOKafkaAdminClient):  # type: ignore[misc] # aiokafka is not typed
    async def start(self) -> None:
        async with _closed_on_failure(self.close):
            await super().start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()


@asynccontextmanager
async def _closed_on_failure(close: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    opened: WeakSet[AIOKafkaConnection] = WeakSet()
    token = _opened.set(opened)
    try:
        yield
    except BaseException:
        closing = [asyncio.ensure_future(connection.close()) for connection in opened]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT_S)
        await close()
        raise
    finally:
        _opened.reset(token)


async def _create_recorded_conn(*address: Any, **options: Any) -> AIOKafkaConnection:
    """Connect, and record the connection with those that a start or a client must close."""
    connection = await create_conn(*address, **options)
    if (opened := _opened.get()) is not None:
        opened.add(connection)
    # A client gives its own method to each connection but the first.
    if (on_close := options.get("on_close")) is not None:
        client = on_close.__self__
        if getattr(client, "is_closed", False):
            # A task of the client was connecting while the client closed.
            connection.close()
        else:
            client.__dict__.setdefault("connections", WeakSet()).add(connection)
    return connection


_close_client = AIOKafkaClient.close


async def _close_client_and_connections(self: AIOKafkaClient) -> None:
    """Close a client with every connection that it has opened. aiokafka forgets those that it replaces."""
    self.is_closed = True
    try:
        await _close_client(self)
    finally:
        for connection in list(self.__dict__.get("connections", ())):
            connection.close()


if aiokafka.client.create_conn is not create_conn:
    raise unsupported(aiokafka.client, "does not use aiokafka.conn.create_conn")
require(MessageBatch, "_drain_waiter", "failure")
require(TransactionManager, "_transaction_waiter", "error_transaction", "fatal_error")
aiokafka.client.create_conn = _create_recorded_conn
AIOKafkaClient.close = _close_client_and_connections


def _retrieve(future: asyncio.Future[None]) -> None:
    """Mark the exception of a future as retrieved, so that asyncio does not report it later."""
    if future.done() and not future.cancelled():
        future.exception()


# A failed batch and a failed transaction set their exception also on a future that only a flush or a commit waits for.
# Often nobody does, and asyncio then reports an exception that was never retrieved.
_fail_batch = MessageBatch.failure
_fail_transaction = TransactionManager.error_transaction
_fail_producer = TransactionManager.fatal_error


def _fail_batch_and_retrieve(self: MessageBatch, exception: Exception) -> None:
    _fail_batch(self, exception)
    _retrieve(self._drain_waiter)


def _fail_transaction_and_retrieve(self: TransactionManager, exception: Exception) -> None:
    _fail_transaction(self, exception)
    _retrieve(self._transaction_waiter)


def _fail_producer_and_retrieve(self: TransactionManager, exception: Exception) -> None:
    _fail_producer(self, exception)
    _retrieve(self._transaction_waiter)


MessageBatch.failure = _fail_batch_and_retrieve
TransactionManager.error_transaction = _fail_transaction_and_retrieve
TransactionManager.fatal_error = _fail_producer_and_retrieve
