"""Whether an account may spend: decided on its last published balance, held in memory."""

from tollgate_common.compacted import CompactedTopic
from tollgate_common.events import decode_balance
from tollgate_common.topics import Topic
from tollgate_edge.errors import out_of_credit


class Balances:
    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._available_nano: dict[str, int] = {}
        self.topic = CompactedTopic(bootstrap, Topic.BALANCES.named(prefix), self._apply)

    def available_nano(self, account_id: str) -> int:
        """What the account could spend when it was last heard of; an unknown account has nothing."""
        return self._available_nano.get(account_id, 0)

    def _apply(self, account_id: str, value: bytes | None) -> None:
        if value is None:
            self._available_nano.pop(account_id, None)
        else:
            self._available_nano[account_id] = decode_balance(value).available_nano


class Admission:
    """Lets an account in while it has any credit at all: requests in flight at once may overdraw it."""

    def __init__(self, balances: Balances) -> None:
        self._balances = balances

    def admit(self, account_id: str) -> None:
        """Return if the account may start a request.

        Raises:
            ApiError: 402, it has no credit.
        """
        if self._balances.available_nano(account_id) <= 0:
            raise out_of_credit()
