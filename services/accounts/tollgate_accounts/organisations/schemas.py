"""Organisations over HTTP."""

from pydantic import BaseModel, Field

from tollgate_accounts.access.roles import Role
from tollgate_accounts.schemas import UtcTime


class AccountView(BaseModel):
    """Who calls, and in which organisation."""

    account_id: str = Field(description="the organisation's id")
    name: str
    email: str = Field(description="the caller's own")
    role: Role
    created_at: UtcTime


class OrganisationView(BaseModel):
    account_id: str
    name: str
    role: Role = Field(description="the caller's own")
    created_at: UtcTime


class OrganisationList(BaseModel):
    organisations: list[OrganisationView] = Field(description="the one that the caller joined first comes first")
