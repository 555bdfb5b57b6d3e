"""Errors of organizations, members and invitations."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def organization_not_found() -> Problem:
    """The response is the same if the organization does not exist, so that it does not reveal which exist."""
    detail = "you are not a member of this organization; GET /v1/organizations lists yours"
    return Problem(HTTPStatus.NOT_FOUND, "organization_not_found", detail, field="account_id")


def member_not_found() -> Problem:
    detail = "this organization has no member with this id; GET /v1/members lists them"
    return Problem(HTTPStatus.NOT_FOUND, "member_not_found", detail, field="person_id")


def owners_only() -> Problem:
    detail = "only owners may grant or remove the role owner"
    return Problem(HTTPStatus.FORBIDDEN, "owners_only", detail, field="role")


def last_owner() -> Problem:
    detail = "an organization needs an owner; make another member an owner first"
    return Problem(HTTPStatus.CONFLICT, "last_owner", detail, field="role")


def already_member() -> Problem:
    detail = "the person with this e-mail address is already a member; change their role instead"
    return Problem(HTTPStatus.CONFLICT, "already_member", detail, field="email")


def already_joined() -> Problem:
    detail = "you are already a member of this organization and keep your role"
    return Problem(HTTPStatus.CONFLICT, "already_joined", detail, field="token")


def invitation_not_found() -> Problem:
    detail = "this organization has no open invitation with this id; GET /v1/invitations lists them"
    return Problem(HTTPStatus.NOT_FOUND, "invitation_not_found", detail, field="invitation_id")


def invalid_invitation() -> Problem:
    detail = "this invitation is invalid, expired, used or withdrawn, or was sent to another e-mail; ask for a new one"
    return Problem(HTTPStatus.NOT_FOUND, "invalid_invitation", detail, field="token")


def too_many_organizations(maximum: int) -> Problem:
    detail = f"you have founded {maximum} organizations, which is the maximum"
    return Problem(HTTPStatus.CONFLICT, "too_many_organizations", detail)
