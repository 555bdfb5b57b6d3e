"""Requests and responses of the lease API, which the edge calls and balance serves. docs/leases.md describes it.

`contracts/lease_protocol.schema.json` has the JSON Schemas, and `contracts/examples/lease_protocol/` one example of
each type. Edges and balance are upgraded at different times: a change may only add optional fields, and balance is
upgraded before an edge sends one.
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from tollgate_common.events import BudgetPeriod

PREFIX = "/internal/v1"
"""All paths below are relative to this one."""
# Largest amount in a request. No account has more.
MAX_NANO = 10**18
MAX_BUDGETS = 16
"""A key has a few: its own and its project's, for each period."""

# In Python "$" also matches before a final newline.
ID_PATTERN = r"^[!-~]{1,128}(?![\s\S])"
Id: TypeAlias = Annotated[str, Meta(pattern=ID_PATTERN)]
Nano: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_NANO)]
Rev: TypeAlias = Annotated[int, Meta(ge=2, lt=2**62)]
Rfc3339: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


def renew_path(boot_id: str) -> str:
    """`POST`: a `RenewBoot`, answered with a `BootRenewal`."""
    return f"/boots/{boot_id}/renew"


def lease_path(lease_id: str) -> str:
    """`PUT`: a `GrantLease`, answered with a `LeaseResponse`."""
    return f"/leases/{lease_id}"


def limit_path(lease_id: str) -> str:
    """`POST`: an `UpdateLease`, answered with a `LeaseResponse`."""
    return f"/leases/{lease_id}/limit"


class LeaseState(StrEnum):
    """State of a lease at balance."""

    OPEN = "open"
    CLOSED = "closed"
    """Closed by its edge. It holds exactly the usage that is still on its way."""
    RELEASED = "released"
    """Its boot is fenced, and all usage that the boot had acknowledged is settled. It holds nothing."""


class LeaseOutcome(StrEnum):
    """Result of a lease request."""

    DONE = "done"
    RETRY = "retry"
    """The account's credit, or what is left of the budget, covers the request, but other leases hold it."""
    INSUFFICIENT = "insufficient"
    BUDGET_EXCEEDED = "budget_exceeded"
    """The account has the credit, but one of the budgets is spent."""
    CONFLICT = "conflict"
    """The lease is not in the state that the caller assumes. Nothing has changed."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RenewBoot(Request, frozen=True, kw_only=True):
    """Renew all leases of a boot. `edge` is the edge's name for operators."""

    edge: Id
    leases: list[Id] | None = None
    """All leases that the boot knows, so that balance can report those it does not know; null leaves them out."""


class BudgetLimit(Request, frozen=True, kw_only=True):
    """A budget that a lease counts against."""

    budget_id: Id
    period: BudgetPeriod
    amount_nano: Nano


class GrantLease(Request, frozen=True, kw_only=True):
    """Grant a lease of at least `needed_nano` and at most `wanted_nano`."""

    boot_id: Id
    account_id: Id
    needed_nano: Nano
    wanted_nano: Nano = 0
    budgets: Annotated[list[BudgetLimit], Meta(max_length=MAX_BUDGETS)] = msgspec.field(default_factory=list)


class UpdateLease(Request, frozen=True, kw_only=True):
    """Extend, shrink or close a lease.

    `limit_nano` is absolute. An extension may grant up to `wanted_nano`. `rev` is the lease's revision plus one.
    """

    boot_id: Id
    account_id: Id
    limit_nano: Nano
    wanted_nano: Nano = 0
    close: bool = False
    rev: Rev


class BootRenewal(msgspec.Struct, frozen=True, kw_only=True):
    """Response to `RenewBoot`."""

    lease_ms: int
    """How long the boot's leases last without another renewal."""
    shrink: list[str]
    """Accounts that are short of credit: the edge should return what it does not use."""
    orphans: list[str]
    """Open leases of the boot that the request did not name. The edge closes them."""
    edges: int
    """Edge processes that are alive, this one included."""


class LeaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A lease after the request."""

    lease_id: str
    account_id: str
    boot_id: str
    state: LeaseState
    limit_nano: int
    settled_nano: int
    rev: int


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account after the request."""

    posted_nano: int
    held_nano: int
    available_nano: int


class BudgetView(msgspec.Struct, frozen=True):
    """A budget after the request. `spent_nano` is settled; `held_nano` is held by leases."""

    budget_id: str
    period: BudgetPeriod
    amount_nano: int
    spent_nano: int
    resets_at: Rfc3339 | None = None
    """End of the budget's period; null for a total."""
    held_nano: int = 0


class LeaseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Response to `GrantLease` and `UpdateLease`."""

    outcome: LeaseOutcome
    lease: LeaseView | None
    account: AccountView
    retry_after_ms: int | None = None
    """Set if `outcome` is `retry`."""
    budget: BudgetView | None = None
    """The budget that rejects the request, if one does."""
    period_ends_in_ms: int | None = None
    """When the first period ends that the lease was granted under. Start nothing new on the lease after that."""


TYPES = (RenewBoot, BootRenewal, GrantLease, UpdateLease, LeaseResponse)
