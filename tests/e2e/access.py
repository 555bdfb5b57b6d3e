"""The rights that docs/operations.md tells operators to give each service, as Kafka takes them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest

from tollgate_common.kafka.brokers import Brokers

OPERATIONS = Path(__file__).resolve().parents[2] / "docs/operations.md"
USERS = ("accounts", "analytics", "balance", "billing", "edge", "topics")

# As Kafka numbers them.
TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5
READ, WRITE, CREATE = 3, 4, 5
LITERAL, PREFIXED = 3, 4
ALLOW = 3


class Right(NamedTuple):
    resource: int
    name: str
    operation: int
    pattern: int = LITERAL


def rights_of(user: str, prefix: str) -> Iterator[Right]:
    """What the table in the documentation says, of names that begin with the prefix."""
    (row,) = re.findall(rf"^\| `{user}` \|(.*)\|$", OPERATIONS.read_text(), re.MULTILINE)
    cells = [re.findall(r"`([^`]+)`", cell) for cell in row.split("|")]
    for (resource, operation), names in zip(
        ((TOPIC, READ), (TOPIC, WRITE), (GROUP, READ), (TRANSACTIONAL_ID, WRITE)), cells, strict=True
    ):
        for name in names:
            yield Right(resource, f"{prefix}.{name}", operation)


async def grant(brokers: Brokers, prefix: str) -> None:
    """Give each user its rights, and the one that makes topics that of making those of the prefix."""
    rights = [(user, right) for user in USERS if user != "topics" for right in rights_of(user, prefix)]
    rights.append(("topics", Right(TOPIC, f"{prefix}.", CREATE, PREFIXED)))
    client = AIOKafkaClient(**brokers.options)
    await client.bootstrap()
    try:
        for user, right in rights:
            request = CreateAclsRequest(
                right.resource, right.name, right.pattern, f"User:{user}", "*", right.operation, ALLOW
            )
            answer = await client.send(client.get_random_node(), request)
            assert [code for code, _ in answer.creation_responses] == [0], (user, right)
    finally:
        await client.close()
