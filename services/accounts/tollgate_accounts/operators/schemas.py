"""Requests and responses of the operators' API."""

from pydantic import BaseModel, Field

from tollgate_accounts.audit.schemas import AuditEntryView
from tollgate_accounts.payments.schemas import Reason
from tollgate_accounts.schemas import Email, Request, UtcTime


class ReasonRequest(Request):
    reason: Reason


class OperatorRequest(Request):
    email: Email = Field(description="a signed-up person's verified e-mail address")


class FoundAccount(BaseModel):
    account_id: str
    name: str
    created_at: UtcTime
    suspended_at: UtcTime | None


class FoundAccounts(BaseModel):
    accounts: list[FoundAccount]


class MemberView(BaseModel):
    person_id: str
    email: str
    role: str


class AccountDetails(FoundAccount):
    members: list[MemberView]


class OperatorKeyView(BaseModel):
    id: str
    name: str
    hint: str
    created_at: UtcTime
    expires_at: UtcTime | None
    revoked_at: UtcTime | None


class OperatorKeyPage(BaseModel):
    keys: list[OperatorKeyView] = Field(description="newest first, including revoked keys")
    next_after: str | None = Field(description="`after` of the next page; null on the last")


class OperatorView(BaseModel):
    person_id: str
    email: str
    granted_at: UtcTime


class OperatorList(BaseModel):
    operators: list[OperatorView]


class OperatorAuditEntryView(AuditEntryView):
    account_id: str | None = Field(description="the account that the entry concerns, if any")


class OperatorAuditPage(BaseModel):
    entries: list[OperatorAuditEntryView] = Field(description="newest first")
    next_after: str | None = Field(description="`after` of the next page; null on the last")
