"""Continuous reconciliation: keeps the newest report and publishes its totals as metrics."""

import logging
from datetime import timedelta

import psycopg
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError
from prometheus_client import Counter, Gauge

from tollgate_billing.reconciliation.reconciler import Reconciler
from tollgate_billing.reconciliation.report import Report, Totals
from tollgate_common.clock import utc_now
from tollgate_common.errors import Retryable
from tollgate_common.retries import repeat

log = logging.getLogger(__name__)

UNAVAILABLE = (Retryable, psycopg.OperationalError, KafkaError, ClickHouseError, OSError)

GAUGES = {
    name: Gauge(
        f"tollgate_reconciliation_{name}",
        f"{field.description or name.replace('_', ' ')}, in the newest reconciliation.",
    )
    for name, field in Totals.model_fields.items()
}
LAST_RUN = Gauge("tollgate_reconciliation_last_run_timestamp_seconds", "When the newest reconciliation ended.")
LAG = Gauge(
    "tollgate_reconciliation_lag_events",
    "Events that a service had not consumed at the newest reconciliation.",
    ["service"],
)
FAILURES = Counter(
    "tollgate_reconciliation_failures",
    "Reconciliations that could not run, because a service or store was unavailable.",
)


class ReconciliationWorker:
    """Reconciles a sliding window. If a store is unavailable, the run fails and the next one follows."""

    def __init__(self, reconciler: Reconciler, *, interval_s: float, window: timedelta) -> None:
        self._reconciler = reconciler
        self._interval_s = interval_s
        self._window = window
        self.newest: Report | None = None

    async def run(self) -> None:
        await repeat(self._reconcile, "the reconciliation", *UNAVAILABLE, interval_s=self._interval_s)

    async def _reconcile(self) -> None:
        try:
            self._publish(await self._reconciler.run(utc_now() - self._window, None))
        except UNAVAILABLE:
            FAILURES.inc()
            raise

    def _publish(self, report: Report) -> None:
        self.newest = report
        for name, gauge in GAUGES.items():
            gauge.set(getattr(report.totals, name))
        for service in ("balance", "billing", "analytics"):
            LAG.labels(service).set(sum(lag.end - lag.next for lag in report.lag if lag.service == service))
        LAST_RUN.set(report.finished_at.timestamp())
        if not report.is_clean:
            differences = {name: value for name, value in report.totals.differences.items() if value}
            log.error("the reconciliation found differences: %s; GET /v1/reconciliation lists them", differences)
