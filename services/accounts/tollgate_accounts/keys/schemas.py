"""API keys and projects over HTTP."""

from ipaddress import ip_network
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from tollgate_accounts.keys.store import KeySettings
from tollgate_accounts.schemas import (
    NO_CONTROL_CHARACTER,
    FutureTime,
    Name,
    Request,
    UtcTime,
    reject_control_characters,
)
from tollgate_common.events import BudgetPeriod, UsageScope

# Fits PostgreSQL's bigint and every edge's counters.
MAX_NANO = 10**18
MAX_OVERLAP_S = 30 * 24 * 60 * 60


def _network(text: str) -> str:
    # Reject host bits instead of dropping them: 10.1.2.3/8 is more likely a slip than a wish to admit 16 million
    # addresses.
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise PydanticCustomError("network", "must be a network in CIDR notation such as 192.0.2.0/24") from error


def _one_of_each_period(budgets: "list[BudgetView]") -> "list[BudgetView]":
    if len({budget.period for budget in budgets}) != len(budgets):
        raise PydanticCustomError("budget_period", "may contain one budget per period")
    return budgets


ModelName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(reject_control_characters),
    Field(json_schema_extra={"pattern": NO_CONTROL_CHARACTER}),
]
Network = Annotated[
    str, StringConstraints(max_length=50), AfterValidator(_network), Field(examples=["192.0.2.0/24", "2001:db8::/32"])
]
Limit = Annotated[int, Field(strict=True, ge=1, le=10**12)]
Models = Annotated[list[ModelName], Field(min_length=1, max_length=100)]
Networks = Annotated[list[Network], Field(min_length=1, max_length=100)]


class BudgetView(Request):
    period: BudgetPeriod = Field(description="days and months are in UTC")
    amount_nano: int = Field(strict=True, ge=0, le=MAX_NANO, description="1 USD = 1,000,000,000")


Budgets = Annotated[list[BudgetView], Field(max_length=3), AfterValidator(_one_of_each_period)]


class LimitsView(Request):
    """The limits that the edge enforces. Null means the deployment's limit."""

    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    max_in_flight: Limit | None = None
    max_body_bytes: Limit | None = None


class KeyRequest(Request):
    name: Name
    project_id: UUID | None = None
    models: Models | None = Field(None, description="the models that the key may call; null means all")
    allowed_ips: Networks | None = Field(None, description="the networks that the key may be used from; null means all")
    limits: LimitsView = LimitsView()
    budgets: Budgets = Field([], description="the maximum that the key and its replacements may spend in a period")
    usage_scope: UsageScope = Field(UsageScope.ACCOUNT, description="whose usage the key may read")
    expires_at: FutureTime | None = None

    def settings(self) -> KeySettings:
        return KeySettings(**{name: _stored(getattr(self, name)) for name in KeySettings._fields})


class KeyChange(Request):
    """Omitted fields stay as they are; null removes a restriction."""

    name: Name = ""
    project_id: UUID | None = None
    models: Models | None = None
    allowed_ips: Networks | None = None
    limits: LimitsView = Field(LimitsView())
    budgets: Budgets = Field([])
    usage_scope: UsageScope = UsageScope.ACCOUNT
    expires_at: FutureTime | None = None

    def changes(self) -> dict[str, Any]:
        return {name: _stored(getattr(self, name)) for name in self.model_fields_set}


class Rotation(Request):
    overlap_s: int = Field(
        24 * 60 * 60,
        strict=True,
        ge=0,
        le=MAX_OVERLAP_S,
        description="how long the old key keeps working; 0 revokes it now",
    )


class LeakReport(Request):
    key: str = Field(min_length=1, max_length=200, description="the text that you found")


class LeakReportedView(BaseModel):
    detail: str = Field(examples=["if this was an active key, it is now revoked"])


class KeyView(BaseModel):
    id: str
    name: str
    hint: str = Field(description="first and last characters of the key", examples=["tg_Ab12…x9Yz"])
    project_id: str | None
    models: list[str] | None
    allowed_ips: list[str] | None
    limits: LimitsView
    budgets: list[BudgetView]
    usage_scope: UsageScope
    created_at: UtcTime
    created_by: str | None = Field(description="the creator's e-mail address, even if they are no longer a member")
    expires_at: UtcTime | None
    revoked_at: UtcTime | None
    last_used_at: UtcTime | None = Field(description="accurate to the minute")
    replaces: str | None = Field(description="the key that it replaces")


class NewKeyView(KeyView):
    key: str = Field(description="the key itself, shown only once")


class KeyPage(BaseModel):
    keys: list[KeyView] = Field(description="newest first, including revoked keys")
    next_after: str | None = Field(description="`after` of the next page; null on the last")


class ProjectRequest(Request):
    name: Name
    budgets: Budgets = Field([], description="the maximum that its keys may spend together in a period")


class ProjectChange(Request):
    """Omitted fields stay as they are."""

    name: Name | None = None
    budgets: Budgets | None = None


class ProjectView(BaseModel):
    id: str
    name: str
    budgets: list[BudgetView]
    created_at: UtcTime


class ProjectList(BaseModel):
    projects: list[ProjectView] = Field(description="ordered by name")


def stored_budgets(budgets: list[BudgetView]) -> list[dict[str, Any]]:
    return [budget.model_dump(mode="json") for budget in budgets]


def _stored(value: Any) -> Any:
    """Return a setting as the database stores it."""
    if isinstance(value, LimitsView):
        return value.model_dump(exclude_none=True)
    if isinstance(value, UUID | UsageScope):
        return str(value)
    if isinstance(value, list) and value and isinstance(value[0], BudgetView):
        return stored_budgets(value)
    return value
