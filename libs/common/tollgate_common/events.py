"""The facts that services tell each other. Frozen, and additive only: a field is never removed, renamed or retyped, and
a new one has a default. `contracts/` holds their JSON Schemas and golden examples; a breaking difference fails the
tests.
"""

from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import msgspec

from tollgate_common.errors import Poison
from tollgate_common.money import CURRENCY
from tollgate_common.rating import Prices, TokenCounts
from tollgate_common.sequence import Stamp


class Outcome(StrEnum):
    """How a request ended, as the client saw it."""

    COMPLETED = "completed"
    REFUSED = "refused"
    """The provider or the edge answered with an error before any token."""
    BROKEN = "broken"
    """The answer began and the provider failed before its end."""
    CANCELLED = "cancelled"
    """The client went away."""
    CUT_OFF = "cut_off"
    """The credit ran out while the answer streamed."""


# No event, nor anything in it, can be part of a cycle (`gc=False`): the garbage collector would spend more time on a
# batch of them, again and again, than decoding takes.
class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    pass


class StampedEvent(Event, frozen=True, kw_only=True):
    """An event of an edge process: `at` is the moment it happened there."""

    stamp: Stamp
    at: datetime


class RequestDimensions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a request is counted by. Opened, closed and used events of one request carry the same values."""

    request_id: str
    account_id: str
    key_id: str
    endpoint: str
    """The path that was called, such as `/v1/chat/completions`."""
    model: str
    """As the client named it."""
    served_model: str = ""
    """As the provider named the one that answered; empty until known."""
    provider: str = ""
    stream: bool = False
    project_id: str = ""
    end_user: str = ""
    """The client's own id of its user (OpenAI's `user`), if it gave one."""
    client: str = ""
    """The client library, from its User-Agent: `openai-python/3.54.0`."""


# --- requests.v1 ----------------------------------------------------------------------------------------------------


class RequestOpened(StampedEvent, frozen=True, kw_only=True, tag="request_opened"):
    """Acknowledged by Kafka before the first byte of an answer leaves: a request cannot vanish without a trace."""

    request: RequestDimensions


class FailedAttempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A target that did not serve a request, before another was tried or the client was told."""

    target: str
    provider: str
    latency_ms: int
    status: int | None = None
    """Of the provider's answer; None if there was none."""
    error_code: str = ""


class RequestClosed(StampedEvent, frozen=True, kw_only=True, tag="request_closed"):
    request: RequestDimensions
    outcome: Outcome
    status: int
    """HTTP status of the answer."""
    opened_at: datetime
    latency_ms: int
    """From the request's arrival to the answer's last byte."""
    first_token_ms: int | None = None
    """From the request's arrival to the answer's first byte; None if there was none."""
    error_code: str = ""
    finish_reason: str = ""
    attempts: int = 1
    target: str = ""
    """The route's target that served, or that was tried last."""
    failed_attempts: tuple[FailedAttempt, ...] = ()
    """In order; the attempt that served is none of them."""


class EdgeHeartbeat(StampedEvent, frozen=True, kw_only=True, tag="edge_heartbeat"):
    """What an edge has sent: per topic (without prefix) and partition the next seq after the last one acknowledged or
    spooled. A tail that got lost shows as a difference to what arrived."""

    edge: str
    sent: dict[str, tuple[int, ...]]


RequestEvent = RequestOpened | RequestClosed | EdgeHeartbeat

# --- usage.v1 -------------------------------------------------------------------------------------------------------


class TokensUsed(StampedEvent, frozen=True, kw_only=True, tag="tokens_used"):
    """What a request used and what it costs. The edge rates it once; the ledger, the charges and the usage reports all
    take `amount_nano` as it stands here, and the reconciler rates it again from `price_version` and `plan_version`."""

    request: RequestDimensions
    tokens: TokenCounts
    amount_nano: int
    price_version: str
    plan_version: str
    estimated: bool = False
    """The provider sent no usage: counted by tokenizer."""
    outcome: Outcome = Outcome.COMPLETED
    finish_reason: str = ""
    lease_id: str | None = None
    provider_cost_nano: int | None = None
    """What the provider asks for it, by the price version's `cost`; None where the catalogue knows none."""
    status: int = 200
    """HTTP status of the answer, and `error_code`: as on its `RequestClosed`, so that both are counted alike."""
    error_code: str = ""


class LeaseClosed(StampedEvent, frozen=True, kw_only=True, tag="lease_closed"):
    account_id: str
    lease_id: str
    spent_nano: int


class Void(StampedEvent, frozen=True, kw_only=True, tag="void"):
    """Takes the seq of an event that could not be sent, so that its absence is no gap."""

    account_id: str
    reason: str


UsageEvent = TokensUsed | LeaseClosed | Void

# --- credits.v1 -----------------------------------------------------------------------------------------------------


class CreditGranted(Event, frozen=True, kw_only=True, tag="credit_granted"):
    """Credit for an account. `grant_id` is unique: however often it arrives, it counts once."""

    grant_id: str
    account_id: str
    at: datetime
    amount_nano: int
    source: str
    """`promo`, `payment` or `manual`: the ledger account that the credit comes from."""
    reason: str = ""
    expires_at: datetime | None = None
    priority: int = 100
    """Lower burns first; then the earlier expiry, then the older grant."""
    currency: str = CURRENCY
    """Of the amount. The ledger is kept in one, and takes no other."""


class CreditAdjusted(Event, frozen=True, kw_only=True, tag="credit_adjusted"):
    """A correction by an operator, up or down. `adjustment_id` is unique."""

    adjustment_id: str
    account_id: str
    at: datetime
    amount_nano: int
    reason: str
    currency: str = CURRENCY


CreditEvent = CreditGranted | CreditAdjusted

# --- compacted topics: the last record of a key is its state ----------------------------------------------------------


class BudgetPeriod(StrEnum):
    """What a budget is for; days and months are those of UTC."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The most that may be spent under `budget_id` in a period. Keys that name the same one share it."""

    budget_id: str
    """`key:<key_id>` or `project:<project_id>`."""
    period: BudgetPeriod
    amount_nano: int


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one key may do at the edge; None is no limit but the deployment's."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None
    max_body_bytes: int | None = None


class UsageScope(StrEnum):
    """Whose usage a key may read."""

    KEY = "key"
    PROJECT = "project"
    ACCOUNT = "account"


class KeyRecord(Event, frozen=True, kw_only=True, tag="key"):
    """keys.v1, by the key's SHA-256 in hexadecimal. A revoked key's record is a tombstone."""

    key_id: str
    account_id: str
    name: str
    plan: str
    project_id: str = ""
    expires_at: datetime | None = None
    models: tuple[str, ...] | None = None
    """The models that the key may call; None is all."""
    allowed_ips: tuple[str, ...] | None = None
    """Networks in CIDR notation from which the key may be used; None is all."""
    limits: KeyLimits = KeyLimits()
    budgets: tuple[Budget, ...] = ()
    usage_scope: UsageScope = UsageScope.ACCOUNT
    suspended: bool = False
    """Its account is suspended: the key is known and may call nothing."""


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    price_version: str
    valid_from: datetime
    prices: Prices
    cost: Prices | None = None
    """What the provider asks of the operator; None if that is not known."""


# A model's capability by which its streams may cost what they do not show.
REASONING = "reasoning"


class ModelRecord(Event, frozen=True, kw_only=True, tag="model"):
    """catalogue.v1, by `model:<name>`: the current price and those to come, oldest first."""

    model: str
    provider: str
    versions: tuple[PriceVersion, ...]
    context_tokens: int | None = None
    quarantined: str = ""
    """Why nobody may call it now: usage of it could not be rated. Empty if everybody may."""
    max_output_tokens: int | None = None
    """The most that one answer can have; None if nobody knows."""
    capabilities: tuple[str, ...] = ()
    """What it can beside what its prices show: `tools`, `vision`, `reasoning`."""


class PlanVersion(msgspec.Struct, frozen=True, kw_only=True):
    plan_version: str
    valid_from: datetime
    multiplier_bps: int


class PlanRecord(Event, frozen=True, kw_only=True, tag="plan"):
    """catalogue.v1, by `plan:<name>`."""

    plan: str
    versions: tuple[PlanVersion, ...]
    retired_at: datetime | None = None
    """From then on the plan sells nothing."""


CatalogueRecord = ModelRecord | PlanRecord


class BalanceRecord(Event, frozen=True, kw_only=True, tag="balance"):
    """balances.v1, by account_id. `available_nano` is what is posted and not held."""

    account_id: str
    posted_nano: int
    held_nano: int
    version: int
    at: datetime

    @property
    def available_nano(self) -> int:
        return self.posted_nano - self.held_nano


# --- the wire -------------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()
request_decoder: msgspec.json.Decoder[RequestEvent] = msgspec.json.Decoder(RequestEvent)
usage_decoder: msgspec.json.Decoder[UsageEvent] = msgspec.json.Decoder(UsageEvent)
_credit_decoder: msgspec.json.Decoder[CreditEvent] = msgspec.json.Decoder(CreditEvent)
_key_decoder: msgspec.json.Decoder[KeyRecord] = msgspec.json.Decoder(KeyRecord)
_catalogue_decoder: msgspec.json.Decoder[CatalogueRecord] = msgspec.json.Decoder(CatalogueRecord)
_balance_decoder: msgspec.json.Decoder[BalanceRecord] = msgspec.json.Decoder(BalanceRecord)

encode = _encoder.encode

# What a decoder raises for bytes that are no such event.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

EventT = TypeVar("EventT")


def decode_request(value: bytes) -> RequestEvent:
    return decode(request_decoder, value)


def decode_usage(value: bytes) -> UsageEvent:
    return decode(usage_decoder, value)


def decode_credit(value: bytes) -> CreditEvent:
    return decode(_credit_decoder, value)


def decode_key(value: bytes) -> KeyRecord:
    return decode(_key_decoder, value)


def decode_catalogue(value: bytes) -> CatalogueRecord:
    return decode(_catalogue_decoder, value)


def decode_balance(value: bytes) -> BalanceRecord:
    return decode(_balance_decoder, value)


def decode(decoder: msgspec.json.Decoder[EventT], value: bytes) -> EventT:
    """Decode one message.

    Raises:
        Poison: the bytes are no such event. They never will be, so waiting does not help.
    """
    try:
        return decoder.decode(value)
    except UNDECODABLE as error:
        raise Poison(f"not decodable: {error}") from error
