"""The audit log as members of its organization see it."""

from pydantic import BaseModel, Field

from tollgate_accounts.schemas import UtcTime


class ActorView(BaseModel):
    kind: str = Field(description="`person`, `operator`, `service` or `anonymous`")
    id: str
    email: str | None = Field(description="a person's e-mail address")


class AuditEntryView(BaseModel):
    id: str
    at: UtcTime
    actor: ActorView
    address: str = Field(description="the client's address; empty for the command line")
    action: str = Field(examples=["key.revoked"])
    target_kind: str = Field(examples=["key"])
    target_id: str
    target_name: str | None = Field(description="the current name of a key or project, or a person's e-mail address")
    details: dict[str, str | int | bool | list[str] | None]


class AuditPage(BaseModel):
    entries: list[AuditEntryView] = Field(description="newest first")
    next_after: str | None = Field(description="`after` of the next page; null on the last")
