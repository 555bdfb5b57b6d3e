"""Claims of a client's `Idempotency-Key` by edges: which request serves it, and what its response was."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from psycopg.errors import ForeignKeyViolation
from pydantic import Base64Bytes, BaseModel, Field

from tollgate_balance.idempotency import store
from tollgate_balance.leases.api import Body, Id, PathId
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.errors import Problem
from tollgate_common.postgres.connection import Pool

MAX_RESPONSE_BYTES = 4 << 20


class ClaimState(StrEnum):
    CLAIMED = "claimed"
    """The caller has the claim and serves the request."""
    RUNNING = "running"
    """Another request has the claim and has no response yet."""
    ANSWERED = "answered"
    """The response of the request that had the claim is stored."""
    MISMATCH = "mismatch"
    """Another request used this key with a different body."""


class ClaimBody(Body):
    boot_id: Id
    token: Id
    fingerprint: Id


class StoreBody(BaseModel):
    token: Id
    answer: Annotated[Base64Bytes, Field(max_length=MAX_RESPONSE_BYTES)]


class ReleaseBody(Body):
    token: Id


class ClaimResult(BaseModel):
    state: ClaimState
    answer: Base64Bytes | None = None


class StoreResult(BaseModel):
    kept: bool


def add_routes(app: FastAPI, pool: Pool, token: str | None, tokens: Verifier | None = None) -> None:
    """Add the routes for edges that present a service's token, or the secret `token`."""
    check_token = internal_callers(token, "leases_not_configured", "no edge is trusted", tokens)
    app.state.idempotency_pool = pool
    app.include_router(router, dependencies=[Depends(check_token)])


def claims_pool(request: Request) -> Pool:
    pool: Pool = request.app.state.idempotency_pool
    return pool


ClaimsPool = Annotated[Pool, Depends(claims_pool)]

router = APIRouter(prefix="/internal/v1/idempotency")


@router.put("/{claim_id}")
async def claim(claim_id: PathId, body: ClaimBody, pool: ClaimsPool) -> ClaimResult:
    try:
        async with pool.connection() as connection:
            is_claimed = await store.claim(connection, claim_id, body.boot_id, body.token, body.fingerprint)
            held = None if is_claimed else await store.read(connection, claim_id)
    except ForeignKeyViolation as error:
        detail = f"the boot {body.boot_id} has never renewed; renew it first"
        raise Problem(409, "boot_not_found", detail) from error
    if is_claimed:
        return ClaimResult(state=ClaimState.CLAIMED)
    if held is None:
        # The claim was released between the two statements. The next attempt gets it.
        return ClaimResult(state=ClaimState.RUNNING)
    if held.fingerprint != body.fingerprint:
        return ClaimResult(state=ClaimState.MISMATCH)
    if held.response is None:
        return ClaimResult(state=ClaimState.RUNNING)
    return ClaimResult.model_construct(state=ClaimState.ANSWERED, answer=held.response)


@router.put("/{claim_id}/answer")
async def store_response(claim_id: PathId, body: StoreBody, pool: ClaimsPool) -> StoreResult:
    async with pool.connection() as connection:
        return StoreResult(kept=await store.store_response(connection, claim_id, body.token, body.answer))


@router.post("/{claim_id}/release", status_code=204)
async def release(claim_id: PathId, body: ReleaseBody, pool: ClaimsPool) -> None:
    async with pool.connection() as connection:
        await store.release(connection, claim_id, body.token)
