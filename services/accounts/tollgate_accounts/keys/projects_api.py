"""Projects over HTTP. Owners and admins write them: a project's budget bounds what developers' keys spend."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.permissions import AdminMember, AnyMember
from tollgate_accounts.keys import problems, projects
from tollgate_accounts.keys.schemas import ProjectChange, ProjectList, ProjectRequest, ProjectView, stored_budgets
from tollgate_accounts.problems import bad_request, documented, invalid_input

PROJECT_PROBLEMS = (*access_problems.MEMBER_PROBLEMS, problems.project_not_found(), invalid_input("project_id"))

router = APIRouter(prefix="/v1/projects", tags=["projects"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=documented("/v1/projects", *access_problems.MEMBER_PROBLEMS, bad_request(), invalid_input("name")),
)
async def create_project(pool: PoolDep, caller: AdminMember, body: ProjectRequest) -> ProjectView:
    project = await projects.create_project(pool, caller, body.name, stored_budgets(body.budgets))
    return ProjectView.model_validate(project._asdict())


@router.get("", responses=documented("/v1/projects", *access_problems.MEMBER_PROBLEMS))
async def list_projects(pool: PoolDep, caller: AnyMember) -> ProjectList:
    found = await projects.list_projects(pool, caller.account_id)
    return ProjectList(projects=[ProjectView.model_validate(project._asdict()) for project in found])


@router.patch("/{project_id}", responses=documented("/v1/projects/{project_id}", *PROJECT_PROBLEMS, bad_request()))
async def change_project(pool: PoolDep, caller: AdminMember, project_id: UUID, body: ProjectChange) -> ProjectView:
    budgets = stored_budgets(body.budgets) if body.budgets is not None else None
    project = await projects.change_project(pool, caller, str(project_id), body.name, budgets)
    return ProjectView.model_validate(project._asdict())


@router.delete(
    "/{project_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented("/v1/projects/{project_id}", *PROJECT_PROBLEMS, problems.project_in_use()),
)
async def archive_project(pool: PoolDep, caller: AdminMember, project_id: UUID) -> None:
    """Archives a project that has no active keys. Its usage remains."""
    await projects.archive_project(pool, caller, str(project_id))
