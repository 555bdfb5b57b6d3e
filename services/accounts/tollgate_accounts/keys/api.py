"""API keys over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member
from tollgate_accounts.access.roles import Role
from tollgate_accounts.keys import handlers, problems
from tollgate_accounts.keys.schemas import KeyPage, KeyRequest, KeyView, NewKeyView
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.schemas import keep_out_of_caches
from tollgate_common.postgres import Pool

PAGE = 100
MAX_PAGE = 1000


def routes(pool: Pool, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1/keys", tags=["API keys"])
    reader = access.member()
    writer = access.member(Role.OWNER, Role.ADMIN, Role.DEVELOPER)

    @router.post(
        "",
        status_code=HTTPStatus.CREATED,
        responses=documented("/v1/keys", *access_problems.OF_MEMBERS, bad_request(), invalid_input("name")),
    )
    async def create_key(
        caller: Annotated[Member, Depends(writer)], body: KeyRequest, response: Response
    ) -> NewKeyView:
        keep_out_of_caches(response)
        key, text = await handlers.create_key(
            pool, caller.actor, caller.account_id, name=body.name, expires_at=body.expires_at, models=body.models
        )
        return NewKeyView.model_validate({**key._asdict(), "key": text})

    @router.get("", responses=documented("/v1/keys", *access_problems.OF_MEMBERS, invalid_input("limit")))
    async def list_keys(
        caller: Annotated[Member, Depends(reader)],
        after: Annotated[UUID | None, Query(description="`next_after` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    ) -> KeyPage:
        keys = await handlers.list_keys(pool, caller.account_id, str(after) if after else None, limit)
        return KeyPage(
            keys=[KeyView.model_validate(key._asdict()) for key in keys],
            next_after=keys[-1].id if len(keys) == limit else None,
        )

    @router.delete(
        "/{key_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(
            "/v1/keys/{key_id}", *access_problems.OF_MEMBERS, problems.key_not_found(), invalid_input("key_id")
        ),
    )
    async def revoke_key(caller: Annotated[Member, Depends(writer)], key_id: UUID) -> None:
        await handlers.revoke_key(pool, caller.actor, caller.account_id, str(key_id))

    return router
