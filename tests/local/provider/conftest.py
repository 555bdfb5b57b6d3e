import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from openai import OpenAI

from local.provider.running import RunningProvider, running_provider

API_KEY = "sk-simulated"


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    with running_provider() as running:
        yield running


@pytest.fixture(scope="module")
def shared_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider") / "journal.jsonl"


@pytest.fixture(scope="module")
def recording_provider(shared_journal: Path) -> Iterator[RunningProvider]:
    with running_provider(journal=str(shared_journal)) as running:
        yield running


@pytest.fixture
def journal(recording_provider: RunningProvider, shared_journal: Path) -> Path:
    """The provider's journal, empty: it is opened for appending, so the next line is its first."""
    recording_provider.wait_for_stats(lambda stats: stats["in_flight"] == 0)
    os.truncate(shared_journal, 0)
    return shared_journal


@pytest.fixture
def recorded(recording_provider: RunningProvider) -> RunningProvider:
    """A provider whose counters are at zero and which sends nothing yet."""
    baseline = recording_provider.wait_for_stats(lambda stats: stats["in_flight"] == 0)
    return replace(recording_provider, baseline=baseline)


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    """The official SDK, pointed at a provider that asks for a key."""
    with (
        running_provider(api_key=API_KEY) as running,
        OpenAI(base_url=f"{running.url}/v1", api_key=API_KEY, max_retries=0) as sdk,
    ):
        yield sdk
