"""Organisations over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member, Person
from tollgate_accounts.access.roles import Role
from tollgate_accounts.organisations import handlers, problems
from tollgate_accounts.organisations.schemas import (
    AccountView,
    OrganisationList,
    OrganisationRequest,
    OrganisationView,
    Switch,
)
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_common.postgres.connection import Pool


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

    @router.post(
        "/organisations",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/organisations",
            *access_problems.OF_PERSONS,
            bad_request(),
            invalid_input("name"),
            problems.too_many_organisations(handlers.MAX_ORGANISATIONS),
        ),
    )
    async def found_organisation(
        caller: Annotated[Person, Depends(access.signed_in())], body: OrganisationRequest
    ) -> OrganisationView:
        """Another organisation; the caller is its owner, and goes on where they are, if they are in any."""
        organisation = await handlers.create(pool, caller, body.name)
        return OrganisationView(
            account_id=organisation.id, name=organisation.name, role=Role.OWNER, created_at=organisation.created_at
        )

    @router.patch(
        "/account",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/account", *access_problems.OF_MEMBERS, bad_request(), invalid_input("name")),
    )
    async def rename_account(
        caller: Annotated[Member, Depends(access.member(Role.OWNER, Role.ADMIN))], body: OrganisationRequest
    ) -> None:
        await handlers.rename(pool, caller, body.name)

    @router.put(
        "/sessions/current/organisation",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(
            "/v1/sessions/current/organisation",
            *access_problems.OF_PERSONS,
            bad_request(),
            invalid_input("account_id"),
            problems.organisation_unknown(),
        ),
    )
    async def switch(caller: Annotated[Person, Depends(access.signed_in())], body: Switch) -> None:
        """From now on the session's calls are about this organisation."""
        await handlers.switch(pool, caller, str(body.account_id))

    return router
