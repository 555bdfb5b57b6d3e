"""Builds and starts the edge: `python -m tollgate_edge.main`."""

import asyncio
import logging
import signal
import sys
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import NamedTuple

from prometheus_client import REGISTRY

from tollgate_common import cli
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.errors import CommandError
from tollgate_common.events import KeyLimits
from tollgate_common.http import run_service
from tollgate_common.ids import new_id
from tollgate_edge.credit.admission import Admission, Balances, FailingOpen, KnownBalances
from tollgate_edge.credit.leases.client import LeaseClient
from tollgate_edge.credit.leases.manager import LeaseManager
from tollgate_edge.event_log.log import EventLog
from tollgate_edge.event_log.rotation import RotatingEventWriter
from tollgate_edge.event_log.writer import EventWriter
from tollgate_edge.gateway.handler import ModelCalls
from tollgate_edge.idempotency.claims import Claims, NoClaims, SharedClaims
from tollgate_edge.observability.metrics import EdgeCollector, EdgeCounts
from tollgate_edge.observability.shared_counters import CounterSegment
from tollgate_edge.observability.worker_status import WorkerGroup
from tollgate_edge.pricing.catalog import Catalog
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.rate_limits.limiter import RateLimiter
from tollgate_edge.routing.config import GatewayConfig
from tollgate_edge.routing.document import InvalidDocument
from tollgate_edge.routing.protocols import PROTOCOLS
from tollgate_edge.routing.router import ProviderSource, Router, RouteSource, read_route_file
from tollgate_edge.server.asgi import EdgeApp
from tollgate_edge.server.models_api import create_api
from tollgate_edge.settings import EdgeSettings
from tollgate_edge.workers.supervisor import Supervisor, end_with_supervisor, is_worker, listen, worker_segments

log = logging.getLogger(__name__)


class Leases(NamedTuple):
    client: LeaseClient
    manager: LeaseManager


def open_leases(settings: EdgeSettings) -> Leases | None:
    if settings.admission == "known_balances":
        log.warning("TOLLGATE_ADMISSION is known_balances: credit is not reserved, so accounts may be overdrawn")
        return None
    assert settings.balance_url is not None
    assert settings.internal_token is not None
    client = LeaseClient(settings.balance_url, settings.internal_token.get_secret_value(), edge=settings.edge_name)
    return Leases(client, LeaseManager(client, credit_wait_s=settings.credit_wait_s))


def open_event_log(settings: EdgeSettings, boot_id: str) -> EventLog:
    try:
        return EventLog(
            settings.brokers,
            settings.topic_prefix,
            settings.spool_dir,
            boot_id,
            ack_timeout_s=settings.ack_timeout_s,
            spool_max_bytes=settings.spool_max_bytes,
            spool_max_age_s=settings.spool_max_age_s,
        )
    except OSError as error:
        sys.exit(f"edge: TOLLGATE_SPOOL_DIR: {settings.spool_dir} must be a writable folder: {error}")


def start_boot(settings: EdgeSettings) -> EventWriter:
    boot_id = new_id()
    return EventWriter(open_event_log(settings, boot_id), boot_id=boot_id, edge=settings.edge_name)


def read_routes(settings: EdgeSettings) -> RouteSource:
    """Return the source of the routes: the file, or the providers with an API key.

    Raises:
        InvalidDocument: the file is invalid.
        OSError: the file cannot be read.
    """
    if settings.gateway_file is not None:
        return read_route_file(settings.gateway_file, PROTOCOLS)
    assert settings.openai_api_key is not None
    timeouts = Timeouts(settings.connect_timeout_s, settings.read_timeout_s)
    openai = ProviderSource("openai", "openai", settings.openai_url, (settings.openai_api_key,), timeouts)
    # The names of the price catalog.
    others = [
        ProviderSource(name, protocol, url, (key,), timeouts)
        for name, protocol, url, key in (
            ("anthropic", "anthropic", settings.anthropic_url, settings.anthropic_api_key),
            ("google", "gemini", settings.gemini_url, settings.gemini_api_key),
        )
        if key is not None
    ]
    return RouteSource(GatewayConfig(), (openai, *others))


def check_routes(settings: EdgeSettings) -> None:
    """Check `gateway.yaml`.

    Raises:
        CommandError: the file is invalid.
    """
    try:
        read_routes(settings)
    except InvalidDocument as error:
        lines = [f"{settings.gateway_file}: {problem}" for problem in error.problems]
        raise CommandError("\n".join(lines)) from error
    except OSError as error:
        raise CommandError(f"TOLLGATE_GATEWAY_FILE: {settings.gateway_file}: {error.strerror}") from error


def make_gate(settings: EdgeSettings, leases: Leases | None) -> RateLimiter:
    return RateLimiter(
        max_body_bytes=settings.max_body_bytes,
        defaults=KeyLimits(
            requests_per_minute=settings.key_requests_per_minute,
            tokens_per_minute=settings.key_tokens_per_minute,
            max_in_flight=settings.key_max_in_flight,
        ),
        trusted_proxies=settings.trusted_networks,
        # Without the balance service, only the workers of this edge are known.
        edges=leases.manager.edges if leases else lambda: settings.workers,
    )


def make_admission(settings: EdgeSettings, leases: Leases | None, balances: Balances) -> Admission:
    if leases is None:
        return KnownBalances(balances)
    floor_nano = settings.fail_open_above_nano
    return leases.manager if floor_nano is None else FailingOpen(leases.manager, balances, above_nano=floor_nano)


def make_claims(settings: EdgeSettings, leases: Leases | None) -> Claims:
    if leases is None:
        return NoClaims()
    return SharedClaims(
        leases.client,
        lambda: leases.manager.boot_id,
        wait_s=settings.idempotency_wait_s,
        max_answer_bytes=settings.idempotency_max_bytes,
    )


async def serve(settings: EdgeSettings) -> None:
    if settings.workers > 1 and not is_worker():
        await Supervisor(settings.workers, settings.host, settings.port, drain_s=settings.drain_s).run()
    else:
        await serve_here(settings)


async def serve_here(settings: EdgeSettings) -> None:
    # First, so that a spool that cannot be written ends the start before anything else is opened.
    writer = RotatingEventWriter(lambda: start_boot(settings))
    brokers, prefix = settings.brokers, settings.topic_prefix
    keys = KeyDirectory(brokers, prefix)
    catalogue = Catalog(brokers, prefix)
    leases = open_leases(settings)
    router = Router(PROTOCOLS, lambda: read_routes(settings), settings.gateway_file)
    rate_limiter = make_gate(settings, leases)
    balances = Balances(brokers, prefix)
    admission = make_admission(settings, leases, balances)
    segments, segment = worker_segments() if is_worker() else ([own := CounterSegment.own()], own)
    counts = EdgeCounts(segment)
    collector = EdgeCollector(counts, lambda: router.routes.breakers, segments)
    calls = ModelCalls(
        keys,
        catalogue,
        admission,
        writer,
        router=router,
        rate_limiter=rate_limiter,
        claims=make_claims(settings, leases),
        counts=counts,
        first_output_tokens=settings.first_output_tokens,
    )
    topics = [keys.topic, catalogue.topic]
    if not isinstance(admission, LeaseManager):
        # With leases, balances are not needed. That of a busy account changes many times a second.
        topics.append(balances.topic)

    def waiting_for() -> str | None:
        waits = [topic.waiting_for() for topic in topics]
        return next(filter(None, (*waits, leases.manager.waiting_for() if leases else None)), None) or writer.refusal()

    workers = [writer.run(calls.until_idle), router.watch(), *(topic.run() for topic in topics)]
    if is_worker():
        worker_group = WorkerGroup(segments, segment, waiting_for=waiting_for, note_gauges=collector.note_gauges)
        workers.append(worker_group.run())
        api = create_api(
            keys,
            catalogue,
            router,
            rate_limiter,
            ready=worker_group.waiting_for,
            metrics=worker_group.registry(collector),
        )
    else:
        REGISTRY.register(collector)
        api = create_api(keys, catalogue, router, rate_limiter, ready=waiting_for, metrics=REGISTRY)
    app = EdgeApp(calls, api)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, router.reload_soon)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(aclosing(router))
        if leases is not None:
            await stack.enter_async_context(aclosing(leases.client))
            workers.append(leases.manager.run(calls.until_idle))
        if is_worker():
            end_with_supervisor()
            listening = stack.enter_context(listen(settings.host, settings.port))
            serving = partial(run_service, listening=listening, waiting_for=waiting_for)
        else:
            serving = partial(run_service)
        await serving(app, settings.host, settings.port, *workers, drain_s=settings.drain_s)


if __name__ == "__main__":
    cli.run("edge", EdgeSettings, serve, check=check_routes)
