"""Named moments at which a test lets a process die: docs/crash-points.md tells what could go wrong at each.

`TOLLGATE_CRASH_AT=<name>` kills the process with SIGKILL when it comes to that point, as if the machine had failed
there. Unset, as it always is outside of tests, a point is one comparison; none stands where a single request or record
passes, only where a batch, a flush or a transaction does.
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
    # A batch of usage in the ledger: PostgreSQL's commit, then the offset that Kafka shows.
    BEFORE_POST = "ledger.before_post"
    AFTER_POST = "ledger.after_post"
    BEFORE_SHOW_LAG = "ledger.before_show_lag"
    AFTER_SHOW_LAG = "ledger.after_show_lag"
    # A flush of the edge: Kafka's acknowledgement, or the spool's fsync.
    BEFORE_ACKNOWLEDGE = "edge.before_acknowledge"
    AFTER_ACKNOWLEDGE = "edge.after_acknowledge"
    BEFORE_SPOOL = "edge.before_spool"
    AFTER_SPOOL = "edge.after_spool"
    # An outbox: Kafka's transaction, then the rows' deletion.
    BEFORE_PUBLISH = "outbox.before_publish"
    WHILE_PUBLISHING = "outbox.while_publishing"
    AFTER_PUBLISH = "outbox.after_publish"
    AFTER_DELETE = "outbox.after_delete"
    # Lease calls: the transaction, then the answer.
    BEFORE_GRANT = "lease.before_grant"
    AFTER_GRANT = "lease.after_grant"
    BEFORE_CLOSE = "lease.before_close"
    AFTER_CLOSE = "lease.after_close"
    # The end of a boot that has gone silent.
    BEFORE_FENCE = "boot.before_fence"
    AFTER_FENCE = "boot.after_fence"
    BEFORE_ENDS = "boot.before_ends"
    AFTER_ENDS = "boot.after_ends"
    BEFORE_RELEASE = "boot.before_release"
    AFTER_RELEASE = "boot.after_release"
    # Credit whose time has come.
    BEFORE_EXPIRY = "grant.before_expiry"
    AFTER_EXPIRY = "grant.after_expiry"


_armed: CrashPoint | None = None


def arm(point: CrashPoint | None) -> None:
    """Die at this point from now on; at none if it is None."""
    global _armed  # noqa: PLW0603 - a process dies once, wherever it is
    _armed = point


def reach(point: CrashPoint, matters: Callable[[], bool] | None = None) -> None:
    """Where the point is; does not return where it is armed.

    Args:
        point: which.
        matters: asked where it is armed: whether this is a passage for which the point was made.
    """
    if point is _armed and (matters is None or matters()):
        log.warning("this process dies at the crash point %s", point)
        os.kill(os.getpid(), signal.SIGKILL)
