"""Organizations over HTTP."""

from http import HTTPStatus

from fastapi import APIRouter

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.permissions import AdminMember, AnyMember, SignedInPerson
from tollgate_accounts.access.roles import Role
from tollgate_accounts.organizations import handlers, problems
from tollgate_accounts.organizations.schemas import (
    AccountView,
    OrganizationList,
    OrganizationRequest,
    OrganizationView,
    Switch,
)
from tollgate_accounts.problems import bad_request, documented, invalid_input

router = APIRouter(prefix="/v1", tags=["organizations"])


@router.get("/account", responses=documented("/v1/account", *access_problems.MEMBER_PROBLEMS))
async def get_account(pool: PoolDep, caller: AnyMember) -> AccountView:
    organization = await handlers.find(pool, caller.account_id)
    return AccountView(
        account_id=organization.id,
        name=organization.name,
        email=caller.email,
        role=caller.role,
        created_at=organization.created_at,
    )


@router.get("/organizations", responses=documented("/v1/organizations", *access_problems.PERSON_PROBLEMS))
async def list_organizations(pool: PoolDep, caller: SignedInPerson) -> OrganizationList:
    found = await handlers.list_of_person(pool, caller.person_id)
    return OrganizationList(
        organizations=[
            OrganizationView(account_id=one.id, name=one.name, role=Role(one.role), created_at=one.created_at)
            for one in found
        ]
    )


@router.post(
    "/organizations",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        "/v1/organizations",
        *access_problems.PERSON_PROBLEMS,
        bad_request(),
        invalid_input("name"),
        problems.too_many_organizations(handlers.MAX_ORGANIZATIONS),
    ),
)
async def found_organization(pool: PoolDep, caller: SignedInPerson, body: OrganizationRequest) -> OrganizationView:
    """Creates another organization with the caller as its owner. The session keeps its organization, if any."""
    organization = await handlers.create(pool, caller, body.name)
    return OrganizationView(
        account_id=organization.id, name=organization.name, role=Role.OWNER, created_at=organization.created_at
    )


@router.patch(
    "/account",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented("/v1/account", *access_problems.MEMBER_PROBLEMS, bad_request(), invalid_input("name")),
)
async def rename_account(pool: PoolDep, caller: AdminMember, body: OrganizationRequest) -> None:
    await handlers.rename(pool, caller, body.name)


@router.put(
    "/sessions/current/organization",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(
        "/v1/sessions/current/organization",
        *access_problems.PERSON_PROBLEMS,
        bad_request(),
        invalid_input("account_id"),
        problems.organization_not_found(),
    ),
)
async def switch(pool: PoolDep, caller: SignedInPerson, body: Switch) -> None:
    """Switches the session to an organization."""
    await handlers.switch(pool, caller, str(body.account_id))
