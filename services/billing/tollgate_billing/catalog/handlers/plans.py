"""Plans: a multiplier of every price, its versions, and the plan's retirement."""

import re
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from tollgate_billing.catalog import store
from tollgate_billing.catalog.handlers.imports import STANDARD_PLAN
from tollgate_billing.catalog.handlers.publishing import publish_plan
from tollgate_billing.catalog.handlers.validation import check_free, check_name, moment, refusal, similar
from tollgate_billing.catalog.store import StoredPlan
from tollgate_common.errors import Problem
from tollgate_common.postgres.connection import Connection, Pool

PLAN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Ten times the list price. A larger value is probably a typing error.
MAX_MULTIPLIER_BPS = 100_000


class PlanCommand(NamedTuple):
    plan: str
    multiplier_bps: int
    valid_from: datetime | None = None
    is_correction: bool = False


async def list_plans(pool: Pool) -> list[StoredPlan]:
    async with pool.connection() as connection:
        return list((await store.plans(connection)).values())


async def add_plan(pool: Pool, command: PlanCommand, now: datetime) -> StoredPlan:
    """Add a plan that is sold from now or from a future time.

    Raises:
        Problem: a value is invalid; the detail names a valid one.
    """
    check_name("plan", command.plan, PLAN_NAME)
    _check_multiplier(command.multiplier_bps)
    valid_from = moment(command.valid_from, now, is_correction=False)
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalog(connection)
        if not await store.add_plan(connection, command.plan):
            detail = f"the plan {command.plan!r} exists; schedule a version of it instead"
            raise refusal("plan_exists", "plan", detail, HTTPStatus.CONFLICT)
        await store.add_plan_version(connection, command.plan, valid_from, command.multiplier_bps)
        return await _published(connection, command.plan, now)


async def schedule_multiplier(pool: Pool, command: PlanCommand, now: datetime) -> StoredPlan:
    """Set a multiplier from now, from a future time, or, as a correction, from a past time.

    Raises:
        Problem: as `add_plan`; 404 for an unknown plan, 409 for a retired one.
    """
    _check_multiplier(command.multiplier_bps)
    valid_from = moment(command.valid_from, now, is_correction=command.is_correction)
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalog(connection)
        plan = await _known(connection, command.plan)
        if plan.retired_at is not None and plan.retired_at <= valid_from:
            detail = f"the plan {command.plan} is retired since {plan.retired_at.isoformat()}; add a new plan instead"
            raise refusal("plan_retired", "plan", detail, HTTPStatus.CONFLICT)
        check_free(
            valid_from,
            [(version.plan_version, version.valid_from) for version in plan.versions],
            is_correction=command.is_correction,
        )
        await store.add_plan_version(
            connection, command.plan, valid_from, command.multiplier_bps, is_correction=command.is_correction
        )
        return await _published(connection, command.plan, now)


async def retire_plan(pool: Pool, plan: str, retired_at: datetime | None, now: datetime) -> StoredPlan:
    """Stop selling a plan from now or from a future time. Requests on it are rejected from then on.

    Raises:
        Problem: 404 for an unknown plan, 409 for the standard plan of new accounts, 422 for a past time.
    """
    moment_of = moment(retired_at, now, is_correction=False)
    if plan == STANDARD_PLAN:
        raise refusal(
            "plan_in_use",
            "plan",
            f"the plan {plan} cannot be retired, because new accounts get it",
            HTTPStatus.CONFLICT,
        )
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalog(connection)
        await _known(connection, plan)
        await store.retire_plan(connection, plan, moment_of)
        return await _published(connection, plan, now)


async def _known(connection: Connection, name: str) -> StoredPlan:
    plans = await store.plans(connection)
    if name not in plans:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "plan_not_found",
            f"there is no plan {name!r} in the catalog{similar(name, sorted(plans))}",
            field="plan",
        )
    return plans[name]


async def _published(connection: Connection, plan: str, now: datetime) -> StoredPlan:
    await publish_plan(connection, plan, now)
    return (await store.plans(connection))[plan]


def _check_multiplier(bps: int) -> None:
    if not 0 <= bps <= MAX_MULTIPLIER_BPS:
        raise refusal(
            "multiplier_out_of_range",
            "multiplier_bps",
            f"the multiplier is {bps} basis points; expected 0 (free) to {MAX_MULTIPLIER_BPS}, where 10000 leaves "
            "prices unchanged",
        )
