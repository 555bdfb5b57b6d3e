import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI

from edge.running import RunningEdge, prepare, running_edge
from engines import stores
from local.provider.running import RunningProvider, running_provider
from tollgate_common.kafka.brokers import Brokers

PROVIDER_KEY = "sk-simulated"


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    with running_provider(api_key=PROVIDER_KEY) as running:
        yield running


@pytest.fixture(scope="module")
def edge(
    brokers: Brokers, provider: RunningProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningEdge]:
    """One edge for a module: its tests tell their requests apart by id."""
    prefix = stores.unique_name()
    keys = prepare(brokers, prefix)
    folder = tmp_path_factory.mktemp("edge")
    try:
        with running_edge(
            brokers,
            prefix,
            keys,
            provider.url,
            folder,
            max_body_bytes=str(64 << 10),
            read_timeout_s="2",
        ) as running:
            yield running
    finally:
        asyncio.run(stores.delete_topics(brokers, prefix))


@pytest.fixture
async def sdk(edge: RunningEdge) -> AsyncIterator[AsyncOpenAI]:
    """The official SDK, with nothing changed but where it calls and that it does not retry."""
    async with AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=edge.keys.good, max_retries=0) as client:
        yield client
