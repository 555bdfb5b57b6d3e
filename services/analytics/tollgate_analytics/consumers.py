"""requests.v1 and usage.v1 → `request_events`.

Guarantee: each event has exactly one row, whatever is killed and whenever. Crash window: between declaring a block and
committing its end; `tollgate_common.sink` says what the successor does then.
"""

from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_analytics.rows import COLUMNS, AnyEvent, check, columns_of
from tollgate_common.consumer import SESSION_TIMEOUT_MS, Consumer, Record
from tollgate_common.dead_letters import DeadLetters
from tollgate_common.events import decode_request, decode_usage
from tollgate_common.sink import Sink, Table
from tollgate_common.topics import Topic

# Long enough to keep the parts few, short enough that an answer's usage shows well within a second.
LINGER_S = 0.25


def request_events_table(prefix: str) -> Table[AnyEvent]:
    requests_topic = Topic.REQUESTS.named(prefix)

    def decode(record: Record) -> AnyEvent:
        event: AnyEvent = (decode_request if record.topic == requests_topic else decode_usage)(record.value)
        check(event)
        return event

    return Table("request_events", COLUMNS, decode, columns_of)


def create_consumer(bootstrap: str, prefix: str, *, session_timeout_ms: int = SESSION_TIMEOUT_MS) -> Consumer:
    topics = [Topic.REQUESTS.named(prefix), Topic.USAGE.named(prefix)]
    return Consumer(bootstrap, f"{prefix}.analytics", topics, linger_s=LINGER_S, session_timeout_ms=session_timeout_ms)


def create_sink(
    bootstrap: str, prefix: str, consumer: Consumer, clickhouse: AsyncClient, producer: AIOKafkaProducer
) -> Sink[AnyEvent]:
    return Sink(
        bootstrap=bootstrap,
        consumer=consumer,
        clickhouse=clickhouse,
        table=request_events_table(prefix),
        dead_letters=DeadLetters(producer, prefix, consumer.group),
    )
