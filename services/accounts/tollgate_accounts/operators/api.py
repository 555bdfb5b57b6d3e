"""The operators' API. The audit log records every change, and the affected account can read the entry."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.operators import OperatorCaller
from tollgate_accounts.audit.schemas import ActorView
from tollgate_accounts.operators import handlers, problems
from tollgate_accounts.operators.balance_client import Balance
from tollgate_accounts.operators.dependencies import BalanceDep
from tollgate_accounts.operators.schemas import (
    AccountDetails,
    FoundAccount,
    FoundAccounts,
    MemberView,
    OperatorAuditEntryView,
    OperatorAuditPage,
    OperatorKeyPage,
    OperatorKeyView,
    OperatorList,
    OperatorRequest,
    OperatorView,
    ReasonRequest,
)
from tollgate_accounts.operators.store import Account, AuditEntryRow
from tollgate_accounts.payments import handlers as payments
from tollgate_accounts.payments import problems as payment_problems
from tollgate_accounts.payments.schemas import (
    AdjustmentRequest,
    AdjustmentView,
    CreditRequest,
    PaymentPage,
    PaymentView,
)
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.schemas import Email
from tollgate_common.money import CURRENCY, decimal_from_nano

PATH = "/v1/operator"
PAGE = 100
MAX_PAGE = 1000

After = Annotated[UUID | None, Query(description="`next_after` of the previous page")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]

ACCOUNT_PROBLEMS = (*access_problems.OPERATOR_PROBLEMS, problems.account_not_found(), invalid_input("account_id"))
OTHER_CURRENCY = payment_problems.unsupported_currency("EUR", CURRENCY)

router = APIRouter(prefix=PATH, tags=["operators"])


@router.get(
    "/accounts",
    responses=documented(PATH, *access_problems.OPERATOR_PROBLEMS, problems.ambiguous_search(), invalid_input("email")),
)
async def find_accounts(
    pool: PoolDep,
    _caller: OperatorCaller,
    account_id: UUID | None = None,
    email: Annotated[Email | None, Query(description="a member's e-mail address")] = None,
    key_id: UUID | None = None,
    key_prefix: Annotated[
        str | None, Query(pattern=r"^tg_[0-9A-Za-z]{1,46}$", description="the first characters of a key, or all of it")
    ] = None,
) -> FoundAccounts:
    """Finds accounts by exactly one of the parameters."""
    found = await handlers.find_accounts(
        pool,
        account_id=str(account_id) if account_id else None,
        email=email,
        key_id=str(key_id) if key_id else None,
        key_prefix=key_prefix,
    )
    return FoundAccounts(accounts=[FoundAccount.model_validate(_account(account)) for account in found])


@router.get("/accounts/{account_id}", responses=documented(PATH, *ACCOUNT_PROBLEMS))
async def get_account(pool: PoolDep, _caller: OperatorCaller, account_id: UUID) -> AccountDetails:
    account, members = await handlers.read_account(pool, str(account_id))
    views = [MemberView.model_validate(member._asdict()) for member in members]
    return AccountDetails.model_validate(_account(account) | {"members": views})


@router.get("/accounts/{account_id}/keys", responses=documented(PATH, *ACCOUNT_PROBLEMS))
async def list_keys(
    pool: PoolDep, _caller: OperatorCaller, account_id: UUID, after: After = None, limit: Limit = PAGE
) -> OperatorKeyPage:
    found = await handlers.list_keys(pool, str(account_id), str(after) if after else None, limit)
    return OperatorKeyPage(
        keys=[OperatorKeyView.model_validate(key._asdict()) for key in found],
        next_after=found[-1].id if len(found) == limit else None,
    )


@router.get(
    "/accounts/{account_id}/balance", responses=documented(PATH, *ACCOUNT_PROBLEMS, problems.balance_unavailable())
)
async def get_balance(pool: PoolDep, balance: BalanceDep, _caller: OperatorCaller, account_id: UUID) -> Balance:
    """Returns the balance from the balance service."""
    await handlers.read_account(pool, str(account_id))
    if balance is None:
        raise problems.balance_unavailable()
    return await balance.read(str(account_id))


@router.get("/accounts/{account_id}/payments", responses=documented(PATH, *ACCOUNT_PROBLEMS))
async def list_payments(
    pool: PoolDep, _caller: OperatorCaller, account_id: UUID, after: After = None, limit: Limit = PAGE
) -> PaymentPage:
    await handlers.read_account(pool, str(account_id))
    found = await payments.list_payments(pool, str(account_id), str(after) if after else None, limit)
    return PaymentPage(
        payments=[PaymentView.of(payment) for payment in found],
        next_after=found[-1].id if len(found) == limit else None,
    )


@router.get("/audit-log", responses=documented(PATH, *access_problems.OPERATOR_PROBLEMS, invalid_input("limit")))
async def list_entries(
    pool: PoolDep,
    _caller: OperatorCaller,
    account_id: Annotated[UUID | None, Query(description="return only this account's entries")] = None,
    after: After = None,
    limit: Limit = PAGE,
) -> OperatorAuditPage:
    """Lists who did what, newest first, including operators and services."""
    found = await handlers.list_entries(
        pool, str(account_id) if account_id else None, str(after) if after else None, limit
    )
    return OperatorAuditPage(
        entries=[_entry(entry) for entry in found], next_after=found[-1].id if len(found) == limit else None
    )


@router.post(
    "/accounts/{account_id}/credits",
    status_code=HTTPStatus.CREATED,
    responses=documented(PATH, *ACCOUNT_PROBLEMS, bad_request(), OTHER_CURRENCY, payment_problems.reference_exists()),
)
async def grant_credit(pool: PoolDep, caller: OperatorCaller, account_id: UUID, body: CreditRequest) -> PaymentView:
    """Grants credit with a reason. With a `reference`, repeating the request grants nothing more."""
    given = await handlers.grant_credit(
        pool,
        caller.actor,
        account_id=str(account_id),
        amount_nano=body.amount_nano,
        currency=body.currency,
        reason=body.reason,
        reference=body.reference,
    )
    return PaymentView.of(given)


@router.post(
    "/accounts/{account_id}/adjustments",
    status_code=HTTPStatus.CREATED,
    responses=documented(PATH, *ACCOUNT_PROBLEMS, bad_request(), OTHER_CURRENCY, problems.amount_is_zero()),
)
async def adjust_credit(
    pool: PoolDep, caller: OperatorCaller, account_id: UUID, body: AdjustmentRequest
) -> AdjustmentView:
    """Adjusts credit up or down, with a reason."""
    adjustment_id = await handlers.adjust_credit(
        pool,
        caller.actor,
        account_id=str(account_id),
        amount_nano=body.amount_nano,
        currency=body.currency,
        reason=body.reason,
    )
    amount = decimal_from_nano(body.amount_nano)
    return AdjustmentView(adjustment_id=adjustment_id, amount_nano=body.amount_nano, amount=amount)


@router.post("/accounts/{account_id}/suspend", responses=documented(PATH, *ACCOUNT_PROBLEMS, bad_request()))
async def suspend(pool: PoolDep, caller: OperatorCaller, account_id: UUID, body: ReasonRequest) -> FoundAccount:
    """Suspends an account. Every edge rejects its keys from now on."""
    account = await handlers.suspend(pool, caller.actor, str(account_id), body.reason)
    return FoundAccount.model_validate(_account(account))


@router.post("/accounts/{account_id}/resume", responses=documented(PATH, *ACCOUNT_PROBLEMS, bad_request()))
async def resume(pool: PoolDep, caller: OperatorCaller, account_id: UUID, body: ReasonRequest) -> FoundAccount:
    account = await handlers.resume(pool, caller.actor, str(account_id), body.reason)
    return FoundAccount.model_validate(_account(account))


@router.get("/operators", responses=documented(PATH, *access_problems.OPERATOR_PROBLEMS))
async def list_operators(pool: PoolDep, _caller: OperatorCaller) -> OperatorList:
    found = await handlers.list_operators(pool)
    return OperatorList(operators=[OperatorView.model_validate(one._asdict()) for one in found])


@router.post(
    "/operators",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        PATH, *access_problems.OPERATOR_PROBLEMS, bad_request(), problems.person_not_found(), invalid_input("email")
    ),
)
async def grant(pool: PoolDep, caller: OperatorCaller, body: OperatorRequest) -> OperatorView:
    """Makes a signed-up person an operator."""
    async with pool.connection() as connection:
        person_id = await handlers.grant(connection, caller.actor, body.email)
    (granted,) = (one for one in await handlers.list_operators(pool) if one.person_id == person_id)
    return OperatorView.model_validate(granted._asdict())


@router.delete(
    "/operators/{person_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(
        PATH, *access_problems.OPERATOR_PROBLEMS, problems.operator_not_found(), invalid_input("person_id")
    ),
)
async def revoke(pool: PoolDep, caller: OperatorCaller, person_id: UUID) -> None:
    """Revokes an operator's access, effective with their next request."""
    await handlers.revoke(pool, caller.actor, str(person_id))


def _account(account: Account) -> dict[str, object]:
    fields: dict[str, object] = account._asdict()
    return {**fields, "account_id": fields.pop("id")}


def _entry(entry: AuditEntryRow) -> OperatorAuditEntryView:
    return OperatorAuditEntryView(
        id=entry.id,
        at=entry.at,
        actor=ActorView(kind=entry.actor_kind, id=entry.actor_id, email=entry.actor_email),
        address=entry.address,
        action=entry.action,
        target_kind=entry.target_kind,
        target_id=entry.target_id,
        target_name=entry.target_name,
        details=entry.details,
        account_id=entry.account_id,
    )
