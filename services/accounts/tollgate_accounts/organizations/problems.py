"""What a call about organizations and their members is refused for."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def organization_unknown() -> Problem:
    """The same for one that does not exist and for one that the caller is no member of."""
    detail = "you are a member of no such organization; GET /v1/organizations lists yours"
    return Problem(HTTPStatus.NOT_FOUND, "organization_not_found", detail, field="account_id")


def member_not_found() -> Problem:
    detail = "this organization has no such member"
    return Problem(HTTPStatus.NOT_FOUND, "member_not_found", detail, field="person_id")


def owners_only() -> Problem:
    detail = "who is an owner, and who stays one, only owners decide"
    return Problem(HTTPStatus.FORBIDDEN, "owners_only", detail, field="role")


def last_owner() -> Problem:
    detail = "an organization keeps an owner; make another member one first"
    return Problem(HTTPStatus.CONFLICT, "last_owner", detail, field="role")


def already_member() -> Problem:
    detail = "who has this e-mail is a member already; change their role instead"
    return Problem(HTTPStatus.CONFLICT, "already_member", detail, field="email")


def already_joined() -> Problem:
    detail = "you are a member of this organization already, and stay what you are there"
    return Problem(HTTPStatus.CONFLICT, "already_joined", detail, field="token")


def invitation_not_found() -> Problem:
    detail = "this organization has no such open invitation"
    return Problem(HTTPStatus.NOT_FOUND, "invitation_not_found", detail, field="invitation_id")


def invitation_invalid() -> Problem:
    detail = "this token never was, has expired, was used or withdrawn, or was sent to another e-mail than yours"
    return Problem(HTTPStatus.NOT_FOUND, "invalid_invitation", detail, field="token")


def too_many_organizations(most: int) -> Problem:
    detail = f"a person may found {most} organizations"
    return Problem(HTTPStatus.CONFLICT, "too_many_organizations", detail)
