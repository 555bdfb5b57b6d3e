"""The lease API for edges. docs/leases.md describes it, `tollgate_common.lease_protocol` declares its types."""

from datetime import timedelta
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from tollgate_balance.budgets.windows import BudgetWindow, ends_in_ms
from tollgate_balance.leases.boots import renew
from tollgate_balance.leases.handlers import answer_calls
from tollgate_balance.leases.micro_batcher import MicroBatcher
from tollgate_balance.leases.rules import Answer, Grant, Lease, LeaseCall, UpdateLease
from tollgate_common import lease_protocol as protocol
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.clock import rfc3339
from tollgate_common.errors import Problem
from tollgate_common.events import Budget, BudgetPeriod
from tollgate_common.http import json_body
from tollgate_common.lease_protocol import (
    AccountView,
    BootRenewal,
    BudgetView,
    GrantLease,
    LeaseOutcome,
    LeaseResponse,
    LeaseView,
    RenewBoot,
    lease_path,
    limit_path,
    renew_path,
)
from tollgate_common.postgres.connection import Pool

RETRY_AFTER_MS = 250

ID_PATTERN = "^[!-~]{1,128}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
PathId = Annotated[str, Path(pattern=ID_PATTERN)]


class Body(BaseModel):
    # Money is never guessed from a text or a float.
    model_config = ConfigDict(strict=True, extra="forbid")


LeaseBatcher = MicroBatcher[LeaseCall, Answer | Problem]


def add_routes(app: FastAPI, pool: Pool, token: str | None, lease: timedelta, tokens: Verifier | None = None) -> None:
    """Add the routes for edges that present a service's token, or the secret `token`; without one, none gets a lease.

    Args:
        app: gets the routes and, in its state, what they depend on.
        pool: connections to the ledger's database.
        token: `TOLLGATE_INTERNAL_TOKEN`.
        lease: how long a boot may go without renewal before it is fenced.
        tokens: verifies services' tokens; without it only the secret is accepted.
    """
    check_token = internal_callers(token, "leases_not_configured", "no edge is trusted", tokens)
    app.state.lease_batcher = LeaseBatcher(partial(answer_calls, pool))
    app.state.lease_pool = pool
    app.state.lease_duration = lease
    app.include_router(router, dependencies=[Depends(check_token)])


def lease_batcher(request: Request) -> LeaseBatcher:
    batcher: LeaseBatcher = request.app.state.lease_batcher
    return batcher


def lease_pool(request: Request) -> Pool:
    pool: Pool = request.app.state.lease_pool
    return pool


def lease_duration(request: Request) -> timedelta:
    duration: timedelta = request.app.state.lease_duration
    return duration


Batcher = Annotated[LeaseBatcher, Depends(lease_batcher)]

router = APIRouter(prefix=protocol.PREFIX)


@router.post(renew_path("{boot_id}"))
async def renew_boot(
    boot_id: PathId,
    body: Annotated[RenewBoot, Depends(json_body(RenewBoot))],
    pool: Annotated[Pool, Depends(lease_pool)],
    lease: Annotated[timedelta, Depends(lease_duration)],
) -> Response:
    renewal = await renew(pool, boot_id, body.edge, body.leases)
    lease_ms = lease // timedelta(milliseconds=1)
    return _json(BootRenewal(lease_ms=lease_ms, shrink=renewal.shrink, orphans=renewal.orphans, edges=renewal.edges))


@router.put(lease_path("{lease_id}"))
async def grant_lease(
    lease_id: PathId, body: Annotated[GrantLease, Depends(json_body(GrantLease))], batcher: Batcher
) -> Response:
    budgets = tuple(
        Budget(budget_id=budget.budget_id, period=budget.period, amount_nano=budget.amount_nano)
        for budget in body.budgets
    )
    call = Grant(lease_id, body.account_id, body.boot_id, body.needed_nano, body.wanted_nano, budgets)
    return await _ask(batcher, call)


@router.post(limit_path("{lease_id}"))
async def update_lease(
    lease_id: PathId,
    body: Annotated[protocol.UpdateLease, Depends(json_body(protocol.UpdateLease))],
    batcher: Batcher,
) -> Response:
    call = UpdateLease(lease_id, body.account_id, body.boot_id, body.limit_nano, body.wanted_nano, body.close, body.rev)
    return await _ask(batcher, call)


async def _ask(batcher: LeaseBatcher, call: LeaseCall) -> Response:
    answer = await batcher.ask(call.account_id, call)
    if isinstance(answer, Problem):
        raise answer
    return _json(_render(answer))


def _json(response: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(response), media_type="application/json")


def _render(answer: Answer) -> LeaseResponse:
    return LeaseResponse(
        outcome=answer.outcome,
        lease=None if answer.lease is None else _render_lease(answer.lease),
        account=AccountView(
            posted_nano=answer.account.posted_nano,
            held_nano=answer.account.held_nano,
            available_nano=answer.account.available_nano,
        ),
        retry_after_ms=RETRY_AFTER_MS if answer.outcome is LeaseOutcome.RETRY else None,
        budget=None if answer.refused_by is None else _render_budget(answer.refused_by),
        period_ends_in_ms=None if answer.lease is None else ends_in_ms(answer.windows),
    )


def _render_lease(lease: Lease) -> LeaseView:
    return LeaseView(
        lease_id=lease.lease_id,
        account_id=lease.account_id,
        boot_id=lease.boot_id,
        state=lease.state,
        limit_nano=lease.limit_nano,
        settled_nano=lease.settled_nano,
        rev=lease.rev,
    )


def _render_budget(window: BudgetWindow) -> BudgetView:
    return BudgetView(
        budget_id=window.budget_id,
        period=BudgetPeriod(window.period),
        amount_nano=window.amount_nano,
        spent_nano=window.spent_nano,
        held_nano=window.held_nano,
        resets_at=None if window.ends_at is None else rfc3339(window.ends_at),
    )
