"""Who calls, as what they may see."""

from collections.abc import Callable, Coroutine

from fastapi import Request

from tollgate_analytics.query.scopes import Scope
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import customers
from tollgate_common.auth.key_directory import KeyDirectory

ScopeOf = Callable[[Request], Coroutine[None, None, Scope]]


def scopes(keys: KeyDirectory, tokens: Verifier | None) -> ScopeOf:
    """The dependency that tells whose usage the caller may see; raises as `tollgate_common.auth.callers.customers`
    does."""
    customer = customers(keys, tokens)

    async def scope(request: Request) -> Scope:
        return Scope.of(await customer(request))

    return scope
