"""The usage that a caller may read. It follows from the caller's own key or token, never from input."""

from typing import NamedTuple

from tollgate_common.auth.callers import Caller
from tollgate_common.events import UsageScope


class Scope(NamedTuple):
    """An account, and the key or project within it that the caller is restricted to; empty means no restriction."""

    account_id: str
    only_key: str = ""
    only_project: str = ""

    @staticmethod
    def of(caller: Caller) -> "Scope":
        if caller.key is None or caller.usage_scope is UsageScope.ACCOUNT:
            return Scope(caller.account_id)
        if caller.usage_scope is UsageScope.PROJECT and caller.key.project_id:
            return Scope(caller.account_id, only_project=caller.key.project_id)
        # A key with project scope that belongs to no project may read only its own usage.
        return Scope(caller.account_id, only_key=caller.key.key_id)
