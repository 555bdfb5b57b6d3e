"""Members and invitations over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from tollgate_accounts.access import limits
from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Member, Person
from tollgate_accounts.access.roles import Role
from tollgate_accounts.organizations import members, problems
from tollgate_accounts.organizations.schemas import (
    Acceptance,
    AcceptedView,
    InvitationList,
    InvitationRequest,
    InvitationView,
    MemberList,
    MemberView,
    RoleChange,
)
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.rules import Rules
from tollgate_common.postgres.connection import Pool

OF_CHANGES = (problems.member_not_found(), problems.owners_only(), problems.last_owner(), invalid_input("person_id"))


def routes(pool: Pool, rules: Rules, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["members"])
    _members(router, pool, access)
    _invitations(router, pool, rules, access)
    return router


def _members(router: APIRouter, pool: Pool, access: Access) -> None:
    manager = access.member(Role.OWNER, Role.ADMIN)

    @router.get("/members", responses=documented("/v1/members", *access_problems.OF_MEMBERS))
    async def list_members(caller: Annotated[Member, Depends(access.member())]) -> MemberList:
        found = await members.list_members(pool, caller.account_id)
        return MemberList(members=[MemberView.model_validate(member._asdict()) for member in found])

    @router.delete(
        "/members/current",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/members/current", *access_problems.OF_MEMBERS, problems.last_owner()),
    )
    async def leave(caller: Annotated[Member, Depends(access.member())]) -> None:
        """Everybody may leave, but for the last owner."""
        await members.remove(pool, caller, caller.person_id)

    @router.patch(
        "/members/{person_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/members/{person_id}", *access_problems.OF_MEMBERS, *OF_CHANGES, bad_request()),
    )
    async def change_role(caller: Annotated[Member, Depends(manager)], person_id: UUID, body: RoleChange) -> None:
        await members.change_role(pool, caller, str(person_id), body.role)

    @router.delete(
        "/members/{person_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/members/{person_id}", *access_problems.OF_MEMBERS, *OF_CHANGES),
    )
    async def remove_member(caller: Annotated[Member, Depends(manager)], person_id: UUID) -> None:
        await members.remove(pool, caller, str(person_id))


def _invitations(router: APIRouter, pool: Pool, rules: Rules, access: Access) -> None:
    manager = access.member(Role.OWNER, Role.ADMIN)

    @router.post(
        "/invitations",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/invitations",
            *access_problems.OF_MEMBERS,
            bad_request(),
            invalid_input("email"),
            problems.owners_only(),
            problems.already_member(),
            access_problems.too_many_attempts(600),
        ),
    )
    async def invite(caller: Annotated[Member, Depends(manager)], body: InvitationRequest) -> InvitationView:
        await limits.count(pool, rules, [(rules.limits.invitation_person, caller.person_id)])
        invitation = await members.invite(pool, caller, body.email, body.role)
        return InvitationView.model_validate(invitation._asdict())

    @router.get("/invitations", responses=documented("/v1/invitations", *access_problems.OF_MEMBERS))
    async def list_invitations(caller: Annotated[Member, Depends(manager)]) -> InvitationList:
        found = await members.list_invitations(pool, caller.account_id)
        return InvitationList(invitations=[InvitationView.model_validate(one._asdict()) for one in found])

    @router.delete(
        "/invitations/{invitation_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(
            "/v1/invitations/{invitation_id}",
            *access_problems.OF_MEMBERS,
            problems.invitation_not_found(),
            invalid_input("invitation_id"),
        ),
    )
    async def withdraw(caller: Annotated[Member, Depends(manager)], invitation_id: UUID) -> None:
        await members.withdraw(pool, caller, str(invitation_id))

    @router.post(
        "/invitations/acceptances",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/invitations/acceptances",
            *access_problems.OF_PERSONS,
            bad_request(),
            invalid_input("token"),
            problems.invitation_invalid(),
            problems.already_joined(),
        ),
    )
    async def accept(caller: Annotated[Person, Depends(access.signed_in())], body: Acceptance) -> AcceptedView:
        account_id, role = await members.accept(pool, caller, body.token)
        return AcceptedView(account_id=account_id, role=role)
