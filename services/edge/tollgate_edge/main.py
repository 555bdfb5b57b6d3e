"""Builds and starts the edge: `python -m tollgate_edge.main`."""

import logging
import sys
from contextlib import AsyncExitStack, aclosing
from typing import NamedTuple

from tollgate_common import cli
from tollgate_common.http import run_service
from tollgate_common.ids import new_id
from tollgate_common.keys import KeyDirectory
from tollgate_edge.admission import Balances, KnownBalances, LeasedCredit
from tollgate_edge.api import create_api
from tollgate_edge.app import EdgeApp
from tollgate_edge.calls import ModelCalls
from tollgate_edge.catalogue import Catalogue
from tollgate_edge.event_log import EventLog
from tollgate_edge.lease_client import LeaseClient
from tollgate_edge.lease_desk import LeaseDesk
from tollgate_edge.providers.base import Provider
from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.providers.transport import Timeouts
from tollgate_edge.recorder import Recorder
from tollgate_edge.rotation import RotatingRecorder
from tollgate_edge.settings import EdgeSettings

log = logging.getLogger(__name__)


class Leases(NamedTuple):
    client: LeaseClient
    desk: LeaseDesk


def open_leases(settings: EdgeSettings) -> Leases | None:
    if settings.balance_url is None or settings.internal_token is None:
        log.warning("TOLLGATE_BALANCE_URL is not set: credit is only looked at, so accounts may be overdrawn")
        return None
    client = LeaseClient(settings.balance_url, settings.internal_token.get_secret_value(), edge=settings.edge_name)
    return Leases(client, LeaseDesk(client, credit_wait_s=settings.credit_wait_s))


def open_event_log(settings: EdgeSettings, boot_id: str) -> EventLog:
    try:
        return EventLog(
            settings.kafka_bootstrap,
            settings.topic_prefix,
            settings.spool_dir,
            boot_id,
            ack_timeout_s=settings.ack_timeout_s,
            spool_max_bytes=settings.spool_max_bytes,
            spool_max_age_s=settings.spool_max_age_s,
        )
    except OSError as error:
        sys.exit(f"edge: TOLLGATE_SPOOL_DIR must name a folder that can be written: {error}")


def start_boot(settings: EdgeSettings) -> Recorder:
    boot_id = new_id()
    return Recorder(open_event_log(settings, boot_id), boot_id=boot_id, edge=settings.edge_name)


async def serve(settings: EdgeSettings) -> None:
    # First: a spool that cannot be written ends the start before anything is opened.
    recorder = RotatingRecorder(lambda: start_boot(settings))
    bootstrap, prefix = settings.kafka_bootstrap, settings.topic_prefix
    keys = KeyDirectory(bootstrap, prefix)
    catalogue = Catalogue(bootstrap, prefix)
    balances = Balances(bootstrap, prefix)
    leases = open_leases(settings)
    openai = OpenAIProvider(
        settings.openai_url,
        settings.openai_api_key.get_secret_value(),
        Timeouts(settings.connect_timeout_s, settings.read_timeout_s),
    )
    providers: dict[str, Provider] = {openai.name: openai}
    admission = (
        LeasedCredit(leases.desk, balances, fail_open_above_nano=settings.fail_open_above_nano)
        if leases
        else KnownBalances(balances)
    )
    calls = ModelCalls(
        keys,
        catalogue,
        admission,
        recorder,
        providers,
        max_body_bytes=settings.max_body_bytes,
        first_output_tokens=settings.first_output_tokens,
    )
    topics = (keys.topic, catalogue.topic, balances.topic)

    def waiting_for() -> str | None:
        waits = [topic.waiting_for() for topic in topics]
        return next(filter(None, (*waits, leases.desk.waiting_for() if leases else None)), None) or recorder.refusal()

    app = EdgeApp(calls, create_api(keys, catalogue, providers, waiting_for))
    workers = [recorder.run(calls.until_idle), *(topic.run() for topic in topics)]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(aclosing(openai))
        if leases is not None:
            await stack.enter_async_context(aclosing(leases.client))
            workers.append(leases.desk.run(calls.until_idle))
        await run_service(app, settings.host, settings.port, *workers, drain_s=settings.drain_s)


if __name__ == "__main__":
    cli.run("edge", EdgeSettings, serve)
