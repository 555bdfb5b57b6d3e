"""Claims of clients' idempotency keys, and the encrypted responses to them."""

from datetime import timedelta
from typing import NamedTuple

from tollgate_balance.database.statements import SQL
from tollgate_common.postgres.connection import Connection

CLAIM_LIFETIME = timedelta(hours=24)


class Held(NamedTuple):
    """A claim that another request has. `response` is None while that request is in flight."""

    fingerprint: str
    response: bytes | None


async def claim(connection: Connection, claim_id: str, boot_id: str, token: str, fingerprint: str) -> bool:
    """Claim a key. Return whether the request `token` has the claim now."""
    parameters = {
        "claim_id": claim_id,
        "boot_id": boot_id,
        "token": token,
        "fingerprint": fingerprint,
        "lasting": CLAIM_LIFETIME,
    }
    cursor = await connection.execute(SQL["claim_idempotency"], parameters)
    return await cursor.fetchone() is not None


async def read(connection: Connection, claim_id: str) -> Held | None:
    cursor = await connection.execute(SQL["read_idempotency"], {"claim_id": claim_id})
    row = await cursor.fetchone()
    return None if row is None else Held(row["fingerprint"], row["answer"])


async def store_response(connection: Connection, claim_id: str, token: str, response: bytes) -> bool:
    """Store the response. Return False if another request has the claim now."""
    parameters = {"claim_id": claim_id, "token": token, "response": response}
    cursor = await connection.execute(SQL["store_response"], parameters)
    return await cursor.fetchone() is not None


async def release(connection: Connection, claim_id: str, token: str) -> None:
    await connection.execute(SQL["release_idempotency"], {"claim_id": claim_id, "token": token})


async def purge(connection: Connection) -> None:
    await connection.execute(SQL["purge_idempotency"], {"lasting": CLAIM_LIFETIME})
