"""The targets of each model, and the order in which a request tries them."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tollgate_edge.providers.base import Operation, Provider
from tollgate_edge.routing.circuit_breaker import CircuitBreaker
from tollgate_edge.routing.config import CircuitBreakerConfig, RetryConfig


@dataclass(frozen=True, slots=True)
class Connection:
    """A provider with one of the operator's keys. `number` identifies the key, starting at 1."""

    provider_name: str
    number: int
    provider: Provider

    @property
    def name(self) -> str:
        return self.provider_name if self.number == 1 else f"{self.provider_name}#{self.number}"


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a connection. `model` is the provider's name of the model."""

    connection: Connection
    model: str
    weight: float
    priority: int
    breaker: CircuitBreaker = field(repr=False)
    name: str = ""

    @property
    def provider(self) -> Provider:
        return self.connection.provider


class CircuitBreakers:
    """The circuit breakers of all targets. They survive a reload of the routes."""

    def __init__(self) -> None:
        self._known: dict[str, CircuitBreaker] = {}

    def for_target(self, target_name: str, settings: CircuitBreakerConfig) -> CircuitBreaker:
        key = f"{target_name} {settings.failures} {settings.open_s}"
        return self._known.setdefault(key, CircuitBreaker(settings.failures, settings.open_s))

    def __iter__(self) -> Iterator[tuple[str, CircuitBreaker]]:
        """Yield the targets' names and breakers. A target whose breaker settings changed occurs more than once."""
        return ((key.rsplit(" ", 2)[0], breaker) for key, breaker in self._known.items())


@dataclass(frozen=True)
class Routes:
    """An immutable set of routes. A reload replaces it as a whole."""

    connections: Mapping[str, Sequence[Connection]]
    # Keyed by the name of the model in the catalog. A model without an entry goes to its provider in the catalog.
    targets: Mapping[str, Sequence[Target]]
    aliases: Mapping[str, str]
    retries: RetryConfig
    breaker: CircuitBreakerConfig
    breakers: CircuitBreakers
    # Caches the results of `find`.
    _found: dict[tuple[str, str, Operation | None], Sequence[Target]] = field(default_factory=dict, repr=False)

    def canonical(self, name: str) -> str:
        """Return the name of the model in the catalog, given that name or an alias."""
        return self.aliases.get(name, name)

    def find(self, model: str, provider_name: str, operation: Operation | None = None) -> Sequence[Target]:
        """Return the targets of a model that support `operation`, possibly none.

        Args:
            model: the name in the catalog.
            provider_name: the provider in the catalog.
            operation: None for any.
        """
        found = self._found.get((model, provider_name, operation))
        if found is None:
            targets = self.targets.get(model)
            if targets is None:
                connections = self.connections.get(provider_name, ())
                targets = build_targets(connections, model, breaker=self.breaker, breakers=self.breakers)
            found = [one for one in targets if operation is None or operation in one.provider.operations]
            self._found[model, provider_name, operation] = found
        return found


def build_targets(
    connections: Sequence[Connection],
    model: str,
    *,
    breaker: CircuitBreakerConfig,
    breakers: CircuitBreakers,
    weight: int = 1,
    priority: int = 0,
) -> list[Target]:
    """Create a target for each key of a provider. Keys have separate limits at the provider and share the weight."""
    targets = []
    for connection in connections:
        name = f"{connection.name}/{model}"
        own_breaker = breakers.for_target(name, breaker)
        targets.append(Target(connection, model, weight / len(connections), priority, own_breaker, name))
    return targets


def order_targets(targets: Iterable[Target], now_s: float) -> list[Target]:
    """Order targets by open time of their breaker, then priority, then randomly in proportion to their weights."""
    if not isinstance(targets, list):
        targets = list(targets)
    if len(targets) == 1:
        return targets

    def rank(target: Target) -> tuple[float, int, float]:
        # An exponential variable is the smallest of several with a probability proportional to its rate.
        chance = random.expovariate(target.weight)
        return target.breaker.remaining_open_s(now_s), target.priority, chance

    return sorted(targets, key=rank)
