"""Many signed-in persons at once, made in the database: a thousand sign-ups would take the test's time."""

import hashlib
from typing import Any

from tollgate_accounts.access.permissions import SESSION_PREFIX
from tollgate_common.postgres.connection import Pool


async def signed_in_crowd(pool: Pool, count: int) -> list[dict[str, str]]:
    """The headers of that many owners, each with an organization of their own."""
    tokens = [f"{SESSION_PREFIX}{number}" for number in range(count)]
    statements: list[tuple[Any, list[Any]]] = [
        ("CREATE TEMPORARY TABLE crowd (number int, id uuid DEFAULT gen_random_uuid(), token_hash text)", []),
        (
            """INSERT INTO crowd (number, token_hash)
            SELECT number, token_hash FROM unnest(%s::text[]) WITH ORDINALITY AS t (token_hash, number)""",
            [[hashlib.sha256(token.encode()).hexdigest() for token in tokens]],
        ),
        (
            """INSERT INTO persons (id, email, email_folded, password_hash)
            SELECT id, number || '@example.com', number || '@example.com', '' FROM crowd""",
            [],
        ),
        ("INSERT INTO organisations (id, name) SELECT id, number::text FROM crowd", []),
        ("INSERT INTO memberships (account_id, person_id, role) SELECT id, id, 'owner' FROM crowd", []),
        (
            """INSERT INTO sessions (id, token_hash, person_id, account_id, user_agent, address, expires_at)
            SELECT id, token_hash, id, id, '', '', now() + interval '1 hour' FROM crowd""",
            [],
        ),
        ("DROP TABLE crowd", []),
    ]
    async with pool.connection() as connection:
        for statement, parameters in statements:
            await connection.execute(statement, parameters)
    return [{"Authorization": f"Bearer {token}"} for token in tokens]
