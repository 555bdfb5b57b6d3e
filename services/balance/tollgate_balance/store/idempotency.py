"""Claims of clients' idempotency keys, and the sealed answers to them."""

from datetime import timedelta
from typing import NamedTuple

from tollgate_balance.store.rows import SQL
from tollgate_common.postgres.connection import Connection

LASTING = timedelta(hours=24)


class Held(NamedTuple):
    """A claim that another request has; `answer` None while that is under way."""

    fingerprint: str
    answer: bytes | None


async def claim(connection: Connection, claim_id: str, boot_id: str, token: str, fingerprint: str) -> bool:
    """True if the request `token` holds the claim now."""
    parameters = {
        "claim_id": claim_id,
        "boot_id": boot_id,
        "token": token,
        "fingerprint": fingerprint,
        "lasting": LASTING,
    }
    cursor = await connection.execute(SQL["claim_idempotency"], parameters)
    return await cursor.fetchone() is not None


async def read(connection: Connection, claim_id: str) -> Held | None:
    cursor = await connection.execute(SQL["read_idempotency"], {"claim_id": claim_id})
    row = await cursor.fetchone()
    return None if row is None else Held(row["fingerprint"], row["answer"])


async def keep(connection: Connection, claim_id: str, token: str, answer: bytes) -> bool:
    """False if the claim is another request's now."""
    parameters = {"claim_id": claim_id, "token": token, "answer": answer}
    cursor = await connection.execute(SQL["keep_answer"], parameters)
    return await cursor.fetchone() is not None


async def release(connection: Connection, claim_id: str, token: str) -> None:
    await connection.execute(SQL["release_idempotency"], {"claim_id": claim_id, "token": token})


async def purge(connection: Connection) -> None:
    await connection.execute(SQL["purge_idempotency"], {"lasting": LASTING})
