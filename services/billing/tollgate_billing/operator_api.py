"""HTTP for operators: prices, plans and quarantine. Parse, call, render."""

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime

from tollgate_billing import handlers
from tollgate_billing import operator_schemas as schemas
from tollgate_common.clock import utc_now
from tollgate_common.http import problems
from tollgate_common.postgres.connection import Pool

Model = Annotated[str | None, Query(max_length=200, description="only this model")]


def catalogue_routes(
    pool: Pool, operator: Callable[[Request], Coroutine[None, None, None]], provider_ids: Sequence[str]
) -> APIRouter:
    """Serve operators.

    Args:
        pool: of the catalogue's database.
        operator: the dependency that lets operators in.
        provider_ids: whose prices an import reads unless it says otherwise.
    """
    router = APIRouter(dependencies=[Depends(operator)], responses=problems(401, 403, 404, 409, 422, 503))
    _add_price_routes(router, pool, provider_ids)
    _add_model_routes(router, pool)
    _add_plan_routes(router, pool)
    _add_quarantine_routes(router, pool)
    return router


def _add_price_routes(router: APIRouter, pool: Pool, provider_ids: Sequence[str]) -> None:
    @router.post("/v1/prices", status_code=HTTPStatus.CREATED)
    async def add_price(new: schemas.NewPrice) -> schemas.PriceVersion:
        """Set a model's price from now on, from a moment to come, or, as a correction, from a moment past.

        What has been recorded is never changed, and charges that were made keep the version that they name.
        """
        return schemas.price_version(await handlers.add_price(pool, new.command(), utc_now()))

    @router.get("/v1/price-versions")
    async def list_versions(
        model: Model = None,
        at: Annotated[AwareDatetime | None, Query(description="only what holds then")] = None,
        as_of: Annotated[AwareDatetime | None, Query(description="as it was believed then; default now")] = None,
    ) -> schemas.VersionList:
        """Every version with its cost. With `at` or `as_of`: what was believed at a time about the price at another."""
        if at is None and as_of is None:
            found = await handlers.list_prices(pool, model)
        else:
            now = utc_now()
            found = await handlers.prices_believed(pool, model, at or now, as_of or now)
        return schemas.VersionList(data=[schemas.model_versions(stored) for stored in found])

    @router.post("/v1/price-imports")
    async def import_prices(new: schemas.NewImport) -> schemas.ImportResult:
        """Add a version wherever the bundled price data differs from what was imported; a dry run only tells."""
        asked = provider_ids if new.providers is None else new.providers
        done = await handlers.import_prices(pool, asked, utc_now(), dry_run=new.dry_run)
        return schemas.import_result(done, dry_run=new.dry_run)


def _add_model_routes(router: APIRouter, pool: Pool) -> None:
    # Not by its path: a model's name may have slashes.
    @router.post("/v1/models/describe")
    async def describe_model(facts: schemas.ModelFacts) -> schemas.ModelVersions:
        """Say how long a model's prompts and answers are, and what it can. No price changes."""
        return schemas.model_versions(await handlers.describe_model(pool, facts.model, facts.given(), utc_now()))


def _add_plan_routes(router: APIRouter, pool: Pool) -> None:
    @router.get("/v1/plans")
    async def list_plans() -> schemas.PlanList:
        """Every plan with every version of its multiplier."""
        return schemas.PlanList(data=[schemas.plan(stored) for stored in await handlers.list_plans(pool)])

    @router.post("/v1/plans", status_code=HTTPStatus.CREATED)
    async def add_plan(new: schemas.NewPlan) -> schemas.Plan:
        """A new plan, sold from now on or from a moment to come."""
        return schemas.plan(await handlers.add_plan(pool, new.command(), utc_now()))

    @router.post("/v1/plans/{plan}/versions", status_code=HTTPStatus.CREATED)
    async def schedule_multiplier(plan: str, new: schemas.NewMultiplier) -> schemas.Plan:
        """Another multiplier from now on, from a moment to come, or, as a correction, from a moment past."""
        return schemas.plan(await handlers.schedule_multiplier(pool, new.command(plan), utc_now()))

    @router.post("/v1/plans/{plan}/retire")
    async def retire_plan(plan: str, retirement: schemas.Retirement) -> schemas.Plan:
        """Sell the plan no more. Keys that are still on it are refused from then on: move them first."""
        return schemas.plan(await handlers.retire_plan(pool, plan, retirement.retired_at, utc_now()))


def _add_quarantine_routes(router: APIRouter, pool: Pool) -> None:
    @router.get("/v1/quarantines")
    async def list_quarantines() -> schemas.QuarantineList:
        """The models that nobody may call now, and why."""
        return schemas.quarantine_list(await handlers.list_quarantines(pool))

    @router.post("/v1/quarantines", status_code=HTTPStatus.CREATED)
    async def quarantine(new: schemas.NewQuarantine) -> schemas.QuarantineList:
        """Let nobody call a model any more."""
        await handlers.quarantine(pool, new.model, new.reason, utc_now())
        return schemas.quarantine_list(await handlers.list_quarantines(pool))

    # Not by its path: a model's name may have slashes.
    @router.post("/v1/quarantines/lift")
    async def lift_quarantine(lift: schemas.Lift) -> schemas.QuarantineList:
        """Let everybody call a model again."""
        await handlers.lift_quarantine(pool, lift.model, lift.reason, utc_now())
        return schemas.quarantine_list(await handlers.list_quarantines(pool))
