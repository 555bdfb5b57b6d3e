"""Request and response bodies of operators' routes."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from tollgate_billing.catalog import schemas
from tollgate_billing.catalog.handlers import PlanCommand, PriceCommand, PriceImport
from tollgate_billing.catalog.handlers.prices import TierCommand
from tollgate_billing.catalog.schemas import Price, ResponseBody, Tier
from tollgate_billing.catalog.store import Quarantine, StoredModel, StoredPlan, StoredPrice

# Rejects empty reasons.
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=1000, pattern=r"^[^\x00]*$")]
Capability = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Nano = dict[str, StrictInt]


class RequestBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewTier(RequestBody):
    above_tokens: Annotated[StrictInt, Field(ge=1, le=1 << 31)]
    prices: Nano = Field(description="only the prices that differ from the version's own")

    def command(self) -> TierCommand:
        return TierCommand(self.above_tokens, self.prices)


class NewPrice(RequestBody):
    model: str = Field(max_length=200)
    provider: str = Field(max_length=100)
    prices: Nano = Field(
        description="nano-units per million tokens or units by class, and per request in `request_nano`",
        examples=[{"input": 2_500_000_000, "cached_input": 1_250_000_000, "output": 10_000_000_000}],
    )
    tiers: list[NewTier] = Field([], max_length=10, description="prices of longer prompts, lowest bound first")
    cost: Nano | None = Field(
        None, description="the provider's price; omit it to keep the previous one, null means unknown"
    )
    cost_tiers: list[NewTier] = Field([], max_length=10)
    valid_from: AwareDatetime | None = Field(None, description="RFC 3339 with an offset from UTC; default now")
    is_correction: bool = Field(
        False,
        description="true to correct prices since valid_from; required for a past or taken valid_from",
    )
    currency: str = Field("USD", max_length=10)
    context_tokens: Annotated[StrictInt, Field(ge=1, le=1 << 31)] | None = Field(
        None, description="context length of a new model"
    )
    is_new_model: bool = Field(False, description="true if the model is not in the catalog yet")
    is_new_provider: bool = Field(False, description="true if the provider is not in the catalog yet")

    def command(self) -> PriceCommand:
        fields = {field: getattr(self, field) for field in PriceCommand._fields if field != "keeps_cost"}
        fields |= {name: [tier.command() for tier in fields[name]] for name in ("tiers", "cost_tiers")}
        return PriceCommand(**fields, keeps_cost="cost" not in self.model_fields_set)


class ModelDescription(RequestBody):
    """A model's metadata. Omitted fields keep their values; null means unknown."""

    model: str = Field(max_length=200)
    context_tokens: Annotated[StrictInt, Field(ge=1, le=1 << 31)] | None = None
    max_output_tokens: Annotated[StrictInt, Field(ge=1, le=1 << 31)] | None = Field(
        None, description="maximum tokens of one response; bounds the reservation of a request without a limit"
    )
    capabilities: list[Capability] = Field(
        [], max_length=50, description="capabilities that its prices do not show", examples=[["tools", "vision"]]
    )

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True, exclude={"model"})


class PriceVersion(Price):
    cost: dict[str, int] | None = Field(description="the provider's price; null if unknown")
    cost_tiers: list[Tier]


class ModelVersions(ResponseBody):
    model: str
    provider: str
    context_tokens: int | None
    max_output_tokens: int | None
    capabilities: list[str]
    versions: list[PriceVersion] = Field(
        description="oldest first; among versions with the same valid_from, the last applies"
    )


class VersionList(ResponseBody):
    data: list[ModelVersions]


class NewImport(RequestBody):
    providers: list[str] | None = Field(None, max_length=50, description="default: the providers of this deployment")
    dry_run: bool = Field(False, description="report what would change, without changing it")


class Change(ResponseBody):
    model: str
    version: PriceVersion
    before: dict[str, int] | None = Field(description="the prices in force before; null for a new model")


class ImportResult(ResponseBody):
    dry_run: bool
    added: list[Change]
    unchanged: list[str]
    kept: list[str] = Field(description="models whose price an operator has set; an import does not override it")
    left_out: dict[str, str] = Field(description="by model, the reason why it has no exact price")


class NewPlan(RequestBody):
    plan: str = Field(max_length=100)
    multiplier_bps: StrictInt = Field(
        description="basis points that multiply every price; 10000 leaves prices unchanged"
    )
    valid_from: AwareDatetime | None = None

    def command(self) -> PlanCommand:
        return PlanCommand(self.plan, self.multiplier_bps, self.valid_from)


class NewMultiplier(RequestBody):
    multiplier_bps: StrictInt
    valid_from: AwareDatetime | None = Field(None, description="default now")
    is_correction: bool = Field(False, description="true to correct the multiplier since valid_from")

    def command(self, plan: str) -> PlanCommand:
        return PlanCommand(plan, self.multiplier_bps, self.valid_from, self.is_correction)


class Retirement(RequestBody):
    retired_at: AwareDatetime | None = Field(None, description="default now")


class PlanVersion(ResponseBody):
    plan_version: str
    valid_from: datetime
    recorded_at: datetime
    multiplier_bps: int
    is_correction: bool


class Plan(ResponseBody):
    plan: str
    retired_at: datetime | None = Field(description="requests on the plan are rejected from then on")
    versions: list[PlanVersion] = Field(description="oldest first")


class PlanList(ResponseBody):
    data: list[Plan]


class NewQuarantine(RequestBody):
    model: str = Field(max_length=200)
    reason: Reason


class Lift(RequestBody):
    model: str = Field(max_length=200)
    reason: Reason = Field(description="why the quarantine is lifted; stored permanently")


class QuarantinedModel(ResponseBody):
    model: str
    provider: str
    reason: str
    since: datetime
    dead_letter: str | None = Field(description="the dead letter that caused it; null if an operator decided")


class QuarantineList(ResponseBody):
    data: list[QuarantinedModel]


def price_version(stored: StoredPrice) -> PriceVersion:
    cost = stored.cost
    return PriceVersion(
        **schemas.price(stored).model_dump(),
        cost=None if cost is None else schemas.named(cost),
        cost_tiers=[] if cost is None else schemas.tiers(cost),
    )


def model_versions(stored: StoredModel) -> ModelVersions:
    return ModelVersions(
        model=stored.model,
        provider=stored.provider,
        context_tokens=stored.context_tokens,
        max_output_tokens=stored.max_output_tokens,
        capabilities=list(stored.capabilities),
        versions=[price_version(version) for version in stored.versions],
    )


def import_result(done: PriceImport, *, dry_run: bool) -> ImportResult:
    changes = []
    for stored in done.added:
        before = done.before.get(stored.model)
        changes.append(
            Change(
                model=stored.model,
                version=price_version(stored),
                before=None if before is None else schemas.named(before),
            )
        )
    return ImportResult(
        dry_run=dry_run, added=changes, unchanged=done.unchanged, kept=done.kept, left_out=done.left_out
    )


def plan(stored: StoredPlan) -> Plan:
    return Plan(
        plan=stored.plan,
        retired_at=stored.retired_at,
        versions=[PlanVersion(**version._asdict()) for version in stored.versions],
    )


def quarantine_list(found: list[Quarantine]) -> QuarantineList:
    return QuarantineList(
        data=[
            QuarantinedModel(
                model=each.model,
                provider=each.provider,
                reason=each.reason,
                since=each.since,
                dead_letter=each.source,
            )
            for each in found
        ]
    )
