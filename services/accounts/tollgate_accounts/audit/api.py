"""The audit log over HTTP. Each organization reads its own entries."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.permissions import AdminMember
from tollgate_accounts.audit import store
from tollgate_accounts.audit.schemas import ActorView, AuditEntryView, AuditPage
from tollgate_accounts.audit.store import AuditEntry
from tollgate_accounts.problems import documented, invalid_input

PAGE = 100
MAX_PAGE = 1000

router = APIRouter(prefix="/v1/audit-log", tags=["audit log"])


@router.get("", responses=documented("/v1/audit-log", *access_problems.MEMBER_PROBLEMS, invalid_input("limit")))
async def list_entries(
    pool: PoolDep,
    caller: AdminMember,
    after: Annotated[UUID | None, Query(description="`next_after` of the previous page")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
) -> AuditPage:
    async with pool.connection() as connection:
        entries = await store.list_entries(connection, caller.account_id, str(after) if after else None, limit)
    return AuditPage(
        entries=[_view(entry) for entry in entries],
        next_after=entries[-1].id if len(entries) == limit else None,
    )


def _view(entry: AuditEntry) -> AuditEntryView:
    return AuditEntryView(
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
