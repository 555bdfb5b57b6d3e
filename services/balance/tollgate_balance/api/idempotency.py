"""What edges ask for a client's `Idempotency-Key`: who serves it, and what the first answer was."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI
from psycopg.errors import ForeignKeyViolation
from pydantic import Base64Bytes, BaseModel, Field

from tollgate_balance.api.leases import Body, Id, PathId
from tollgate_balance.store import idempotency
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.errors import Problem
from tollgate_common.postgres.connection import Pool

MAX_ANSWER_BYTES = 4 << 20


class ClaimState(StrEnum):
    CLAIMED = "claimed"
    """The caller serves it."""
    RUNNING = "running"
    """Another request does."""
    ANSWERED = "answered"
    MISMATCH = "mismatch"
    """Another request with this key asked for something else."""


class ClaimBody(Body):
    boot_id: Id
    token: Id
    fingerprint: Id


class KeepBody(BaseModel):
    token: Id
    answer: Annotated[Base64Bytes, Field(max_length=MAX_ANSWER_BYTES)]


class ReleaseBody(Body):
    token: Id


class ClaimAnswer(BaseModel):
    state: ClaimState
    answer: Base64Bytes | None = None


class KeepAnswer(BaseModel):
    kept: bool


def add_routes(app: FastAPI, pool: Pool, token: str | None, tokens: Verifier | None = None) -> None:
    """Serve edges that show a service's token or the secret `token`."""
    check_token = internal_callers(token, "leases_not_configured", "no edge is trusted", tokens)
    router = APIRouter(prefix="/internal/v1/idempotency", dependencies=[Depends(check_token)])

    @router.put("/{claim_id}")
    async def claim(claim_id: PathId, body: ClaimBody) -> ClaimAnswer:
        try:
            async with pool.connection() as connection:
                is_claimed = await idempotency.claim(connection, claim_id, body.boot_id, body.token, body.fingerprint)
                held = None if is_claimed else await idempotency.read(connection, claim_id)
        except ForeignKeyViolation as error:
            raise Problem(409, "boot_not_found", "the boot has never renewed: renew first") from error
        if is_claimed:
            return ClaimAnswer(state=ClaimState.CLAIMED)
        if held is None:
            # Released between the two statements: the next try claims it.
            return ClaimAnswer(state=ClaimState.RUNNING)
        if held.fingerprint != body.fingerprint:
            return ClaimAnswer(state=ClaimState.MISMATCH)
        if held.answer is None:
            return ClaimAnswer(state=ClaimState.RUNNING)
        return ClaimAnswer.model_construct(state=ClaimState.ANSWERED, answer=held.answer)

    @router.put("/{claim_id}/answer")
    async def keep(claim_id: PathId, body: KeepBody) -> KeepAnswer:
        async with pool.connection() as connection:
            return KeepAnswer(kept=await idempotency.keep(connection, claim_id, body.token, body.answer))

    @router.post("/{claim_id}/release", status_code=204)
    async def release(claim_id: PathId, body: ReleaseBody) -> None:
        async with pool.connection() as connection:
            await idempotency.release(connection, claim_id, body.token)

    app.include_router(router)
