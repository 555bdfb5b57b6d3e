"""Organizations over HTTP."""

from uuid import UUID

from pydantic import BaseModel, Field

from tollgate_accounts.access.roles import Role
from tollgate_accounts.schemas import Email, Name, Request, UtcTime


class AccountView(BaseModel):
    """Who calls, and in which organization."""

    account_id: str = Field(description="the organization's id")
    name: str
    email: str = Field(description="the caller's own")
    role: Role
    created_at: UtcTime


class OrganizationView(BaseModel):
    account_id: str
    name: str
    role: Role = Field(description="the caller's own")
    created_at: UtcTime


class OrganizationList(BaseModel):
    organizations: list[OrganizationView] = Field(description="the one that the caller joined first comes first")


class OrganizationRequest(Request):
    name: Name


class Switch(Request):
    account_id: UUID = Field(description="of an organization that the caller is a member of")


class MemberView(BaseModel):
    person_id: str
    email: str
    role: Role
    joined_at: UtcTime


class MemberList(BaseModel):
    members: list[MemberView] = Field(description="who joined first comes first")


class RoleChange(Request):
    role: Role


class InvitationRequest(Request):
    email: Email
    role: Role


class InvitationView(BaseModel):
    id: str
    email: str
    role: Role
    created_at: UtcTime
    expires_at: UtcTime


class InvitationList(BaseModel):
    invitations: list[InvitationView] = Field(description="not accepted yet, oldest first")


class Acceptance(Request):
    token: str = Field(min_length=1, max_length=200, description="from the mail", examples=["tgm_..."])


class AcceptedView(BaseModel):
    account_id: str
    role: Role
