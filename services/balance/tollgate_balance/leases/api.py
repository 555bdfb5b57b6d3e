"""The lease calls of edges. docs/leases.md is the contract."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path, Request
from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

from tollgate_balance.budgets.windows import BudgetWindow, ends_in_ms
from tollgate_balance.leases.boots import renew
from tollgate_balance.leases.handlers import answer_calls
from tollgate_balance.leases.micro_batcher import MicroBatcher
from tollgate_balance.leases.rules import Answer, Authorise, Grant, LeaseCall, LeaseState, Outcome
from tollgate_balance.ledger.accounts import MAX_CREDIT_NANO
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.errors import Problem
from tollgate_common.events import Budget, BudgetPeriod
from tollgate_common.postgres.connection import Pool

RETRY_AFTER_MS = 250
# A key has a few: its own and its project's, of each period.
MAX_BUDGETS = 16

ID_PATTERN = "^[!-~]{1,128}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
PathId = Annotated[str, Path(pattern=ID_PATTERN)]
Nano = Annotated[int, Field(ge=0, le=MAX_CREDIT_NANO)]


class Body(BaseModel):
    # Money is never guessed from a text or a float.
    model_config = ConfigDict(strict=True, extra="forbid")


class RenewBody(Body):
    edge: Id
    leases: list[Id] | None = None


class BudgetBody(Body):
    budget_id: Id
    # Strict bodies take no text for an enum, but JSON has nothing else.
    period: Annotated[BudgetPeriod, Strict(strict=False)]
    amount_nano: Nano


class GrantBody(Body):
    boot_id: Id
    account_id: Id
    needed_nano: Nano
    wanted_nano: Nano = 0
    budgets: Annotated[list[BudgetBody], Field(max_length=MAX_BUDGETS)] = []


class AuthoriseBody(Body):
    boot_id: Id
    account_id: Id
    authorised_nano: Nano
    wanted_nano: Nano = 0
    close: bool = False
    rev: Annotated[int, Field(ge=2, lt=2**62)]


class RenewAnswer(BaseModel):
    lease_ms: int
    shrink: list[str]
    orphans: list[str]
    edges: int


class LeaseView(BaseModel):
    lease_id: str
    account_id: str
    boot_id: str
    state: LeaseState
    authorised_nano: int
    settled_nano: int
    rev: int


class AccountView(BaseModel):
    posted_nano: int
    held_nano: int
    available_nano: int


class BudgetView(BaseModel):
    """`spent_nano` is settled, `held_nano` is held by leases; `resets_at` is null for a total."""

    budget_id: str
    period: BudgetPeriod
    amount_nano: int
    spent_nano: int
    held_nano: int
    resets_at: datetime | None


class LeaseAnswer(BaseModel):
    outcome: Outcome
    lease: LeaseView | None
    account: AccountView
    retry_after_ms: int | None
    budget: BudgetView | None
    """The one that refuses."""
    period_ends_in_ms: int | None
    """When the first period ends that the lease was granted under: start nothing new on it then."""


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

router = APIRouter(prefix="/internal/v1")


@router.post("/boots/{boot_id}/renew")
async def renew_boot(
    boot_id: PathId,
    body: RenewBody,
    pool: Annotated[Pool, Depends(lease_pool)],
    lease: Annotated[timedelta, Depends(lease_duration)],
) -> RenewAnswer:
    renewal = await renew(pool, boot_id, body.edge, body.leases)
    lease_ms = lease // timedelta(milliseconds=1)
    return RenewAnswer(lease_ms=lease_ms, shrink=renewal.shrink, orphans=renewal.orphans, edges=renewal.edges)


@router.put("/leases/{lease_id}")
async def grant_lease(lease_id: PathId, body: GrantBody, batcher: Batcher) -> LeaseAnswer:
    budgets = tuple(Budget(**budget.model_dump()) for budget in body.budgets)
    call = Grant(lease_id, body.account_id, body.boot_id, body.needed_nano, body.wanted_nano, budgets)
    return await _ask(batcher, call)


@router.post("/leases/{lease_id}/authorised")
async def authorise_lease(lease_id: PathId, body: AuthoriseBody, batcher: Batcher) -> LeaseAnswer:
    call = Authorise(
        lease_id, body.account_id, body.boot_id, body.authorised_nano, body.wanted_nano, body.close, body.rev
    )
    return await _ask(batcher, call)


async def _ask(batcher: LeaseBatcher, call: LeaseCall) -> LeaseAnswer:
    answer = await batcher.ask(call.account_id, call)
    if isinstance(answer, Problem):
        raise answer
    return _render(answer)


def _render(answer: Answer) -> LeaseAnswer:
    return LeaseAnswer(
        outcome=answer.outcome,
        lease=None if answer.lease is None else LeaseView.model_validate(answer.lease, from_attributes=True),
        account=AccountView(
            posted_nano=answer.account.posted_nano,
            held_nano=answer.account.held_nano,
            available_nano=answer.account.available_nano,
        ),
        retry_after_ms=RETRY_AFTER_MS if answer.outcome is Outcome.RETRY else None,
        budget=None if answer.refused_by is None else _render_budget(answer.refused_by),
        period_ends_in_ms=None if answer.lease is None else ends_in_ms(answer.windows),
    )


def _render_budget(window: BudgetWindow) -> BudgetView:
    return BudgetView(
        budget_id=window.budget_id,
        period=BudgetPeriod(window.period),
        amount_nano=window.amount_nano,
        spent_nano=window.spent_nano,
        held_nano=window.held_nano,
        resets_at=window.ends_at,
    )
