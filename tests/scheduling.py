"""Which worker of pytest-xdist runs which tests, and in which order.

A module is one unit of work, run by one worker. Tests that share a whole running system are one unit too. At most
`SYSTEM_WORKERS` workers run whole systems: more would starve each other. These start with the longest and run other
modules afterwards; the other workers run ordinary modules first. So the waiting of the former meets the work of the
latter, and everything ends at about the same time.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

SYSTEM_WORKERS = 1
# All tests that need a whole system without special settings; see `shared_tollgate`.
SHARED = ("tests/e2e/test_sdks.py", "tests/e2e/test_endpoints_sdks.py", "tests/browser/")
SHARED_SCOPE = "the shared system"
# Modules of tests marked e2e or chaos, the longest first.
SYSTEMS = (
    "tests/chaos/test_overspend.py",
    *SHARED,
    "tests/chaos/test_crash_points.py",
    "tests/local/test_up.py",
    "tests/chaos/test_fault_injection.py",
    "tests/edge/test_kafka_away.py",
    "tests/e2e/test_idempotency.py",
    "tests/e2e/test_access_lists.py",
    "tests/e2e/test_reconciliation.py",
    "tests/balance/test_kill.py",
    "tests/analytics/test_crash.py",
    "tests/e2e/test_kafka_security.py",
)
# Other modules that take long: begun last, they would end last.
LONG = (
    "tests/edge/test_workers.py",
    "tests/edge/test_recorder.py",
    "tests/models/",
    "tests/reconciliation/",
    "tests/local/",
    "tests/accounts/",
)


def scope_of(nodeid: str) -> str:
    """The unit of work that a test belongs to."""
    return SHARED_SCOPE if nodeid.startswith(SHARED) else nodeid.split("::", 1)[0]


def is_system(scope: str) -> bool:
    return scope == SHARED_SCOPE or scope.startswith(SYSTEMS)


def place_of(nodeid: str) -> int:
    """Sorts tests: units that take long come first."""
    order = (*SYSTEMS, *LONG)
    found = (place for place, prefix in enumerate(order) if nodeid.startswith(prefix))
    place = next(found, len(order))
    return place if not nodeid.startswith(SHARED) else order.index(SHARED[0])


def order_of(item: pytest.Item) -> tuple[int, str, int]:
    """Tests of one running system stay in the order in which they stand, also where the rest is shuffled."""
    if not is_system(scope_of(item.nodeid)):
        return place_of(item.nodeid), "", 0
    path, line, _ = item.location
    return place_of(item.nodeid), path, line or 0


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each worker the next unit of the kind that it prefers."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        prefers_systems = self.nodes.index(node) < SYSTEM_WORKERS
        preferred = (scope for scope in self.workqueue if is_system(scope) == prefers_systems)
        if (scope := next(preferred, None)) is not None:
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in _systems(items):
        if not item.nodeid.startswith(SYSTEMS):
            raise pytest.UsageError(f"{item.nodeid} runs a whole system: name its module in tests/scheduling.py")
    items.sort(key=order_of)


def _systems(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    return (item for item in items if any(item.get_closest_marker(mark) for mark in ("e2e", "chaos")))
