"""The prices that usage names, in memory: what a line of a request's cost was multiplied by.

Guarantee: a price that is told is the one that the request was rated with, for versions never change. What is not in
the log any more (a version is published for forty days after another has taken its place) is not known; billing's
charges tell it.
"""

from tollgate_common.events import ModelRecord, decode_catalogue
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.rating import Prices, Rated, TokenCounts, Unpriced, rate
from tollgate_common.topics import Topic


class PriceBook:
    def __init__(self, brokers: Brokers, prefix: str) -> None:
        # Kept for as long as the process lives: a version that goes out of the log is still asked about.
        self._prices: dict[str, Prices] = {}
        self._multipliers_bps: dict[str, int] = {}
        self.topic = CompactedTopic(brokers, Topic.CATALOGUE.named(prefix), self._apply)

    def multiplier_bps(self, plan_version: str) -> int | None:
        """The plan's factor on all prices, in basis points; None if it is not known."""
        return self._multipliers_bps.get(plan_version)

    def rated(self, tokens: TokenCounts, price_version: str) -> Rated | None:
        """The priced lines of a usage, before the plan; None if the version is not known or does not fit."""
        prices = self._prices.get(price_version)
        try:
            return None if prices is None else rate(tokens, prices)
        except Unpriced:
            return None

    def _apply(self, _key: str, value: bytes | None) -> None:
        if value is None:
            return
        record = decode_catalogue(value)
        if isinstance(record, ModelRecord):
            self._prices.update({version.price_version: version.prices for version in record.versions})
        else:
            self._multipliers_bps.update({step.plan_version: step.multiplier_bps for step in record.versions})
