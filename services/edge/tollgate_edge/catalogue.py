"""Models, prices and plans, in memory: which of them is valid is decided when a request arrives."""

from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from tollgate_common.compacted import CompactedTopic
from tollgate_common.events import ModelRecord, PlanRecord, PlanVersion, PriceVersion, decode_catalogue
from tollgate_common.rating import TokenCounts, rate
from tollgate_common.topics import Topic


class Tariff(NamedTuple):
    """What one request is charged by."""

    price: PriceVersion
    plan: PlanVersion

    def amount_nano(self, tokens: TokenCounts) -> int:
        return rate(tokens, self.price.prices, self.plan.multiplier_bps).amount_nano


class Catalogue:
    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.models: dict[str, ModelRecord] = {}
        self._plans: dict[str, PlanRecord] = {}
        self.topic = CompactedTopic(bootstrap, Topic.CATALOGUE.named(prefix), self._apply)

    def tariff(self, model: ModelRecord, plan: str, at: datetime) -> Tariff | None:
        """What a call of `model` on `plan` costs at `at`; None if either has no version that is valid then."""
        record = self._plans.get(plan)
        price = _valid_at(model.versions, at)
        multiplier = _valid_at(record.versions, at) if record is not None else None
        if price is None or multiplier is None:
            return None
        return Tariff(price, multiplier)

    def _apply(self, key: str, value: bytes | None) -> None:
        kind, _, name = key.partition(":")
        if value is None:
            (self.models if kind == "model" else self._plans).pop(name, None)
            return
        record = decode_catalogue(value)
        if isinstance(record, ModelRecord):
            self.models[record.model] = record
        else:
            self._plans[record.plan] = record


class _Version(Protocol):
    @property
    def valid_from(self) -> datetime: ...


VersionT = TypeVar("VersionT", bound=_Version)


def _valid_at(versions: tuple[VersionT, ...], at: datetime) -> VersionT | None:
    """The newest version that has begun; versions stand oldest first."""
    return next((version for version in reversed(versions) if version.valid_from <= at), None)
