"""Models, prices and plans, kept in memory. The version that applies is chosen when a request arrives."""

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

# The token classes of an endpoint with text input and output.
TEXT_CLASSES = ("input", "output")
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Tariff:
    """The price and plan versions that one request is charged by.

    Tariffs are compared by identity and created once for each period, so that results can be cached by tariff.
    """

    price: PriceVersion
    plan: PlanVersion

    def has_prices(self, required_classes: tuple[str, ...]) -> bool:
        """Whether every one of the token classes has a price."""
        return _has_prices(self, required_classes)

    def amount_nano(self, tokens: TokenCounts) -> int:
        """Return the charge for the usage.

        A unit class without a price is charged nothing here and logged as an error. The event still carries it, so that
        billing reports it instead of silently undercharging.
        """
        try:
            return self._rate(tokens)
        except Unpriced as error:
            log.error("price version %s cannot rate reported usage: %s", self.price.price_version, error)  # noqa: TRY400 - a traceback adds nothing
            prices = self.price.prices
            unpriced = {name: 0 for name in UNIT_CLASSES if not prices.sells([name])}
            return self._rate(replace(tokens, **unpriced))

    def provider_cost_nano(self, tokens: TokenCounts) -> int | None:
        """Return the operator's cost of the usage, which no plan changes; None if the catalog has no cost."""
        cost = self.price.cost
        try:
            return None if cost is None else rate(tokens, cost).amount_nano
        except Unpriced:
            return None

    def _rate(self, tokens: TokenCounts) -> int:
        return rate(tokens, self.price.prices, self.plan.multiplier_bps).amount_nano


@lru_cache(maxsize=1024)
def _has_prices(tariff: Tariff, required_classes: tuple[str, ...]) -> bool:
    return tariff.price.prices.sells(required_classes)


class _TariffPeriod(NamedTuple):
    """The tariff of a model in the period from `since` (inclusive) to `until` (exclusive)."""

    model: ModelRecord
    tariff: Tariff
    since: datetime
    until: datetime


class Catalog:
    def __init__(self, brokers: Brokers, prefix: str) -> None:
        self.models: dict[str, ModelRecord] = {}
        self._plans: dict[str, PlanRecord] = {}
        # A cache by model and plan, cleared when the catalog changes.
        self._periods: dict[tuple[str, str], _TariffPeriod] = {}
        self.topic = CompactedTopic(brokers, Topic.CATALOGUE.named(prefix), self._apply)

    def tariff(
        self, model: ModelRecord, plan: str, at: datetime, required_classes: tuple[str, ...] = TEXT_CLASSES
    ) -> Tariff | None:
        """Return the tariff of `model` on `plan` at the time `at`.

        Returns None if either has no version valid at that time, if the plan is retired, or if the model has no price
        for one of `required_classes`.
        """
        period = self._periods.get((model.model, plan))
        if period is None or period.model is not model or not period.since <= at < period.until:
            period = self._find(model, plan, at)
            if period is None:
                return None
            self._periods[model.model, plan] = period
        return period.tariff if period.tariff.has_prices(required_classes) else None

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
        self._periods.clear()
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
    """Return the newest version that is valid at `at`; `versions` are ordered from oldest to newest."""
    return next((version for version in reversed(versions) if version.valid_from <= at), None)
