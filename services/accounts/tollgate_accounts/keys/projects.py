"""The use cases of projects, one function each; each is one transaction."""

from tollgate_accounts.access.permissions import Member
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Detail
from tollgate_accounts.keys import problems, records, store
from tollgate_accounts.keys.store import Budgets, Project
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection, Pool


async def create_project(pool: Pool, caller: Member, name: str, budgets: Budgets) -> Project:
    async with pool.connection() as connection:
        project = await store.insert_project(connection, caller.account_id, new_id(), name, budgets)
        await _audit(connection, caller, "project.created", project.id, {"name": name})
    return project


async def list_projects(pool: Pool, account_id: str) -> list[Project]:
    async with pool.connection() as connection:
        return await store.list_projects(connection, account_id)


async def change_project(
    pool: Pool, caller: Member, project_id: str, name: str | None, budgets: Budgets | None
) -> Project:
    """Rename a project or give it other budgets, which every key of it carries to the edges.

    Raises:
        Problem: the organization has no such project.
    """
    async with pool.connection() as connection:
        is_suspended = await store.lock_account(connection, caller.account_id)
        project = await store.update_project(connection, caller.account_id, project_id, name, budgets)
        if project is None:
            raise problems.project_not_found()
        if budgets is not None:
            await records.publish_all(connection, caller.account_id, is_suspended=is_suspended, project_id=project_id)
        changed = [part for part, value in (("budgets", budgets), ("name", name)) if value is not None]
        await _audit(connection, caller, "project.changed", project_id, {"changed": changed})
    return project


async def archive_project(pool: Pool, caller: Member, project_id: str) -> None:
    """End a project whose keys have ended.

    Raises:
        Problem: the organization has no such project, or it has keys that work.
    """
    async with pool.connection() as connection:
        if not await store.archive_project(connection, caller.account_id, project_id):
            raise problems.project_not_found()
        if await store.count_keys_of_project(connection, project_id):
            raise problems.project_in_use()
        await _audit(connection, caller, "project.archived", project_id, {})


async def _audit(
    connection: Connection, caller: Member, action: str, project_id: str, details: dict[str, Detail]
) -> None:
    await audit.record(
        connection, caller.actor, action, ("project", project_id), account_id=caller.account_id, details=details
    )
