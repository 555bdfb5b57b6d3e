"""What docs/operations.md names is there: metrics, settings, files."""

import importlib
import re

from prometheus_client import REGISTRY

from deploy.image import ROOT
from deploy.settings import CLASSES
from tollgate_edge.observability.metrics import EdgeCollector, EdgeCounts
from tollgate_edge.observability.shared_counters import CounterSegment
from tollgate_edge.observability.worker_status import WorkerGroup

TEXT = (ROOT / "docs/operations.md").read_text()
MEASURE = (
    "tollgate_analytics.ingest.consumer",
    "tollgate_analytics.retention.worker",
    "tollgate_balance.workers.gauges",
    "tollgate_balance.leases.boots",
    "tollgate_balance.usage.handlers",
    "tollgate_billing.reconciliation.worker",
    "tollgate_edge.event_log.spool",
)


def test_every_metric_to_watch_exists() -> None:
    for module in MEASURE:
        importlib.import_module(module)
    # It is registered by an edge that starts.
    segment = CounterSegment.own()
    collector = EdgeCollector(EdgeCounts(segment), tuple, [segment])
    worker_group = WorkerGroup([segment], segment, waiting_for=lambda: None, note_gauges=collector.note_gauges)
    edge = worker_group.registry(collector)
    families = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in (*REGISTRY.collect(), *edge.collect())
        if family.name.startswith("tollgate_")
    }
    families |= {f"{family.name}_bucket" for family in edge.collect() if family.type == "histogram"}
    alert = TEXT[TEXT.index("`max(tollgate_reconciliation_missing)") :].splitlines()[0]
    named = set(re.findall(r"tollgate_(?:analytics|reconciliation|balance|edge)_\w+", TEXT))
    named |= {f"tollgate_reconciliation{name}" for name in re.findall(r"`(_[a-z_]+)`", alert)}
    assert len(named) > 15
    assert not named - families


def test_every_setting_exists() -> None:
    known = {f"TOLLGATE_{name.upper()}" for settings in CLASSES.values() for name in settings.model_fields}
    assert not set(re.findall(r"TOLLGATE_[A-Z_]+", TEXT)) - known - {"TOLLGATE_BILLING_URL"}


def test_every_path_exists() -> None:
    paths = re.findall(r"(?<!exec )\b(?:deploy|tests|docs)/[\w./-]+\w", TEXT)
    assert len(paths) > 5
    assert not [path for path in paths if not (ROOT / path).exists()]
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", TEXT)
    assert not [link for link in links if not (ROOT / "docs" / link).exists()]
