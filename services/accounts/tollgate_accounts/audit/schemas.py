"""The audit log as its organization sees it."""

from pydantic import BaseModel, Field

from tollgate_accounts.schemas import UtcTime


class ActorView(BaseModel):
    kind: str = Field(description="`person`, `operator`, `service` or `anonymous`")
    id: str
    email: str | None = Field(description="of a person")


class EntryView(BaseModel):
    id: str
    at: UtcTime
    actor: ActorView
    address: str = Field(description="from where; empty if it did not come over the network")
    action: str = Field(examples=["key.revoked"])
    target_kind: str = Field(examples=["key"])
    target_id: str
    target_name: str | None = Field(description="what a key or project is called now, and a person's e-mail")
    details: dict[str, str | int | bool | list[str] | None]


class EntryPage(BaseModel):
    entries: list[EntryView] = Field(description="newest first")
    next_after: str | None = Field(description="`after` of the next page; null on the last")
