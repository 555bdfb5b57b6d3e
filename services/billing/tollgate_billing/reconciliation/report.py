"""The report of a reconciliation. Every difference names its request, if any service knows it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_billing.dead_letters.state import State
from tollgate_common.reconciliation.source import Drift, Unclosed, WriteOff


class Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Lag(Part):
    """A consumer that has not reached the end of a partition. Events that it has not consumed were not compared."""

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
    is_tail: bool = Field(False, description="known only from a heartbeat: no later event arrived")
    request_ids: tuple[str, ...] = ()
    reason: str = ""


class Doubled(Part):
    """An event that counts more than once."""

    service: str
    topic: str
    partition: int
    copies: int
    request_id: str
    boot_id: str = ""
    seq: int | None = None
    offset: int | None = None


class Mismatch(Part):
    """A request whose amounts or tokens differ between services. `amounts_nano` lists one amount per row."""

    topic: str
    partition: int
    offset: int
    request_id: str
    account_id: str
    amounts_nano: dict[str, tuple[int, ...]]
    tokens: dict[str, tuple[int, ...]]
    state: State = State.LOST


class Misrated(Part):
    """A charge that differs from its price version. `rated_nano` is None if the catalog lacks the versions."""

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
    """A model in quarantine, because its usage could not be rated or an operator decided so."""

    model: str
    reason: str
    since: datetime
    dead_letter: str | None


class Totals(Part):
    """The totals that the metrics show. Sums exclude events that operators discarded."""

    missing: int = Field(description="events that a service lacks and no dead letter explains")
    dead_lettered: int = Field(description="events in the dead letters that await a decision")
    discarded: int = Field(description="events that operators discarded; not a difference")
    duplicated: int
    ledger_minus_charges_nano: int
    charges_minus_usage_nano: int
    charges_minus_rated_nano: int
    mismatches: int
    misrated: int
    stale_sums: int
    unclosed_requests: int = Field(description="abandoned requests, opened and never closed; not a difference")
    write_offs: int = Field(description="usage that no credit covered; not a difference")
    write_off_nano: int
    quarantined: int = Field(description="models in quarantine; not a difference")

    @property
    def differences(self) -> dict[str, int]:
        """Return the totals that must be zero, by name."""
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
    """A reconciliation of the records that were sent in `[start, end)`."""

    is_clean: bool
    start: datetime | None = Field(description="null means the first record")
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
