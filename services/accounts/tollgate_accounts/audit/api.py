"""The audit log over HTTP: each organization sees its own."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member
from tollgate_accounts.access.roles import Role
from tollgate_accounts.audit import store
from tollgate_accounts.audit.schemas import ActorView, EntryPage, EntryView
from tollgate_accounts.audit.store import Entry
from tollgate_accounts.problems import documented, invalid_input
from tollgate_common.postgres.connection import Pool

PAGE = 100
MAX_PAGE = 1000


def routes(pool: Pool, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1/audit-log", tags=["audit log"])
    reader = access.member(Role.OWNER, Role.ADMIN)

    @router.get("", responses=documented("/v1/audit-log", *access_problems.OF_MEMBERS, invalid_input("limit")))
    async def list_entries(
        caller: Annotated[Member, Depends(reader)],
        after: Annotated[UUID | None, Query(description="`next_after` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    ) -> EntryPage:
        async with pool.connection() as connection:
            entries = await store.list_entries(connection, caller.account_id, str(after) if after else None, limit)
        return EntryPage(
            entries=[_view(entry) for entry in entries],
            next_after=entries[-1].id if len(entries) == limit else None,
        )

    return router


def _view(entry: Entry) -> EntryView:
    return EntryView(
        id=entry.id,
        at=entry.at,
        actor=ActorView(kind=entry.actor_kind, id=entry.actor_id, email=entry.actor_email),
        address=entry.address,
        action=entry.action,
        target_kind=entry.target_kind,
        target_id=entry.target_id,
        target_name=entry.target_name,
        details=entry.details,
    )
