"""Projects over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member
from tollgate_accounts.access.roles import Role
from tollgate_accounts.keys import problems, projects
from tollgate_accounts.keys.schemas import ProjectChange, ProjectList, ProjectRequest, ProjectView, stored_budgets
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_common.postgres.connection import Pool

OF_ONE_PROJECT = (*access_problems.OF_MEMBERS, problems.project_not_found(), invalid_input("project_id"))


def routes(pool: Pool, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1/projects", tags=["projects"])
    reader = access.member()
    # Not developers: a budget bounds what the keys spend that are in their hands.
    writer = access.member(Role.OWNER, Role.ADMIN)

    @router.post(
        "",
        status_code=HTTPStatus.CREATED,
        responses=documented("/v1/projects", *access_problems.OF_MEMBERS, bad_request(), invalid_input("name")),
    )
    async def create_project(caller: Annotated[Member, Depends(writer)], body: ProjectRequest) -> ProjectView:
        project = await projects.create_project(pool, caller, body.name, stored_budgets(body.budgets))
        return ProjectView.model_validate(project._asdict())

    @router.get("", responses=documented("/v1/projects", *access_problems.OF_MEMBERS))
    async def list_projects(caller: Annotated[Member, Depends(reader)]) -> ProjectList:
        found = await projects.list_projects(pool, caller.account_id)
        return ProjectList(projects=[ProjectView.model_validate(project._asdict()) for project in found])

    @router.patch("/{project_id}", responses=documented("/v1/projects/{project_id}", *OF_ONE_PROJECT, bad_request()))
    async def change_project(
        caller: Annotated[Member, Depends(writer)], project_id: UUID, body: ProjectChange
    ) -> ProjectView:
        budgets = stored_budgets(body.budgets) if body.budgets is not None else None
        project = await projects.change_project(pool, caller, str(project_id), body.name, budgets)
        return ProjectView.model_validate(project._asdict())

    @router.delete(
        "/{project_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/projects/{project_id}", *OF_ONE_PROJECT, problems.project_in_use()),
    )
    async def archive_project(caller: Annotated[Member, Depends(writer)], project_id: UUID) -> None:
        """A project without keys that work; its usage stays."""
        await projects.archive_project(pool, caller, str(project_id))

    return router
