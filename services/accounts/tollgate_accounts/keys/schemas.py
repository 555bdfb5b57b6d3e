"""API keys over HTTP."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from tollgate_accounts.schemas import (
    NO_CONTROL_CHARACTER,
    FutureTime,
    Name,
    Request,
    UtcTime,
    without_control_characters,
)

ModelName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(without_control_characters),
    Field(json_schema_extra={"pattern": NO_CONTROL_CHARACTER}),
]


class KeyRequest(Request):
    name: Name
    expires_at: FutureTime | None = None
    models: Annotated[list[ModelName], Field(min_length=1, max_length=100)] | None = Field(
        None, description="the models that the key may call; null is all"
    )


class KeyView(BaseModel):
    id: str
    name: str
    hint: str = Field(description="first and last characters of the key", examples=["tg_Ab12…x9Yz"])
    models: list[str] | None
    created_at: UtcTime
    expires_at: UtcTime | None
    revoked_at: UtcTime | None


class NewKeyView(KeyView):
    key: str = Field(description="the key itself, shown this once")


class KeyPage(BaseModel):
    keys: list[KeyView] = Field(description="newest first, revoked ones too")
    next_after: str | None = Field(description="`after` of the next page; null on the last")
