"""The events that services send each other.

Events are frozen and only grow: no field is removed, renamed or retyped, and a new field has a default. `contracts/`
holds their JSON Schemas and golden examples; a breaking difference fails the tests.
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
    """How a request ended for its client."""

    COMPLETED = "completed"
    REFUSED = "refused"
    """The provider or the edge responded with an error before any token."""
    BROKEN = "broken"
    """The response began, and the provider failed before its end."""
    CANCELLED = "cancelled"
    """The client closed the connection."""
    CUT_OFF = "cut_off"
    """The credit ran out while the response streamed."""


# `gc=False`: no event is part of a reference cycle. Otherwise, the garbage collector spends more time on a batch of
# events than decoding takes.
class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    pass


class StampedEvent(Event, frozen=True, kw_only=True):
    """An event of an edge process. `at` is the time at which it happened there."""

    stamp: Stamp
    at: datetime


class RequestDimensions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The dimensions that a request is counted by. All events of one request carry the same values."""

    request_id: str
    account_id: str
    key_id: str
    endpoint: str
    """Path of the request, such as `/v1/chat/completions`."""
    model: str
    """The model that the client named."""
    served_model: str = ""
    """The model that the provider named in its response; empty until known."""
    provider: str = ""
    stream: bool = False
    project_id: str = ""
    end_user: str = ""
    """The client's own id of its user (OpenAI's `user`), if it sent one."""
    client: str = ""
    """The client library, from its User-Agent: `openai-python/3.54.0`."""


# --- requests.v1 ----------------------------------------------------------------------------------------------------


class RequestOpened(StampedEvent, frozen=True, kw_only=True, tag="request_opened"):
    """Durable before the first byte of the response leaves, so no request vanishes without a trace."""

    request: RequestDimensions


class FailedAttempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An attempt at a target that did not serve the request."""

    target: str
    provider: str
    latency_ms: int
    status: int | None = None
    """HTTP status of the provider's response; None without a response."""
    error_code: str = ""


class RequestClosed(StampedEvent, frozen=True, kw_only=True, tag="request_closed"):
    request: RequestDimensions
    outcome: Outcome
    status: int
    """HTTP status of the response."""
    opened_at: datetime
    latency_ms: int
    """From the request's arrival to the last byte of the response."""
    first_token_ms: int | None = None
    """From the request's arrival to the first byte of the response; None without a response."""
    error_code: str = ""
    finish_reason: str = ""
    attempts: int = 1
    target: str = ""
    """The target of the route that served the request, or the last one that was tried."""
    failed_attempts: tuple[FailedAttempt, ...] = ()
    """In order, without the attempt that served."""


class EdgeHeartbeat(StampedEvent, frozen=True, kw_only=True, tag="edge_heartbeat"):
    """Progress of an edge: for each topic (without prefix) and partition, the seq after the last durable event.

    Reconciliation compares it with the events that arrived, and so finds events missing at the end of a boot.
    """

    edge: str
    sent: dict[str, tuple[int, ...]]


RequestEvent = RequestOpened | RequestClosed | EdgeHeartbeat

# --- usage.v1 -------------------------------------------------------------------------------------------------------


class TokensUsed(StampedEvent, frozen=True, kw_only=True, tag="tokens_used"):
    """The usage of a request and its charge.

    The edge rates it once. The ledger, the charges and the usage reports all use this `amount_nano`; reconciliation
    rates it again from `price_version` and `plan_version`.
    """

    request: RequestDimensions
    tokens: TokenCounts
    amount_nano: int
    price_version: str
    plan_version: str
    estimated: bool = False
    """The provider sent no usage, so the edge counted the tokens with a tokenizer."""
    outcome: Outcome = Outcome.COMPLETED
    finish_reason: str = ""
    lease_id: str | None = None
    provider_cost_nano: int | None = None
    """Cost at the provider, by the price version's `cost`; None if the catalog has no cost."""
    status: int = 200
    """HTTP status of the response. It and `error_code` equal those of the `RequestClosed`."""
    error_code: str = ""


class LeaseClosed(StampedEvent, frozen=True, kw_only=True, tag="lease_closed"):
    account_id: str
    lease_id: str
    spent_nano: int


class Void(StampedEvent, frozen=True, kw_only=True, tag="void"):
    """Takes the seq of an event that could not be sent, so that its absence is not a gap."""

    account_id: str
    reason: str


UsageEvent = TokensUsed | LeaseClosed | Void

# --- credits.v1 -----------------------------------------------------------------------------------------------------


class CreditGranted(Event, frozen=True, kw_only=True, tag="credit_granted"):
    """Credit for an account. `grant_id` is unique: duplicates count once."""

    grant_id: str
    account_id: str
    at: datetime
    amount_nano: int
    source: str
    """The ledger account that the credit comes from: `promo`, `payment` or `manual`."""
    reason: str = ""
    expires_at: datetime | None = None
    priority: int = 100
    """Lower priorities burn first, then earlier expiries, then older grants."""
    currency: str = CURRENCY
    """Currency of the amount. The ledger accepts one currency."""


class CreditAdjusted(Event, frozen=True, kw_only=True, tag="credit_adjusted"):
    """A correction by an operator, positive or negative. `adjustment_id` is unique."""

    adjustment_id: str
    account_id: str
    at: datetime
    amount_nano: int
    reason: str
    currency: str = CURRENCY


CreditEvent = CreditGranted | CreditAdjusted

# --- compacted topics: the newest record of a key is its state -------------------------------------------------------


class BudgetPeriod(StrEnum):
    """The period of a budget. Days and months are in UTC."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Maximum spend under `budget_id` in a period. Keys with the same budget share it."""

    budget_id: str
    """`key:<key_id>` or `project:<project_id>`."""
    period: BudgetPeriod
    amount_nano: int


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of a key at the edge. None applies the deployment's limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None
    max_body_bytes: int | None = None


class UsageScope(StrEnum):
    """The usage that a key may read."""

    KEY = "key"
    PROJECT = "project"
    ACCOUNT = "account"


class KeyRecord(Event, frozen=True, kw_only=True, tag="key"):
    """A record of keys.v1, by the key's SHA-256 in hexadecimal. A revoked key has a tombstone."""

    key_id: str
    account_id: str
    name: str
    plan: str
    project_id: str = ""
    expires_at: datetime | None = None
    models: tuple[str, ...] | None = None
    """Models that the key may call; None allows all."""
    allowed_ips: tuple[str, ...] | None = None
    """Networks in CIDR notation from which the key may be used; None allows all."""
    limits: KeyLimits = KeyLimits()
    budgets: tuple[Budget, ...] = ()
    usage_scope: UsageScope = UsageScope.ACCOUNT
    suspended: bool = False
    """The account is suspended, so requests with the key are rejected."""


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    price_version: str
    valid_from: datetime
    prices: Prices
    cost: Prices | None = None
    """Prices that the operator pays to the provider; None if unknown."""


# Capability of a model that bills reasoning tokens, which its stream may not show.
REASONING = "reasoning"


class ModelRecord(Event, frozen=True, kw_only=True, tag="model"):
    """A record of catalogue.v1, by `model:<name>`: the current price version and future ones, oldest first."""

    model: str
    provider: str
    versions: tuple[PriceVersion, ...]
    context_tokens: int | None = None
    quarantined: str = ""
    """Reason why requests for the model are rejected, such as usage that could not be rated. Empty if they are not."""
    max_output_tokens: int | None = None
    """Maximum of one response; None if unknown."""
    capabilities: tuple[str, ...] = ()
    """Capabilities that its prices do not show: `tools`, `vision`, `reasoning`."""


class PlanVersion(msgspec.Struct, frozen=True, kw_only=True):
    plan_version: str
    valid_from: datetime
    multiplier_bps: int


class PlanRecord(Event, frozen=True, kw_only=True, tag="plan"):
    """A record of catalogue.v1, by `plan:<name>`."""

    plan: str
    versions: tuple[PlanVersion, ...]
    retired_at: datetime | None = None
    """From then on, requests on this plan are rejected."""


CatalogueRecord = ModelRecord | PlanRecord


class BalanceRecord(Event, frozen=True, kw_only=True, tag="balance"):
    """A record of balances.v1, by account_id. `available_nano` is the posted amount without holds."""

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

# Raised by a decoder for bytes that are not such an event.
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
        Poison: the bytes are not such an event. A retry cannot succeed.
    """
    try:
        return decoder.decode(value)
    except UNDECODABLE as error:
        raise Poison(f"not decodable: {error}") from error
