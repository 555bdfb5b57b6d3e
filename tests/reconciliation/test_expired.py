"""A reconciliation of a time whose usage rows are dropped reports that, and reports no loss."""

from datetime import timedelta

import pytest

from reconciliation.world import World
from tollgate_analytics.times import end_of_month
from tollgate_billing.cli import tables
from tollgate_billing.reconciliation.reconciler import BOOTS_BEFORE
from tollgate_common.clock import utc_now

pytestmark = [pytest.mark.engines, pytest.mark.asyncio(loop_scope="module")]


async def test_a_reconciliation_begins_where_rows_are_kept(world: World) -> None:
    await world.traffic(6)
    whole = await world.reconcile()
    assert (whole.is_clean, whole.start, whole.expired_before) == (True, None, None)

    month = utc_now().year * 100 + utc_now().month
    await world.click(f"INSERT INTO expired SELECT 'rows', {month}, now64(3)")
    await world.click("TRUNCATE TABLE request_events")

    first = end_of_month(month) + BOOTS_BEFORE
    report = await world.reconciler.run(None, None)
    assert (report.start, report.expired_before) == (first, first)
    assert (report.is_clean, report.compared_events) == (True, 0)
    assert "nothing before" in tables.reconciliation(report.model_dump(mode="json"))
    later = await world.reconciler.run(first + timedelta(days=1), None)
    assert later.expired_before is None
