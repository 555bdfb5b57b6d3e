"""API keys over HTTP."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from tollgate_accounts.access import limits
from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member, Public, address_of
from tollgate_accounts.access.roles import Role
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
from tollgate_accounts.rules import Rules
from tollgate_accounts.schemas import keep_out_of_caches
from tollgate_common.postgres.connection import Pool

PAGE = 100
MAX_PAGE = 1000
OF_ONE_KEY = (*access_problems.OF_MEMBERS, problems.key_not_found(), invalid_input("key_id"))
LEAK_REPORTED = LeakReportedView(detail="if this is a key that works, it does not any more, and its owners are told")


def routes(pool: Pool, rules: Rules, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1/keys", tags=["API keys"])
    _making(router, pool, access)
    _keeping(router, pool, access)
    _leaks(router, pool, rules)
    return router


def _making(router: APIRouter, pool: Pool, access: Access) -> None:
    """The two calls that show a key."""
    writer = access.member(Role.OWNER, Role.ADMIN, Role.DEVELOPER)

    @router.post(
        "",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/keys", *access_problems.OF_MEMBERS, bad_request(), invalid_input("name"), problems.project_not_found()
        ),
    )
    async def create_key(
        caller: Annotated[Member, Depends(writer)], body: KeyRequest, response: Response
    ) -> NewKeyView:
        keep_out_of_caches(response)
        return _new_key_view(await handlers.create_key(pool, caller, body.settings()))

    @router.post(
        "/{key_id}/rotations",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/keys/{key_id}/rotations",
            *OF_ONE_KEY,
            bad_request(),
            problems.key_revoked(),
            problems.project_not_found(),
        ),
    )
    async def rotate_key(
        caller: Annotated[Member, Depends(writer)], key_id: UUID, body: Rotation, response: Response
    ) -> NewKeyView:
        """A new key with the settings of the old one, which goes on for a while."""
        keep_out_of_caches(response)
        overlap = timedelta(seconds=body.overlap_s)
        return _new_key_view(await handlers.rotate_key(pool, caller, str(key_id), overlap))


def _keeping(router: APIRouter, pool: Pool, access: Access) -> None:
    reader = access.member()
    writer = access.member(Role.OWNER, Role.ADMIN, Role.DEVELOPER)

    @router.get("", responses=documented("/v1/keys", *access_problems.OF_MEMBERS, invalid_input("limit")))
    async def list_keys(
        caller: Annotated[Member, Depends(reader)],
        project_id: Annotated[UUID | None, Query(description="only the keys of this project")] = None,
        after: Annotated[UUID | None, Query(description="`next_after` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    ) -> KeyPage:
        keys = await handlers.list_keys(
            pool, caller.account_id, str(project_id) if project_id else None, str(after) if after else None, limit
        )
        return KeyPage(
            keys=[KeyView.model_validate(key._asdict()) for key in keys],
            next_after=keys[-1].id if len(keys) == limit else None,
        )

    @router.get("/{key_id}", responses=documented("/v1/keys/{key_id}", *OF_ONE_KEY))
    async def get_key(caller: Annotated[Member, Depends(reader)], key_id: UUID) -> KeyView:
        key = await handlers.find_key(pool, caller.account_id, str(key_id))
        return KeyView.model_validate(key._asdict())

    @router.patch(
        "/{key_id}",
        responses=documented(
            "/v1/keys/{key_id}",
            *OF_ONE_KEY,
            bad_request(),
            problems.key_revoked(),
            problems.project_not_found(),
            problems.budget_not_yours("budgets"),
        ),
    )
    async def change_key(caller: Annotated[Member, Depends(writer)], key_id: UUID, body: KeyChange) -> KeyView:
        key = await handlers.change_key(pool, caller, str(key_id), body.changes())
        return KeyView.model_validate(key._asdict())

    @router.delete(
        "/{key_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/keys/{key_id}", *OF_ONE_KEY),
    )
    async def revoke_key(caller: Annotated[Member, Depends(writer)], key_id: UUID) -> None:
        await handlers.revoke_key(pool, caller, str(key_id))


def _leaks(router: APIRouter, pool: Pool, rules: Rules) -> None:
    @router.post(
        "/leaked",
        status_code=HTTPStatus.ACCEPTED,
        dependencies=[Depends(Public("whoever has a key's text may end it; answers the same for any text"))],
        responses=documented(
            "/v1/keys/leaked", bad_request(), invalid_input("key"), access_problems.too_many_attempts(60)
        ),
    )
    async def report_leaked(body: LeakReport, request: Request) -> LeakReportedView:
        """For whoever finds a key where it should not be, such as a scanner of public code."""
        address = address_of(request)
        await limits.count(pool, rules, [], (rules.limits.leak_address, address))
        await handlers.report_leaked(pool, body.key, address)
        return LEAK_REPORTED


def _new_key_view(new: NewKey) -> NewKeyView:
    return NewKeyView.model_validate({**new.key._asdict(), "key": new.text})
