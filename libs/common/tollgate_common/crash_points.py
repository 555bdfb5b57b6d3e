"""Named points at which tests kill a process. docs/crash-points.md describes what could go wrong at each.

`TOLLGATE_CRASH_AT=<name>` kills the process with SIGKILL when it reaches the point, as a failure of the machine would.
Outside of tests it is unset, and a point costs one comparison. Points are passed once for each batch or transaction,
never for a single request or record.
"""

import logging
import os
import signal
from collections.abc import Callable
from enum import StrEnum

log = logging.getLogger(__name__)


class CrashPoint(StrEnum):
    # The cycle of a sink: declare, insert, commit.
    BEFORE_DECLARE = "sink.before_declare"
    AFTER_DECLARE = "sink.after_declare"
    BEFORE_INSERT = "sink.before_insert"
    AFTER_INSERT = "sink.after_insert"
    BEFORE_COMMIT = "sink.before_commit"
    AFTER_COMMIT = "sink.after_commit"
    # A batch of usage in the ledger: the commit in PostgreSQL, then the commit of the offset in Kafka.
    BEFORE_POST = "ledger.before_post"
    AFTER_POST = "ledger.after_post"
    BEFORE_SHOW_LAG = "ledger.before_show_lag"
    AFTER_SHOW_LAG = "ledger.after_show_lag"
    # A batch of the edge: the acknowledgement by Kafka, or the fsync of the spool.
    BEFORE_ACKNOWLEDGE = "edge.before_acknowledge"
    AFTER_ACKNOWLEDGE = "edge.after_acknowledge"
    BEFORE_SPOOL = "edge.before_spool"
    AFTER_SPOOL = "edge.after_spool"
    # An outbox: the transaction in Kafka, then the deletion of the rows.
    BEFORE_PUBLISH = "outbox.before_publish"
    WHILE_PUBLISHING = "outbox.while_publishing"
    AFTER_PUBLISH = "outbox.after_publish"
    AFTER_DELETE = "outbox.after_delete"
    # Lease calls: the transaction, then the response.
    BEFORE_GRANT = "lease.before_grant"
    AFTER_GRANT = "lease.after_grant"
    BEFORE_CLOSE = "lease.before_close"
    AFTER_CLOSE = "lease.after_close"
    # The end of a boot that no longer renews its leases.
    BEFORE_FENCE = "boot.before_fence"
    AFTER_FENCE = "boot.after_fence"
    BEFORE_ENDS = "boot.before_ends"
    AFTER_ENDS = "boot.after_ends"
    BEFORE_RELEASE = "boot.before_release"
    AFTER_RELEASE = "boot.after_release"
    # The expiry of credit.
    BEFORE_EXPIRY = "grant.before_expiry"
    AFTER_EXPIRY = "grant.after_expiry"


_armed: CrashPoint | None = None


def arm(point: CrashPoint | None) -> None:
    """Kill the process at this point from now on. None disarms all points."""
    global _armed  # noqa: PLW0603 - a process dies once, wherever it is
    _armed = point


def reach(point: CrashPoint, matters: Callable[[], bool] | None = None) -> None:
    """Pass a point. Does not return if the point is armed.

    Args:
        point: the point.
        matters: called if the point is armed; False passes the point nevertheless.
    """
    if point is _armed and (matters is None or matters()):
        log.warning("this process is killed at the crash point %s", point)
        os.kill(os.getpid(), signal.SIGKILL)
