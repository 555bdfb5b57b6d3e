"""What a reconciliation found. Every difference names the request where anyone knows it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_billing.dead_letters.state import State
from tollgate_common.reconciliation.source import Drift, Unclosed, WriteOff


class Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Lag(Part):
    """A consumer that has not come to the end: what it has not consumed was not compared."""

    service: str
    topic: str
    partition: int
    next: int
    end: int


class Gap(Part):
    """Seqs `[start, end)` of a boot that a service has not seen."""

    service: str
    topic: str
    partition: int
    boot_id: str
    start: int
    end: int
    state: State
    is_tail: bool = Field(False, description="known from a heartbeat alone: nothing after it arrived")
    request_ids: tuple[str, ...] = ()
    reason: str = ""


class Doubled(Part):
    """An event that counted more than once."""

    service: str
    topic: str
    partition: int
    copies: int
    request_id: str
    boot_id: str = ""
    seq: int | None = None
    offset: int | None = None


class Mismatch(Part):
    """A request whose amounts, or tokens, are not the same everywhere. `amounts_nano` has a list a service: one amount
    for each row."""

    topic: str
    partition: int
    offset: int
    request_id: str
    account_id: str
    amounts_nano: dict[str, tuple[int, ...]]
    tokens: dict[str, tuple[int, ...]]
    state: State = State.LOST


class Misrated(Part):
    """A charge that its own price version makes another amount of; None if the catalog does not know the versions."""

    partition: int
    offset: int
    request_id: str
    account_id: str
    charged_nano: int
    rated_nano: int | None
    price_version: str
    plan_version: str


class StaleSum(Part):
    service: str
    drift: Drift


class Quarantined(Part):
    """A model that nobody may call, because usage of it could not be rated or an operator said so."""

    model: str
    reason: str
    since: datetime
    dead_letter: str | None


class Totals(Part):
    """What the metrics show. A sum leaves out what operators have discarded."""

    missing: int = Field(description="events that a service has not seen, and no dead letter tells why")
    dead_lettered: int = Field(description="events that a service gave up, and nobody has decided about")
    discarded: int = Field(description="events that operators have discarded; no difference any more")
    duplicated: int
    ledger_minus_charges_nano: int
    charges_minus_usage_nano: int
    charges_minus_rated_nano: int
    mismatches: int
    misrated: int
    stale_sums: int
    unclosed_requests: int = Field(description="opened and never closed; no difference: an edge that died leaves them")
    write_offs: int = Field(description="usage that no credit covered; no difference: it is bounded, and published")
    write_off_nano: int
    quarantined: int = Field(description="models that nobody may call now; no difference")

    @property
    def differences(self) -> dict[str, int]:
        """What must be zero, by name."""
        names = (
            "missing",
            "dead_lettered",
            "duplicated",
            "ledger_minus_charges_nano",
            "charges_minus_usage_nano",
            "charges_minus_rated_nano",
            "mismatches",
            "misrated",
            "stale_sums",
        )
        return {name: getattr(self, name) for name in names}


class Report(Part):
    """One reconciliation of the records of `[start, end)`, by the time at which they were sent."""

    is_clean: bool
    start: datetime | None = Field(description="null is the first record there ever was")
    expired_before: datetime | None = Field(
        None,
        description="the start of the reconciliation, if usage rows from before it have been dropped",
    )
    end: datetime
    started_at: datetime
    finished_at: datetime
    compared_events: int
    totals: Totals
    lag: tuple[Lag, ...]
    gaps: tuple[Gap, ...]
    doubled: tuple[Doubled, ...]
    mismatches: tuple[Mismatch, ...]
    misrated: tuple[Misrated, ...]
    stale_sums: tuple[StaleSum, ...]
    unclosed: tuple[Unclosed, ...]
    write_offs: tuple[WriteOff, ...]
    quarantined: tuple[Quarantined, ...]
    is_complete: bool = Field(description="false if more differences were found than are listed")
