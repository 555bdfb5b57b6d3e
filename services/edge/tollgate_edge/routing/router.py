"""The current routes, loaded from `gateway.yaml` or from the settings, and reloaded when the file changes.

Guarantee: a request keeps the routes that it started with, and an invalid file changes nothing. A connection that no
route uses any more closes after its last request.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from tollgate_edge.providers.base import Provider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.routing.config import GatewayConfig, read_config
from tollgate_edge.routing.document import InvalidDocument
from tollgate_edge.routing.routes import CircuitBreakers, Connection, Routes, Target, build_targets

log = logging.getLogger(__name__)

# The interval at which the file is checked. Mounted configuration changes without a signal.
WATCH_PERIOD_S = 1.0


class ProviderFactory(Protocol):
    """Creates a provider client for a protocol."""

    def __call__(self, base_url: str, api_key: str, timeouts: Timeouts, options: ProviderOptions, /) -> Provider: ...


class ProtocolSpec(NamedTuple):
    """A protocol: how to create a provider, and what its configuration may contain."""

    create_provider: ProviderFactory
    base_url: str | None
    """The default URL. If it is None and there is no regional URL, each provider must set one."""
    regional_url: Callable[[str], str] | None = None
    """Returns the default URL in a region."""
    options: frozenset[str] = frozenset()
    """The supported fields of `ProviderOptions`."""
    required_options: frozenset[str] = frozenset()
    has_ambient_credentials: bool = False
    """Whether a provider without keys uses the credentials of the machine, such as an instance's role."""
    find_problem: Callable[[str, ProviderOptions], str | None] | None = None
    """Returns what is wrong with a key (empty without keys) and the options, or with the installed packages."""

    def default_url(self, options: ProviderOptions) -> str | None:
        if self.base_url is None and self.regional_url is not None and options.region is not None:
            return self.regional_url(options.region)
        return self.base_url


class ProviderSource(NamedTuple):
    """The configuration of a provider: its name in the routes, URL, keys and timeouts."""

    name: str
    protocol: str
    base_url: str | None
    keys: tuple[SecretStr, ...]
    timeouts: Timeouts
    options: ProviderOptions = ProviderOptions()


class RouteSource(NamedTuple):
    """The configuration that routes are built from."""

    config: GatewayConfig
    providers: tuple[ProviderSource, ...]


_Version = tuple[int, int, int] | None


class Router:
    def __init__(
        self, protocols: Mapping[str, ProtocolSpec], read: Callable[[], RouteSource], file: Path | None = None
    ) -> None:
        """Load the routes for the first time.

        Args:
            protocols: the supported protocols, by name.
            read: returns the configuration.
            file: the file to watch for changes, if any.

        Raises:
            InvalidDocument, OSError: the configuration is invalid or cannot be read.
        """
        self._protocols = protocols
        self._read = read
        self._file = file
        self._version = _version_of(file)
        self._breakers = CircuitBreakers()
        # Keyed by everything that a connection depends on.
        self._connections: dict[tuple[object, ...], Connection] = {}
        self._reload_now = asyncio.Event()
        self.routes = self._build(read())

    def reload_soon(self) -> None:
        """Request a reload even if the file is unchanged, because the keys that it refers to may have changed."""
        self._reload_now.set()

    def reload(self) -> bool:
        """Reload the file. If it is invalid, keep the current routes, log the problems and return False."""
        self._version = _version_of(self._file)
        try:
            self.routes = self._build(self._read())
        except InvalidDocument as error:
            for problem in error.problems:
                log.error("invalid %s, keeping the current routes: %s", self._file, problem)  # noqa: TRY400 - the problem is enough
            return False
        except OSError as error:
            log.error("cannot read %s, keeping the current routes: %s", self._file, error.strerror)  # noqa: TRY400 - as above
            return False
        log.info("reloaded routes: %d providers, %d models", len(self.routes.connections), len(self.routes.targets))
        return True

    async def watch(self) -> None:
        """Worker: reload on request, or when the file changes."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_PERIOD_S if self._file is not None else None):
                    await self._reload_now.wait()
            if self._reload_now.is_set() or _version_of(self._file) != self._version:
                self._reload_now.clear()
                self.reload()

    async def aclose(self) -> None:
        for connection in self._connections.values():
            await connection.provider.aclose()

    def _build(self, source: RouteSource) -> Routes:
        config, existing = source.config, self._connections
        self._connections = {}
        connections = {
            provider.name: [
                self._connect(provider, number, key, existing) for number, key in enumerate(provider.keys, 1)
            ]
            for provider in source.providers
        }
        targets: dict[str, Sequence[Target]] = {}
        aliases: dict[str, str] = {}
        for name, model in config.models.items():
            aliases.update(dict.fromkeys(model.aliases, name))
            targets[name] = [
                target
                for part in model.targets
                for target in build_targets(
                    connections[part.provider],
                    part.model or name,
                    breaker=config.breaker,
                    breakers=self._breakers,
                    weight=part.weight,
                    priority=part.priority,
                )
            ]
        return Routes(connections, targets, aliases, config.retries, config.breaker, self._breakers)

    def _connect(
        self,
        source: ProviderSource,
        number: int,
        key: SecretStr,
        existing: Mapping[tuple[object, ...], Connection],
    ) -> Connection:
        protocol = self._protocols[source.protocol]
        base_url = source.base_url or protocol.default_url(source.options)
        assert base_url is not None, "validated by read_config"
        secret = key.get_secret_value()
        identity = (source.name, number, source.protocol, base_url, secret, source.timeouts, source.options)
        connection = existing.get(identity)
        if connection is None:
            provider = protocol.create_provider(base_url, secret, source.timeouts, source.options)
            connection = Connection(source.name, number, provider)
        self._connections[identity] = connection
        return connection


def read_route_file(file: Path, protocols: Mapping[str, ProtocolSpec]) -> RouteSource:
    """Read the configuration of the routes from a file.

    Raises:
        InvalidDocument: the file is invalid, or a key that it refers to is missing.
        OSError: the file cannot be read.
    """
    config = read_config(file.read_text(), protocols)
    providers = tuple(
        ProviderSource(
            name,
            part.protocol,
            part.base_url,
            # Without keys there is one connection, with the credentials of the machine.
            (SecretStr(""),) if part.keys is None else tuple(reference.read() for reference in part.keys),
            Timeouts(part.timeouts.connect_s, part.timeouts.read_s),
            part.options,
        )
        for name, part in config.providers.items()
    )
    return RouteSource(config, providers)


def _version_of(file: Path | None) -> _Version:
    """Return a value that changes when the file does. A mounted file is replaced by another one of the same name."""
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
