"""Which targets may answer for a model, and in which order a request tries them."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tollgate_edge.providers.base import Operation, Provider
from tollgate_edge.routing.circuit_breaker import CircuitBreaker
from tollgate_edge.routing.config import CircuitBreakerConfig, RetryConfig


@dataclass(frozen=True, slots=True)
class Connection:
    """A provider with one of the operator's keys there. `number` tells the keys apart, 1 is the first."""

    provider_name: str
    number: int
    provider: Provider

    @property
    def name(self) -> str:
        return self.provider_name if self.number == 1 else f"{self.provider_name}#{self.number}"


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a connection. `model` is the provider's name for it."""

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
    """One for each target, which outlives a change of the routes."""

    def __init__(self) -> None:
        self._known: dict[str, CircuitBreaker] = {}

    def of(self, target_name: str, settings: CircuitBreakerConfig) -> CircuitBreaker:
        key = f"{target_name} {settings.failures} {settings.open_s}"
        return self._known.setdefault(key, CircuitBreaker(settings.failures, settings.open_s))

    def __iter__(self) -> Iterator[tuple[str, CircuitBreaker]]:
        """The targets' names and their breakers; twice where a change of the settings gave a target another."""
        return ((key.rsplit(" ", 2)[0], breaker) for key, breaker in self._known.items())


@dataclass(frozen=True)
class Routes:
    """A moment's routing: all of it is replaced at once."""

    connections: Mapping[str, Sequence[Connection]]
    # By the name that prices and usage have; a model that is not here goes to the catalogue's provider.
    targets: Mapping[str, Sequence[Target]]
    aliases: Mapping[str, str]
    retries: RetryConfig
    breaker: CircuitBreakerConfig
    breakers: CircuitBreakers
    # What has been found, as long as these routes hold: every request asks.
    _found: dict[tuple[str, str, Operation | None], Sequence[Target]] = field(default_factory=dict, repr=False)

    def canonical(self, name: str) -> str:
        """The model's own name, by that or an alias."""
        return self.aliases.get(name, name)

    def find(self, model: str, provider_name: str, operation: Operation | None = None) -> Sequence[Target]:
        """The targets of a model that can do `operation`; empty if there are none.

        Args:
            model: its own name.
            provider_name: who has it, by the catalogue.
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
    """One for each key of a provider: each has its own limits there, and they share the weight."""
    targets = []
    for connection in connections:
        name = f"{connection.name}/{model}"
        own_breaker = breakers.of(name, breaker)
        targets.append(Target(connection, model, weight / len(connections), priority, own_breaker, name))
    return targets


def order_targets(targets: Iterable[Target], now_s: float) -> list[Target]:
    """Those that are not avoided first, by priority; among equals by chance, as often as their weights say."""
    if not isinstance(targets, list):
        targets = list(targets)
    if len(targets) == 1:
        return targets

    def place(target: Target) -> tuple[float, int, float]:
        # Of exponential variables with these rates, each is the smallest with a probability in proportion to its rate.
        chance = random.expovariate(target.weight)
        return target.breaker.remaining_open_s(now_s), target.priority, chance

    return sorted(targets, key=place)
