"""Prices, models, plans and quarantine, for operators."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from tollgate_billing.catalog import handlers
from tollgate_billing.catalog import operator_schemas as schemas
from tollgate_billing.catalog.dependencies import CatalogPool, ImportProviderIds
from tollgate_common.clock import utc_now
from tollgate_common.http import problems

Model = Annotated[str | None, Query(max_length=200, description="only this model")]

router = APIRouter(responses=problems(401, 403, 404, 409, 422, 503))


@router.post("/v1/prices", status_code=HTTPStatus.CREATED)
async def add_price(new: schemas.NewPrice, pool: CatalogPool) -> schemas.PriceVersion:
    """Set a model's price from now, from a future time, or, as a correction, from a past time.

    Recorded versions never change, and existing charges keep the version that they name.
    """
    return schemas.price_version(await handlers.add_price(pool, new.command(), utc_now()))


@router.get("/v1/price-versions")
async def list_versions(
    pool: CatalogPool,
    model: Model = None,
    at: Annotated[AwareDatetime | None, Query(description="only the version in force at this time")] = None,
    as_of: Annotated[AwareDatetime | None, Query(description="as recorded at this time; default now")] = None,
) -> schemas.VersionList:
    """List every version with its cost. `at` and `as_of` select the version that was recorded at `as_of` for `at`."""
    if at is None and as_of is None:
        found = await handlers.list_prices(pool, model)
    else:
        now = utc_now()
        found = await handlers.prices_believed(pool, model, at or now, as_of or now)
    return schemas.VersionList(data=[schemas.model_versions(stored) for stored in found])


@router.post("/v1/price-imports")
async def import_prices(
    new: schemas.NewImport, pool: CatalogPool, provider_ids: ImportProviderIds
) -> schemas.ImportResult:
    """Add a version wherever the bundled price data differs from what was imported. A dry run only reports."""
    selected = provider_ids if new.providers is None else new.providers
    done = await handlers.import_prices(pool, selected, utc_now(), dry_run=new.dry_run)
    return schemas.import_result(done, dry_run=new.dry_run)


# The model is in the body, because a model's name may contain slashes.
@router.post("/v1/models/describe")
async def describe_model(description: schemas.ModelDescription, pool: CatalogPool) -> schemas.ModelVersions:
    """Set the context length, the maximum output and the capabilities of a model. No price changes."""
    described = await handlers.describe_model(pool, description.model, description.given(), utc_now())
    return schemas.model_versions(described)


@router.get("/v1/plans")
async def list_plans(pool: CatalogPool) -> schemas.PlanList:
    """List every plan with every version of its multiplier."""
    return schemas.PlanList(data=[schemas.plan(stored) for stored in await handlers.list_plans(pool)])


@router.post("/v1/plans", status_code=HTTPStatus.CREATED)
async def add_plan(new: schemas.NewPlan, pool: CatalogPool) -> schemas.Plan:
    """Add a plan that is sold from now or from a future time."""
    return schemas.plan(await handlers.add_plan(pool, new.command(), utc_now()))


@router.post("/v1/plans/{plan}/versions", status_code=HTTPStatus.CREATED)
async def schedule_multiplier(plan: str, new: schemas.NewMultiplier, pool: CatalogPool) -> schemas.Plan:
    """Set a plan's multiplier from now, from a future time, or, as a correction, from a past time."""
    return schemas.plan(await handlers.schedule_multiplier(pool, new.command(plan), utc_now()))


@router.post("/v1/plans/{plan}/retire")
async def retire_plan(plan: str, retirement: schemas.Retirement, pool: CatalogPool) -> schemas.Plan:
    """Stop selling a plan. Requests of keys that are still on it are rejected from then on: move the keys first."""
    return schemas.plan(await handlers.retire_plan(pool, plan, retirement.retired_at, utc_now()))


@router.get("/v1/quarantines")
async def list_quarantines(pool: CatalogPool) -> schemas.QuarantineList:
    """List the models that are quarantined now, and why."""
    return schemas.quarantine_list(await handlers.list_quarantines(pool))


@router.post("/v1/quarantines", status_code=HTTPStatus.CREATED)
async def quarantine(new: schemas.NewQuarantine, pool: CatalogPool) -> schemas.QuarantineList:
    """Quarantine a model: edges reject every request for it."""
    await handlers.quarantine(pool, new.model, new.reason, utc_now())
    return schemas.quarantine_list(await handlers.list_quarantines(pool))


# The model is in the body, because a model's name may contain slashes.
@router.post("/v1/quarantines/lift")
async def lift_quarantine(lift: schemas.Lift, pool: CatalogPool) -> schemas.QuarantineList:
    """Lift a model's quarantine."""
    await handlers.lift_quarantine(pool, lift.model, lift.reason, utc_now())
    return schemas.quarantine_list(await handlers.list_quarantines(pool))
