"""What operators do over HTTP. Every act is in the audit log, and its account sees it there."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.operators import OfOperators, Operator
from tollgate_accounts.audit.schemas import ActorView
from tollgate_accounts.operators import handlers, problems
from tollgate_accounts.operators.balance_client import Balance, BalanceClient
from tollgate_accounts.operators.schemas import (
    AccountDetails,
    FoundAccount,
    FoundAccounts,
    MemberView,
    OperatorList,
    OperatorRequest,
    OperatorsEntryPage,
    OperatorsEntryView,
    OperatorsKeyPage,
    OperatorsKeyView,
    OperatorView,
    ReasonRequest,
)
from tollgate_accounts.operators.store import Account, EntryRow
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
from tollgate_common.postgres.connection import Pool

PATH = "/v1/operator"
PAGE = 100
MAX_PAGE = 1000

After = Annotated[UUID | None, Query(description="`next_after` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]

REFUSALS = access_problems.OF_OPERATORS
OF_ACCOUNT = (*REFUSALS, problems.account_not_found(), invalid_input("account_id"))
OTHER_CURRENCY = payment_problems.currency_not_accepted("EUR", CURRENCY)


def routes(pool: Pool, operators: OfOperators, balance: BalanceClient | None) -> APIRouter:
    router = APIRouter(prefix=PATH, tags=["operators"])
    look_up(router, pool, operators, balance)
    credit(router, pool, operators)
    suspension(router, pool, operators)
    of_operators(router, pool, operators)
    return router


def look_up(router: APIRouter, pool: Pool, operators: OfOperators, balance: BalanceClient | None) -> None:
    """What changes nothing."""
    Caller = Annotated[Operator, Depends(operators)]  # noqa: N806 - a type

    @router.get("/accounts", responses=documented(PATH, *REFUSALS, problems.search_unclear(), invalid_input("email")))
    async def find_accounts(
        _caller: Caller,
        account_id: UUID | None = None,
        email: Annotated[Email | None, Query(description="of a member")] = None,
        key_id: UUID | None = None,
        key_prefix: Annotated[
            str | None, Query(pattern=r"^tg_[0-9A-Za-z]{1,46}$", description="how a key begins, or all of it")
        ] = None,
    ) -> FoundAccounts:
        """Accounts by exactly one of these."""
        found = await handlers.find_accounts(
            pool,
            account_id=str(account_id) if account_id else None,
            email=email,
            key_id=str(key_id) if key_id else None,
            key_prefix=key_prefix,
        )
        return FoundAccounts(accounts=[FoundAccount.model_validate(_account(account)) for account in found])

    @router.get("/accounts/{account_id}", responses=documented(PATH, *OF_ACCOUNT))
    async def get_account(_caller: Caller, account_id: UUID) -> AccountDetails:
        account, members = await handlers.read_account(pool, str(account_id))
        views = [MemberView.model_validate(member._asdict()) for member in members]
        return AccountDetails.model_validate(_account(account) | {"members": views})

    @router.get("/accounts/{account_id}/keys", responses=documented(PATH, *OF_ACCOUNT))
    async def list_keys(
        _caller: Caller, account_id: UUID, after: After = None, limit: Limit = PAGE
    ) -> OperatorsKeyPage:
        found = await handlers.list_keys(pool, str(account_id), str(after) if after else None, limit)
        return OperatorsKeyPage(
            keys=[OperatorsKeyView.model_validate(key._asdict()) for key in found],
            next_after=found[-1].id if len(found) == limit else None,
        )

    @router.get(
        "/accounts/{account_id}/balance", responses=documented(PATH, *OF_ACCOUNT, problems.balance_unavailable())
    )
    async def get_balance(_caller: Caller, account_id: UUID) -> Balance:
        """As the balance service has it."""
        await handlers.read_account(pool, str(account_id))
        if balance is None:
            raise problems.balance_unavailable()
        return await balance.read(str(account_id))

    @router.get("/accounts/{account_id}/payments", responses=documented(PATH, *OF_ACCOUNT))
    async def list_payments(_caller: Caller, account_id: UUID, after: After = None, limit: Limit = PAGE) -> PaymentPage:
        await handlers.read_account(pool, str(account_id))
        found = await payments.list_payments(pool, str(account_id), str(after) if after else None, limit)
        return PaymentPage(
            payments=[PaymentView.of(payment) for payment in found],
            next_after=found[-1].id if len(found) == limit else None,
        )

    @router.get("/audit-log", responses=documented(PATH, *REFUSALS, invalid_input("limit")))
    async def list_entries(
        _caller: Caller,
        account_id: Annotated[UUID | None, Query(description="only this account's; without it, everything")] = None,
        after: After = None,
        limit: Limit = PAGE,
    ) -> OperatorsEntryPage:
        """Who did what, newest first; acts of operators and services too."""
        found = await handlers.list_entries(
            pool, str(account_id) if account_id else None, str(after) if after else None, limit
        )
        return OperatorsEntryPage(
            entries=[_entry(entry) for entry in found], next_after=found[-1].id if len(found) == limit else None
        )


def credit(router: APIRouter, pool: Pool, operators: OfOperators) -> None:
    Caller = Annotated[Operator, Depends(operators)]  # noqa: N806 - a type

    @router.post(
        "/accounts/{account_id}/credits",
        status_code=HTTPStatus.CREATED,
        responses=documented(PATH, *OF_ACCOUNT, bad_request(), OTHER_CURRENCY, payment_problems.reference_taken()),
    )
    async def give_credit(caller: Caller, account_id: UUID, body: CreditRequest) -> PaymentView:
        """Credit with a reason. Name a `reference`, and a call that is repeated gives nothing more."""
        given = await handlers.give_credit(
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
        responses=documented(PATH, *OF_ACCOUNT, bad_request(), OTHER_CURRENCY, problems.amount_is_zero()),
    )
    async def adjust_credit(caller: Caller, account_id: UUID, body: AdjustmentRequest) -> AdjustmentView:
        """A correction, up or down, with a reason."""
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


def suspension(router: APIRouter, pool: Pool, operators: OfOperators) -> None:
    Caller = Annotated[Operator, Depends(operators)]  # noqa: N806 - a type

    @router.post("/accounts/{account_id}/suspend", responses=documented(PATH, *OF_ACCOUNT, bad_request()))
    async def suspend(caller: Caller, account_id: UUID, body: ReasonRequest) -> FoundAccount:
        """Every edge refuses the account's keys from now on."""
        account = await handlers.suspend(pool, caller.actor, str(account_id), body.reason)
        return FoundAccount.model_validate(_account(account))

    @router.post("/accounts/{account_id}/resume", responses=documented(PATH, *OF_ACCOUNT, bad_request()))
    async def resume(caller: Caller, account_id: UUID, body: ReasonRequest) -> FoundAccount:
        account = await handlers.resume(pool, caller.actor, str(account_id), body.reason)
        return FoundAccount.model_validate(_account(account))


def of_operators(router: APIRouter, pool: Pool, operators: OfOperators) -> None:
    Caller = Annotated[Operator, Depends(operators)]  # noqa: N806 - a type

    @router.get("/operators", responses=documented(PATH, *REFUSALS))
    async def list_operators(_caller: Caller) -> OperatorList:
        found = await handlers.list_operators(pool)
        return OperatorList(operators=[OperatorView.model_validate(one._asdict()) for one in found])

    @router.post(
        "/operators",
        status_code=HTTPStatus.CREATED,
        responses=documented(PATH, *REFUSALS, bad_request(), problems.person_not_found(), invalid_input("email")),
    )
    async def grant(caller: Caller, body: OperatorRequest) -> OperatorView:
        """Make a person who has signed up an operator."""
        async with pool.connection() as connection:
            person_id = await handlers.grant(connection, caller.actor, body.email)
        (granted,) = (one for one in await handlers.list_operators(pool) if one.person_id == person_id)
        return OperatorView.model_validate(granted._asdict())

    @router.delete(
        "/operators/{person_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(PATH, *REFUSALS, problems.operator_not_found(), invalid_input("person_id")),
    )
    async def revoke(caller: Caller, person_id: UUID) -> None:
        """They are one no longer from their next call on."""
        await handlers.revoke(pool, caller.actor, str(person_id))


def _account(account: Account) -> dict[str, object]:
    fields: dict[str, object] = account._asdict()
    return {**fields, "account_id": fields.pop("id")}


def _entry(entry: EntryRow) -> OperatorsEntryView:
    return OperatorsEntryView(
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
