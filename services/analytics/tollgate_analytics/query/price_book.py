"""Price versions in memory, to explain the cost of a request line by line.

Guarantee: a price shown here is the one that the request was rated with, because versions never change. The catalog
topic carries a version until forty days after its successor took effect. A version that left the topic before this
process started is unknown here; billing's charges still record it.
"""

from tollgate_common.events import ModelRecord, decode_catalogue
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.rating import Prices, Rated, TokenCounts, Unpriced, rate
from tollgate_common.topics import Topic


class PriceBook:
    def __init__(self, brokers: Brokers, prefix: str) -> None:
        # Versions stay for the life of the process: requests still name a version after it left the topic.
        self._prices: dict[str, Prices] = {}
        self._multipliers_bps: dict[str, int] = {}
        self.topic = CompactedTopic(brokers, Topic.CATALOGUE.named(prefix), self._apply)

    def multiplier_bps(self, plan_version: str) -> int | None:
        """Return the plan's factor on all prices, in basis points, or None if the version is unknown."""
        return self._multipliers_bps.get(plan_version)

    def rated(self, tokens: TokenCounts, price_version: str) -> Rated | None:
        """Return the priced lines of a usage before the plan's factor.

        None if the version is unknown or has no price for what was used.
        """
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
