"""Organisations over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member, Person
from tollgate_accounts.access.roles import Role
from tollgate_accounts.organisations import handlers
from tollgate_accounts.organisations.schemas import AccountView, OrganisationList, OrganisationView
from tollgate_accounts.problems import documented
from tollgate_common.postgres import Pool


def routes(pool: Pool, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["organisations"])

    @router.get("/account", responses=documented("/v1/account", *access_problems.OF_MEMBERS))
    async def get_account(caller: Annotated[Member, Depends(access.member())]) -> AccountView:
        organisation = await handlers.find(pool, caller.account_id)
        return AccountView(
            account_id=organisation.id,
            name=organisation.name,
            email=caller.email,
            role=caller.role,
            created_at=organisation.created_at,
        )

    @router.get("/organisations", responses=documented("/v1/organisations", *access_problems.OF_PERSONS))
    async def list_organisations(caller: Annotated[Person, Depends(access.signed_in())]) -> OrganisationList:
        found = await handlers.list_of_person(pool, caller.person_id)
        return OrganisationList(
            organisations=[
                OrganisationView(account_id=one.id, name=one.name, role=Role(one.role), created_at=one.created_at)
                for one in found
            ]
        )

    return router
