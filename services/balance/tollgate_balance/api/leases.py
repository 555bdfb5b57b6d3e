"""What edges ask: leases. docs/leases.md is the contract."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path
from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

from tollgate_balance.budgets import Allotment, ends_in_ms
from tollgate_balance.combiner import Combiner
from tollgate_balance.handlers.boots import renew
from tollgate_balance.handlers.leases import answer_calls
from tollgate_balance.leases import Answer, Authorise, Grant, LeaseCall, LeaseState, Outcome
from tollgate_balance.ledger import MAX_CREDIT_NANO
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


def add_routes(app: FastAPI, pool: Pool, token: str | None, lease: timedelta, tokens: Verifier | None = None) -> None:
    """Serve edges that show a service's token or the secret `token`; without one nobody gets a lease."""
    combiner: Combiner[LeaseCall, Answer | Problem] = Combiner(partial(answer_calls, pool))
    check_token = internal_callers(token, "leases_not_configured", "no edge is trusted", tokens)

    async def ask(call: LeaseCall) -> LeaseAnswer:
        answer = await combiner.ask(call.account_id, call)
        if isinstance(answer, Problem):
            raise answer
        return _render(answer)

    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(check_token)])

    @router.post("/boots/{boot_id}/renew")
    async def renew_boot(boot_id: PathId, body: RenewBody) -> RenewAnswer:
        renewal = await renew(pool, boot_id, body.edge, body.leases)
        lease_ms = lease // timedelta(milliseconds=1)
        return RenewAnswer(lease_ms=lease_ms, shrink=renewal.shrink, orphans=renewal.orphans, edges=renewal.edges)

    @router.put("/leases/{lease_id}")
    async def grant_lease(lease_id: PathId, body: GrantBody) -> LeaseAnswer:
        budgets = tuple(Budget(**budget.model_dump()) for budget in body.budgets)
        return await ask(Grant(lease_id, body.account_id, body.boot_id, body.needed_nano, body.wanted_nano, budgets))

    @router.post("/leases/{lease_id}/authorised")
    async def authorise_lease(lease_id: PathId, body: AuthoriseBody) -> LeaseAnswer:
        call = Authorise(
            lease_id, body.account_id, body.boot_id, body.authorised_nano, body.wanted_nano, body.close, body.rev
        )
        return await ask(call)

    app.include_router(router)


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
        period_ends_in_ms=None if answer.lease is None else ends_in_ms(answer.allotments),
    )


def _render_budget(allotment: Allotment) -> BudgetView:
    return BudgetView(
        budget_id=allotment.budget_id,
        period=BudgetPeriod(allotment.period),
        amount_nano=allotment.amount_nano,
        spent_nano=allotment.spent_nano,
        held_nano=allotment.held_nano,
        resets_at=allotment.ends_at,
    )
