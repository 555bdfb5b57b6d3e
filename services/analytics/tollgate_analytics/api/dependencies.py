"""The dependencies of routes: the parts of the service, and the caller's rights."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from tollgate_analytics.live.tail import LiveTail
from tollgate_analytics.query.operator_reports import Balances
from tollgate_analytics.query.parameters import check_parameter_names
from tollgate_analytics.query.price_book import PriceBook
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import Store
from tollgate_common.auth.callers import Caller
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.kafka.consumer import Consumer


@dataclass(frozen=True)
class Services:
    """The parts of the service that routes use, in `app.state.services`."""

    store: Store
    keys: KeyDirectory
    prices: PriceBook
    consumer: Consumer
    tail: LiveTail
    balances: Balances
    find_customer: Callable[[Request], Coroutine[None, None, Caller]]
    """`tollgate_common.auth.callers.customers`, with the keys and tokens of this deployment."""
    check_operator: Callable[[Request], Coroutine[None, None, None]]
    """`tollgate_common.auth.callers.operators`, with the secret and tokens of this deployment."""

    def install(self, app: FastAPI) -> None:
        app.state.services = self

    def waiting_for(self) -> str | None:
        """Return what the service still waits for before it is ready, or None."""
        parts = (self.keys.topic, self.prices.topic, self.consumer, self.tail)
        return next(filter(None, (part.waiting_for() for part in parts)), None)


# The dependencies are coroutines because FastAPI runs plain functions in a thread pool.
async def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]


async def _scope(request: Request, services: ServicesOf) -> Scope:
    return Scope.of(await services.find_customer(request))


async def _store(services: ServicesOf) -> Store:
    return services.store


async def _keys(services: ServicesOf) -> KeyDirectory:
    return services.keys


async def require_operator(request: Request, services: ServicesOf) -> None:
    await services.check_operator(request)


CallerScope = Annotated[Scope, Depends(_scope)]
"""The usage that the caller may read. Raises as `tollgate_common.auth.callers.customers`."""
StoreOf = Annotated[Store, Depends(_store)]
KeysOf = Annotated[KeyDirectory, Depends(_keys)]


class AllowOnly:
    """A dependency that rejects any query parameter but these."""

    def __init__(self, *names: str) -> None:
        self._names = names

    async def __call__(self, request: Request) -> None:
        check_parameter_names(request.query_params, self._names)
