"""The routes as they are now: read from `gateway.yaml`, or made of the settings where there is none, and read again
when the file changes.

Guarantee: a request keeps the routes that it began with; a file that is wrong changes nothing. A connection that no
route names any more ends with its last request.
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
from tollgate_edge.routing.config import GatewayConfig, read_config
from tollgate_edge.routing.document import InvalidDocument
from tollgate_edge.routing.routes import CircuitBreakers, Connection, Routes, Target, build_targets

log = logging.getLogger(__name__)

# How often the file is looked at; mounted configuration changes without a signal.
WATCH_PERIOD_S = 1.0


class ProviderFactory(Protocol):
    """Makes a provider of a protocol."""

    def __call__(self, base_url: str, api_key: str, timeouts: Timeouts) -> Provider: ...


class ProtocolSpec(NamedTuple):
    """`base_url` is where it is spoken unless the provider says otherwise; None if it must say."""

    create_provider: ProviderFactory
    base_url: str | None


class ProviderSource(NamedTuple):
    """What a provider is made of: its name in the routes, and where and how it is reached."""

    name: str
    protocol: str
    base_url: str | None
    keys: tuple[SecretStr, ...]
    timeouts: Timeouts


class RouteSource(NamedTuple):
    config: GatewayConfig
    providers: tuple[ProviderSource, ...]


_Version = tuple[int, int, int] | None


class Router:
    def __init__(
        self, protocols: Mapping[str, ProtocolSpec], read: Callable[[], RouteSource], file: Path | None = None
    ) -> None:
        """Read the routes for the first time.

        Args:
            protocols: those that this edge speaks, by name.
            read: gives what the routes are made of.
            file: where that stands, if it is to be watched.

        Raises:
            InvalidDocument, OSError: they cannot be read.
        """
        self._protocols = protocols
        self._read = read
        self._file = file
        self._version = _version_of(file)
        self._breakers = CircuitBreakers()
        # By all that they are made of.
        self._connections: dict[tuple[object, ...], Connection] = {}
        self._reload_now = asyncio.Event()
        self.routes = self._build(read())

    def reload_soon(self) -> None:
        """Have the file read again, changed or not: its keys may have changed."""
        self._reload_now.set()

    def reload(self) -> bool:
        """Read the file again. False if it is wrong: then everything stays as it is, and the log tells why."""
        self._version = _version_of(self._file)
        try:
            self.routes = self._build(self._read())
        except InvalidDocument as error:
            for problem in error.problems:
                log.error("%s is wrong and changes nothing: %s", self._file, problem)  # noqa: TRY400 - it tells all
            return False
        except OSError as error:
            log.error("%s cannot be read and changes nothing: %s", self._file, error.strerror)  # noqa: TRY400 - see above
            return False
        log.info(
            "the routes are read again: %d providers, %d models", len(self.routes.connections), len(self.routes.targets)
        )
        return True

    async def watch(self) -> None:
        """Worker: reload when asked to, or when the file is another than it was."""
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
        config, known = source.config, self._connections
        self._connections = {}
        connections = {
            provider.name: [self._connect(provider, number, key, known) for number, key in enumerate(provider.keys, 1)]
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
        known: Mapping[tuple[object, ...], Connection],
    ) -> Connection:
        protocol = self._protocols[source.protocol]
        base_url = source.base_url or protocol.base_url
        assert base_url is not None, "it has been checked"
        identity = (source.name, number, source.protocol, base_url, key.get_secret_value(), source.timeouts)
        connection = known.get(identity)
        if connection is None:
            provider = protocol.create_provider(base_url, key.get_secret_value(), source.timeouts)
            connection = Connection(source.name, number, provider)
        self._connections[identity] = connection
        return connection


def read_file(file: Path, protocols: Mapping[str, ProtocolSpec]) -> RouteSource:
    """What the routes are made of, from a file.

    Raises:
        InvalidDocument: it is wrong, or a key that it names is not there.
        OSError: it cannot be read.
    """
    config = read_config(file.read_text(), protocols)
    providers = tuple(
        ProviderSource(
            name,
            part.protocol,
            part.base_url,
            tuple(reference.read() for reference in part.keys),
            Timeouts(part.timeouts.connect_s, part.timeouts.read_s),
        )
        for name, part in config.providers.items()
    )
    return RouteSource(config, providers)


def _version_of(file: Path | None) -> _Version:
    """Tells a file from what it was: a mounted one is another file behind the same name."""
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
