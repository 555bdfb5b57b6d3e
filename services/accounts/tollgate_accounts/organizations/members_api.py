"""Members and invitations over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from tollgate_accounts.access import limits
from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep, RulesDep
from tollgate_accounts.access.permissions import AdminMember, AnyMember, SignedInPerson
from tollgate_accounts.organizations import members, problems
from tollgate_accounts.organizations.schemas import (
    AcceptedView,
    InvitationAcceptance,
    InvitationList,
    InvitationRequest,
    InvitationView,
    MemberList,
    MemberView,
    RoleChange,
)
from tollgate_accounts.problems import bad_request, documented, invalid_input

MEMBER_CHANGE_PROBLEMS = (
    problems.member_not_found(),
    problems.owners_only(),
    problems.last_owner(),
    invalid_input("person_id"),
)

router = APIRouter(prefix="/v1", tags=["members"])


@router.get("/members", responses=documented("/v1/members", *access_problems.MEMBER_PROBLEMS))
async def list_members(pool: PoolDep, caller: AnyMember) -> MemberList:
    found = await members.list_members(pool, caller.account_id)
    return MemberList(members=[MemberView.model_validate(member._asdict()) for member in found])


@router.delete(
    "/members/current",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented("/v1/members/current", *access_problems.MEMBER_PROBLEMS, problems.last_owner()),
)
async def leave(pool: PoolDep, caller: AnyMember) -> None:
    """Ends the caller's own membership. The last owner cannot leave."""
    await members.remove(pool, caller, caller.person_id)


@router.patch(
    "/members/{person_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(
        "/v1/members/{person_id}", *access_problems.MEMBER_PROBLEMS, *MEMBER_CHANGE_PROBLEMS, bad_request()
    ),
)
async def change_role(pool: PoolDep, caller: AdminMember, person_id: UUID, body: RoleChange) -> None:
    await members.change_role(pool, caller, str(person_id), body.role)


@router.delete(
    "/members/{person_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented("/v1/members/{person_id}", *access_problems.MEMBER_PROBLEMS, *MEMBER_CHANGE_PROBLEMS),
)
async def remove_member(pool: PoolDep, caller: AdminMember, person_id: UUID) -> None:
    await members.remove(pool, caller, str(person_id))


@router.post(
    "/invitations",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        "/v1/invitations",
        *access_problems.MEMBER_PROBLEMS,
        bad_request(),
        invalid_input("email"),
        problems.owners_only(),
        problems.already_member(),
        access_problems.too_many_attempts(600),
    ),
)
async def invite(pool: PoolDep, rules: RulesDep, caller: AdminMember, body: InvitationRequest) -> InvitationView:
    await limits.count_attempt(pool, rules, [(rules.limits.invitation_person, caller.person_id)])
    invitation = await members.invite(pool, caller, body.email, body.role)
    return InvitationView.model_validate(invitation._asdict())


@router.get("/invitations", responses=documented("/v1/invitations", *access_problems.MEMBER_PROBLEMS))
async def list_invitations(pool: PoolDep, caller: AdminMember) -> InvitationList:
    found = await members.list_invitations(pool, caller.account_id)
    return InvitationList(invitations=[InvitationView.model_validate(one._asdict()) for one in found])


@router.delete(
    "/invitations/{invitation_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(
        "/v1/invitations/{invitation_id}",
        *access_problems.MEMBER_PROBLEMS,
        problems.invitation_not_found(),
        invalid_input("invitation_id"),
    ),
)
async def withdraw(pool: PoolDep, caller: AdminMember, invitation_id: UUID) -> None:
    await members.withdraw(pool, caller, str(invitation_id))


@router.post(
    "/invitations/acceptances",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        "/v1/invitations/acceptances",
        *access_problems.PERSON_PROBLEMS,
        bad_request(),
        invalid_input("token"),
        problems.invalid_invitation(),
        problems.already_joined(),
    ),
)
async def accept(pool: PoolDep, caller: SignedInPerson, body: InvitationAcceptance) -> AcceptedView:
    account_id, role = await members.accept(pool, caller, body.token)
    return AcceptedView(account_id=account_id, role=role)
