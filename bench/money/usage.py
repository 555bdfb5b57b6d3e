"""Usage events of many accounts, as an edge sends them."""

from tollgate_common.clock import utc_now
from tollgate_common.events import RequestDimensions, TokensUsed
from tollgate_common.ids import new_id
from tollgate_common.rating import TokenCounts
from tollgate_common.sequence import Stamp
from tollgate_common.topics import partition_for


class Edge:
    def __init__(self, partitions: int) -> None:
        self._boot_id = new_id()
        self._seqs = [0] * partitions

    def used(self, account_id: str, amount_nano: int) -> TokensUsed:
        partition = partition_for(account_id, len(self._seqs))
        seq = self._seqs[partition]
        self._seqs[partition] += 1
        return TokensUsed(
            stamp=Stamp(self._boot_id, partition, seq),
            at=utc_now(),
            request=RequestDimensions(
                request_id=new_id(),
                account_id=account_id,
                key_id=new_id(),
                endpoint="/v1/chat/completions",
                model="gpt-4o-mini",
                served_model="gpt-4o-mini-2024-07-18",
                provider="openai",
                client="openai-python/3.54.0",
            ),
            tokens=TokenCounts(input=1_000, output=200),
            amount_nano=amount_nano,
            price_version=new_id(),
            plan_version=new_id(),
        )
