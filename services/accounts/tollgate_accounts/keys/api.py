"""API keys over HTTP."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from tollgate_accounts.access import limits
from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep, RulesDep
from tollgate_accounts.access.permissions import AnyMember, DeveloperMember, Public, address_of
from tollgate_accounts.keys import handlers, problems
from tollgate_accounts.keys.handlers import NewKey
from tollgate_accounts.keys.schemas import (
    KeyChange,
    KeyPage,
    KeyRequest,
    KeyView,
    LeakReport,
    LeakReportedView,
    NewKeyView,
    Rotation,
)
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.schemas import forbid_caching

PAGE = 100
MAX_PAGE = 1000
KEY_PROBLEMS = (*access_problems.MEMBER_PROBLEMS, problems.key_not_found(), invalid_input("key_id"))
LEAK_REPORTED = LeakReportedView(detail="if this was an active key, it is now revoked and we have notified its owners")

router = APIRouter(prefix="/v1/keys", tags=["API keys"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        "/v1/keys", *access_problems.MEMBER_PROBLEMS, bad_request(), invalid_input("name"), problems.project_not_found()
    ),
)
async def create_key(pool: PoolDep, caller: DeveloperMember, body: KeyRequest, response: Response) -> NewKeyView:
    forbid_caching(response)
    return _new_key_view(await handlers.create_key(pool, caller, body.settings()))


@router.post(
    "/{key_id}/rotations",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        "/v1/keys/{key_id}/rotations",
        *KEY_PROBLEMS,
        bad_request(),
        problems.key_revoked(),
        problems.project_not_found(),
    ),
)
async def rotate_key(
    pool: PoolDep, caller: DeveloperMember, key_id: UUID, body: Rotation, response: Response
) -> NewKeyView:
    """Creates a key with the old key's settings. The old key keeps working for `overlap_s` seconds."""
    forbid_caching(response)
    overlap = timedelta(seconds=body.overlap_s)
    return _new_key_view(await handlers.rotate_key(pool, caller, str(key_id), overlap))


@router.get("", responses=documented("/v1/keys", *access_problems.MEMBER_PROBLEMS, invalid_input("limit")))
async def list_keys(
    pool: PoolDep,
    caller: AnyMember,
    project_id: Annotated[UUID | None, Query(description="return only the keys of this project")] = None,
    after: Annotated[UUID | None, Query(description="`next_after` of the previous page")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
) -> KeyPage:
    keys = await handlers.list_keys(
        pool, caller.account_id, str(project_id) if project_id else None, str(after) if after else None, limit
    )
    return KeyPage(
        keys=[KeyView.model_validate(key._asdict()) for key in keys],
        next_after=keys[-1].id if len(keys) == limit else None,
    )


@router.get("/{key_id}", responses=documented("/v1/keys/{key_id}", *KEY_PROBLEMS))
async def get_key(pool: PoolDep, caller: AnyMember, key_id: UUID) -> KeyView:
    key = await handlers.find_key(pool, caller.account_id, str(key_id))
    return KeyView.model_validate(key._asdict())


@router.patch(
    "/{key_id}",
    responses=documented(
        "/v1/keys/{key_id}",
        *KEY_PROBLEMS,
        bad_request(),
        problems.key_revoked(),
        problems.project_not_found(),
        problems.budget_not_in_account("budgets"),
    ),
)
async def change_key(pool: PoolDep, caller: DeveloperMember, key_id: UUID, body: KeyChange) -> KeyView:
    key = await handlers.change_key(pool, caller, str(key_id), body.changes())
    return KeyView.model_validate(key._asdict())


@router.delete(
    "/{key_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented("/v1/keys/{key_id}", *KEY_PROBLEMS),
)
async def revoke_key(pool: PoolDep, caller: DeveloperMember, key_id: UUID) -> None:
    await handlers.revoke_key(pool, caller, str(key_id))


@router.post(
    "/leaked",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(Public("anyone with a key's text may revoke it; the response is the same for any text"))],
    responses=documented("/v1/keys/leaked", bad_request(), invalid_input("key"), access_problems.too_many_attempts(60)),
)
async def report_leaked(pool: PoolDep, rules: RulesDep, body: LeakReport, request: Request) -> LeakReportedView:
    """Revokes a key found in public, such as by a scanner of public repositories."""
    address = address_of(request)
    await limits.count_attempt(pool, rules, [], (rules.limits.leak_address, address))
    await handlers.report_leaked(pool, body.key, address)
    return LEAK_REPORTED


def _new_key_view(new: NewKey) -> NewKeyView:
    return NewKeyView.model_validate({**new.key._asdict(), "key": new.text})
