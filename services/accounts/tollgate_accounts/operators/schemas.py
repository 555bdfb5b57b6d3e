"""What operators send and see."""

from pydantic import BaseModel, Field

from tollgate_accounts.audit.schemas import EntryView
from tollgate_accounts.payments.schemas import Reason
from tollgate_accounts.schemas import Email, Request, UtcTime


class ReasonRequest(Request):
    reason: Reason


class OperatorRequest(Request):
    email: Email = Field(description="of a person who has signed up")


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


class OperatorsKeyView(BaseModel):
    id: str
    name: str
    hint: str
    created_at: UtcTime
    expires_at: UtcTime | None
    revoked_at: UtcTime | None


class OperatorsKeyPage(BaseModel):
    keys: list[OperatorsKeyView] = Field(description="newest first, revoked ones too")
    next_after: str | None = Field(description="`after` of the next page; null on the last")


class OperatorView(BaseModel):
    person_id: str
    email: str
    granted_at: UtcTime


class OperatorList(BaseModel):
    operators: list[OperatorView]


class OperatorsEntryView(EntryView):
    account_id: str | None = Field(description="whose affairs were changed; null where it is no account's")


class OperatorsEntryPage(BaseModel):
    entries: list[OperatorsEntryView] = Field(description="newest first")
    next_after: str | None = Field(description="`after` of the next page; null on the last")
