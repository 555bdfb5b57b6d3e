from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from local.provider.running import RunningProvider, running_provider

API_KEY = "sk-simulated"


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    with running_provider() as running:
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def recorded(journal: Path) -> Iterator[RunningProvider]:
    """A provider of the test's own, whose counters start at zero."""
    with running_provider(journal=str(journal)) as running:
        yield running


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    """The official SDK, pointed at a provider that asks for a key."""
    with (
        running_provider(api_key=API_KEY) as running,
        OpenAI(base_url=f"{running.url}/v1", api_key=API_KEY, max_retries=0) as sdk,
    ):
        yield sdk
