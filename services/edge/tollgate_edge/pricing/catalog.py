"""Models, prices and plans, in memory: which of them is valid is decided when a request arrives."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from tollgate_common.events import ModelRecord, PlanRecord, PlanVersion, PriceVersion, decode_catalogue
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.rating import UNIT_CLASSES, TokenCounts, Unpriced, rate
from tollgate_common.topics import Topic

log = logging.getLogger(__name__)

# What an endpoint uses that sends and gets text.
TEXT_CLASSES = ("input", "output")
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Tariff:
    """What one request is charged by. Each is made once: what is worked out of it is remembered by it."""

    price: PriceVersion
    plan: PlanVersion

    def has_prices(self, uses: tuple[str, ...]) -> bool:
        """Whether there is a price for each of the classes."""
        return _has_prices(self, uses)

    def amount_nano(self, tokens: TokenCounts) -> int:
        """What the usage costs. Of a unit without a price, which nobody could have known to be used, nothing: the event
        carries it all the same, so that billing gives it up aloud instead of charging too little in silence."""
        try:
            return self._rate(tokens)
        except Unpriced as error:
            log.error("%s: %s, and were used", self.price.price_version, error)  # noqa: TRY400 - the place says nothing
            prices = self.price.prices
            unpriced = {name: 0 for name in UNIT_CLASSES if not prices.sells([name])}
            return self._rate(replace(tokens, **unpriced))

    def provider_cost_nano(self, tokens: TokenCounts) -> int | None:
        """What the provider asks for the usage, whatever the plan; None if the catalog does not know."""
        cost = self.price.cost
        try:
            return None if cost is None else rate(tokens, cost).amount_nano
        except Unpriced:
            return None

    def _rate(self, tokens: TokenCounts) -> int:
        return rate(tokens, self.price.prices, self.plan.multiplier_bps).amount_nano


@lru_cache(maxsize=1024)
def _has_prices(tariff: Tariff, uses: tuple[str, ...]) -> bool:
    return tariff.price.prices.sells(uses)


class _TariffPeriod(NamedTuple):
    """The tariff of a model from `since` on and before `until`."""

    model: ModelRecord
    tariff: Tariff
    since: datetime
    until: datetime


class Catalog:
    def __init__(self, brokers: Brokers, prefix: str) -> None:
        self.models: dict[str, ModelRecord] = {}
        self._plans: dict[str, PlanRecord] = {}
        # By model and plan, as long as the catalog stays as it is: every request asks.
        self._found: dict[tuple[str, str], _TariffPeriod] = {}
        self.topic = CompactedTopic(brokers, Topic.CATALOGUE.named(prefix), self._apply)

    def tariff(
        self, model: ModelRecord, plan: str, at: datetime, uses: tuple[str, ...] = TEXT_CLASSES
    ) -> Tariff | None:
        """What a call of `model` on `plan` costs at `at`. None if either has no version that is valid then, if the
        plan is retired, or if the model has no price for a class that the endpoint `uses`."""
        found = self._found.get((model.model, plan))
        if found is None or found.model is not model or not found.since <= at < found.until:
            found = self._find(model, plan, at)
            if found is None:
                return None
            self._found[model.model, plan] = found
        return found.tariff if found.tariff.has_prices(uses) else None

    def _find(self, model: ModelRecord, plan: str, at: datetime) -> _TariffPeriod | None:
        record = self._plans.get(plan)
        if record is None:
            return None
        price, multiplier = _valid_at(model.versions, at), _valid_at(record.versions, at)
        ends = record.retired_at or FOREVER
        if price is None or multiplier is None or ends <= at:
            return None
        begins = [version.valid_from for version in model.versions]
        begins += [version.valid_from for version in record.versions]
        since = max(price.valid_from, multiplier.valid_from)
        return _TariffPeriod(
            model, Tariff(price, multiplier), since, min([ends, *(begin for begin in begins if begin > at)])
        )

    def _apply(self, key: str, value: bytes | None) -> None:
        self._found.clear()
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
