"""Organizations over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member, Person
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
from tollgate_common.postgres.connection import Pool


def routes(pool: Pool, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["organizations"])

    @router.get("/account", responses=documented("/v1/account", *access_problems.OF_MEMBERS))
    async def get_account(caller: Annotated[Member, Depends(access.member())]) -> AccountView:
        organization = await handlers.find(pool, caller.account_id)
        return AccountView(
            account_id=organization.id,
            name=organization.name,
            email=caller.email,
            role=caller.role,
            created_at=organization.created_at,
        )

    @router.get("/organizations", responses=documented("/v1/organizations", *access_problems.OF_PERSONS))
    async def list_organizations(caller: Annotated[Person, Depends(access.signed_in())]) -> OrganizationList:
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
            *access_problems.OF_PERSONS,
            bad_request(),
            invalid_input("name"),
            problems.too_many_organizations(handlers.MAX_ORGANIZATIONS),
        ),
    )
    async def found_organization(
        caller: Annotated[Person, Depends(access.signed_in())], body: OrganizationRequest
    ) -> OrganizationView:
        """Another organization; the caller is its owner, and goes on where they are, if they are in any."""
        organization = await handlers.create(pool, caller, body.name)
        return OrganizationView(
            account_id=organization.id, name=organization.name, role=Role.OWNER, created_at=organization.created_at
        )

    @router.patch(
        "/account",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/account", *access_problems.OF_MEMBERS, bad_request(), invalid_input("name")),
    )
    async def rename_account(
        caller: Annotated[Member, Depends(access.member(Role.OWNER, Role.ADMIN))], body: OrganizationRequest
    ) -> None:
        await handlers.rename(pool, caller, body.name)

    @router.put(
        "/sessions/current/organization",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(
            "/v1/sessions/current/organization",
            *access_problems.OF_PERSONS,
            bad_request(),
            invalid_input("account_id"),
            problems.organization_unknown(),
        ),
    )
    async def switch(caller: Annotated[Person, Depends(access.signed_in())], body: Switch) -> None:
        """From now on the session's calls are about this organization."""
        await handlers.switch(pool, caller, str(body.account_id))

    return router
